// mapped.c: see mapped.h.

#include "mapped.h"

#include "relay.h"

#include "px/borrowing.h"

#include <uthash.h>

#include <pthread.h>
#include <stdlib.h>

typedef struct held {
    px_result key;
    px_mapped *table;
    bool returned;
    UT_hash_handle hh;
} held;

struct px_mapped {
    pthread_mutex_t lock;
    held *all;
    px_relay *relay;
};

px_mapped *px_mapped_new(void)
{
    px_mapped *mapped = calloc(1, sizeof(*mapped));
    if (mapped != NULL) {
        (void)pthread_mutex_init(&mapped->lock, NULL); // default attributes: cannot fail here
    }
    return mapped;
}

void px_mapped_open(px_mapped *mapped, px_relay *relay)
{
    (void)pthread_mutex_lock(&mapped->lock);
    mapped->relay = relay;
    (void)pthread_mutex_unlock(&mapped->lock);
}

void px_mapped_close(px_mapped *mapped)
{
    px_mapped_open(mapped, NULL);
}

void px_mapped_free(px_mapped *mapped)
{
    if (mapped != NULL) {
        (void)pthread_mutex_destroy(&mapped->lock);
        free(mapped);
    }
}

// tell tells the engine. Lock held; posting a letter does not wait.
static void tell(const px_mapped *mapped, const px_result *result)
{
    if (mapped->relay != NULL) {
        (void)px_relay_release(mapped->relay, result->engine, result->client, result->task,
                               true); // no memory: it is not filled again
    }
}

// let_go is a px_returned. (The controller does not fork.)
static void let_go(void *context, bool spoilt)
{
    held *one = context;
    px_mapped *mapped = one->table;
    (void)pthread_mutex_lock(&mapped->lock);
    HASH_DEL(mapped->all, one);
    if (one->returned && !spoilt) {
        tell(mapped, &one->key);
    }
    (void)pthread_mutex_unlock(&mapped->lock);
    free(one);
}

px_err px_mapped_hold(px_mapped *mapped, const px_result *result, px_frames *frames,
                      size_t first_buffer, bool returned)
{
    px_borrowing *borrowing = NULL;
    held *one = calloc(1, sizeof(*one));
    if (one == NULL || px_borrowing_new(let_go, one, &borrowing) != PX_OK) {
        free(one);
        return PX_ENOMEM;
    }
    *one = (held){.key = *result, .table = mapped, .returned = returned};
    (void)pthread_mutex_lock(&mapped->lock);
    HASH_ADD(hh, mapped->all, key, sizeof(one->key), one);
    (void)pthread_mutex_unlock(&mapped->lock);
    px_err err = px_borrowing_cover(borrowing, frames, first_buffer);
    if (err != PX_OK) {
        px_borrowing_spoil(borrowing);
    }
    px_borrowing_unref(borrowing);
    return err;
}

void px_mapped_returned(px_mapped *mapped, const px_result *result)
{
    held *one;
    (void)pthread_mutex_lock(&mapped->lock);
    HASH_FIND(hh, mapped->all, result, sizeof(*result), one);
    if (one != NULL) {
        one->returned = true;
    } else {
        tell(mapped, result);
    }
    (void)pthread_mutex_unlock(&mapped->lock);
}
