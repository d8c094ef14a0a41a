// room.h: how much output may wait. Who prints or shows quicker than it can be sent or written to a
// file waits until there is room, so that the memory of the kernel stays bounded.
#ifndef PX_KERNEL_ROOM_H
#define PX_KERNEL_ROOM_H

#include "px/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PX_ROOM_FULL ((size_t)64 << 20) // bytes: when so much waits, writers wait too
#define PX_ROOM_FREE (PX_ROOM_FULL / 2) // … until it is no more than this

typedef struct px_room {
    atomic_size_t queued;  // bytes of output in the outbox; written under its lock
    atomic_size_t writing; // bytes on their way into files
    atomic_uint waiters;
    int fd; // eventfd: there may be room again
} px_room;

px_err px_room_init(px_room *room);
void px_room_done(px_room *room);

static inline size_t px_room_used(const px_room *room)
{
    return atomic_load_explicit(&room->queued, memory_order_relaxed) +
           atomic_load_explicit(&room->writing, memory_order_relaxed);
}
static inline bool px_room_is_full(const px_room *room)
{
    return px_room_used(room) > PX_ROOM_FULL;
}
// px_room_wake tells who waits to look again: something has gone. Any thread.
void px_room_wake(px_room *room);
// px_room_wait waits a moment for room; true when there is some. False: a signal came, or look
// again. Never on px-io; without the GIL.
bool px_room_wait(px_room *room);

#endif
