// abort_request, from a cluster's controller to an engine: tasks of one client are no longer
// wanted. One that waits is answered `aborted` at once, also while px-main is busy; one that runs
// is interrupted when asked, and nothing else is.
//
// A task is known by the route frame of its request, the first identity (px/cluster.h).

#include "io/io.h"

#include <string.h>

typedef struct wanted {
    int64_t client;
    int64_t task;
} wanted;

static bool is_task(void *context, const px_parent *parent)
{
    const wanted *w = context;
    px_route route;
    return !parent->door && px_frames_count(&parent->idents) > 0 &&
           px_route_decode(px_frames_get(&parent->idents, 0), &route) == PX_OK &&
           route.client == w->client && route.task == (uint64_t)w->task;
}

static void abort_task(px_io *io, wanted *w, bool interrupt)
{
    char type[64];
    px_kernel *kernel = io->kernel;
    px_parent *parent = px_waiting_take_back(&kernel->waiting, is_task, w, type);
    if (parent != NULL) {
        px_io_send(io, PX_SHELL, parent,
                   &(px_outgoing){.msg_type = type,
                                  .content = PX_SLICE_LITERAL("{\"status\":\"aborted\"}")});
        px_parent_unref(parent);
    } else if (interrupt && px_interrupt_send_to(&kernel->interrupt, is_task, w) == PX_OK) {
        px_stuck_watch(io); // else it is done by now
    }
}

void px_abort_tasks(px_io *io, px_slice content)
{
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(content, &json, NULL) != PX_OK) {
        return;
    }
    const px_json *tasks = px_json_get(json, "tasks");
    wanted w = {.client = px_json_int(json, "client", -1)};
    bool interrupt = px_json_bool(json, "interrupt", false);
    for (size_t i = 0; i < px_json_length(tasks); i++) {
        w.task = px_json_as_int(px_json_item(tasks, i), -1);
        abort_task(io, &w, interrupt);
    }
}
