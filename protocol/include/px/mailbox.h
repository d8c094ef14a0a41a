// mailbox.h: letters from any thread to one reader, in one total order, wakes coalesced.
//
// The only bridge between threads. A letter is the sender's memory with a px_letter in it; after
// the post it is the reader's. Mutex, list and eventfd: the wake costs far more than the lock, and
// total order is worth having.
#ifndef PX_MAILBOX_H
#define PX_MAILBOX_H

#include "px/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct px_letter {
    struct px_letter *next;
    int kind; // the reader's own catalogue
} px_letter;

typedef struct px_mailbox {
    pthread_mutex_t lock;
    px_letter *first;
    px_letter *last;
    int fd; // eventfd, readable while letters wait; -1 before init
    size_t n_letters;
} px_mailbox;

px_err px_mailbox_init(px_mailbox *box);
// px_mailbox_done closes the eventfd; the box must be empty.
void px_mailbox_done(px_mailbox *box);

// px_mailbox_post appends a letter and wakes the reader if it may be asleep. Any thread; never
// blocks, never fails: the letter is the caller's memory, so there is nothing to run out of.
void px_mailbox_post(px_mailbox *box, px_letter *letter);

// px_mailbox_take removes everything posted so far, oldest first (linked by next); NULL when empty.
// Reader only. Clears the eventfd.
px_letter *px_mailbox_take(px_mailbox *box);

// px_mailbox_take_one removes the oldest letter; the eventfd stays readable while more wait. Reader
// only.
px_letter *px_mailbox_take_one(px_mailbox *box);

// px_mailbox_fd is the descriptor to poll for reading.
int px_mailbox_fd(const px_mailbox *box);

#endif
