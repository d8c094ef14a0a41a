// child.h: another program as a child: how one is started, once for all who start one.
//
// No signal is blocked or ignored in it. Any thread; whoever starts it waits for it.
#ifndef PX_ENGINES_CHILD_H
#define PX_ENGINES_CHILD_H

#include "px/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define PX_CHILD_STATUS_FD 3

// px_child says what to start. Everything is borrowed for the call; in, out or err of -1 is
// /dev/null.
typedef struct px_child {
    char *const *argv; // argv[0] is looked up on the PATH
    char *const *env;  // NULL: ours
    int in, out, err;
    int status; // above PX_CHILD_STATUS_FD, which it becomes; nothing above stays open; 0: none
    bool own_session; // setsid()
} px_child;

// px_child_start gives 0 and the child's pid, or an errno.
int px_child_start(const px_child *child, pid_t *ret_pid);

// px_child_line starts it with a pipe of ours as its stdin and one as its stdout: to and from are
// our ends, the caller's when it gives PX_OK. PX_ESYS when there are no pipes, PX_ENOENT when the
// program cannot be started.
typedef struct px_child_line {
    pid_t pid;
    int to, from;
} px_child_line;
px_err px_child_line_start(const px_child *child, px_child_line *ret_line, px_error *reterr);
// px_child_close closes an end of a line; -1: there is none.
void px_child_close(int fd);

#endif
