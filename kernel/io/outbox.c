// The outbox: one queue for everything that leaves.
//
// Why one: a front end must see `print` before the plot that follows it and both before the reply,
// and nobody should have to wait for that. With one queue and one reader the order of posting is
// the order on the wire.
//
// Streams are merged in the queue, not by a timer in the writer. A piece of text joins the last
// entry when that is text of the same stream and parent, so 100,000 prints are a few memory copies.
// How long text may stay is the reader's business:
//
//   - an entry of another kind behind it ("firm"): the text goes now;
//   - text at the end, the first of a burst: PX_STREAM_FIRST later, so that the prints of a cell
//   that
//     ends at once are one message, as notebooks are used to; up to PX_STREAM_GRACE when its line
//     is not complete (`print("x")` writes "x" and then a newline);
//   - text at the end while the burst goes on: PX_STREAM_PERIOD after the last such message, and
//   later
//     the more the page shows already; up to the end of its last whole line.
//
// The reader is woken only when it would otherwise not look in time: not while it drains (it asks
// again before it sleeps), not when it was woken already, not when its timer stands. And for text
// that may wait it is not woken at all: whoever writes sets its timer. That is what makes a print
// cheap, and leaves the processor to the cell that prints.

#include "io/outbox.h"

#include "io/need.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

px_out *px_out_new(px_out_kind kind, px_parent *parent)
{
    px_out *out = px_need_zeroed(sizeof(*out));
    out->kind = kind;
    out->parent = px_parent_ref(parent);
    if (kind == PX_OUT_REPLY) {
        px_stamp_now(out->made);
    }
    return out;
}

void px_out_free(px_out *out)
{
    if (out == NULL) {
        return;
    }
    px_parent_unref(out->parent);
    px_buf_done(&out->text);
    px_bytes_unref(out->whole);
    px_bytes_unref(out->content);
    px_bytes_unref(out->metadata);
    px_bytes_unref(out->topic);
    free(out->msg_id);
    px_frames_done(&out->frames);
    free(out);
}

size_t px_out_bytes(const px_out *out)
{
    size_t size = out->whole != NULL ? px_bytes_slice(out->whole).size : out->text.size;
    if (out->kind == PX_OUT_PUBLISH) {
        size += sizeof(*out) + px_frames_bytes(&out->frames);
        size += out->content != NULL ? px_bytes_slice(out->content).size : 0;
    }
    return size;
}

static void close_fds(px_outbox *box)
{
    if (box->fd >= 0) {
        (void)close(box->fd);
    }
    if (box->text_fd >= 0) {
        (void)close(box->text_fd);
    }
    box->fd = box->text_fd = -1;
}

px_err px_outbox_init(px_outbox *box)
{
    *box = (px_outbox){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                       .text_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                       .clock = px_now,
                       .first_wait = PX_STREAM_FIRST,
                       .period = PX_STREAM_PERIOD};
    px_err err = box->fd < 0 || box->text_fd < 0 ? px_err_from_errno(errno) : PX_OK;
    if (err == PX_OK) {
        err = px_room_init(&box->room);
    }
    if (err == PX_OK && pthread_mutex_init(&box->lock, NULL) != 0) {
        px_room_done(&box->room);
        err = PX_ENOMEM;
    }
    if (err != PX_OK) {
        close_fds(box);
    }
    return err;
}

void px_outbox_done(px_outbox *box)
{
    while (box->first != NULL) {
        px_out *out = box->first;
        box->first = out->next;
        px_out_free(out);
    }
    px_parent_unref(box->current);
    close_fds(box);
    (void)pthread_mutex_destroy(&box->lock);
    px_room_done(&box->room);
}

// wake tells the reader, unless it looks anyway. Lock held.
static void wake(px_outbox *box)
{
    if (box->woken || box->draining) {
        return;
    }
    box->woken = true;
    uint64_t one = 1;
    // The counter cannot be full: it is written only after it was read.
    (void)!write(box->fd, &one, sizeof(one));
}

static void append(px_outbox *box, px_out *out)
{
    if (box->last == NULL) {
        box->first = out;
    } else {
        box->last->next = out;
    }
    box->last = out;
    if (out->kind != PX_OUT_STREAM) {
        box->last_firm = out;
    }
}

// add_queued counts what came. Lock held, so a plain addition does.
static void add_queued(px_outbox *box, size_t size)
{
    size_t before = atomic_load_explicit(&box->room.queued, memory_order_relaxed);
    atomic_store_explicit(&box->room.queued, before + size, memory_order_relaxed);
}

static void append_chain(px_outbox *box, px_out *chain)
{
    while (chain != NULL) {
        px_out *next = chain->next;
        chain->next = NULL;
        append(box, chain);
        add_queued(box, px_out_bytes(chain));
        chain = next;
    }
}

void px_outbox_post(px_outbox *box, px_out *chain)
{
    (void)pthread_mutex_lock(&box->lock);
    append_chain(box, chain);
    wake(box);
    (void)pthread_mutex_unlock(&box->lock);
}

void px_outbox_post_quiet(px_outbox *box, px_out *chain)
{
    (void)pthread_mutex_lock(&box->lock);
    append_chain(box, chain);
    (void)pthread_mutex_unlock(&box->lock);
}

// ends_line tells if the last text is complete as it stands.
static bool ends_line(const px_out *out)
{
    return out->whole != NULL || out->text.data[out->text.size - 1] == '\n';
}

// text_due is when the text at the end of the box may leave.
static px_ns text_due(px_outbox *box, px_ns now)
{
    if (box->first_text == 0) {
        box->first_text = now;
    }
    px_ns due = box->first_text + (ends_line(box->last) ? box->first_wait : PX_STREAM_GRACE);
    if (due < box->next_stream) {
        due = box->next_stream;
    }
    return due;
}

// set_timer has the reader look at due, or not by itself when that is 0. Lock held.
static void set_timer(px_outbox *box, px_ns due)
{
    if (due == box->timer) {
        return;
    }
    box->timer = due;
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(due / PX_NS_PER_S), .tv_nsec = (long)(due % PX_NS_PER_S)}};
    (void)timerfd_settime(box->text_fd, TFD_TIMER_ABSTIME, &at, NULL); // a valid time
}

// await_text says that the text at the end waits until due. Lock held.
static void await_text(px_outbox *box, px_ns due)
{
    box->waiting_line = due > box->next_stream && !ends_line(box->last);
    set_timer(box, due);
}

// look_in_time has the reader look when the text that was just written may leave. Lock held.
static void look_in_time(px_outbox *box, bool line)
{
    if (box->woken || box->draining || (box->timer != 0 && !(line && box->waiting_line))) {
        return;
    }
    if (box->last_firm != NULL) {
        wake(box); // it leaves at once, and what stands before it has waited already
    } else {
        await_text(box, text_due(box, box->clock()));
    }
}

static bool joins(const px_out *last, const px_parent *parent, px_stream_name stream, size_t size)
{
    return last != NULL && last->kind == PX_OUT_STREAM && last->whole == NULL &&
           last->stream == stream && last->parent == parent &&
           last->text.size + size <= PX_STREAM_PIECE;
}

void px_outbox_write(px_outbox *box, px_parent *parent, px_stream_name stream, px_slice text)
{
    if (text.size == 0) {
        return;
    }
    (void)pthread_mutex_lock(&box->lock);
    if (!joins(box->last, parent, stream, text.size)) {
        px_out *out = px_out_new(PX_OUT_STREAM, parent);
        out->stream = stream;
        append(box, out);
    }
    px_buf_append_slice(&box->last->text, text);
    px_must(px_buf_status(&box->last->text));
    add_queued(box, text.size);
    look_in_time(box, text.data[text.size - 1] == '\n');
    (void)pthread_mutex_unlock(&box->lock);
}

void px_outbox_write_whole(px_outbox *box, px_parent *parent, px_stream_name stream, px_bytes *text)
{
    px_out *out = px_out_new(PX_OUT_STREAM, parent);
    out->stream = stream;
    out->whole = text;
    (void)pthread_mutex_lock(&box->lock);
    append(box, out);
    add_queued(box, px_bytes_slice(text).size);
    look_in_time(box, true);
    (void)pthread_mutex_unlock(&box->lock);
}

static size_t bytes_in(const px_out *chain)
{
    size_t size = 0;
    for (; chain != NULL; chain = chain->next) {
        size += px_out_bytes(chain);
    }
    return size;
}

// take_until removes everything up to and including last.
static px_out *take_until(px_outbox *box, px_out *last)
{
    px_out *chain = box->first;
    box->first = last->next;
    last->next = NULL;
    if (box->first == NULL) {
        box->last = NULL;
    }
    box->last_firm = NULL;
    size_t before = atomic_load_explicit(&box->room.queued, memory_order_relaxed);
    atomic_store_explicit(&box->room.queued, before - bytes_in(chain), memory_order_relaxed);
    return chain;
}

// keep_rest puts what follows the last whole line of a chain that was just taken back into the box:
// its line is still being written, and others may speak before it is whole. last is its end. A line
// that stands alone is let go.
static void keep_rest(px_outbox *box, px_out *chain, px_out *last)
{
    if (last->whole != NULL) {
        return;
    }
    const uint8_t *line = memrchr(last->text.data, '\n', last->text.size);
    size_t whole = line != NULL ? (size_t)(line - last->text.data) + 1 : 0;
    if (whole == last->text.size || (whole == 0 && chain == last)) {
        return;
    }
    px_out *rest = last;
    if (whole == 0) {
        px_out *before = chain;
        while (before->next != last) {
            before = before->next;
        }
        before->next = NULL;
    } else {
        rest = px_out_new(PX_OUT_STREAM, last->parent);
        rest->stream = last->stream;
        px_buf_append(&rest->text, last->text.data + whole, last->text.size - whole);
        px_must(px_buf_status(&rest->text));
        last->text.size = whole;
    }
    append(box, rest);
    add_queued(box, rest->text.size);
}

static void clear_fd(px_outbox *box)
{
    uint64_t count;
    // Nothing to read means that nobody woke us: the timer did.
    (void)!read(box->fd, &count, sizeof(count));
    box->woken = false;
}

px_out *px_outbox_take(px_outbox *box, px_ns now, bool begin, bool flush)
{
    px_out *chain = NULL;
    px_ns due = 0;
    (void)pthread_mutex_lock(&box->lock);
    if (begin) {
        if (box->woken) {
            clear_fd(box);
        }
        box->draining = true;
    }
    if (box->last_firm != NULL) {
        chain = take_until(box, box->last_firm);
        box->first_text = 0;
    } else if (box->last != NULL) {
        due = flush ? now : text_due(box, now);
        if (due <= now) {
            px_out *last = box->last;
            chain = take_until(box, last);
            box->next_stream = now + atomic_load(&box->period);
            box->first_text = 0;
            due = 0;
            if (!flush) {
                keep_rest(box, chain, last);
            }
        }
    }
    if (chain == NULL) {
        box->draining = false;
        await_text(box, due);
    }
    (void)pthread_mutex_unlock(&box->lock);
    return chain;
}

void px_outbox_slow_down(px_outbox *box, size_t shown)
{
    atomic_store(&box->period, PX_STREAM_PERIOD + shown * PX_STREAM_SLOWER);
}

void px_outbox_wake(px_outbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    wake(box);
    (void)pthread_mutex_unlock(&box->lock);
}

void px_outbox_set_current(px_outbox *box, px_parent *parent)
{
    (void)px_parent_ref(parent);
    (void)pthread_mutex_lock(&box->lock);
    px_parent *before = box->current;
    box->current = parent;
    box->next_stream = 0; // the first text of a request waits for nothing
    atomic_store(&box->period, PX_STREAM_PERIOD);
    (void)pthread_mutex_unlock(&box->lock);
    px_parent_unref(before);
}

px_parent *px_outbox_current(px_outbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    px_parent *parent = px_parent_ref(box->current);
    (void)pthread_mutex_unlock(&box->lock);
    return parent;
}

// run_length counts the stream pieces from first on; ret_end is what follows them.
static size_t run_length(px_out *first, px_out **ret_end)
{
    size_t n = 0;
    for (; first != NULL && first->kind == PX_OUT_STREAM; first = first->next) {
        n++;
    }
    *ret_end = first;
    return n;
}

// find_piece looks in [first, end) for a piece that text of piece can join.
static px_out *find_piece(px_out *first, const px_out *end, const px_out *piece)
{
    for (px_out *at = first; at != end; at = at->next) {
        if (joins(at, piece->parent, piece->stream, piece->text.size)) {
            return at;
        }
    }
    return NULL;
}

// merge_run merges the run [first, end) by stream and parent; the first of each stays. The number
// of different parents in a run is small, so a linear search does.
static void merge_run(px_out *first, px_out *end)
{
    px_out *last = first;
    while (last->next != end) {
        px_out *piece = last->next;
        px_out *into = piece->whole == NULL ? find_piece(first, piece, piece) : NULL;
        if (into == NULL) {
            last = piece;
            continue;
        }
        px_buf_append_slice(&into->text, px_buf_slice(&piece->text));
        px_must(px_buf_status(&into->text));
        last->next = piece->next;
        px_out_free(piece);
    }
}

px_out *px_outs_merge(px_out *chain)
{
    for (px_out *at = chain; at != NULL;) {
        px_out *end = NULL;
        size_t n = run_length(at, &end);
        if (n > PX_STREAM_RUNS) {
            merge_run(at, end);
        }
        at = n > 0 ? end : at->next;
    }
    return chain;
}
