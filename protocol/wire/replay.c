// The last 65,536 signatures: a ring of 128-bit prefixes in order of arrival, and an
// open-addressing table of ring indices to find one. What falls out of the ring leaves the table,
// with the entries behind it moved up, so look-ups never meet a tombstone. Only verified signatures
// come here, so a stranger cannot fill it.
#include "px/sign.h"

#include <stdlib.h>

#define N_KEPT 65536U
#define N_SLOTS 131072U

typedef struct entry {
    uint64_t high, low;
} entry;

struct px_replay {
    uint32_t n;      // entries in use
    uint32_t oldest; // the next to be dropped once the ring is full
    uint32_t *slots; // ring index + 1; 0: free. Untouched pages cost nothing.
    entry *ring;
};

px_err px_replay_new(px_replay **ret_replay)
{
    px_replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL) {
        return PX_ENOMEM;
    }
    replay->slots = calloc(N_SLOTS, sizeof(uint32_t));
    replay->ring = calloc(N_KEPT, sizeof(entry));
    if (replay->slots == NULL || replay->ring == NULL) {
        px_replay_free(replay);
        return PX_ENOMEM;
    }
    *ret_replay = replay;
    return PX_OK;
}

void px_replay_free(px_replay *replay)
{
    if (replay == NULL) {
        return;
    }
    free(replay->slots);
    free(replay->ring);
    free(replay);
}

// A signature is as good as random, so a simple mixing of its text serves both as identity and
// hash.
static entry entry_of(px_slice signature)
{
    entry result = {.high = 0x9e3779b97f4a7c15U, .low = signature.size};

    for (size_t i = 0; i < signature.size; i++) {
        uint64_t *half = i % 2 == 0 ? &result.high : &result.low;
        *half = (*half ^ signature.data[i]) * 0x100000001b3U;
        *half ^= *half >> 29;
    }
    return result;
}

static uint32_t home_of(entry item)
{
    return (uint32_t)(item.high ^ item.high >> 32 ^ item.low) % N_SLOTS;
}

static void forget(px_replay *replay, uint32_t index)
{
    uint32_t hole = home_of(replay->ring[index]);

    while (replay->slots[hole] != index + 1) {
        hole = (hole + 1) % N_SLOTS;
    }
    for (uint32_t slot = (hole + 1) % N_SLOTS; replay->slots[slot] != 0;
         slot = (slot + 1) % N_SLOTS) {
        uint32_t home = home_of(replay->ring[replay->slots[slot] - 1]);
        // It may move up unless its home lies behind the hole.
        if ((slot - home) % N_SLOTS >= (slot - hole) % N_SLOTS) {
            replay->slots[hole] = replay->slots[slot];
            hole = slot;
        }
    }
    replay->slots[hole] = 0;
}

bool px_replay_seen(px_replay *replay, px_slice signature)
{
    entry item = entry_of(signature);
    uint32_t slot = home_of(item);

    for (; replay->slots[slot] != 0; slot = (slot + 1) % N_SLOTS) {
        const entry *other = &replay->ring[replay->slots[slot] - 1];
        if (other->high == item.high && other->low == item.low) {
            return true;
        }
    }
    uint32_t index = replay->n;
    if (replay->n == N_KEPT) {
        index = replay->oldest;
        replay->oldest = (replay->oldest + 1) % N_KEPT;
        forget(replay, index);
        for (slot = home_of(item); replay->slots[slot] != 0; slot = (slot + 1) % N_SLOTS) {
            // the removal may have moved the free slot
        }
    } else {
        replay->n++;
    }
    replay->ring[index] = item;
    replay->slots[slot] = index + 1;
    return false;
}
