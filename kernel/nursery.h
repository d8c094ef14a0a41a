// nursery.h: the zygote's half without Python: orders in, forks, deaths out. One thread, no ZeroMQ.
//
// The controller starts `pxengine --zygote` and talks JSON lines: orders on stdin, events on
// stdout.
//   in   {"op":"spawn","engine":3,"token":"…","log":path,"cluster":path of cluster.json,
//         "env":{"NAME":"value" or null},"cwd":dir or null}
//        {"op":"quit"}                                 kill who is left and end; the folder stays
//   out  {"event":"ready","pid":…}                     once, when all is imported
//        {"event":"spawned","engine":3,"pid":…}
//        {"event":"failed","engine":3,"message":"…"}   the fork did not happen
//        {"event":"exit","engine":3,"pid":…,"code":n or null,"signal":n or null}
// The end of stdin means that the controller is gone: every engine is killed, the run folder
// removed.
//
// On another host there is no run folder (NULL). The first order says what cluster.json holds, each
// engine reads it from memory, and what engines write goes to our own stderr (no log). As a network
// may fall silent without an end, the controller says something every few seconds.
//   in   {"op":"cluster","file":{…}}                   no folder: what stands in cluster.json
//        {"op":"signal","engine":3,"signal":15}
//        {"op":"beat"}
#ifndef PX_KERNEL_NURSERY_H
#define PX_KERNEL_NURSERY_H

#include "px/err.h"

#include <stdint.h>

typedef struct px_nursery px_nursery;

// px_engine_args is what a forked engine needs to find its controller. Borrowed for the call.
typedef struct px_engine_args {
    uint32_t engine;          // its id in the cluster
    const char *token;        // proves to the controller that it is the engine that was ordered
    const char *cluster_file; // path of cluster.json
} px_engine_args;

// px_nursery_hooks surround a fork. Any but run may be NULL (set_env: setenv is used). When run is
// called there is one thread, descriptors 1 and 2 are the engine's log, name, session, directory
// and environment are its own, and no signal is blocked.
typedef struct px_nursery_hooks {
    void (*before_fork)(void *context);
    void (*after_fork_parent)(void *context);
    void (*after_fork_child)(void *context);
    void (*set_env)(void *context, const char *name, const char *value); // child; NULL value: unset
    int (*run)(void *context, const px_engine_args *args);               // child; its exit status
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
// px_nursery_set_lease: without an order for so many milliseconds the controller counts as gone.
void px_nursery_set_lease(px_nursery *nursery, int lease_ms);

#endif
