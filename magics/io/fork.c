// fork.c: what a forked child may do with its parent's connections: nothing.
//
// Both would read from the same socket and send under the same name. So in the child every
// connection is dead at once: its descriptors are closed, open slots say why, and any use fails
// with a sentence. The parent's go on. The list of all clients is the one thing here that is
// global, because pthread_atfork takes no context.
//
// The child's copy of a lock may be in any state, so before the fork we take those that are held
// for short times only, and in the child all are made anew. `reading` may be held for hours by a
// waiter; nothing that it guards is touched in the child. Links and loop are left as they are, in
// memory that nobody uses again: their own locks may be held.

#include "io/internal.h"

#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static px_client *registry; // guarded by registry_lock
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&registry_lock);
    for (px_client *client = registry; client != NULL; client = client->registry_next) {
        (void)pthread_mutex_lock(&client->sending);
        (void)pthread_mutex_lock(&client->lock);
    }
}

static void after_fork_parent(void)
{
    for (px_client *client = registry; client != NULL; client = client->registry_next) {
        (void)pthread_mutex_unlock(&client->lock);
        (void)pthread_mutex_unlock(&client->sending);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

static void close_segments(void *context, px_pending_entry *entry)
{
    (void)context;
    px_bulk_done(&PX_CONTAINER(entry, px_task, entry)->bulk);
}

static void bury(px_client *client)
{
    (void)pthread_mutex_init(&client->reading, NULL);
    (void)pthread_mutex_init(&client->sending, NULL);
    (void)pthread_mutex_init(&client->lock, NULL);
    int links[] = {px_link_fd(client->work), px_link_fd(client->control)};
    px__close(&links[0]);
    px__close(&links[1]);
    px__close(&client->work_poll);
    px__close(&client->kick);
    px__close(&client->push);
    client->work = NULL;
    client->control = NULL;
    client->loop = NULL;
    client->waiters = NULL;
    client->held = NULL;
    client->leader = NULL;
    client->asks = NULL;
    client->closing = true;
    client->forked = true;
    px_pending_each(&client->pending, close_segments, NULL);
    px_lending_done(&client->lending);
    px__client_end(client, "this process was forked and its parent's connections are not its own; "
                           "make a new Client here");
}

static void after_fork_child(void)
{
    (void)pthread_mutex_init(&registry_lock, NULL);
    px_client *client = registry;
    registry = NULL;
    while (client != NULL) {
        px_client *next = client->registry_next;
        client->registry_next = NULL;
        bury(client);
        client = next;
    }
}

static void arm(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child); // no memory: unguarded
}

void px__registry_add(px_client *client)
{
    (void)pthread_once(&once, arm);
    (void)pthread_mutex_lock(&registry_lock);
    client->registry_next = registry;
    registry = client;
    (void)pthread_mutex_unlock(&registry_lock);
}

void px__registry_remove(px_client *client)
{
    (void)pthread_mutex_lock(&registry_lock);
    px_client **at = &registry;
    while (*at != NULL && *at != client) {
        at = &(*at)->registry_next;
    }
    if (*at != NULL) {
        *at = client->registry_next;
        client->registry_next = NULL;
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

void px_client_close_all(const char *reason)
{
    for (;;) {
        (void)pthread_mutex_lock(&registry_lock);
        px_client *client = registry != NULL ? px_client_ref(registry) : NULL;
        (void)pthread_mutex_unlock(&registry_lock);
        if (client == NULL) {
            return;
        }
        px_client_close(client, reason);
        px_client_unref(client);
    }
}
