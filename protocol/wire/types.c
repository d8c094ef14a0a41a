// The catalogue's look-up: a hash table of all names, built by the compiler's view of the X-macro
// at first use. The hash is FNV-1a; the table is a power of two, four times the names, so a probe
// or two finds a name.
#include "px/types.h"

#include <assert.h>
#include <pthread.h>

#define N_SLOTS 256

static const px_slice names[PX_MSG_COUNT] = {[PX_MSG_UNKNOWN] = {(const uint8_t *)"", 0},
#define PX_TYPE_TEXT(name, wire) [PX_MSG_##name] = {(const uint8_t *)(wire), sizeof(wire) - 1},
                                             PX_MSG_TYPES(PX_TYPE_TEXT)
#undef PX_TYPE_TEXT
};

static_assert(4 * PX_MSG_COUNT <= 2 * N_SLOTS, "the table must stay sparse");

static uint8_t slots[N_SLOTS]; // px_msg_type; 0: free
static pthread_once_t once = PTHREAD_ONCE_INIT;

static size_t slot_of(px_slice name)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ name.data[i]) * 16777619U;
    }
    return (hash ^ hash >> 16) % N_SLOTS;
}

static void fill_slots(void)
{
    for (unsigned type = 1; type < PX_MSG_COUNT; type++) {
        size_t slot = slot_of(names[type]);
        while (slots[slot] != 0) {
            slot = (slot + 1) % N_SLOTS;
        }
        slots[slot] = (uint8_t)type;
    }
}

px_msg_type px_msg_type_from(px_slice name)
{
    if (name.size == 0 || name.size > 64) {
        return PX_MSG_UNKNOWN;
    }
    (void)pthread_once(&once, fill_slots); // cannot fail
    size_t slot = slot_of(name);
    while (slots[slot] != 0) {
        if (px_slice_equal(names[slots[slot]], name)) {
            return (px_msg_type)slots[slot];
        }
        slot = (slot + 1) % N_SLOTS;
    }
    return PX_MSG_UNKNOWN;
}

const char *px_msg_type_name(px_msg_type type)
{
    if ((unsigned)type >= PX_MSG_COUNT) {
        return "";
    }
    return (const char *)names[type].data;
}
