// lend.c: which segments are lent to whom, and which are idle.
//
// The one thing that must never happen is that a segment is filled while an engine maps it: the
// engine's array would change under its feet. So a loan ends only by word of every engine in it, or
// by the engine's death; a loan that is waited for too long is forgotten and its segments are
// closed, never used again.
//
// Who gets a balanced task is not known before it is answered. Whoever had it before gave it back
// without a look at it, or is dead, so the word of the one who answered is enough; it may come
// before the answer. (A task that may fail and run again elsewhere is lent nothing: who failed may
// hold on to what it got.)
//
// As long as a task is not done its segments stay open, because somebody may be about to map them.

#include "io/lend.h"

#include <utlist.h>

#include <stdlib.h>
#include <string.h>

#define LOOK_AT 4 // so many segments are compared with a buffer, at most

px_err px_loan_new(const uint32_t *engines, uint32_t n_engines, px_loan **ret_loan)
{
    px_loan *loan = calloc(1, sizeof *loan);
    uint32_t *copy = malloc(((size_t)n_engines + 1) * sizeof *copy);
    if (loan == NULL || copy == NULL) {
        free(loan);
        free(copy);
        return PX_ENOMEM;
    }
    if (n_engines > 0) {
        memcpy(copy, engines, n_engines * sizeof *copy);
    }
    loan->engines = copy;
    loan->n_engines = n_engines;
    loan->balanced = n_engines == 0;
    loan->open = true;
    *ret_loan = loan;
    return PX_OK;
}

px_err px_loan_add(px_loan *loan, px_lent *lent)
{
    px_lent **all = realloc(loan->lent, (loan->n_lent + 1) * sizeof(px_lent *));
    if (all == NULL) {
        return PX_ENOMEM;
    }
    loan->lent = all;
    loan->lent[loan->n_lent++] = lent;
    return PX_OK;
}

px_err px_lending_out(px_lending *lending, px_segment *segment, const px_segment_ref *ref,
                      const void *source, px_lent **ret_lent)
{
    px_lent *lent = malloc(sizeof *lent);
    if (lent == NULL) {
        return PX_ENOMEM;
    }
    *lent = (px_lent){.segment = segment, .ref = *ref, .source = source, .n_loans = 1};
    DL_PREPEND(lending->out, lent);
    *ret_lent = lent;
    return PX_OK;
}

px_lent *px_lending_same(px_lending *lending, px_slice bytes)
{
    px_lent *lent;
    unsigned looked = 0;
    DL_FOREACH (lending->out, lent) {
        if (lent->source == bytes.data && lent->ref.size == bytes.size) {
            lent->n_loans++;
            return lent;
        }
        if (++looked == LOOK_AT) {
            break;
        }
    }
    return NULL;
}

px_segment *px_lending_unlend(px_lending *lending, px_lent *lent, px_ns now)
{
    if (--lent->n_loans > 0) {
        return NULL;
    }
    px_segment *segment = lent->segment;
    if (!lent->spoilt && px_pool_give(&lending->pool, segment, now)) {
        segment = NULL;
    }
    DL_DELETE(lending->out, lent);
    free(lent);
    return segment;
}

// over takes a loan out of the table and puts it on the list of those that are over.
static void over(px_lending *lending, px_loan *loan, px_loan **list)
{
    if (!loan->open) {
        lending->n_done--;
    }
    HASH_DEL(lending->loans, loan);
    loan->next = *list;
    *list = loan;
}

// forget_oldest ends the loan that has been waited for longest.
static void forget_oldest(px_lending *lending, px_loan **list)
{
    for (px_loan *loan = lending->loans; loan != NULL; loan = loan->hh.next) {
        if (!loan->open) {
            loan->given_up = true;
            over(lending, loan, list);
            return;
        }
    }
}

void px_lending_enter(px_lending *lending, px_loan *loan, uint64_t task)
{
    loan->task = task;
    HASH_ADD(hh, lending->loans, task, sizeof loan->task, loan);
}

static px_loan *find(px_lending *lending, uint64_t task)
{
    px_loan *loan;
    HASH_FIND(hh, lending->loans, &task, sizeof task, loan);
    return loan;
}

static bool names(const px_loan *loan, uint32_t engine)
{
    for (uint32_t i = 0; i < loan->n_engines; i++) {
        if (loan->engines[i] == engine) {
            return true;
        }
    }
    return false;
}

static void strike(px_loan *loan, uint32_t engine)
{
    for (uint32_t i = 0; i < loan->n_engines; i++) {
        if (loan->engines[i] == engine) {
            loan->engines[i] = loan->engines[--loan->n_engines];
            return;
        }
    }
}

// note adds an engine that does not map what an open balanced task lent. Without memory it is as if
// it had said nothing.
static void note(px_loan *loan, uint32_t engine)
{
    uint32_t *engines = realloc(loan->engines, (loan->n_engines + 2) * sizeof *engines);
    if (engines != NULL) {
        loan->engines = engines;
        loan->engines[loan->n_engines++] = engine;
    }
}

px_loan *px_lending_settle(px_lending *lending, uint64_t task, uint32_t engine)
{
    px_loan *list = NULL;
    px_loan *loan = find(lending, task);
    if (loan == NULL || !loan->open) {
        return NULL;
    }
    loan->open = false;
    lending->n_done++;
    if (loan->balanced && engine == PX_LEND_NO_ENGINE) {
        loan->given_up = true;
        loan->n_engines = 0;
    } else if (loan->balanced) {
        bool returned = names(loan, engine);
        loan->n_engines = returned ? 0 : 1;
        loan->engines[0] = engine; // there is room for one
    }
    if (loan->n_engines == 0) {
        over(lending, loan, &list);
    }
    if (lending->n_done > PX_LEND_LOANS) {
        forget_oldest(lending, &list);
    }
    return list;
}

// let_go notes that an engine maps nothing of a loan any more.
static void let_go(px_lending *lending, px_loan *loan, uint32_t engine, px_loan **list)
{
    if (loan->open && loan->balanced) {
        note(loan, engine);
        return;
    }
    strike(loan, engine);
    if (loan->n_engines == 0) {
        over(lending, loan, list);
    }
}

px_loan *px_lending_returned(px_lending *lending, uint64_t task, uint32_t engine)
{
    px_loan *list = NULL;
    px_loan *loan, *next;
    if (task != 0) {
        loan = find(lending, task);
        if (loan != NULL) {
            let_go(lending, loan, engine, &list);
        }
        return list;
    }
    HASH_ITER (hh, lending->loans, loan, next) {
        let_go(lending, loan, engine, &list);
    }
    return list;
}

static void loan_free(px_loan *loan)
{
    free(loan->lent);
    free(loan->engines);
    free(loan);
}

px_segment *px_lending_end(px_lending *lending, px_loan **loans, px_ns now)
{
    while (*loans != NULL) {
        px_loan *loan = *loans;
        while (loan->n_lent > 0) {
            px_lent *lent = loan->lent[--loan->n_lent];
            lent->spoilt = lent->spoilt || loan->given_up;
            px_segment *segment = px_lending_unlend(lending, lent, now);
            if (segment != NULL) {
                return segment;
            }
        }
        *loans = loan->next;
        loan_free(loan);
    }
    return NULL;
}

void px_lending_done(px_lending *lending)
{
    px_loan *loan, *next;
    px_lent *lent, *after;
    HASH_ITER (hh, lending->loans, loan, next) {
        HASH_DEL(lending->loans, loan);
        loan_free(loan);
    }
    DL_FOREACH_SAFE (lending->out, lent, after) {
        px_segment_free(lent->segment);
        free(lent);
    }
    px_pool_done(&lending->pool);
    *lending = (px_lending){.pool.most_bytes = lending->pool.most_bytes};
}
