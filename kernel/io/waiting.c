// One list, one lock. px-io adds and takes back, px-main begins; a request is in the list from its
// posting until one of these.

#include "io/waiting.h"

#include <utlist.h>

px_err px_waiting_init(px_waiting *waiting)
{
    *waiting = (px_waiting){0};
    return pthread_mutex_init(&waiting->lock, NULL) == 0 ? PX_OK : PX_ENOMEM;
}

void px_waiting_done(px_waiting *waiting)
{
    (void)pthread_mutex_destroy(&waiting->lock);
}

void px_waiting_add(px_waiting *waiting, px_request *request)
{
    (void)pthread_mutex_lock(&waiting->lock);
    DL_APPEND(waiting->first, request);
    (void)pthread_mutex_unlock(&waiting->lock);
}

bool px_waiting_empty(px_waiting *waiting)
{
    (void)pthread_mutex_lock(&waiting->lock);
    bool empty = waiting->first == NULL;
    (void)pthread_mutex_unlock(&waiting->lock);
    return empty;
}

bool px_waiting_begin(px_waiting *waiting, px_request *request)
{
    (void)pthread_mutex_lock(&waiting->lock);
    bool wanted = !request->taken_back;
    if (wanted) {
        DL_DELETE(waiting->first, request);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    return wanted;
}

px_parent *px_waiting_take_back(px_waiting *waiting, px_match *match, void *context,
                                char ret_reply_type[64])
{
    px_parent *parent = NULL;
    (void)pthread_mutex_lock(&waiting->lock);
    for (px_request *request = waiting->first; request != NULL; request = request->next) {
        if (match(context, request->parent)) {
            request->taken_back = true;
            parent = px_parent_ref(request->parent);
            px_reply_type(request->message->msg_type, ret_reply_type, 64);
            DL_DELETE(waiting->first, request);
            break;
        }
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    return parent;
}

bool px_waiting_may_lend(px_msg_type type)
{
    return type == PX_MSG_COMPLETE_REQUEST || type == PX_MSG_INSPECT_REQUEST ||
           type == PX_MSG_IS_COMPLETE_REQUEST || type == PX_MSG_HISTORY_REQUEST ||
           type == PX_MSG_COMM_INFO_REQUEST;
}

px_request *px_waiting_lend(px_waiting *waiting, px_ns before, bool *ret_left)
{
    px_request *lent = NULL;
    bool left = false;
    (void)pthread_mutex_lock(&waiting->lock);
    for (px_request *at = waiting->first; at != NULL; at = at->next) {
        if (!px_waiting_may_lend(at->message->type)) {
            continue;
        }
        if (lent == NULL && at->posted < before) {
            lent = at;
        } else {
            left = true;
        }
    }
    if (lent != NULL) {
        lent->taken_back = true;
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a member of the list has neighbours
        DL_DELETE(waiting->first, lent);
        (void)px_request_ref(lent);
    }
    (void)pthread_mutex_unlock(&waiting->lock);
    *ret_left = left;
    return lent;
}
