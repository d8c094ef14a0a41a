// nursery.h: the zygote's half without Python: orders in, forks, deaths out. One thread, no ZeroMQ.
#ifndef PX_KERNEL_NURSERY_H
#define PX_KERNEL_NURSERY_H

#include "zygote.h"

#include "px/err.h"

typedef struct px_nursery px_nursery;

// px_nursery_hooks surround a fork. Any but run may be NULL (set_env: setenv is used).
typedef struct px_nursery_hooks {
    void (*before_fork)(void *context);
    void (*after_fork_parent)(void *context);
    void (*after_fork_child)(void *context);
    void (*set_env)(void *context, const char *name,
                    const char *value);                    // in the child; NULL: unset
    int (*run)(void *context, const px_engine_args *args); // in the child; exit status
    void *context;
} px_nursery_hooks;

// px_nursery_open takes stdin and stdout for itself (0 is /dev/null and 1 is 2 afterwards, so that
// no import can speak on the controller's line) and sees to it that the death of the controller
// cleans up from now on, also while something else keeps the thread busy. Call it first, once. argc
// and argv are main's own: engines write their name over them.
px_err px_nursery_open(const char *folder, int argc, char **argv, px_nursery **ret_nursery);
// px_nursery_serve says that it is ready and serves orders until stdin ends; every child is gone
// then.
px_err px_nursery_serve(px_nursery *nursery, const px_nursery_hooks *hooks);
void px_nursery_close(px_nursery *nursery);

#endif
