// waiting.h: the requests that wait for px-main, so that one can be taken back before its turn
// (abort_request), and the one that runs can be told from the next.
#ifndef PX_KERNEL_WAITING_H
#define PX_KERNEL_WAITING_H

#include "io/request.h"

#include "px/err.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct px_waiting {
    pthread_mutex_t lock;
    px_request *first; // any order
} px_waiting;

// px_match tells if a request is meant.
typedef bool px_match(void *context, const px_parent *parent);

px_err px_waiting_init(px_waiting *waiting);
void px_waiting_done(px_waiting *waiting);
// px_waiting_add is for px-io, before it posts the request.
void px_waiting_add(px_waiting *waiting, px_request *request);
// px_waiting_empty tells if none waits. Any thread.
bool px_waiting_empty(px_waiting *waiting);
// px_waiting_begin is for px-main, when its turn has come: true when it is to be served, false when
// it was taken back and answered.
bool px_waiting_begin(px_waiting *waiting, px_request *request);
// px_waiting_take_back takes one matching request back: px-main will drop it. A new reference to
// its parent and its type (as ret_reply_type, "x_reply"), or NULL when none matches. px-io.
px_parent *px_waiting_take_back(px_waiting *waiting, px_match *match, void *context,
                                char ret_reply_type[64]);

// px_waiting_lend takes back one request that may be served beside px-main and was posted before
// `before`; a reference of its own, or NULL. ret_left tells if such requests still wait. px-io.
px_request *px_waiting_lend(px_waiting *waiting, px_ns before, bool *ret_left);
// px_waiting_may_lend tells if a type may be served beside a running cell: questions that change
// nothing.
bool px_waiting_may_lend(px_msg_type type);

#endif
