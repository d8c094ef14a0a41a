// link.h (internal): the two halves of a link, link.c (sending, life) and link_recv.c.
#ifndef PX_LINK_INTERNAL_H
#define PX_LINK_INTERNAL_H

#include "px/link.h"

#include <pthread.h>

#define PX__LINK_MAGIC UINT32_C(0x314c5850) // 'PXL1', little endian
#define PX__LINK_LEAD 8                     // magic and number of frames

// px__parcel is a message, or the rest of one, that the socket did not take yet; or several small
// ones, head and frames behind each other in head.
typedef struct px__parcel {
    struct px__parcel *next;
    px_frames frames;
    size_t index;  // the part being written: 0 is the head, then the frames
    size_t offset; // in that part
    size_t head_size;
    size_t room; // for more small messages in head; 0: it is one message
    uint8_t head[];
} px__parcel;

typedef struct px__inbox {
    uint8_t *buffer;
    size_t from, to;   // what is read and not yet used
    bool drained;      // the last read left nothing behind in the socket
    uint32_t n_frames; // of the message that is coming; 0: its head is not complete
    uint64_t n_bytes;  // of all its frames
    size_t *sizes;
    size_t sizes_capacity;
    px_frames frames;  // the last one may be incomplete
    uint8_t *rest;     // where it goes on
    size_t rest_size;  // what it lacks
    px_bytes *partial; // the incomplete one; not yet in frames
} px__inbox;

typedef struct px__far px__far;

struct px_link {
    int fd;
    px__far *far; // carries it over the network; NULL: the peer is on this host
    pid_t peer_pid;
    uint64_t max_bytes;
    px__inbox in;
    pthread_mutex_t lock; // guards what follows
    px__parcel *first, *last;
    size_t queued;
    bool kept; // what is queued was kept back by us, not refused by the socket
    bool broken;
    void (*wake)(void *context);
    void *wake_context;
};

// px__link_set_far gives far to the link, whose end ends it.
void px__link_set_far(px_link *link, px__far *far);
// far.c: px__far_close waits until what was sent has left, for two seconds at most, and frees.
void px__far_close(px__far *far);
void px__far_why(px__far *far, char *ret_text, size_t size);

void px__inbox_done(px__inbox *in);

#endif
