// pending.h: which request a message belongs to, and which of its slots (PURE: no socket, clock,
// lock).
//
// px_pending finds a request by its number. It is intrusive: an entry is a member of the caller's
// struct and stays the caller's memory. px_targets knows the engines of one request: one slot for
// each, in the order given. Callers lock.
#ifndef PX_MAGICS_PENDING_H
#define PX_MAGICS_PENDING_H

#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct px_pending_entry {
    struct px_pending_entry *next;
    uint64_t id;
} px_pending_entry;

// {0} is an empty table. Ids count up, so buckets fill evenly; the table grows with what is open.
typedef struct px_pending {
    px_pending_entry **buckets;
    size_t n_buckets; // a power of two, or 0
    size_t n;
} px_pending;

// px_pending_add: entry->id is set and not in the table yet. PX_ENOMEM leaves the table as it was.
px_err px_pending_add(px_pending *pending, px_pending_entry *entry);
px_pending_entry *px_pending_find(const px_pending *pending, uint64_t id);
// px_pending_remove is false when entry is not in the table.
bool px_pending_remove(px_pending *pending, px_pending_entry *entry);
// px_pending_each calls visit for every entry; visit must not change the table.
void px_pending_each(const px_pending *pending,
                     void (*visit)(void *context, px_pending_entry *entry), void *context);
// px_pending_done frees the table, not the entries.
void px_pending_done(px_pending *pending);

typedef enum px_slot_state {
    PX_SLOT_PENDING,
    PX_SLOT_FILLED, // the reply is here, its status was not looked at yet
    PX_SLOT_OK,
    PX_SLOT_ERROR,
    PX_SLOT_ABORTED
} px_slot_state;

#define PX_NO_SLOT UINT32_MAX

// px_targets borrows the engines' ids (n of them).
typedef struct px_targets {
    const uint32_t *engines;
    uint32_t n;
    bool sorted; // ascending: slots are found by bisection
} px_targets;

// px_targets_init looks at the order. PX_EEXIST when an engine is named twice: its slots could not
// be told apart; ret_twice says which. PX_ENOMEM.
px_err px_targets_init(px_targets *targets, const uint32_t *engines, uint32_t n,
                       uint32_t *ret_twice);
// px_targets_slot is the slot of an engine, PX_NO_SLOT when it is none of the targets.
uint32_t px_targets_slot(const px_targets *targets, uint32_t engine);

#endif
