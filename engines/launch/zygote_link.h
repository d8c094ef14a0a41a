// zygote_link.h: the controller's end of the line to the zygote (kernel/nursery.h has the words).
//
// Owned by the thread of its loop. Never blocks: orders that the pipe does not take are kept.
#ifndef PX_ENGINES_ZYGOTE_LINK_H
#define PX_ENGINES_ZYGOTE_LINK_H

#include "px/buf.h"
#include "px/err.h"
#include "px/loop.h"

#include <stdint.h>
#include <sys/types.h>

typedef struct px_zygote px_zygote;

// px_zygote_events is whom it tells. gone comes once, last: status as from waitid, -1 where
// unknown.
typedef struct px_zygote_events {
    void (*ready)(void *context);
    void (*spawned)(void *context, uint32_t engine, pid_t pid);
    void (*failed)(void *context, uint32_t engine, const char *message);
    void (*exited)(void *context, uint32_t engine, int signal, int code); // the other is -1
    void (*gone)(void *context, int signal, int code);
    void *context;
} px_zygote_events;

// px_zygote_config is how to start one. Strings are borrowed for the call.
typedef struct px_zygote_config {
    const char *program; // path of pxengine
    const char *folder;  // the run folder
    const char *preload; // more modules, comma separated; NULL: none
    int log;             // descriptor for its stderr
    char *const *env;    // its whole environment
    char *const *argv;   // NULL: program's own arguments for this host; else all of another command
} px_zygote_config;

// px_zygote_order is one engine to fork.
typedef struct px_zygote_order {
    uint32_t engine;
    const char *token, *log, *cluster, *cwd;
} px_zygote_order;

px_err px_zygote_start(px_loop *loop, const px_zygote_config *config,
                       const px_zygote_events *events, px_zygote **ret_zygote, px_error *reterr);
pid_t px_zygote_pid(const px_zygote *zygote);
px_err px_zygote_spawn(px_zygote *zygote, const px_zygote_order *order);
// px_zygote_tell sends an order as it is: a JSON object in one line.
px_err px_zygote_tell(px_zygote *zygote, px_slice order);
// px_zygote_understand tells whom events names what a line of a zygote says.
void px_zygote_understand(const px_zygote_events *events, px_slice line);
// px_zygote_write_order appends the order to fork an engine.
void px_zygote_write_order(const px_zygote_order *order, px_buf *out);
// px_zygote_quit asks it to end; gone follows.
px_err px_zygote_quit(px_zygote *zygote);
// px_zygote_free kills it if it still lives, waits for it and forgets it, without gone.
void px_zygote_free(px_zygote *zygote);

#endif
