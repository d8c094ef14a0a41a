// Timers of a loop: a binary heap by due time. Room for every timer is taken when it is added, so
// setting one cannot fail.
//
// A timer fires at most once in a round. One that is set to the past while timers fire is due in
// the next round: a callback that always asks for "now" cannot keep the others waiting.
#include "loop.h"

#include <utlist.h>

#include <limits.h>
#include <stdlib.h>

static void place(px_loop *loop, px_timer *timer, size_t index)
{
    loop->heap[index] = timer;
    timer->place = index;
}

static void sift_up(px_loop *loop, px_timer *timer, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (loop->heap[parent]->due <= timer->due) {
            break;
        }
        place(loop, loop->heap[parent], index);
        index = parent;
    }
    place(loop, timer, index);
}

static void sift_down(px_loop *loop, px_timer *timer, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= loop->n_armed) {
            break;
        }
        if (child + 1 < loop->n_armed && loop->heap[child + 1]->due < loop->heap[child]->due) {
            child++;
        }
        if (timer->due <= loop->heap[child]->due) {
            break;
        }
        place(loop, loop->heap[child], index);
        index = child;
    }
    place(loop, timer, index);
}

static void disarm(px_timer *timer)
{
    px_loop *loop = timer->loop;
    size_t index = timer->place;

    if (index == PX__NOT_ARMED) {
        return;
    }
    timer->place = PX__NOT_ARMED;
    px_timer *last = loop->heap[--loop->n_armed];
    if (last == timer) {
        return;
    }
    sift_up(loop, last, index);
    sift_down(loop, last, last->place);
}

void px_timer_set(px_timer *timer, px_ns due)
{
    px_loop *loop = timer->loop;

    if (timer->removed) {
        return;
    }
    disarm(timer);
    timer->due = loop->firing && due <= loop->firing_now ? loop->firing_now + 1 : due;
    sift_up(loop, timer, loop->n_armed++);
}

px_err px_loop_alarm(px_loop *loop, const px_alarm *alarm, px_timer **ret_timer)
{
    if (loop->n_timers == loop->heap_capacity) {
        size_t capacity = loop->heap_capacity == 0 ? 16 : 2 * loop->heap_capacity;
        px_timer **heap = realloc(loop->heap, capacity * sizeof(px_timer *));
        if (heap == NULL) {
            return PX_ENOMEM;
        }
        loop->heap = heap;
        loop->heap_capacity = capacity;
    }
    px_timer *timer = malloc(sizeof(*timer));
    if (timer == NULL) {
        return PX_ENOMEM;
    }
    *timer = (px_timer){.loop = loop,

                        .name = alarm->name,
                        .period = alarm->period,
                        .fired = alarm->fired,
                        .context = alarm->context,
                        .place = PX__NOT_ARMED};
    DL_APPEND(loop->timers, timer);
    loop->n_timers++;
    px_timer_set(timer, alarm->due);
    if (ret_timer != NULL) {
        *ret_timer = timer;
    }
    return PX_OK;
}

void px_timer_remove(px_timer *timer)
{
    if (timer == NULL || timer->removed) {
        return;
    }
    disarm(timer);
    timer->removed = true;
    timer->loop->n_timers--;
    DL_DELETE(timer->loop->timers, timer);
    DL_APPEND(timer->loop->dead_timers, timer);
}

int px__timers_wait_ms(const px_loop *loop, int limit_ms)
{
    if (loop->n_armed == 0) {
        return limit_ms;
    }
    px_ns now = px_now();
    px_ns due = loop->heap[0]->due;
    if (due <= now) {
        return 0;
    }
    px_ns wait_ms = (due - now + PX_NS_PER_MS - 1) / PX_NS_PER_MS; // never too early
    if (limit_ms >= 0 && wait_ms > (px_ns)limit_ms) {
        return limit_ms;
    }
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

void px__timers_fire(px_loop *loop)
{
    if (loop->n_armed == 0 || loop->firing) {
        return;
    }
    px_ns now = px_now();
    loop->firing = true;
    loop->firing_now = now;
    while (loop->n_armed > 0 && loop->heap[0]->due <= now) {
        px_timer *timer = loop->heap[0];
        if (timer->period != 0) {
            px_ns next = timer->due + timer->period;
            px_timer_set(timer, next > now ? next : now + timer->period);
        } else {
            disarm(timer);
        }
        timer->fired(timer->context, now);
    }
    loop->firing = false;
}

static void free_list(px_timer **list)
{
    px_timer *timer;
    px_timer *next;

    DL_FOREACH_SAFE (*list, timer, next) {
        free(timer);
    }
    *list = NULL;
}

void px__timers_free_dead(px_loop *loop)
{
    free_list(&loop->dead_timers);
}

void px__timers_free_all(px_loop *loop)
{
    free_list(&loop->dead_timers);
    free_list(&loop->timers);
    free(loop->heap);
    loop->heap = NULL;
}
