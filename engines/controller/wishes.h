// wishes.h: what other threads want of px-relay, as letters in its mailbox (wishes.c posts them,
// relay.c grants them).
#ifndef PX_ENGINES_WISHES_H
#define PX_ENGINES_WISHES_H

#include "peers.h"

enum {
    DO_EXPECT,
    DO_FORGET_CLIENT,
    DO_BURY,
    DO_ABORT,
    DO_HOPELESS,
    DO_DELIVER,
    DO_RELEASE,
    DO_STOP,
    DO_AGAIN
};

typedef struct px_wish {
    px_letter letter;
    px_role role;
    uint32_t id;
    char secret[PX_SECRET_SIZE];
    px_tally *tally;
    int signal, code;
    char *cause;
    uint64_t *tasks; // ABORT
    size_t n_tasks;
    bool hopeless;
    px_frames frames; // DELIVER
    uint32_t client;  // RELEASE, as the next two
    uint64_t task;
    bool returned;
} px_wish;

// px__wish_post copies what and posts it. Any thread.
px_err px__wish_post(px_relay *relay, int kind, const px_wish *what);
void px__wish_free(px_wish *wish);

#endif
