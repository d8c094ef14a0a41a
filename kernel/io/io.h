// io.h: the thread px-io: owns the transport, reads it, serves what needs no Python, empties the
// outbox.
#ifndef PX_KERNEL_IO_H
#define PX_KERNEL_IO_H

#include "io/displays.h"
#include "io/doors.h"
#include "io/flood.h"
#include "io/transport.h"
#include "kernel.h"

#include "px/json.h"
#include "px/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

// px_floods is px-io's share in cells that print more than a page can hold; under send_lock.
typedef struct px_floods {
    bool off; // an engine: the notebook that shows its text has the limits
    px_flood_limits limits;
    px_spills *spills;
    px_parent *active; // those that keep text back; references
    px_timer *timer;   // their notes are due
    bool armed;
    unsigned notes; // how many there were
    px_source *capture[2];
    bool paused; // nothing is read from the capture pipes: there is no room
} px_floods;

// px_gallery is px-io's share in cells that show more, or quicker, than a page can; under
// send_lock.
typedef struct px_gallery {
    px_parent *active; // those with updates or notes that are due; references
    px_timer *timer;
    px_ns due; // of the timer
    bool armed;
} px_gallery;

struct px_io {
    px_kernel *kernel;
    px_transport *transport;
    px_loop *loop;
    px_session *session;  // composes; under send_lock
    px_session *verifier; // verifies; px-io
    pthread_mutex_t send_lock;
    pthread_mutex_t info_lock;
    pthread_t thread;
    px_timer *side_timer;     // requests wait that may be served beside the running cell
    px_timer *ending_timer;   // a shutdown was requested: presses on
    px_source *parent_source; // the process that started us, while it lives
    px_bytes *kernel_info;    // content of kernel_info_reply; under info_lock
    px_out *taken;            // from the outbox, not yet sent; under send_lock
    px_floods floods;
    px_doors doors;
    px_gallery gallery;
    px_log_gate bad_messages;
    uint64_t n_requests; // that Python was asked to serve
    int parent_fd;       // pidfd of the process that started us; -1: none is watched
    int opened_fd;       // eventfd: written once open is over
    int ending_step;
    px_err open_err; // what open said
    px_error open_error;
    bool side_armed;
    bool side_runs;    // px-side was started
    bool parent_named; // JPY_PARENT_PID says that its end is ours
    atomic_bool lost;  // the other side is gone
};

// px_io_start starts the thread and waits until the transport is open: bound, or connected and
// registered. Takes transport in every case. On failure everything is undone.
px_err px_io_start(px_kernel *kernel, px_transport *transport, px_error *reterr);
// px_io_stop sends what is in the outbox, closes the transport, joins the thread and frees io.
void px_io_stop(px_io *io);

// The rest is between the files of px-io.

// px_io_way is where a message goes: to the engine's doors what came by them.
px_transport *px_io_way(const px_io *io, px_channel channel, const px_parent *to);
// px_io_send composes and sends at once, past the outbox: answers that px-io gives itself. to may
// be NULL.
void px_io_send(px_io *io, px_channel channel, const px_parent *to, const px_outgoing *outgoing);
// px_io_status publishes `busy`, `idle` or `starting` for a request.
void px_io_status(px_io *io, const px_parent *to, const char *state);
// px_io_drain sends what the outbox lets go; with flush, everything.
void px_io_drain(px_io *io, bool flush);
// px_io_send_now composes and sends in order with the outbox. Sending lock held.
void px_io_send_now(px_io *io, px_channel channel, const px_parent *to, px_slice topic,
                    px_outgoing *outgoing);
// px_io_send_entry sends a PUBLISH or REPLY that was taken from the outbox. Sending lock held.
void px_io_send_entry(px_io *io, const px_out *out);
// px_topic writes the usual topic of a message type: `kernel.<ident>.status`, `display_data`, ….
void px_topic(const px_config *config, const char *msg_type, px_buf *out);

// answer.c: px_answer serves message when it needs no Python; false: it does. Frees nothing.
bool px_answer(px_io *io, px_channel channel, const px_message *message, const px_parent *parent);
// px_answer_send sends a reply between busy and idle of its request.
void px_answer_send(px_io *io, px_channel channel, const px_parent *parent,
                    const px_outgoing *reply);
// px_answer_default writes the first content of kernel_info_reply, before Python has its own.
void px_answer_default(const px_config *config, px_buf *out);

// shells.c: px_shells_answer writes the content of the reply to a request that makes, deletes or
// lists subshells; false: it is another one.
bool px_shells_answer(px_io *io, const px_message *message, px_buf *out);
// px_shells_find finds the shell that a request is for, NULL for the main one. False: there is none
// of that name, and the client was told.
bool px_shells_find(px_io *io, px_request *request, px_subshell **ret_shell);
// px_shells_inbox is where letters go to the shell that serves parent; NULL when it is deleted.
px_mailbox *px_shells_inbox(px_kernel *kernel, const px_parent *parent);

// abort.c: px_abort_tasks serves abort_request.
void px_abort_tasks(px_io *io, px_slice content);

// floods.c: cells that print more than a page can hold. Sending lock held, except where noted.
px_err px_floods_open(px_io *io); // before the loop runs
void px_floods_close(px_io *io);  // after it
// px_floods_text sends text, or as much of it as is to be shown. Takes what is in out.
void px_floods_text(px_io *io, px_out *out);
// px_floods_before does what comes before out: the end of a flood before the reply. False: a file
// is not ready yet, px_io_drain is called when it is; with wait it is waited for.
bool px_floods_before(px_io *io, const px_out *out, bool wait);
// px_floods_room pauses and resumes the reading of captured output. px-io, without the lock.
void px_floods_room(px_io *io);

// px_floods_what tells what out does to the output of its cell.
typedef enum px_what {
    PX_WHAT_OTHER,
    PX_WHAT_CLEARS,
    PX_WHAT_SHOWS,
    PX_WHAT_UPDATES,
    PX_WHAT_ENDS
} px_what;
px_what px_floods_what(const px_out *out);
// px_floods_has_file tells if a file is open, or cannot be opened; px_floods_must_wait if it has
// not come so far, or with settled is not whole. With wait it is waited for.
bool px_floods_has_file(px_spill *spill);
bool px_floods_must_wait(px_spill *spill, bool settled, bool wait);

// displays.c: cells that show more than a page can hold. Sending lock held, except where noted.
px_err px_displays_open(px_io *io); // before the loop runs
void px_displays_close(px_io *io);  // after it; sends what was held back
// px_displays_turn does what comes before out, and says what becomes of it. Called again for the
// same entry after PX_TURN_LATER.
px_turn px_displays_turn(px_io *io, px_out *out, bool wait);
// px_displays_sent counts an entry that was sent.
void px_displays_sent(px_io *io, const px_out *out);

// side.c: px_side_offer gives a request to px-side when that is its place, or arms the timer that
// may do so later. True: it was taken.
bool px_side_offer(px_io *io, px_request *request);
void px_side_due(void *context, px_ns now);

// ending.c: px_ending_begin ends the kernel politely, then less so. From any request or from
// px-main by PX_NOTICE_EXIT.
void px_ending_begin(px_io *io, bool restart);
// px_ending_watch_parent ends the kernel when the process that started it is gone.
void px_ending_watch_parent(px_io *io);
// px_ending_group ends the other processes of our process group; with force, those that are still
// there.
void px_ending_group(bool force);

#endif
