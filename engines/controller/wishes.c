// wishes.c: see wishes.h.

#include "wishes.h"

#include <stdio.h>
#include <stdlib.h>

void px__wish_free(px_wish *wish)
{
    free(wish->cause);
    free(wish->tasks);
    px_frames_done(&wish->frames);
    free(wish);
}

px_err px__wish_post(px_relay *relay, int kind, const px_wish *what)
{
    px_wish *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return PX_ENOMEM;
    }
    *copy = *what;
    copy->letter.kind = kind;
    px_mailbox_post(&relay->box, &copy->letter);
    return PX_OK;
}

px_err px_relay_expect_client(px_relay *relay, uint32_t client, const char *secret)
{
    px_wish wish = {.role = PX_ROLE_CLIENT, .id = client};
    (void)snprintf(wish.secret, sizeof(wish.secret), "%s", secret);
    return px__wish_post(relay, DO_EXPECT, &wish);
}

px_err px_relay_expect_engine(px_relay *relay, uint32_t engine, const char *secret, px_tally *tally)
{
    px_wish wish = {.role = PX_ROLE_ENGINE, .id = engine, .tally = tally};
    (void)snprintf(wish.secret, sizeof(wish.secret), "%s", secret);
    return px__wish_post(relay, DO_EXPECT, &wish);
}

px_err px_relay_forget_client(px_relay *relay, uint32_t client)
{
    px_wish wish = {.id = client};
    return px__wish_post(relay, DO_FORGET_CLIENT, &wish);
}

px_err px_relay_bury(px_relay *relay, uint32_t engine, int signal, int code, const char *cause)
{
    px_wish wish = {.id = engine, .signal = signal, .code = code, .cause = strdup(cause)};
    return px__wish_post(relay, DO_BURY, &wish);
}

px_err px_relay_abort(px_relay *relay, uint32_t client, uint64_t *tasks, size_t n)
{
    px_wish wish = {.id = client, .tasks = tasks, .n_tasks = n};
    return px__wish_post(relay, DO_ABORT, &wish);
}

px_err px_relay_hopeless(px_relay *relay, bool hopeless)
{
    px_wish wish = {.hopeless = hopeless};
    return px__wish_post(relay, DO_HOPELESS, &wish);
}

px_err px_relay_deliver(px_relay *relay, uint32_t client, px_frames *frames)
{
    px_wish *wish = calloc(1, sizeof(*wish));
    if (wish == NULL) {
        return PX_ENOMEM;
    }
    wish->id = client;
    px_frames_move(&wish->frames, frames);
    wish->letter.kind = DO_DELIVER;
    px_mailbox_post(&relay->box, &wish->letter);
    return PX_OK;
}

px_err px_relay_release(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task,
                        bool returned)
{
    px_wish wish = {.id = engine, .client = client, .task = task, .returned = returned};
    return px__wish_post(relay, DO_RELEASE, &wish);
}

size_t px_relay_waiting(px_relay *relay)
{
    return atomic_load_explicit(&relay->n_waiting, memory_order_relaxed);
}

void px_relay_watch(px_relay *relay)
{
    atomic_store(&relay->watched, true);
}
