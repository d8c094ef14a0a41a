// lend.h: large buffers of requests in segments that are used again.
//
// A segment of a request is lent: when everybody who got it has unmapped it (a RELEASE from each,
// or its death) it is idle, and the next large buffer that fits goes into it (px/pool.h). A buffer
// that comes again while its segment is out, unchanged, is not written again: one array for a
// thousand tasks lies in memory once. Guarded by client->lock, but for what is said.
#ifndef PX_MAGICS_LEND_H
#define PX_MAGICS_LEND_H

#include "px/err.h"
#include "px/pool.h"
#include "px/segment.h"
#include "px/time.h"

#include <uthash.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// px_lent is a segment that is out.
typedef struct px_lent {
    struct px_lent *prev, *next; // the newest first
    px_segment *segment;
    px_segment_ref ref;
    const void *source; // where its bytes were
    unsigned n_loans;   // … and whoever looks at it
    bool spoilt;        // somebody may map it for ever: it is not filled again
} px_lent;

// px_loan is the segments of one request, and the engines that may map them. Of a balanced task
// that is not done they are the engines that do not, any more.
typedef struct px_loan {
    uint64_t task; // 0: not sent yet
    bool open;     // not done: somebody may map it for the first time
    bool balanced;
    bool given_up; // it was waited for too long, or nobody knows for whom
    px_lent **lent;
    size_t n_lent;
    uint32_t *engines;
    uint32_t n_engines;
    struct px_loan *next; // of those that are over
    UT_hash_handle hh;
} px_loan;

#define PX_LEND_IDLE_BYTES ((size_t)1 << 30) // so much may lie idle
#define PX_LEND_LOANS 128                    // of so many requests we wait for the return
#define PX_LEND_NO_ENGINE UINT32_MAX

// {0} is empty; most_bytes is set before the first loan.
typedef struct px_lending {
    px_loan *loans; // by task, the oldest first
    size_t n_done;  // … that are only waited for
    px_lent *out;
    px_pool pool;
} px_lending;

// px_loan_new makes a loan to engines (copied), or to whoever the controller chooses (NULL, 0). No
// lock.
px_err px_loan_new(const uint32_t *engines, uint32_t n_engines, px_loan **ret_loan);
// px_loan_add adds a segment, with the count that the caller has of it. No lock.
px_err px_loan_add(px_loan *loan, px_lent *lent);

// px_lending_out takes segment, which holds what was at source, as one that is out, counted once.
px_err px_lending_out(px_lending *lending, px_segment *segment, const px_segment_ref *ref,
                      const void *source, px_lent **ret_lent);
// px_lending_same finds a segment that is out and may hold the same bytes: it does if
// px_segment_holds says so. Counted once more; NULL when there is none.
px_lent *px_lending_same(px_lending *lending, px_slice bytes);
// px_lending_unlend takes a count off. Gives the segment when it was the last and there is no room
// to keep it: free it without the lock.
px_segment *px_lending_unlend(px_lending *lending, px_lent *lent, px_ns now);

// px_lending_enter takes a loan whose request is about to be sent.
void px_lending_enter(px_lending *lending, px_loan *loan, uint64_t task);
// The loans that they end are given linked by next, for px_lending_end:
// px_lending_settle: nobody maps the segments of that task for the first time any more. engine is
// who answered a balanced one; PX_LEND_NO_ENGINE: nobody knows.
px_loan *px_lending_settle(px_lending *lending, uint64_t task, uint32_t engine);
// px_lending_returned: an engine does not map what task lent it (task 0: of any task) any more.
px_loan *px_lending_returned(px_lending *lending, uint64_t task, uint32_t engine);
// px_lending_end ends loans that are over, or were never entered, and frees them; on the way it
// gives the next segment that is not kept. Free that without the lock, and call it until NULL.
px_segment *px_lending_end(px_lending *lending, px_loan **loans, px_ns now);
// px_lending_done frees all.
void px_lending_done(px_lending *lending);

#endif
