// The side lane: requests that Python can serve while px-main runs a cell.
//
// The debugger's must be: px-main may stand at a breakpoint. Completion, inspection and other
// questions that change nothing are lent when px-main is busy and has not come to them for
// PX_SIDE_AFTER; sooner would let them overtake cells that take a millisecond, and a client that
// completes right after it executed would get the answer of the time before. The thread that serves
// the lane is Python's (py/side.c) and made at the first request.

#include "io/io.h"
#include "io/need.h"

#include "px/thread.h"

#define PX_SIDE_AFTER (150 * PX_NS_PER_MS)

static bool start(px_io *io)
{
    px_kernel *kernel = io->kernel;
    void *(*body)(void *) = atomic_load(&kernel->side_body);
    if (body == NULL || io->side_runs) {
        return io->side_runs;
    }
    pthread_t thread;
    px_err err = px_thread_start(&thread, "px-side", body, kernel);
    if (err != PX_OK) {
        px_log_warning("no thread for the side lane", "cause=%s", px_err_text(err));
        return false;
    }
    (void)pthread_detach(thread); // it ends with the process
    io->side_runs = true;
    return true;
}

bool px_side_offer(px_io *io, px_request *request)
{
    px_msg_type type = request->message->type;
    if (type == PX_MSG_DEBUG_REQUEST && request->channel == PX_CONTROL && start(io)) {
        px_mailbox_post(&io->kernel->side, &request->letter);
        return true;
    }
    if (px_waiting_may_lend(type) && !io->side_armed &&
        atomic_load(&io->kernel->side_body) != NULL) {
        io->side_armed = true;
        px_timer_set(io->side_timer, request->posted + PX_SIDE_AFTER);
    }
    return false;
}

// lend gives px-side a reference of its own; px-main drops the letter when it comes to it.
static void lend(px_io *io, px_request *request)
{
    px_known_lent(io, request);
    px_side_letter *letter = px_need_zeroed(sizeof(*letter));
    letter->letter.kind = PX_NOTICE_LENT;
    letter->request = request;
    px_mailbox_post(&io->kernel->side, &letter->letter);
}

void px_side_due(void *context, px_ns now)
{
    px_io *io = context;
    bool left = false;
    bool may = px_interrupt_busy(&io->kernel->interrupt) && start(io);
    px_request *request;
    while ((request = px_waiting_lend(&io->kernel->waiting, may ? now - PX_SIDE_AFTER / 2 : 0,
                                      &left)) != NULL) {
        lend(io, request);
    }
    io->side_armed = left;
    if (left) {
        px_timer_set(io->side_timer, now + PX_SIDE_AFTER);
    }
}
