// fetch.c: a result for a client that did not ask for it first: from memory, from the file, or once
// it is there.
//
// What the client gets are the messages themselves, outputs and reply or loss, under the number of
// its own task: to it a fetched result is like one of its own.

#include "keeping.h"
#include "pack.h"
#include "relay.h"

#include "px/cluster.h"
#include "px/json.h"
#include "px/own.h"

#include <stdio.h>

// px_receiver is who gets messages, and how.
typedef struct px_receiver {
    px_keeper *keeper;
    uint32_t client;
    uint64_t task;
    bool found;
} px_receiver;

// readdress gives a message the route of the receiver's task.
static px_err readdress(const px_receiver *to, px_frames *frames)
{
    px_route route;
    px_bytes *head = NULL;
    if (px_frames_count(frames) < 7) {
        return PX_EFORMAT;
    }
    PX_TRY(px_route_decode(px_frames_get(frames, 0), &route));
    uint32_t engine = route.n > 0 ? px_route_engine(&route, 0) : PX_NOWHERE;
    route.client = to->client;
    route.task = to->task;
    route.flags = route.flags & PX_ROUTE_FAILED;
    PX_TRY(px_route_encode(&route, &engine, &head));
    px_frames_set(frames, 0, head);
    return PX_OK;
}

static void send(const px_receiver *to, px_frames *frames)
{
    if (readdress(to, frames) == PX_OK) {
        (void)px_relay_deliver(to->keeper->relay, to->client, frames); // no memory: see its end
    }
}

static void send_copy(const px_receiver *to, const px_kept *kept)
{
    PX_AUTO_FRAMES copy = {0};
    if (px_kept_share(kept, &copy) == PX_OK) {
        send(to, &copy);
    }
}

static void send_packed(const px_receiver *to, px_slice packed)
{
    px_err err = PX_OK;
    while (err == PX_OK) {
        PX_AUTO_FRAMES frames = {0};
        err = px_unpack(&packed, &frames);
        if (err == PX_OK) {
            send(to, &frames);
        }
    }
}

static void send_lost(const px_receiver *to, px_slice content, uint32_t engine)
{
    PX_AUTO_FRAMES frames = {0};
    const px_outgoing message = {.msg_type = "error", .content = content};
    const px_route route = {
        .kind = PX_ROUTE_LOST, .client = to->client, .task = to->task, .n = engine != PX_NOWHERE};
    if (px_route_push(&frames, &route, &engine) != PX_OK) {
        return;
    }
    if (px_session_compose(to->keeper->session, &message, &frames) == PX_OK) {
        (void)px_relay_deliver(to->keeper->relay, to->client, &frames);
    }
}

static void refuse(const px_receiver *to, const char *ename, const char *text)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", ename);
    px_jsonw_key_string(&w, "evalue", text);
    px_jsonw_end_object(&w);
    send_lost(to, px_buf_slice(&content), PX_NOWHERE);
}

static void not_kept(const px_receiver *to, px_slice msg_id)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "the result of task %.*s went to its own client and was too large to be kept",
                   (int)msg_id.size, (const char *)msg_id.data);
    refuse(to, "ResultNotKept", text);
}

// --- from memory ---------------------------------------------------------------------------------

static void send_end(const px_receiver *to, const px_record *record)
{
    if (record->dropped) {
        not_kept(to, px_slice_str(record->msg_id));
    } else if (px_record_replied(record)) {
        send_copy(to, record->end);
    } else {
        send_lost(to, px_kept_frame(record->end, PX_LOST_CONTENT), record->ran);
    }
}

static void send_record(const px_receiver *to, px_record *record)
{
    send_packed(to, px_buf_slice(&record->outputs));
    if (record->done) {
        send_end(to, record);
    } else if (px_record_follow(record, to->client, to->task) == PX_OK) {
        (void)atomic_fetch_add(&to->keeper->n_followed, 1);
    } else {
        refuse(to, "MemoryError", "the controller is out of memory");
    }
}

void px__follow_output(px_keeper *keeper, const px_record *record, const px_kept *kept)
{
    for (const px_follower *at = record->followers; at != NULL; at = at->next) {
        const px_receiver to = {.keeper = keeper, .client = at->client, .task = at->task};
        send_copy(&to, kept);
    }
}

void px__follow_end(px_keeper *keeper, px_record *record)
{
    for (const px_follower *at = record->followers; at != NULL; at = at->next) {
        const px_receiver to = {.keeper = keeper, .client = at->client, .task = at->task};
        send_end(&to, record);
        (void)atomic_fetch_sub(&keeper->n_followed, 1);
    }
}

// --- from the file -------------------------------------------------------------------------------

static void send_row(void *context, const px_row *row)
{
    px_receiver *to = context;
    to->found = true;
    send_packed(to, row->outputs);
    if (row->reply.size > 0) {
        send_packed(to, row->reply);
    } else if (row->lost.size > 0) {
        send_lost(to, row->lost, row->engine);
    } else {
        not_kept(to, row->msg_id);
    }
}

// read_content gives what a request says.
static px_err read_content(const px_kept *kept, px_json **ret_content)
{
    enum { AT_CONTENT = 6 };
    return px_kept_count(kept) > AT_CONTENT
               ? px_json_parse(px_kept_frame(kept, AT_CONTENT), ret_content, NULL)
               : PX_EFORMAT;
}

void px__fetch(px_keeper *keeper, const px_kept *kept)
{
    char text[256];
    PX_AUTO(px_json) content = NULL;
    px_receiver to = {.keeper = keeper, .client = kept->client, .task = kept->task};
    if (read_content(kept, &content) != PX_OK) {
        refuse(&to, "ValueError", "the request for a result is malformed");
        return;
    }
    const char *msg_id = px_json_string(content, "msg_id", "");
    px_record *record = px_records_by_id(&keeper->records, msg_id);
    if (record != NULL) {
        send_record(&to, record);
        return;
    }
    if (keeper->store != NULL) {
        (void)px_store_find(keeper->store, msg_id, send_row, &to); // not found, or not to be read
    }
    if (!to.found) {
        (void)snprintf(
            text, sizeof(text),
            "cluster '%s' knows no task '%.96s'; it was never submitted, or is no longer "
            "kept",
            keeper->cluster, msg_id);
        refuse(&to, "KeyError", text);
    }
}
