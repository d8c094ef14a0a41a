// pool.c: see pool.h.

#include "px/pool.h"

#include <stdint.h>

static px_segment *take(px_pool *pool, size_t at)
{
    px_segment *segment = pool->idle[at].segment;
    pool->bytes -= px_segment_capacity(segment);
    pool->idle[at] = pool->idle[--pool->n];
    return segment;
}

px_segment *px_pool_take(px_pool *pool, size_t size)
{
    size_t best = pool->n;
    size_t best_capacity = SIZE_MAX;
    // From the end: what came last is what the caches still have.
    for (size_t i = pool->n; i-- > 0 && best_capacity != size;) {
        size_t capacity = px_segment_capacity(pool->idle[i].segment);
        // Twice as large would keep memory busy that nobody asked for.
        if (capacity >= size && capacity / 2 <= size && capacity < best_capacity) {
            best = i;
            best_capacity = capacity;
        }
    }
    return best < pool->n ? take(pool, best) : NULL;
}

px_err px_pool_fill(px_segment **segment, px_slice bytes, px_segment_ref *ret_ref)
{
    px_err err = *segment != NULL ? px_segment_refill(*segment, bytes, ret_ref)
                                  : px_segment_new(bytes, segment, ret_ref, NULL);
    if (err != PX_OK) {
        px_segment_free(*segment);
        *segment = NULL;
    }
    return err;
}

bool px_pool_give(px_pool *pool, px_segment *segment, px_ns now)
{
    size_t capacity = px_segment_capacity(segment);
    if (pool->n == PX_POOL_MOST || capacity > pool->most_bytes - pool->bytes) {
        return false;
    }
    pool->idle[pool->n].segment = segment;
    pool->idle[pool->n++].since = now;
    pool->bytes += capacity;
    return true;
}

px_segment *px_pool_expire(px_pool *pool, px_ns now)
{
    for (size_t i = 0; i < pool->n; i++) {
        if (pool->idle[i].since + PX_POOL_FOR <= now) {
            return take(pool, i);
        }
    }
    return NULL;
}

px_ns px_pool_due(const px_pool *pool)
{
    px_ns due = UINT64_MAX;
    for (size_t i = 0; i < pool->n; i++) {
        px_ns end = pool->idle[i].since + PX_POOL_FOR;
        due = end < due ? end : due;
    }
    return due;
}

void px_pool_done(px_pool *pool)
{
    while (pool->n > 0) {
        px_segment_free(take(pool, pool->n - 1));
    }
}
