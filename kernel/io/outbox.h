// outbox.h: everything that leaves a kernel, in one total order, with streams merged on the way.
//
// Anyone posts (any thread, GIL or not); px-io, or for an engine whoever just posted, takes. Text
// for the same stream and parent that is still here is merged into one message. Text at the end of
// the queue, with nothing behind it, leaves at a bounded rate: the first at once, then every
// PX_STREAM_PERIOD. Anything else flushes what stands before it, so order holds.
#ifndef PX_KERNEL_OUTBOX_H
#define PX_KERNEL_OUTBOX_H

#include "io/request.h"
#include "io/room.h"

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"
#include "px/time.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PX_STREAM_PERIOD (50 * PX_NS_PER_MS)   // between two messages of a stream that goes on
#define PX_STREAM_SLOWER 1000                  // ns more for each byte that the page shows
#define PX_STREAM_FIRST (300 * UINT64_C(1000)) // ns from the first text of a burst to its message
#define PX_STREAM_FIRST_ENGINE (3 * PX_NS_PER_MS) // the same on an engine: many print at once
#define PX_STREAM_GRACE (20 * PX_NS_PER_MS)       // the same for a line that has no end yet
#define PX_STREAM_PIECE                                                                            \
    ((size_t)64 << 20) // bytes: no message of a stream is made longer by merging

typedef enum px_out_kind {
    PX_OUT_STREAM,  // text of stdout or stderr
    PX_OUT_PUBLISH, // a message for iopub
    PX_OUT_REPLY,   // an answer to parent, or with channel PX_STDIN a question to parent's client
    PX_OUT_RAW,     // ready-made frames
    PX_OUT_ABORT    // read what was sent so far, then tell px-main (PX_NOTICE_ABORT_END)
} px_out_kind;

typedef enum px_stream_name { PX_STDOUT, PX_STDERR } px_stream_name;

// px_out is one entry. Whoever takes it from the box frees it with px_out_free.
typedef struct px_out {
    struct px_out *next;
    px_out_kind kind;
    px_channel channel;       // REPLY, RAW
    px_stream_name stream;    // STREAM
    char msg_type[64];        // PUBLISH, REPLY
    px_parent *parent;        // owned; NULL: none
    px_buf text;              // STREAM
    px_bytes *whole;          // STREAM: instead of text, a long text by reference
    px_bytes *content;        // owned; NULL: {}
    px_bytes *metadata;       // owned; NULL: {}
    px_bytes *topic;          // owned; NULL: the usual one
    char *msg_id;             // owned; NULL: the next one
    char made[PX_STAMP_SIZE]; // REPLY: its date, which is not later than the next request's start
    px_frames frames;         // RAW: the message; PUBLISH, REPLY: the buffers
} px_out;

px_out *px_out_new(px_out_kind kind,
                   px_parent *parent); // references parent; aborts when out of memory
void px_out_free(px_out *out);
// px_out_bytes is how much room an entry takes.
size_t px_out_bytes(const px_out *out);

typedef struct px_outbox {
    pthread_mutex_t lock;
    px_out *first, *last;
    px_out *last_firm;        // the last entry that is not a stream; NULL when there is none
    int fd;                   // eventfd: readable when px-io should look
    int text_fd;              // timerfd: the same, because the text at the end may leave
    px_ns timer;              // what text_fd was set to for the text at the end; 0: not set
    px_ns (*clock)(void);     // px_now; tests have another
    px_ns first_wait;         // PX_STREAM_FIRST, or its like
    bool woken;               // fd was written and not yet read
    bool draining;            // somebody is in px_outbox_take's caller and will look again
    bool waiting_line;        // the timer stands only because the first line is not complete
    _Atomic px_ns period;     // between two messages of text: longer the more the page shows
    px_ns next_stream;        // when streams at the end may leave again
    px_ns first_text;         // when the first text at the end came
    px_parent *current;       // whom captured output belongs to
    px_room room;             // how much waits, here and behind
    _Atomic px_ns not_before; // who shows and clears so quickly waits until then (io/displays.h)
} px_outbox;

px_err px_outbox_init(px_outbox *box);
void px_outbox_done(px_outbox *box);

// px_outbox_post appends a chain of entries (linked by next, none of them streams) and wakes px-io.
// Takes them.
void px_outbox_post(px_outbox *box, px_out *chain);
// px_outbox_post_quiet does so without waking: the caller posts again, or drains, soon.
void px_outbox_post_quiet(px_outbox *box, px_out *chain);

// px_outbox_write appends text to a stream. parent may be NULL.
void px_outbox_write(px_outbox *box, px_parent *parent, px_stream_name stream, px_slice text);
// px_outbox_write_whole appends a long text without copying it. Takes text.
void px_outbox_write_whole(px_outbox *box, px_parent *parent, px_stream_name stream,
                           px_bytes *text);

// px_outbox_take removes what may leave now, oldest first; NULL when nothing may: text_fd is then
// set to when more may. With flush, everything may leave. Calls come in rounds: the first of a
// round has begin set, and the round ends with the call that answers NULL.
px_out *px_outbox_take(px_outbox *box, px_ns now, bool begin, bool flush);

// px_outbox_slow_down: the page shows so many bytes of text. It draws all of them anew with each
// message, so there are fewer from here on. Any thread.
void px_outbox_slow_down(px_outbox *box, size_t shown);

// px_outbox_wake wakes px-io whatever it thinks: for entries that were posted quietly.
void px_outbox_wake(px_outbox *box);

// px_outbox_set_current names the request that captured output belongs to, and begins a new burst.
// References parent.
void px_outbox_set_current(px_outbox *box, px_parent *parent);
// px_outbox_current gives a new reference, or NULL.
px_parent *px_outbox_current(px_outbox *box);

// px_outs_merge shortens a chain of taken entries: neighbouring runs of stream pieces that
// alternate more than PX_STREAM_RUNS times are merged by stream and parent. Pure.
#define PX_STREAM_RUNS 16
px_out *px_outs_merge(px_out *chain);

#endif
