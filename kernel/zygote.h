// zygote.h: `pxengine --zygote`: one preloaded Python from which the engines of a host are forked.
//
// The controller starts it and talks JSON lines: orders on stdin, events on stdout.
//   in   {"op":"spawn","engine":3,"token":"…","log":path,"cluster":path of cluster.json,
//         "env":{"NAME":"value" or null},"cwd":dir or null}
//   out  {"event":"ready","pid":…}                     once, when all is imported
//        {"event":"spawned","engine":3,"pid":…}
//        {"event":"failed","engine":3,"message":"…"}   the fork did not happen
//        {"event":"exit","engine":3,"pid":…,"code":n or null,"signal":n or null}
// The end of stdin means that the controller is gone: every engine is killed, the run folder
// removed.
#ifndef PX_KERNEL_ZYGOTE_H
#define PX_KERNEL_ZYGOTE_H

#include <stdint.h>

// px_zygote_main runs the zygote: argv is `pxengine --zygote --folder DIR [--preload MODULES]`.
// Call it before Python and before any thread. Returns the exit status, in the zygote; a forked
// engine ends in px_engine_run and does not come back here.
int px_zygote_main(int argc, char **argv);

// px_engine_args is what a forked engine needs to find its controller. Borrowed for the call.
typedef struct px_engine_args {
    uint32_t engine;          // its id in the cluster
    const char *token;        // proves to the controller that it is the engine that was ordered
    const char *cluster_file; // path of cluster.json
} px_engine_args;

// px_engine_run is the kernel's main with the engine's transport, in the forked child: Python is up
// and has the GIL, there is one thread, descriptors 1 and 2 are the engine's log, the working
// directory is set, signals are as Python's initialisation leaves them and none is blocked. Returns
// the exit status.
int px_engine_run(const px_engine_args *args);

#endif
