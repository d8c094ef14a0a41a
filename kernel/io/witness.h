// witness.h: what a kernel and its keeper have with each other (warm/warm.h): the page of last
// words, "I am here", "I have nothing to do", and, in a kernel that was forked, the link to its
// shim.
#ifndef PX_KERNEL_WITNESS_H
#define PX_KERNEL_WITNESS_H

#include "warm/warm.h"

#include "px/loop.h"

typedef struct px_io px_io;
typedef struct px_kernel px_kernel;

typedef struct px_witness {
    const px_environment *environment; // NULL: not started by the launcher, no keeper
    const px_warm_child *child;        // NULL: started cold
    px_last_words *words;              // NULL: no keeper
    int words_fd;
    char keep[108]; // the keeper's socket
    px_timer *idle; // looks if there is nothing to do; NULL: told already
    uint64_t seen;  // requests at the last look
} px_witness;

// px_witness_begin tells the keeper that this kernel is here; starts one where there is none. After
// px-io and before Python, main thread.
void px_witness_begin(px_kernel *kernel);
// px_witness_watch adds what px-io watches. px-io.
void px_witness_watch(px_io *io);
// px_witness_asked: the end that comes now is not one to report. Any thread.
void px_witness_asked(px_kernel *kernel);
// px_witness_leaving says with which status the process is about to end.
void px_witness_leaving(const px_kernel *kernel, int status);

#endif
