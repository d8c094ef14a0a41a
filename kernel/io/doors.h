// doors.h: an engine that front ends can connect to: besides its links to the controller it binds
// the five sockets of a Jupyter kernel, on demand and for good.
//
// One kernel, two ways in: requests of both wait in the same queue and run in the same namespace. A
// request that came by a door (px_parent.door) is answered there, its outputs and statuses go there
// and nowhere else; so do outputs of nobody's request.
#ifndef PX_KERNEL_DOORS_H
#define PX_KERNEL_DOORS_H

#include "kernel.h"

#include "px/err.h"

// px_doors is px-io's; the members before `transport` belong to whoever opens, one at a time.
typedef struct px_doors {
    px_config *wish;       // what is to be bound; NULL: nothing
    int asked_fd, done_fd; // eventfds; -1: a kernel, which has no such doors
    px_err err;
    px_error error;
    struct px_transport *_Atomic transport; // NULL: not bound
} px_doors;

// px_doors_open and px_doors_config, for px-main, are in kernel.h. These are between the files of
// px-io: at its start, and at its end (removes the connection file).
px_err px_doors_attach(px_io *io);
void px_doors_close(px_io *io);

#endif
