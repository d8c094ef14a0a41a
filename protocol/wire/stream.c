// stream.c: numbered frames, kept until the peer has them.
//
// Kept frames stand in a list in the order of their numbers; `next` is the first that this
// connection has not sent yet, and `offset` how much of it has been. A frame that has begun is
// finished before anything else is said. A new connection moves `next` back to what the peer lacks.
//
// A DATA frame counts once all of it has arrived: bytes of a torn one are cut off again when the
// connection goes.
#include "px/stream.h"

#include "little.h"

#include "px/own.h"

#include <string.h>

enum { DATA = 1, END = 2, HAVE = 3, BEAT = 4, HAVE_SIZE = 8 };

// Unsaid arrivals are told after so many bytes, or with the next beat.
#define TELL_AFTER ((size_t)1 << 18)
// The store for what arrives shrinks to nothing above this when it is empty.
#define KEEP_STORE ((size_t)1 << 18)

typedef struct frame {
    struct frame *next;
    size_t size; // lead included
    uint8_t bytes[];
} frame;

struct px_stream {
    px_stream_limits limits;
    // out
    frame *first, *last, *next;
    size_t offset;         // in next
    size_t kept;           // bytes in all frames
    uint64_t first_number; // of first: how many the peer has
    uint64_t next_number;  // of next
    uint64_t last_number;  // how many were ever put
    uint64_t most_sent;    // next_number of any connection
    bool ended;
    // in
    px_buf in;
    size_t from, whole; // what is not yet taken, and how far it may be
    uint64_t received, told;
    size_t untold; // bytes received since
    uint8_t lead[PX_STREAM_LEAD + HAVE_SIZE];
    size_t lead_size; // of the frame that is coming
    size_t missing;   // of its DATA
    bool peer_ended;
    // the connection
    bool attached, tell, beat;
    px_ns heard, said;
};

px_err px_stream_new(const px_stream_limits *limits, px_ns now, px_stream **ret_stream)
{
    px_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return PX_ENOMEM;
    }
    stream->limits = *limits;
    stream->heard = now;
    *ret_stream = stream;
    return PX_OK;
}

static void drop_first(px_stream *stream)
{
    frame *f = stream->first;
    stream->first = f->next;
    if (stream->first == NULL) {
        stream->last = NULL;
    }
    stream->kept -= f->size;
    stream->first_number++;
    free(f);
}

void px_stream_free(px_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    while (stream->first != NULL) {
        drop_first(stream);
    }
    px_buf_done(&stream->in);
    free(stream);
}

// --- out -----------------------------------------------------------------------------------------

size_t px_stream_room(const px_stream *stream)
{
    return stream->ended || stream->kept >= stream->limits.window
               ? 0
               : stream->limits.window - stream->kept;
}

static px_err append(px_stream *stream, uint8_t kind, px_slice bytes)
{
    frame *f = malloc(sizeof(*f) + PX_STREAM_LEAD + bytes.size);
    if (f == NULL) {
        return PX_ENOMEM;
    }
    f->next = NULL;
    f->size = PX_STREAM_LEAD + bytes.size;
    px__put(f->bytes, kind, 4);
    px__put(f->bytes + 4, bytes.size, 4);
    if (bytes.size != 0) {
        memcpy(f->bytes + PX_STREAM_LEAD, bytes.data, bytes.size);
    }
    if (stream->last != NULL) {
        stream->last->next = f;
    } else {
        stream->first = f;
    }
    stream->last = f;
    if (stream->next == NULL) {
        stream->next = f;
        stream->offset = 0;
    }
    stream->kept += f->size;
    stream->last_number++;
    return PX_OK;
}

px_err px_stream_put(px_stream *stream, px_slice bytes)
{
    if (bytes.size == 0 || bytes.size > PX_STREAM_FRAME || stream->ended) {
        return PX_EINVAL;
    }
    return append(stream, DATA, bytes);
}

px_err px_stream_end(px_stream *stream)
{
    if (stream->ended) {
        return PX_EINVAL;
    }
    PX_TRY(append(stream, END, (px_slice){0}));
    stream->ended = true;
    return PX_OK;
}

// say writes a frame that is not numbered; 0 when there is no room for it.
static size_t say(uint8_t *bytes, size_t size, uint8_t kind, const uint64_t *number)
{
    size_t content = number != NULL ? HAVE_SIZE : 0;
    if (size < PX_STREAM_LEAD + content) {
        return 0;
    }
    px__put(bytes, kind, 4);
    px__put(bytes + 4, content, 4);
    if (number != NULL) {
        px__put(bytes + PX_STREAM_LEAD, *number, HAVE_SIZE);
    }
    return PX_STREAM_LEAD + content;
}

static size_t say_waiting(px_stream *stream, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    if (stream->tell) {
        done = say(bytes, size, HAVE, &stream->received);
        if (done != 0) {
            stream->tell = stream->beat = false;
            stream->told = stream->received;
            stream->untold = 0;
        }
    } else if (stream->beat) {
        done = say(bytes, size, BEAT, NULL);
        stream->beat = done == 0;
    }
    return done;
}

size_t px_stream_output(px_stream *stream, px_ns now, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (stream->attached && done < size) {
        if (stream->offset == 0 && (stream->tell || stream->beat)) {
            size_t said = say_waiting(stream, bytes + done, size - done);
            if (said == 0) {
                break;
            }
            done += said;
            continue;
        }
        frame *f = stream->next;
        if (f == NULL) {
            break;
        }
        size_t left = f->size - stream->offset;
        size_t part = left < size - done ? left : size - done;
        memcpy(bytes + done, f->bytes + stream->offset, part);
        done += part;
        stream->offset += part;
        if (stream->offset == f->size) {
            stream->next = f->next;
            stream->next_number++;
            stream->offset = 0;
            if (stream->most_sent < stream->next_number) {
                stream->most_sent = stream->next_number;
            }
        }
    }
    if (done > 0) {
        stream->said = now;
    }
    return done;
}

// --- in ------------------------------------------------------------------------------------------

// forget lets go of what the peer has.
static px_err forget(px_stream *stream, uint64_t has)
{
    if (has < stream->first_number || has > stream->next_number) {
        return PX_EFORMAT; // less than before, or what was never sent
    }
    while (stream->first_number < has) {
        drop_first(stream);
    }
    return PX_OK;
}

static void arrived(px_stream *stream, size_t size)
{
    stream->received++;
    stream->untold += size;
    stream->whole = stream->in.size;
    if (stream->untold >= TELL_AFTER) {
        stream->tell = true;
    }
}

// begin_frame reads a complete lead; the content of a HAVE is part of it.
static px_err begin_frame(px_stream *stream)
{
    uint64_t kind = px__get(stream->lead, 4);
    uint64_t size = px__get(stream->lead + 4, 4);
    stream->lead_size = 0;
    if (kind == DATA && !stream->peer_ended && size > 0 && size <= PX_STREAM_FRAME) {
        stream->missing = (size_t)size;
        return px_buf_reserve(&stream->in, (size_t)size);
    }
    if (kind == END && !stream->peer_ended && size == 0) {
        stream->peer_ended = true;
        arrived(stream, 0);
        stream->tell = true;
        return PX_OK;
    }
    if (kind == HAVE && size == HAVE_SIZE) {
        return forget(stream, px__get(stream->lead + PX_STREAM_LEAD, HAVE_SIZE));
    }
    return kind == BEAT && size == 0 ? PX_OK : PX_EFORMAT;
}

// read_lead takes bytes of a lead; gives how many.
static size_t read_lead(px_stream *stream, px_slice bytes, bool *ret_complete)
{
    size_t wanted = PX_STREAM_LEAD;
    size_t used = 0;
    for (;;) {
        if (stream->lead_size >= PX_STREAM_LEAD && px__get(stream->lead, 4) == HAVE &&
            px__get(stream->lead + 4, 4) == HAVE_SIZE) {
            wanted = PX_STREAM_LEAD + HAVE_SIZE;
        }
        size_t lacks = wanted - stream->lead_size;
        size_t part = lacks < bytes.size - used ? lacks : bytes.size - used;
        memcpy(stream->lead + stream->lead_size, bytes.data + used, part);
        stream->lead_size += part;
        used += part;
        *ret_complete = stream->lead_size == wanted;
        bool is_have = wanted == PX_STREAM_LEAD && stream->lead_size == wanted &&
                       px__get(stream->lead, 4) == HAVE &&
                       px__get(stream->lead + 4, 4) == HAVE_SIZE;
        if (!is_have) {
            return used;
        }
    }
}

px_err px_stream_input(px_stream *stream, px_ns now, px_slice bytes)
{
    stream->heard = now;
    while (bytes.size > 0) {
        size_t used;
        if (stream->missing > 0) {
            used = stream->missing < bytes.size ? stream->missing : bytes.size;
            px_buf_append(&stream->in, bytes.data, used); // reserved
            PX_TRY(px_buf_status(&stream->in));
            stream->missing -= used;
            if (stream->missing == 0) {
                arrived(stream, stream->in.size - stream->whole);
            }
        } else {
            bool complete = false;
            used = read_lead(stream, bytes, &complete);
            if (complete) {
                PX_TRY(begin_frame(stream));
            }
        }
        bytes = px_slice_of(bytes.data + used, bytes.size - used);
    }
    return PX_OK;
}

px_slice px_stream_arrived(const px_stream *stream)
{
    return stream->from == stream->whole
               ? (px_slice){0}
               : px_slice_of(stream->in.data + stream->from, stream->whole - stream->from);
}

void px_stream_take(px_stream *stream, size_t n)
{
    stream->from += n;
    if (stream->from < stream->whole) {
        if (stream->from > PX_STREAM_FRAME && stream->from > stream->in.size / 2) {
            memmove(stream->in.data, stream->in.data + stream->from,
                    stream->in.size - stream->from);
            stream->in.size -= stream->from;
            stream->whole -= stream->from;
            stream->from = 0;
        }
        return;
    }
    // What is left is the beginning of a frame that is not whole yet.
    size_t torn = stream->in.size - stream->whole;
    if (torn == 0 && stream->in.capacity > KEEP_STORE) {
        px_buf_done(&stream->in);
    } else if (torn > 0) {
        memmove(stream->in.data, stream->in.data + stream->whole, torn);
    }
    stream->in.size = torn;
    stream->from = stream->whole = 0;
}

// --- connections ---------------------------------------------------------------------------------

px_err px_stream_attach(px_stream *stream, px_ns now, uint64_t has)
{
    if (has < stream->first_number || has > stream->most_sent) {
        return PX_EFORMAT;
    }
    while (stream->first_number < has) {
        drop_first(stream);
    }
    stream->next = stream->first;
    stream->next_number = stream->first_number;
    stream->offset = 0;
    stream->attached = true;
    stream->tell = stream->beat = false;
    stream->told = stream->received; // the greeting has said it
    stream->untold = 0;
    stream->heard = stream->said = now;
    return PX_OK;
}

void px_stream_detach(px_stream *stream)
{
    stream->attached = false;
    stream->lead_size = 0;
    stream->missing = 0;
    stream->in.size = stream->whole;
}

uint64_t px_stream_received(const px_stream *stream)
{
    return stream->received;
}

bool px_stream_attached(const px_stream *stream)
{
    return stream->attached;
}

bool px_stream_ended(const px_stream *stream)
{
    return stream->peer_ended;
}

bool px_stream_settled(const px_stream *stream)
{
    return stream->ended && stream->first == NULL;
}

void px_stream_not_read(px_stream *stream, px_ns now)
{
    stream->heard = now;
}

px_stream_verdict px_stream_tick(px_stream *stream, px_ns now)
{
    if (!stream->attached) {
        return now >= stream->heard + stream->limits.lease ? PX_STREAM_EXPIRED : PX_STREAM_WELL;
    }
    if (now >= stream->heard + 2 * stream->limits.beat) {
        return PX_STREAM_SILENT;
    }
    if (now >= stream->said + stream->limits.beat) {
        stream->tell = stream->told != stream->received;
        stream->beat = !stream->tell;
    }
    return PX_STREAM_WELL;
}

px_ns px_stream_due(const px_stream *stream)
{
    if (!stream->attached) {
        return stream->heard + stream->limits.lease;
    }
    px_ns silent = stream->heard + 2 * stream->limits.beat;
    bool waits = stream->tell || stream->beat; // to be said: the time does not hurry it
    px_ns speak = waits ? UINT64_MAX : stream->said + stream->limits.beat;
    return silent < speak ? silent : speak;
}

bool px_stream_check(const px_stream *stream)
{
    uint64_t number = stream->first_number;
    size_t kept = 0;
    bool found = stream->next == NULL;
    for (const frame *f = stream->first; f != NULL; f = f->next, number++) {
        if (f == stream->next) {
            found = true;
            if (number != stream->next_number || stream->offset > f->size) {
                return false;
            }
        }
        kept += f->size;
    }
    return found && kept == stream->kept && number == stream->last_number &&
           (stream->next != NULL || stream->next_number == stream->last_number) &&
           (stream->first == NULL) == (stream->last == NULL) && stream->from <= stream->whole &&
           stream->whole <= stream->in.size && stream->told <= stream->received &&
           (stream->attached || stream->in.size == stream->whole);
}
