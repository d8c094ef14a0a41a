// The allocator is asked for eight pieces for each message otherwise, and has to look for
// neighbours to merge with once it is given back more of one size than it keeps at hand: a flood of
// messages is just that, in every process that they pass.
//
// A thread has blocks of its own, without any locking. Those of one who frees what another one made
// go to a list of all threads, many at once; who has none left takes that list as a whole. It is
// never taken from in another way, so nobody is misled by a block that went and came back.
#include "block.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define STEP ((size_t)512)
#define CLASSES 8
#define OWN 64           // of a class that a thread keeps before it gives them to all
#define MOST_SPARE 2048u // of a class, in the list of all

#if defined(__SANITIZE_ADDRESS__)
#define PX_BLOCKS_ARE_USED_AGAIN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PX_BLOCKS_ARE_USED_AGAIN 0
#endif
#endif
#ifndef PX_BLOCKS_ARE_USED_AGAIN
#define PX_BLOCKS_ARE_USED_AGAIN 1 // else a sanitizer would not see who uses one that is gone
#endif

typedef struct own_blocks {
    px__block *first, *last; // that this thread freed
    size_t n;
    px__block *taken; // from the list of all
} own_blocks;

static _Atomic(px__block *) spare[CLASSES];
static atomic_uint n_spare[CLASSES];
static _Thread_local own_blocks own[CLASSES];
static _Thread_local bool known; // that this thread has some
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void give(size_t class, px__block *first, px__block *last, unsigned n)
{
    px__block *top = atomic_load_explicit(&spare[class], memory_order_relaxed);
    do {
        last->next = top;
    } while (!atomic_compare_exchange_weak(&spare[class], &top, first));
    (void)atomic_fetch_add_explicit(&n_spare[class], n, memory_order_relaxed);
}

static void free_all(px__block *block)
{
    while (block != NULL) {
        px__block *next = block->next;
        free(block);
        block = next;
    }
}

static void thread_ends(void *unused)
{
    (void)unused;
    for (size_t class = 0; class < CLASSES; class ++) {
        free_all(own[class].first);
        free_all(own[class].taken);
        own[class] = (own_blocks){0};
    }
}

static void make_key(void)
{
    if (pthread_key_create(&at_exit, thread_ends) != 0) {
        at_exit = 0; // what a thread has at its end stays
    }
}

static void know_thread(void)
{
    known = true;
    (void)pthread_once(&once, make_key);
    (void)pthread_setspecific(at_exit, &known);
}

static px__block *take(size_t class)
{
    own_blocks *mine = &own[class];
    px__block *block = mine->first;
    if (block != NULL) {
        mine->first = block->next;
        mine->n--;
        return block;
    }
    if (mine->taken == NULL) {
        mine->taken = atomic_exchange(&spare[class], NULL);
        if (mine->taken == NULL) {
            return NULL;
        }
        atomic_store_explicit(&n_spare[class], 0, memory_order_relaxed);
    }
    block = mine->taken;
    mine->taken = block->next;
    return block;
}

px__block *px__block_new(size_t size)
{
    size_t class = (sizeof(px__block) + size - 1) / STEP;
    bool again = PX_BLOCKS_ARE_USED_AGAIN && class < CLASSES;
    px__block *block = again ? take(class) : NULL;
    if (block == NULL) {
        block = malloc(again ? (class + 1) * STEP : sizeof(*block) + size);
    }
    if (block != NULL) {
        atomic_init(&block->refs, 1);
        block->class = again ? class : CLASSES;
    }
    return block;
}

void px__block_free(px__block *block)
{
    size_t class = block->class;
    if (class == CLASSES) {
        free(block);
        return;
    }
    if (!known) {
        know_thread();
    }
    own_blocks *mine = &own[class];
    block->next = mine->first;
    mine->last = mine->first == NULL ? block : mine->last;
    mine->first = block;
    if (++mine->n < OWN) {
        return;
    }
    if (atomic_load_explicit(&n_spare[class], memory_order_relaxed) < MOST_SPARE) {
        give(class, mine->first, mine->last, OWN);
    } else {
        free_all(mine->first);
    }
    mine->first = NULL;
    mine->n = 0;
}
