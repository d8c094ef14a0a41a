// flight.c: a hash table with open addressing and backward-shift deletion.
//
// One slot is 24 bytes and nothing is allocated for a request, so that an engine with 100,000
// queued tasks costs a few megabytes and the relay's hot path no malloc. Deletion moves later
// members of a run back instead of leaving tombstones: the table does not age. It shrinks when it
// has become much too large, so one burst is not paid for ever.

#include "flight.h"

#include "px/own.h"

#include <string.h>

#define SMALLEST 16

typedef struct slot {
    uint64_t task;
    uint32_t client;
    uint32_t times; // 0: free
} slot;

struct px_flight {
    slot *slots;
    size_t capacity; // a power of two
    size_t used;     // slots
    size_t count;    // requests
    size_t cursor;   // where px_flight_next goes on looking
};

static size_t home(const px_flight *flight, uint32_t client, uint64_t task)
{
    uint64_t x = task ^ ((uint64_t)client << 32) ^ ((uint64_t)client << 7);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(x ^ (x >> 31)) & (flight->capacity - 1);
}

px_err px_flight_new(px_flight **ret_flight)
{
    px_flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL) {
        return PX_ENOMEM;
    }
    flight->capacity = SMALLEST;
    flight->slots = calloc(SMALLEST, sizeof(slot));
    if (flight->slots == NULL) {
        free(flight);
        return PX_ENOMEM;
    }
    *ret_flight = flight;
    return PX_OK;
}

void px_flight_free(px_flight *flight)
{
    if (flight != NULL) {
        free(flight->slots);
        free(flight);
    }
}

// find is the slot of the pair, or the free one where it belongs.
static size_t find(const px_flight *flight, uint32_t client, uint64_t task)
{
    size_t i = home(flight, client, task);
    while (flight->slots[i].times != 0 &&
           (flight->slots[i].client != client || flight->slots[i].task != task)) {
        i = (i + 1) & (flight->capacity - 1);
    }
    return i;
}

static px_err resize(px_flight *flight, size_t capacity)
{
    slot *old = flight->slots;
    size_t n = flight->capacity;
    slot *slots = calloc(capacity, sizeof(slot));
    if (slots == NULL) {
        return PX_ENOMEM;
    }
    flight->slots = slots;
    flight->capacity = capacity;
    flight->cursor = 0;
    for (size_t i = 0; i < n; i++) {
        if (old[i].times != 0) {
            flight->slots[find(flight, old[i].client, old[i].task)] = old[i];
        }
    }
    free(old);
    return PX_OK;
}

px_err px_flight_add(px_flight *flight, uint32_t client, uint64_t task)
{
    if ((flight->used + 1) * 4 > flight->capacity * 3) {
        PX_TRY(resize(flight, flight->capacity * 2));
    }
    slot *s = &flight->slots[find(flight, client, task)];
    if (s->times == 0) {
        *s = (slot){.client = client, .task = task};
        flight->used++;
    }
    s->times++;
    flight->count++;
    return PX_OK;
}

// vacate frees slot i and moves back whoever was pushed past it.
static void vacate(px_flight *flight, size_t i)
{
    size_t mask = flight->capacity - 1;
    size_t gap = i;
    flight->slots[gap].times = 0;
    flight->used--;
    for (size_t j = (gap + 1) & mask; flight->slots[j].times != 0; j = (j + 1) & mask) {
        size_t wanted = home(flight, flight->slots[j].client, flight->slots[j].task);
        if (((j - wanted) & mask) >= ((j - gap) & mask)) {
            flight->slots[gap] = flight->slots[j];
            flight->slots[j].times = 0;
            gap = j;
        }
    }
    if (flight->capacity > SMALLEST && flight->used * 8 < flight->capacity) {
        (void)resize(flight, flight->capacity / 2); // without memory it only stays large
    }
}

bool px_flight_take(px_flight *flight, uint32_t client, uint64_t task)
{
    size_t i = find(flight, client, task);
    if (flight->slots[i].times == 0) {
        return false;
    }
    flight->count--;
    if (--flight->slots[i].times == 0) {
        vacate(flight, i);
    }
    return true;
}

bool px_flight_next(px_flight *flight, uint32_t *ret_client, uint64_t *ret_task)
{
    if (flight->count == 0) {
        return false;
    }
    while (flight->slots[flight->cursor].times == 0) {
        flight->cursor = (flight->cursor + 1) & (flight->capacity - 1);
    }
    const slot found = flight->slots[flight->cursor];
    *ret_client = found.client;
    *ret_task = found.task;
    return px_flight_take(flight, found.client, found.task);
}

size_t px_flight_count(const px_flight *flight)
{
    return flight->count;
}

bool px_flight_check(const px_flight *flight)
{
    size_t used = 0, count = 0;
    for (size_t i = 0; i < flight->capacity; i++) {
        const slot *s = &flight->slots[i];
        if (s->times == 0) {
            continue;
        }
        used++;
        count += s->times;
        if (find(flight, s->client, s->task) != i) {
            return false; // twice, or out of reach
        }
    }
    return used == flight->used && count == flight->count && used < flight->capacity &&
           (flight->capacity & (flight->capacity - 1)) == 0;
}
