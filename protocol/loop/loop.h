// loop.h (internal): what loop.c, timers.c and the ZeroMQ side of the loop share.
#ifndef PX_LOOP_INTERNAL_H
#define PX_LOOP_INTERNAL_H

#include "px/loop.h"

#include <stdatomic.h>

// px__probe tells what is ready on something whose descriptor says only "look again": a ZeroMQ
// socket.
typedef int px__probe(void *target);
// px__touched tells if that may have changed without the descriptor telling: by what this process
// has done to it since the last probe, or since it was found empty. Cheap, where a probe is not.
typedef bool px__touched(void *target);

struct px_source {
    px_loop *loop;
    const char *name;
    int fd;
    int events;
    px_ready *ready;
    void *context;
    px__probe *probe; // NULL for a plain descriptor
    px__touched *touched;
    void *target;
    px_mailbox *box; // of a mailbox source
    px_letter_came *came;
    bool registered; // with epoll
    bool removed;
    bool fired;  // a probed source whose descriptor was readable
    bool unsure; // it has to be probed whether it was touched or not
    px_source *prev, *next;
};

struct px_timer {
    px_loop *loop;
    const char *name;
    px_ns due;
    px_ns period;
    px_timer_fired *fired;
    void *context;
    size_t place; // in the heap; PX__NOT_ARMED when it is not there
    bool removed;
    px_timer *prev, *next;
};
#define PX__NOT_ARMED SIZE_MAX

struct px_loop {
    int epoll_fd;
    int stop_fd;
    atomic_bool stopping;
    unsigned depth;
    px_source *sources;
    px_source *dead_sources;
    size_t n_probed;
    px_timer *timers;
    px_timer *dead_timers;
    px_timer **heap;
    size_t n_armed;
    size_t heap_capacity;
    size_t n_timers;
    bool firing;
    px_ns firing_now;
};

// px__loop_add_probed adds something of which fd becomes readable whenever probe(target) may have
// changed, but for changes that touched(target) tells.
px_err px__loop_add_probed(px_loop *loop, const px_source *draft, px_source **ret_source);

// px__timers_wait_ms is how long a wait may last: until the next timer, at most limit_ms (-1: no
// limit).
int px__timers_wait_ms(const px_loop *loop, int limit_ms);
void px__timers_fire(px_loop *loop);
void px__timers_free_dead(px_loop *loop);
void px__timers_free_all(px_loop *loop);

#endif
