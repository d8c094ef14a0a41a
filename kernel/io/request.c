// Requests and parents. A parent holds the frames that outputs and replies need (identities,
// header) and those that libraries look at (metadata, content), but not the buffers: it may live as
// long as a background task does.

#include "io/request.h"

#include "io/displays.h"
#include "io/flood.h"
#include "io/need.h"
#include "io/subshell.h"

#include "px/cluster.h"

#include <stdio.h>
#include <string.h>

const char *px_channel_name(px_channel channel)
{
    static const char *const names[PX_CHANNELS] = {"shell", "control", "stdin", "iopub", "hb"};
    return channel < PX_CHANNELS ? names[channel] : "";
}

px_parent *px_parent_new(px_channel channel, const px_message *message)
{
    px_parent *parent = px_need_zeroed(sizeof(*parent));
    atomic_init(&parent->refs, 1);
    parent->channel = channel;
    px_must(px_frames_share(&parent->idents, &message->frames, 0, message->delimiter));
    size_t header = message->delimiter + 2;
    parent->header = px_bytes_ref(px_frames_at(&message->frames, header));
    parent->metadata = px_bytes_ref(px_frames_at(&message->frames, header + 2));
    parent->content = px_bytes_ref(px_frames_at(&message->frames, header + 3));
    return parent;
}

px_parent *px_parent_made(px_slice header, px_slice metadata, px_slice content)
{
    px_parent *parent = px_need_zeroed(sizeof(*parent));
    atomic_init(&parent->refs, 1);
    parent->channel = PX_SHELL;
    px_must(px_bytes_copy(header, &parent->header));
    px_must(px_bytes_copy(metadata, &parent->metadata));
    px_must(px_bytes_copy(content, &parent->content));
    return parent;
}

px_parent *px_parent_ref(px_parent *parent)
{
    if (parent != NULL) {
        (void)atomic_fetch_add_explicit(&parent->refs, 1, memory_order_relaxed);
    }
    return parent;
}

void px_parent_unref(px_parent *parent)
{
    if (parent == NULL || atomic_fetch_sub_explicit(&parent->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    px_frames_done(&parent->idents);
    px_bytes_unref(parent->header);
    px_bytes_unref(parent->metadata);
    px_bytes_unref(parent->content);
    px_flood_free(parent->flood);
    px_displays_free(parent->displays);
    free(parent);
}

static bool route_of(const px_parent *parent, px_route *ret_route)
{
    return !parent->door && px_frames_count(&parent->idents) > 0 &&
           px_route_decode(px_frames_get(&parent->idents, 0), ret_route) == PX_OK;
}

bool px_parent_asked(const px_parent *asker, const px_parent *answer)
{
    px_route ours, theirs;
    if (asker->door != answer->door) {
        return false;
    }
    if (!route_of(asker, &ours) || !route_of(answer, &theirs)) {
        return true; // identities of a front end
    }
    return ours.client == theirs.client && (theirs.task == 0 || theirs.task == ours.task);
}

px_request *px_request_new(px_channel channel, px_message *message)
{
    px_request *request = px_need_zeroed(sizeof(*request));
    request->letter.kind = PX_NOTICE_REQUEST;
    atomic_init(&request->refs, 1);
    request->posted = px_now();
    request->channel = channel;
    request->parent = px_parent_new(channel, message);
    request->message = message;
    return request;
}

px_request *px_request_ref(px_request *request)
{
    (void)atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
    return request;
}

void px_request_free(px_request *request)
{
    if (request == NULL ||
        atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    px_comm_unref(request->comm);
    px_parent_unref(request->parent);
    px_message_free(request->message);
    free(request);
}

bool px_request_claim(px_request *request)
{
    return !atomic_exchange(&request->claimed, true);
}

void px_reply_type(const char *msg_type, char *ret_type, size_t size)
{
    static const char request[] = "_request";
    size_t length = strlen(msg_type);
    size_t ending = sizeof(request) - 1;
    if (length > ending && strcmp(msg_type + length - ending, request) == 0) {
        length -= ending;
    }
    (void)snprintf(ret_type, size, "%.*s_reply", (int)length, msg_type);
}
