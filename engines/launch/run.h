// run.h: another program, run beside the loop: what it says is collected, its end is told.
#ifndef PX_ENGINES_RUN_H
#define PX_ENGINES_RUN_H

#include "px/err.h"
#include "px/loop.h"

#include <sys/types.h>

typedef struct px_run px_run;

// px_run_end is called once, last: its exit code (-1: a signal ended it) and the end of what it
// said on stdout and stderr together. It may free the run.
typedef void px_run_ended(void *context, int code, const char *said);

// px_run_what says what to run. argv[0] is looked up on the PATH; input (NULL: /dev/null) is a file
// for its stdin. Borrowed, but for context.
typedef struct px_run_what {
    char *const *argv;
    const char *input;
    px_run_ended *ended;
    void *context;
} px_run_what;
px_err px_run_start(px_loop *loop, const px_run_what *what, px_run **ret_run, px_error *reterr);
void px_run_signal(const px_run *run, int signum);
// px_run_free kills it if it lives, without a call of ended.
void px_run_free(px_run *run);

#endif
