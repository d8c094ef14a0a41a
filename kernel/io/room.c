// Counters and an eventfd. The wait has an end of its own because several may wait for one wake.

#include "io/room.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 50

px_err px_room_init(px_room *room)
{
    *room = (px_room){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return room->fd >= 0 ? PX_OK : px_err_from_errno(errno);
}

void px_room_done(px_room *room)
{
    if (room->fd >= 0) {
        (void)close(room->fd);
    }
    room->fd = -1;
}

void px_room_wake(px_room *room)
{
    if (atomic_load(&room->waiters) > 0 && px_room_used(room) <= PX_ROOM_FREE) {
        uint64_t one = 1;
        (void)!write(room->fd, &one, sizeof(one)); // a full counter is readable already
    }
}

bool px_room_wait(px_room *room)
{
    (void)atomic_fetch_add(&room->waiters, 1);
    if (px_room_used(room) > PX_ROOM_FREE) {
        struct pollfd item = {.fd = room->fd, .events = POLLIN};
        if (poll(&item, 1, LOOK_AGAIN_MS) == 1) {
            uint64_t count;
            (void)!read(room->fd, &count, sizeof(count)); // another waiter may have read it
        }
    }
    (void)atomic_fetch_sub(&room->waiters, 1);
    return px_room_used(room) <= PX_ROOM_FREE;
}
