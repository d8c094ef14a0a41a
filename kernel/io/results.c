// results.c: see results.h.

#include "io/results.h"

#include "io/need.h"

#include "px/bulk.h"
#include "px/cluster.h"
#include "px/pool.h"

#include <pthread.h>
#include <stdlib.h>

#define LENT_MOST 128                  // results whose segments are out; a descriptor each
#define IDLE_BYTES ((size_t)512 << 20) // so much may lie idle

// item is a result that somebody may map, or maps.
typedef struct item {
    struct item *next; // older
    uint32_t client;
    uint64_t task;
    bool mapped;
    px_bulk bulk; // segments that are used once
    px_segment **lent;
    size_t n_lent;
} item;

struct px_results {
    pthread_mutex_t lock;
    item *items; // the newest first
    size_t n_lent;
    px_pool pool;
};

px_results *px_results_new(void)
{
    px_results *results = px_need_zeroed(sizeof *results);
    px_must(pthread_mutex_init(&results->lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    results->pool.most_bytes = IDLE_BYTES;
    return results;
}

// item_free closes what is left in it. Not under the lock: unmapping takes time.
static void item_free(item *one)
{
    if (one == NULL) {
        return;
    }
    for (size_t i = 0; i < one->n_lent; i++) {
        px_segment_free(one->lent[i]);
    }
    px_bulk_done(&one->bulk);
    free(one->lent);
    free(one);
}

void px_results_free(px_results *results)
{
    while (results->items != NULL) {
        item *one = results->items;
        results->items = one->next;
        item_free(one);
    }
    px_pool_done(&results->pool);
    (void)pthread_mutex_destroy(&results->lock);
    free(results);
}

// take takes *at out of the list. Lock held.
static item *take(px_results *results, item **at)
{
    item *one = *at;
    *at = one->next;
    one->next = NULL;
    results->n_lent -= one->n_lent > 0;
    return one;
}

// forget takes out the oldest lent result that its client has mapped, to be freed; NULL: none has.
static item *forget(px_results *results)
{
    item **oldest = NULL;
    for (item **at = &results->items; *at != NULL; at = &(*at)->next) {
        if ((*at)->mapped && (*at)->n_lent > 0) {
            oldest = at;
        }
    }
    return oldest != NULL ? take(results, oldest) : NULL;
}

// may_lend makes room for one more that is lent.
static bool may_lend(px_results *results)
{
    item *old = NULL;
    (void)pthread_mutex_lock(&results->lock);
    if (results->n_lent >= LENT_MOST) {
        old = forget(results);
    }
    bool may = results->n_lent < LENT_MOST;
    (void)pthread_mutex_unlock(&results->lock);
    item_free(old);
    return may;
}

typedef struct lender {
    px_results *results;
    item *one;
} lender;

// lend is a px_bulk_make.
static px_err lend(void *context, px_slice bytes, px_segment_ref *ret_ref)
{
    const lender *l = context;
    px_segment **all = realloc(l->one->lent, (l->one->n_lent + 1) * sizeof(px_segment *));
    if (all == NULL) {
        return PX_EAGAIN;
    }
    l->one->lent = all;
    (void)pthread_mutex_lock(&l->results->lock);
    px_segment *segment = px_pool_take(&l->results->pool, bytes.size);
    (void)pthread_mutex_unlock(&l->results->lock);
    if (px_pool_fill(&segment, bytes, ret_ref) != PX_OK) {
        return PX_EAGAIN;
    }
    l->one->lent[l->one->n_lent++] = segment;
    return PX_OK;
}

px_err px_results_pack(px_results *results, uint32_t client, uint64_t task, px_frames *frames,
                       size_t first_buffer, uint16_t *ret_flags)
{
    bool packed = false;
    item *one = px_need_zeroed(sizeof *one);
    lender l = {.results = results, .one = one};
    *one = (item){.client = client, .task = task};
    px_err err = may_lend(results)
                     ? px_bulk_pack_with(frames, first_buffer, &one->bulk, lend, &l, &packed)
                     : px_bulk_pack(frames, first_buffer, &one->bulk);
    *ret_flags = 0;
    if (err != PX_OK || (one->n_lent == 0 && one->bulk.n == 0)) {
        item_free(one);
        return err;
    }
    *ret_flags = one->n_lent > 0 ? PX_ROUTE_SEGMENTS | PX_ROUTE_LENT : PX_ROUTE_SEGMENTS;
    (void)pthread_mutex_lock(&results->lock);
    one->next = results->items;
    results->items = one;
    results->n_lent += one->n_lent > 0;
    (void)pthread_mutex_unlock(&results->lock);
    return PX_OK;
}

// find gives where the newest result of a task stands; NULL is there if there is none. Lock held.
static item **find(px_results *results, uint32_t client, uint64_t task)
{
    item **at = &results->items;
    while (*at != NULL && ((*at)->client != client || (*at)->task != task)) {
        at = &(*at)->next;
    }
    return at;
}

void px_results_mapped(px_results *results, uint32_t client, uint64_t task)
{
    item *done = NULL;
    px_bulk bulk = {0};
    (void)pthread_mutex_lock(&results->lock);
    item **at = find(results, client, task);
    if (*at != NULL && (*at)->n_lent == 0) {
        done = take(results, at);
    } else if (*at != NULL) {
        (*at)->mapped = true;
        bulk = (*at)->bulk;
        (*at)->bulk = (px_bulk){0};
    }
    (void)pthread_mutex_unlock(&results->lock);
    px_bulk_done(&bulk);
    item_free(done);
}

void px_results_returned(px_results *results, uint32_t client, uint64_t task)
{
    item *done = NULL;
    (void)pthread_mutex_lock(&results->lock);
    item **at = find(results, client, task);
    if (*at != NULL) {
        done = take(results, at);
        while (done->n_lent > 0 &&
               px_pool_give(&results->pool, done->lent[done->n_lent - 1], px_now())) {
            done->n_lent--;
        }
    }
    (void)pthread_mutex_unlock(&results->lock);
    item_free(done);
}

void px_results_left(px_results *results, uint32_t client)
{
    item *done = NULL;
    (void)pthread_mutex_lock(&results->lock);
    for (item **at = &results->items; *at != NULL;) {
        if ((*at)->client != client) {
            at = &(*at)->next;
            continue;
        }
        item *one = take(results, at);
        one->next = done;
        done = one;
    }
    (void)pthread_mutex_unlock(&results->lock);
    while (done != NULL) {
        item *next = done->next;
        item_free(done);
        done = next;
    }
}

px_ns px_results_expire(px_results *results, px_ns now)
{
    for (;;) {
        (void)pthread_mutex_lock(&results->lock);
        px_segment *segment = px_pool_expire(&results->pool, now);
        px_ns due = px_pool_due(&results->pool);
        (void)pthread_mutex_unlock(&results->lock);
        if (segment == NULL) {
            return due;
        }
        px_segment_free(segment);
    }
}
