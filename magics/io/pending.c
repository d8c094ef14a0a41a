// pending.c: requests by number and slots by engine. Numbers are dealt out one after the other, so
// `id & mask` is a perfect spread without a hash function, and a table of what is open at one time
// stays small however many requests there were.

#include "io/pending.h"

#include "px/own.h"

#include <string.h>

enum { FIRST_BUCKETS = 64 };

static size_t place(const px_pending *pending, uint64_t id)
{
    return (size_t)id & (pending->n_buckets - 1);
}

static px_err grow(px_pending *pending)
{
    size_t n = pending->n_buckets == 0 ? FIRST_BUCKETS : pending->n_buckets * 2;
    px_pending wider = {.buckets = calloc(n, sizeof(px_pending_entry *)), .n_buckets = n};
    if (wider.buckets == NULL) {
        return PX_ENOMEM;
    }
    for (size_t i = 0; i < pending->n_buckets; i++) {
        px_pending_entry *entry = pending->buckets[i];
        while (entry != NULL) {
            px_pending_entry *next = entry->next;
            px_pending_entry **bucket = &wider.buckets[place(&wider, entry->id)];
            entry->next = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    wider.n = pending->n;
    free(pending->buckets);
    *pending = wider;
    return PX_OK;
}

px_err px_pending_add(px_pending *pending, px_pending_entry *entry)
{
    if (pending->n >= pending->n_buckets) {
        PX_TRY(grow(pending));
    }
    px_pending_entry **bucket = &pending->buckets[place(pending, entry->id)];
    entry->next = *bucket;
    *bucket = entry;
    pending->n++;
    return PX_OK;
}

px_pending_entry *px_pending_find(const px_pending *pending, uint64_t id)
{
    if (pending->n == 0) {
        return NULL;
    }
    px_pending_entry *entry = pending->buckets[place(pending, id)];
    while (entry != NULL && entry->id != id) {
        entry = entry->next;
    }
    return entry;
}

bool px_pending_remove(px_pending *pending, px_pending_entry *entry)
{
    if (pending->n == 0) {
        return false;
    }
    px_pending_entry **at = &pending->buckets[place(pending, entry->id)];
    while (*at != NULL && *at != entry) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return false;
    }
    *at = entry->next;
    entry->next = NULL;
    pending->n--;
    return true;
}

void px_pending_each(const px_pending *pending,
                     void (*visit)(void *context, px_pending_entry *entry), void *context)
{
    for (size_t i = 0; i < pending->n_buckets; i++) {
        px_pending_entry *entry = pending->buckets[i];
        while (entry != NULL) {
            px_pending_entry *next = entry->next;
            visit(context, entry);
            entry = next;
        }
    }
}

void px_pending_done(px_pending *pending)
{
    free(pending->buckets);
    *pending = (px_pending){0};
}

static int by_id(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

// find_twice looks for an id that occurs twice in a list without order.
static px_err find_twice(const uint32_t *engines, uint32_t n, uint32_t *ret_twice)
{
    uint32_t *sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL) {
        return PX_ENOMEM;
    }
    memcpy(sorted, engines, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_id);
    px_err err = PX_OK;
    for (uint32_t i = 1; i < n && err == PX_OK; i++) {
        if (sorted[i] == sorted[i - 1]) {
            *ret_twice = sorted[i];
            err = PX_EEXIST;
        }
    }
    free(sorted);
    return err;
}

px_err px_targets_init(px_targets *targets, const uint32_t *engines, uint32_t n,
                       uint32_t *ret_twice)
{
    *targets = (px_targets){.engines = engines, .n = n, .sorted = true};
    for (uint32_t i = 1; i < n; i++) {
        if (engines[i] == engines[i - 1]) {
            *ret_twice = engines[i];
            return PX_EEXIST;
        }
        targets->sorted = targets->sorted && engines[i] > engines[i - 1];
    }
    return targets->sorted ? PX_OK : find_twice(engines, n, ret_twice);
}

uint32_t px_targets_slot(const px_targets *targets, uint32_t engine)
{
    if (!targets->sorted) {
        for (uint32_t i = 0; i < targets->n; i++) {
            if (targets->engines[i] == engine) {
                return i;
            }
        }
        return PX_NO_SLOT;
    }
    uint32_t low = 0;
    uint32_t high = targets->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (targets->engines[middle] < engine) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < targets->n && targets->engines[low] == engine ? low : PX_NO_SLOT;
}
