// subshell.h: the subshells of a kernel (JEP 91), and to which shell a request goes.
//
// A subshell is a second queue of requests with a thread of Python's own behind it (py/shell.c). It
// has its id, and is in the list, from the moment that a front end asked for it; its thread is made
// by whoever of Python's threads first has the GIL. px-io makes and deletes subshells and is the
// only one to post requests to them, so what it finds here cannot go away before it has posted.
#ifndef PX_KERNEL_SUBSHELL_H
#define PX_KERNEL_SUBSHELL_H

#include "io/outbox.h"
#include "io/request.h"
#include "io/waiting.h"

#include "px/buf.h"
#include "px/err.h"
#include "px/id.h"
#include "px/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

// px_subshell is counted: the list holds one reference until it is deleted, its thread another.
typedef struct px_subshell {
    struct px_subshell *prev, *next; // in the list; under its lock
    atomic_uint refs;
    char id[PX_UUID_SIZE];
    px_mailbox inbox;    // px-io to its thread: px_request and notices; PX_NOTICE_EXIT is the last
    px_waiting waiting;  // the requests in inbox
    atomic_bool blocked; // its thread runs something that takes no other request meanwhile
    bool taken;          // somebody makes its thread; under the list's lock
} px_subshell;

typedef struct px_subshells {
    pthread_mutex_t lock;
    px_subshell *first;                   // in the order of their making
    void *(*_Atomic start)(void *kernel); // takes the GIL, makes threads; NULL: Python is not there
    atomic_uint unsettled;                // threads that are still to be made, or on their way out
    px_comm *comms;                       // who sent last (io/comms.c); px-io
} px_subshells;

px_err px_subshells_init(px_subshells *all);
// px_subshells_done frees those that are left. No thread of theirs runs any more.
void px_subshells_done(px_subshells *all);

// px_subshells_create makes one and puts it in the list. Borrowed. px-io.
px_subshell *px_subshells_create(px_subshells *all);
// px_subshells_delete takes it off the list and tells its thread; PX_ENOENT when there is none of
// that id. px-io.
px_err px_subshells_delete(px_subshells *all, const char *id);
// px_subshells_find gives the one of that id, NULL when there is none. Borrowed. px-io.
px_subshell *px_subshells_find(px_subshells *all, const char *id);
// px_subshells_write appends the ids as a JSON array. Any thread.
void px_subshells_write(px_subshells *all, px_buf *out);
// px_subshells_take gives one whose thread is to be made, or NULL: a reference for that thread. Any
// thread.
px_subshell *px_subshells_take(px_subshells *all);
// px_subshells_leave tells all threads to end, as if each subshell was deleted. Any thread.
void px_subshells_leave(px_subshells *all);

// px_subshell_unref drops a reference; NULL is allowed.
void px_subshell_unref(px_subshell *shell);
// px_shell_idle tells if a request that is posted now would be served at once, or beside a cell
// that awaits. A guess for the next moment. Any thread.
bool px_shell_idle(const atomic_bool *blocked, px_waiting *waiting);

// --- comms: to which shell their messages go (io/comms.c); all on px-io ---

// px_comms_sent is told of each message of a comm, known by its topic, that is sent: an answer is
// wanted where it came from. Nothing is remembered while there are no subshells.
void px_comms_sent(px_subshells *all, px_slice topic, const px_out *out);
// px_comms_pick chooses the shell that a message of a comm goes to: NULL for the main one. named is
// the shell that its header names; main_idle tells if the main shell would serve it at once. The
// request then counts as that comm's until it is freed.
px_subshell *px_comms_pick(px_subshells *all, px_request *request, px_subshell *named,
                           bool main_idle);
// px_comm_unref ends the count, with the request. Any thread.
void px_comm_unref(px_comm *comm);
// px_comms_forget frees what is remembered.
void px_comms_forget(px_subshells *all);

#endif
