// hold.c: the first outputs of several engines, in order of the engines.
//
// `%px print('ciao')` on four engines answers within a millisecond, in whatever order they happen
// to be. A reader wants them by engine. So from the first output of a task with several targets its
// outputs are kept back until all have replied, but not longer than HOLD_MS, and then shown engine
// by engine. After that the task's outputs are live. All of it under `reading`; who reads also
// minds the time: a leading waiter by the end of its sleep, px-client by a timer.

#include "io/internal.h"

enum { HOLD_MS = 100 };

bool px__hold(px_task *task)
{
    px_client *client = task->client;
    if (!task->began) {
        task->began = true;
        if (task->prefix && task->targets.n > 1) {
            task->held = true;
            task->hold_until = px_now() + HOLD_MS * PX_NS_PER_MS;
            task->held_next = client->held;
            client->held = px_task_ref(task);
        }
    }
    return task->held;
}

static void show_all(px_task *task)
{
    for (uint32_t i = 0; i < task->targets.n; i++) {
        uint32_t engine = task->targets.engines[i];
        for (const px_output *at = task->slots[i].outputs.first; at != NULL; at = at->next) {
            if (at->is_stream) {
                px__show_text(task, engine, at->is_stderr, px_buf_slice(&at->text));
            } else {
                px__show(task, engine, at->message);
            }
        }
    }
}

void px__hold_end(px_task *task)
{
    if (!task->held) {
        return;
    }
    px_task **at = &task->client->held;
    while (*at != task) {
        at = &(*at)->held_next;
    }
    *at = task->held_next;
    task->held = false;
    show_all(task);
    px_task_unref(task);
}

void px__hold_expire(px_client *client, px_ns now)
{
    px_task *task = client->held;
    while (task != NULL) {
        px_task *next = task->held_next;
        if (now >= task->hold_until) {
            px__hold_end(task);
        }
        task = next;
    }
}

px_ns px__hold_due(const px_client *client)
{
    px_ns due = 0;
    for (const px_task *task = client->held; task != NULL; task = task->held_next) {
        if (due == 0 || task->hold_until < due) {
            due = task->hold_until;
        }
    }
    return due;
}
