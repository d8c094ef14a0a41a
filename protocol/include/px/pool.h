// pool.h: segments that lie idle, to be filled again.
//
// Filling fresh shared memory costs several times what filling memory costs that is there already.
// So whoever makes segments (a client for its requests, an engine for its results) keeps those
// that nobody maps any more for a while. Not guarded: the owner has a lock.
#ifndef PX_POOL_H
#define PX_POOL_H

#include "px/segment.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>

#define PX_POOL_MOST 128
#define PX_POOL_FOR (10 * PX_NS_PER_S) // so long may one lie idle

// px_pool: {.most_bytes = …} is empty.
typedef struct px_pool {
    size_t most_bytes;
    struct {
        px_segment *segment;
        px_ns since;
    } idle[PX_POOL_MOST];
    size_t n, bytes;
} px_pool;

// px_pool_take takes out the best segment for size bytes; NULL when none fits.
px_segment *px_pool_take(px_pool *pool, size_t size);
// px_pool_fill puts bytes into what px_pool_take gave, or into a new segment where that is NULL. It
// does not touch the pool, so no lock is held while bytes are copied. On failure *segment is freed,
// and NULL. PX_ENOMEM, PX_ESYS.
px_err px_pool_fill(px_segment **segment, px_slice bytes, px_segment_ref *ret_ref);
// px_pool_give takes a segment in, if there is room; else it stays the caller's.
bool px_pool_give(px_pool *pool, px_segment *segment, px_ns now);
// px_pool_expire takes one out that has been idle too long; NULL when there is none. px_pool_due
// tells when there will be; UINT64_MAX: nothing is idle.
px_segment *px_pool_expire(px_pool *pool, px_ns now);
px_ns px_pool_due(const px_pool *pool);
void px_pool_done(px_pool *pool);

#endif
