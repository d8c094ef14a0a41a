// request.h: a request on its way to Python, and the reference that outputs keep of it.
//
// px_parent is immutable and counted (atomic): any thread. px_request belongs to one thread at a
// time: px-io makes it, px-main serves and frees it.
#ifndef PX_KERNEL_REQUEST_H
#define PX_KERNEL_REQUEST_H

#include "px/frames.h"
#include "px/id.h"
#include "px/kernel_api.h"
#include "px/mailbox.h"
#include "px/session.h"
#include "px/time.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum px_channel { PX_SHELL, PX_CONTROL, PX_STDIN, PX_IOPUB, PX_HB, PX_CHANNELS } px_channel;
// px_channel_name is "shell", "control", "stdin", "iopub" or "hb".
const char *px_channel_name(px_channel channel);

struct px_parent {
    atomic_uint refs;
    px_channel channel;
    px_frames idents;       // identities: where a reply goes; the route frame for an engine
    px_bytes *header;       // as received, never NULL
    px_bytes *metadata;     // never NULL
    px_bytes *content;      // never NULL
    struct px_flood *flood; // of its text; under the sending lock (io/flood.h). NULL: none yet
    struct px_displays *displays; // what it shows; the same (io/displays.h)
    bool door;                    // it came by a socket of an engine (io/doors.h)
    char subshell[PX_UUID_SIZE];  // id of the subshell that serves it; "": the main shell
};

// px_parent_new references frames of message.
px_parent *px_parent_new(px_channel channel, const px_message *message);
// px_parent_made makes one of a header (and metadata and content) that did not come from a socket.
px_parent *px_parent_made(px_slice header, px_slice metadata, px_slice content);
px_parent *px_parent_ref(px_parent *parent); // NULL gives NULL
void px_parent_unref(px_parent *parent);     // NULL is allowed
// px_parent_asked tells if an answer (its parent) may be to a question of `asker`: on an engine, if
// its route names the same client and task (task 0: any of the client's); elsewhere always. What
// came by a door has nothing to do with what came by a link.
bool px_parent_asked(const px_parent *asker, const px_parent *answer);

// What the letters in the inbox are.
typedef enum px_notice {
    PX_NOTICE_REQUEST,   // px_request
    PX_NOTICE_ABORT_END, // everything that was sent before the failed reply has been posted
    PX_NOTICE_EXIT,      // a shutdown was requested
    PX_NOTICE_RELEASE,   // buffers wait to be released under the GIL
    PX_NOTICE_NUDGE,     // nothing: look again
    PX_NOTICE_CANCEL,    // the async cell is interrupted
    PX_NOTICE_LENT       // px_side_letter, in the side lane's box
} px_notice;

typedef struct px_comm px_comm;

typedef struct px_request {
    px_letter letter; // first: letter.kind is a px_notice
    px_channel channel;
    px_parent *parent;
    px_message *message;
    char started[PX_STAMP_SIZE]; // when its handler began
    bool taken_back;             // aborted or lent while it waited (io/waiting.h, under its lock)
    px_ns posted;                // when it began to wait
    px_comm *comm;               // it is a message of this comm (io/comms.c); NULL: not noted
    atomic_uint refs;
    atomic_bool claimed; // lent: somebody answers it (px_request_claim)
    struct px_request *prev, *next;
} px_request;

// px_side_letter is a reference to a request whose own letter is px-main's.
typedef struct px_side_letter {
    px_letter letter; // first
    px_request *request;
} px_side_letter;

// px_request_new takes message.
px_request *px_request_new(px_channel channel, px_message *message);
// px_request_free drops a reference; px_request_ref adds one.
void px_request_free(px_request *request);
px_request *px_request_ref(px_request *request);
// px_request_claim is for px-side and px-io, which both may answer a request that was lent: true
// for the first who asks.
bool px_request_claim(px_request *request);
// px_reply_type writes the reply's type: `x_request` gives `x_reply`, other names get `_reply`
// appended.
void px_reply_type(const char *msg_type, char *ret_type, size_t size);

#endif
