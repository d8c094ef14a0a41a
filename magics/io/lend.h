// lend.h: large buffers of requests in segments that are used again.
//
// Filling fresh shared memory costs several times what filling memory costs that is there already.
// So a segment of a request is lent: when every engine that got it has unmapped it (a RELEASE from
// each, or its death) it is idle, and the next large buffer that fits goes into it. Segments that
// nobody wants for a while are freed. Guarded by client->lock, but for what is said.
#ifndef PX_MAGICS_LEND_H
#define PX_MAGICS_LEND_H

#include "px/err.h"
#include "px/segment.h"
#include "px/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// px_loan is the segments of one request, and the engines that may map them.
typedef struct px_loan {
    struct px_loan *next;
    uint64_t task; // 0: not sent yet
    px_segment **segments;
    size_t n_segments;
    uint32_t *engines;
    uint32_t n_engines;
} px_loan;

typedef struct px_idle_segment {
    px_segment *segment;
    px_ns since;
} px_idle_segment;

#define PX_LEND_FROM ((size_t)4 << 20)       // smaller buffers are not worth it
#define PX_LEND_IDLE_BYTES ((size_t)1 << 30) // so much may lie idle
#define PX_LEND_IDLE 16                      // … in so many segments
#define PX_LEND_LOANS 64                     // of so many requests we wait for the return
#define PX_LEND_IDLE_FOR (10 * PX_NS_PER_S)

// {0} is empty.
typedef struct px_lending {
    px_loan *loans; // the newest first
    size_t n_loans;
    px_idle_segment idle[PX_LEND_IDLE];
    size_t n_idle;
    size_t idle_bytes;
} px_lending;

// px_loan_new makes a loan to engines (copied). No lock.
px_err px_loan_new(const uint32_t *engines, uint32_t n_engines, px_loan **ret_loan);
// px_loan_add takes segment. No lock.
px_err px_loan_add(px_loan *loan, px_segment *segment);
// px_loan_free frees it with its segments. No lock.
void px_loan_free(px_loan *loan);

// px_lending_find takes the best idle segment for size bytes out, NULL when none fits.
px_segment *px_lending_find(px_lending *lending, size_t size);
// px_lending_enter takes a loan whose request is about to be sent. ret_dropped is a loan that
// became too old to wait for, or NULL: free it without the lock.
void px_lending_enter(px_lending *lending, px_loan *loan, uint64_t task, px_loan **ret_dropped);
// px_lending_returned: an engine does not map what task lent it (task 0: of any task) any more.
// Gives the loans that are over, linked by next: hand them to px_lending_keep.
px_loan *px_lending_returned(px_lending *lending, uint64_t task, uint32_t engine);
// px_lending_keep puts the segments of a loan that is over among the idle ones as far as there is
// room; free the loan, with what is left in it, without the lock.
void px_lending_keep(px_lending *lending, px_loan *loan, px_ns now);
// px_lending_expire takes one segment out that is idle since before; NULL when there is none.
px_segment *px_lending_expire(px_lending *lending, px_ns before);
// px_lending_done frees all.
void px_lending_done(px_lending *lending);

#endif
