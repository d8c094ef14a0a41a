// lend.c: which segments are lent to whom, and which are idle.
//
// The one thing that must never happen is that a segment is filled while an engine maps it: the
// engine's array would change under its feet. So a loan ends only by word of every engine in it, or
// by the engine's death; a loan that is waited for too long is forgotten and its segments are
// closed, never used again.

#include "io/lend.h"

#include <stdlib.h>
#include <string.h>

px_err px_loan_new(const uint32_t *engines, uint32_t n_engines, px_loan **ret_loan)
{
    px_loan *loan = calloc(1, sizeof *loan);
    uint32_t *copy = malloc(((size_t)n_engines + 1) * sizeof *copy);
    if (loan == NULL || copy == NULL) {
        free(loan);
        free(copy);
        return PX_ENOMEM;
    }
    memcpy(copy, engines, n_engines * sizeof *copy);
    loan->engines = copy;
    loan->n_engines = n_engines;
    *ret_loan = loan;
    return PX_OK;
}

px_err px_loan_add(px_loan *loan, px_segment *segment)
{
    px_segment **segments = realloc(loan->segments, (loan->n_segments + 1) * sizeof(px_segment *));
    if (segments == NULL) {
        return PX_ENOMEM;
    }
    loan->segments = segments;
    loan->segments[loan->n_segments++] = segment;
    return PX_OK;
}

void px_loan_free(px_loan *loan)
{
    if (loan == NULL) {
        return;
    }
    for (size_t i = 0; i < loan->n_segments; i++) {
        px_segment_free(loan->segments[i]);
    }
    free(loan->segments);
    free(loan->engines);
    free(loan);
}

static px_segment *take_idle(px_lending *lending, size_t at)
{
    px_segment *segment = lending->idle[at].segment;
    lending->idle_bytes -= px_segment_capacity(segment);
    lending->idle[at] = lending->idle[--lending->n_idle];
    return segment;
}

px_segment *px_lending_find(px_lending *lending, size_t size)
{
    size_t best = lending->n_idle;
    size_t best_capacity = SIZE_MAX;
    for (size_t i = 0; i < lending->n_idle; i++) {
        size_t capacity = px_segment_capacity(lending->idle[i].segment);
        // Twice as large would keep memory busy that nobody asked for.
        if (capacity >= size && capacity / 2 <= size && capacity < best_capacity) {
            best = i;
            best_capacity = capacity;
        }
    }
    return best < lending->n_idle ? take_idle(lending, best) : NULL;
}

void px_lending_enter(px_lending *lending, px_loan *loan, uint64_t task, px_loan **ret_dropped)
{
    *ret_dropped = NULL;
    loan->task = task;
    loan->next = lending->loans;
    lending->loans = loan;
    lending->n_loans++;
    if (lending->n_loans > PX_LEND_LOANS) {
        px_loan **last = &lending->loans;
        while ((*last)->next != NULL) {
            last = &(*last)->next;
        }
        *ret_dropped = *last;
        *last = NULL;
        lending->n_loans--;
    }
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

px_loan *px_lending_returned(px_lending *lending, uint64_t task, uint32_t engine)
{
    px_loan *over = NULL;
    px_loan **at = &lending->loans;
    while (*at != NULL) {
        px_loan *loan = *at;
        if (task == 0 || loan->task == task) {
            strike(loan, engine);
        }
        if (loan->n_engines > 0) {
            at = &loan->next;
            continue;
        }
        *at = loan->next;
        lending->n_loans--;
        loan->next = over;
        over = loan;
    }
    return over;
}

void px_lending_keep(px_lending *lending, px_loan *loan, px_ns now)
{
    while (loan->n_segments > 0 && lending->n_idle < PX_LEND_IDLE) {
        px_segment *segment = loan->segments[loan->n_segments - 1];
        size_t capacity = px_segment_capacity(segment);
        if (capacity > PX_LEND_IDLE_BYTES - lending->idle_bytes) {
            return;
        }
        loan->n_segments--;
        lending->idle[lending->n_idle++] = (px_idle_segment){.segment = segment, .since = now};
        lending->idle_bytes += capacity;
    }
}

px_segment *px_lending_expire(px_lending *lending, px_ns before)
{
    for (size_t i = 0; i < lending->n_idle; i++) {
        if (lending->idle[i].since <= before) {
            return take_idle(lending, i);
        }
    }
    return NULL;
}

void px_lending_done(px_lending *lending)
{
    while (lending->n_idle > 0) {
        px_segment_free(take_idle(lending, 0));
    }
    while (lending->loans != NULL) {
        px_loan *next = lending->loans->next;
        px_loan_free(lending->loans);
        lending->loans = next;
    }
    *lending = (px_lending){0};
}
