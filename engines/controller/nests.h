// nests.h: where engines of other hosts are forked: zygotes that are reached by ssh, or that have
// come to us (`pxcluster join`, from a batch job or mpiexec). Thread px-admin.
#ifndef PX_ENGINES_NESTS_H
#define PX_ENGINES_NESTS_H

#include "controller.h"

typedef struct px_nest {
    px_controller *controller;
    char name[300];             // of its host, for people
    const px_launch_host *host; // ssh; NULL: it has come by itself
    uint32_t capacity, used;    // capacity 0: as many as come
    bool ready, failed;
    unsigned tries;
    px_zygote *zygote;   // over ssh's stdio
    px_visitor *visitor; // or over a control connection
    struct px_nest *next, *prev;
} px_nest;

// px__nests_open makes a nest for each host of the launcher, without starting anything.
px_err px__nests_open(px_controller *controller, px_error *reterr);
// px__nests_start starts them ahead of the first order, because imports take long.
void px__nests_start(px_controller *controller);
// px__nest_spawn orders an engine from the nest with the most room; without one it stays ordered.
void px__nest_spawn(px_controller *controller, px_seat *seat);
void px__nest_signal(const px_seat *seat, int signum);
// px__nest_left: an engine of it is over.
void px__nest_left(px_seat *seat);
// px__nests_quit asks all to end; px__nests_over tells when they have.
void px__nests_quit(px_controller *controller);
bool px__nests_over(const px_controller *controller);
void px__nests_free(px_controller *controller);

// A nest that has come: its registration, what it says, its end.
px_err px__nest_came(px_visitor *visitor, const px_json *content);
void px__nest_says(px_visitor *visitor, px_slice line);
void px__nest_went(px_visitor *visitor);

// ssh.c: px__ssh_start runs ssh to the nest's host with a zygote at the other end.
px_err px__ssh_start(px_nest *nest, const px_zygote_events *events, px_error *reterr);

#endif
