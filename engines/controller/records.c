// records.c: see records.h.

#include "records.h"

#include "pack.h"

#include "px/cluster.h"
#include "px/json.h"
#include "px/own.h"

#include <utlist.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUTS_KEPT ((size_t)4 << 20)
#define FRAME_COST 80 // what a frame costs beside its bytes
#define PARTS 6       // delimiter, signature, header, parent, metadata, content

// --- lists ---------------------------------------------------------------------------------------

static px_record_list *list_of(px_records *records, const px_record *record)
{
    return !record->done                     ? &records->open
           : !record->delivered              ? &records->kept
           : record->bytes > PX_RECORD_LARGE ? &records->large
                                             : &records->delivered;
}

static void enter(px_records *records, px_record *record)
{
    px_record_list *list = list_of(records, record);
    DL_APPEND(list->head, record);
    list->n++;
    list->bytes += record->bytes;
}

static void leave(px_records *records, px_record *record)
{
    px_record_list *list = list_of(records, record);
    DL_DELETE(list->head, record);
    list->n--;
    list->bytes -= record->bytes;
}

static size_t cost(const px_kept *kept)
{
    return sizeof(*kept) + kept->size +
           (kept->frames != NULL ? px_frames_count(kept->frames) * FRAME_COST : 0);
}

static void record_free(px_record *record)
{
    px_kept_unref(record->request);
    px_kept_unref(record->end);
    px_buf_done(&record->outputs);
    free(record->msg_id);
    free(record->session);
    free(record->submitted);
    free(record->resubmitted);
    while (record->followers != NULL) {
        px_follower *next = record->followers->next;
        free(record->followers);
        record->followers = next;
    }
    free(record);
}

void px_records_forget(px_records *records, px_record *record)
{
    leave(records, record);
    HASH_DELETE(by_key, records->by_key, record);
    if (record->msg_id == NULL) {
        records->n_unnamed--;
    } else if (!record->foreign) {
        HASH_DELETE(by_id, records->by_id, record);
    }
    record_free(record);
}

void px_records_free(px_records *records)
{
    px_record *record, *next;
    HASH_ITER (by_key, records->by_key, record, next) {
        px_records_forget(records, record);
    }
}

// --- what passes ---------------------------------------------------------------------------------

static unsigned hash_of(const struct px_record_key *key)
{
    uint64_t x = key->task ^ (uint64_t)key->client << 40 ^ (uint64_t)key->engine << 20;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return (unsigned)(x ^ x >> 29);
}

static px_record *find(const px_records *records, const struct px_record_key *key)
{
    px_record *record;
    HASH_FIND_BYHASHVALUE(by_key, records->by_key, key, sizeof(*key), hash_of(key), record);
    return record;
}

px_record *px_records_find(const px_records *records, uint32_t client, uint64_t task,
                           uint32_t engine)
{
    struct px_record_key key = {.task = task, .client = client, .engine = engine};
    px_record *record = find(records, &key);
    if (record == NULL && engine != PX_NOWHERE) {
        key.engine = PX_NOWHERE;
        record = find(records, &key);
    }
    return record;
}

static px_err add(px_records *records, const struct px_record_key *key, px_kept *request,
                  uint8_t first, bool shared)
{
    if (find(records, key) != NULL) {
        return PX_EEXIST;
    }
    px_record *record = calloc(1, sizeof(*record));
    if (record == NULL) {
        return PX_ENOMEM;
    }
    record->key = *key;
    record->ran = PX_NOWHERE;
    record->first = first;
    record->shared = shared;
    record->request = px_kept_ref(request);
    record->bytes = sizeof(*record) + cost(request);
    HASH_ADD_BYHASHVALUE(by_key, records->by_key, key, sizeof(record->key), hash_of(key), record);
    records->n_unnamed++;
    enter(records, record);
    return PX_OK;
}

px_err px_records_request(px_records *records, px_kept *kept)
{
    px_route route;
    PX_TRY(px_route_decode(px_kept_frame(kept, 0), &route));
    bool task = route.kind == PX_ROUTE_TASK;
    uint8_t first = task && (route.flags & PX_ROUTE_TERMS) != 0 ? 2 : 1;
    if (px_kept_count(kept) < (size_t)first + PARTS) {
        return PX_EFORMAT;
    }
    struct px_record_key key = {.task = route.task, .client = kept->client, .engine = PX_NOWHERE};
    if (task) {
        return add(records, &key, kept, first, false);
    }
    for (uint32_t i = 0; i < route.n; i++) {
        key.engine = px_route_engine(&route, i);
        px_err err = add(records, &key, kept, first, route.n > 1);
        if (err == PX_ENOMEM) {
            return err;
        }
    }
    return PX_OK;
}

void px_records_output(px_records *records, px_record *record, const px_kept *kept)
{
    if (record->outputs.size + kept->size > OUTPUTS_KEPT) {
        return;
    }
    size_t before = record->outputs.size;
    leave(records, record);
    px_pack(&record->outputs, kept, 0, px_kept_count(kept));
    record->bytes += record->outputs.size - before;
    enter(records, record);
}

void px_records_done(px_records *records, px_record *record, px_kept *kept)
{
    leave(records, record);
    px_stamp_now(record->received);
    record->done = true;
    record->delivered = kept->delivered;
    record->failed = kept->failed || kept->kind == PX_KEPT_LOST;
    record->ran = kept->engine;
    record->end = px_kept_ref(kept);
    record->bytes += cost(kept);
    enter(records, record);
}

static void keep_all_of(px_records *records, const px_record_list *list, uint32_t client)
{
    px_record *record, *next;
    DL_FOREACH_SAFE (list->head, record, next) {
        if (record->key.client == client) {
            leave(records, record);
            record->delivered = false;
            enter(records, record);
        }
    }
}

void px_records_client_gone(px_records *records, uint32_t client)
{
    keep_all_of(records, &records->delivered, client);
    keep_all_of(records, &records->large, client);
}

px_err px_record_follow(px_record *record, uint32_t client, uint64_t task)
{
    px_follower *follower = malloc(sizeof(*follower));
    if (follower == NULL) {
        return PX_ENOMEM;
    }
    *follower = (px_follower){.next = record->followers, .client = client, .task = task};
    record->followers = follower;
    return PX_OK;
}

void px_record_pack(const px_record *record, px_buf *request, px_buf *reply)
{
    px_route route;
    bool whole = px_route_decode(px_kept_frame(record->request, 0), &route) == PX_OK &&
                 (route.flags & PX_ROUTE_SEGMENTS) == 0;
    size_t end = whole ? px_kept_count(record->request) : record->first + (size_t)PARTS;
    px_pack(request, record->request, record->first, end);
    if (px_record_replied(record) && !record->dropped) {
        px_pack(reply, record->end, 0, px_kept_count(record->end));
    }
}

// --- names ---------------------------------------------------------------------------------------

px_slice px_record_request(const px_record *record, size_t part)
{
    return px_kept_frame(record->request, record->first + 2 + part);
}

bool px_record_replied(const px_record *record)
{
    return record->end != NULL && record->end->kind == PX_KEPT_REPLY;
}

static char *name_of(const px_record *record, const char *msg_id)
{
    char *name = NULL;
    if (!record->shared) {
        return strdup(msg_id);
    }
    return asprintf(&name, "%s_%u", msg_id, record->key.engine) < 0 ? NULL : name;
}

// name_one reads the header. A record that cannot be named keeps "", and nobody finds it.
static void name_one(px_records *records, px_record *record)
{
    PX_AUTO(px_json) header = NULL;
    PX_AUTO(px_json) metadata = NULL;
    (void)px_json_parse(px_record_request(record, 0), &header, NULL); // NULL: no member is there
    (void)px_json_parse(px_record_request(record, 2), &metadata, NULL);
    const char *type = px_json_string(header, "msg_type", "");
    const char *msg_id = px_json_string(header, "msg_id", "");
    record->msg_id = name_of(record, msg_id);
    record->session = strdup(px_json_string(header, "session", ""));
    record->submitted = strdup(px_json_string(header, "date", ""));
    if (record->msg_id == NULL) {
        return; // out of memory: another time
    }
    records->n_unnamed--;
    px_record *same;
    HASH_FIND(by_id, records->by_id, record->msg_id, strlen(record->msg_id), same);
    record->foreign = same != NULL || msg_id[0] == '\0' || px_json_bool(metadata, "own", false) ||
                      (strcmp(type, "apply_request") != 0 && strcmp(type, "execute_request") != 0);
    if (!record->foreign) {
        HASH_ADD_KEYPTR(by_id, records->by_id, record->msg_id, strlen(record->msg_id), record);
    }
}

static void name_list(px_records *records, px_record_list *list)
{
    px_record *record, *next;
    DL_FOREACH_SAFE (list->head, record, next) {
        if (record->msg_id == NULL) {
            name_one(records, record);
        }
        if (record->foreign && record->done) {
            px_records_forget(records, record);
        }
    }
}

void px_records_name(px_records *records)
{
    if (records->n_unnamed > 0) {
        name_list(records, &records->kept);
        name_list(records, &records->delivered);
        name_list(records, &records->large);
        name_list(records, &records->open);
    }
}

px_record *px_records_by_id(px_records *records, const char *msg_id)
{
    px_record *record;
    px_records_name(records);
    HASH_FIND(by_id, records->by_id, msg_id, strlen(msg_id), record);
    return record;
}
