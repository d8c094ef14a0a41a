// answers.c: what clients ask about requests of whomever: which are done, the history, queries,
// forgetting, aborting. Answered from memory and file together, in the order of submission.
//
// A reply is `{"status": "ok", …}`; what is wrong with the question stands in it as `"error":
// {"ename", "evalue"}`, so that the client can raise the exception that ipyparallel's users know.

#include "keeping.h"
#include "match.h"
#include "pack.h"
#include "relay.h"

#include "px/json.h"
#include "px/own.h"

#include <utlist.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// px_question is one being answered: members are written into w.
typedef struct px_question {
    px_keeper *keeper;
    const px_kept *kept;
    const px_json *content;
    px_jsonw *w;
    const char *ename; // NULL: nothing is wrong
    px_error error;
} px_question;

static void refuse(px_question *q, const char *ename, const char *text, const char *what)
{
    if (q->ename == NULL) {
        q->ename = ename;
        (void)px_error_set(&q->error, PX_EINVAL, "%s%.256s", text, what);
    }
}

// --- all there are -------------------------------------------------------------------------------

// px_item is one record that was found, in memory or in the file.
typedef struct px_item {
    char *submitted;
    char *msg_id;
    px_buf text; // of a query: the selected members, an object left open
    size_t serial;
    bool done;
} px_item;

typedef struct px_items {
    px_item *all;
    size_t n, capacity;
    bool failed;
    // what of each is wanted
    px_question *q;
    const px_json *query, *keys;
} px_items;

static void items_done(px_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        free(items->all[i].submitted);
        free(items->all[i].msg_id);
        px_buf_done(&items->all[i].text);
    }
    free(items->all);
}

static px_item *more(px_items *items)
{
    if (items->n == items->capacity) {
        size_t capacity = items->capacity == 0 ? 64 : 2 * items->capacity;
        px_item *all = realloc(items->all, capacity * sizeof(*all));
        if (all == NULL) {
            items->failed = true;
            return NULL;
        }
        items->all = all;
        items->capacity = capacity;
    }
    px_item *item = &items->all[items->n];
    *item = (px_item){.serial = items->n};
    items->n++;
    return item;
}

// consider adds a record, given as JSON, if the query wants it.
static void consider(px_items *items, px_slice text, bool done)
{
    PX_AUTO(px_json) record = NULL;
    bool fits = false;
    if (px_json_parse(text, &record, NULL) != PX_OK) {
        return; // a row that was damaged
    }
    px_error error = {0};
    if (px_match(items->query, record, &fits, &error) != PX_OK) {
        refuse(items->q, "KeyError", error.text, "");
    }
    px_item *item = fits ? more(items) : NULL;
    if (item == NULL) {
        return;
    }
    item->submitted = strdup(px_json_string(record, "submitted", ""));
    item->msg_id = strdup(px_json_string(record, "msg_id", ""));
    item->done = done;
    items->failed = items->failed || item->submitted == NULL || item->msg_id == NULL;
    px_jsonw w = px_jsonw_to(&item->text);
    px_match_select(record, items->keys, &w);
}

static void consider_row(void *context, const px_row *row)
{
    consider(context, row->record, true);
}

static void consider_list(px_items *items, const px_record_list *list)
{
    const px_record *record;
    DL_FOREACH (list->head, record) {
        if (record->msg_id == NULL || record->foreign) {
            continue;
        }
        PX_AUTO_BUF text = {0};
        px_record_json(record, &text);
        consider(items, px_buf_slice(&text), record->done);
    }
}

static int by_submission(const void *one, const void *two)
{
    const px_item *a = one;
    const px_item *b = two;
    int order = strcmp(a->submitted, b->submitted);
    return order != 0 ? order : a->serial < b->serial ? -1 : 1;
}

// find_all gathers what matches, sorted; false after refuse.
static bool find_all(px_items *items)
{
    px_keeper *keeper = items->q->keeper;
    px_records_name(&keeper->records);
    if (keeper->store != NULL && px_store_each(keeper->store, consider_row, items) != PX_OK) {
        refuse(items->q, "OSError", "the file of results cannot be read", "");
    }
    consider_list(items, &keeper->records.kept);
    consider_list(items, &keeper->records.delivered);
    consider_list(items, &keeper->records.large);
    consider_list(items, &keeper->records.open);
    if (items->failed) {
        refuse(items->q, "MemoryError", "the controller is out of memory", "");
    }
    if (items->q->ename != NULL) {
        return false;
    }
    if (items->n > 0) {
        qsort(items->all, items->n, sizeof(px_item), by_submission);
    }
    return true;
}

// --- buffers -------------------------------------------------------------------------------------

static void base64(px_buf *out, px_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16 |
                         (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                         (left > 2 ? bytes.data[i + 2] : 0U);
        const char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                              left > 1 ? digits[group >> 6 & 63] : '=',
                              left > 2 ? digits[group & 63] : '='};
        px_buf_append(out, four, sizeof(four));
    }
}

static void write_buffers(px_jsonw *w, const char *key, const px_frames *frames, size_t first)
{
    px_jsonw_key(w, key);
    px_jsonw_array(w);
    for (size_t i = first; i < px_frames_count(frames); i++) {
        PX_AUTO_BUF text = {0};
        px_buf_append_str(&text, "\"");
        base64(&text, px_frames_get(frames, i));
        px_buf_append_str(&text, "\"");
        px_jsonw_raw(w, px_buf_slice(&text));
    }
    px_jsonw_end_array(w);
}

// px_wanted is which buffers a query asks for.
typedef struct px_wanted {
    px_jsonw *w;
    bool requests, results;
} px_wanted;

static void write_row_buffers(void *context, const px_row *row)
{
    const px_wanted *wanted = context;
    PX_AUTO_FRAMES request = {0};
    PX_AUTO_FRAMES reply = {0};
    px_slice packed_request = row->request;
    px_slice packed_reply = row->reply;
    if (wanted->requests && px_unpack(&packed_request, &request) == PX_OK) {
        write_buffers(wanted->w, "buffers", &request, 6);
    }
    if (wanted->results && px_unpack(&packed_reply, &reply) != PX_EFORMAT) {
        write_buffers(wanted->w, "result_buffers", &reply, 7);
    }
}

static void write_item_buffers(px_question *q, const px_wanted *wanted, const char *msg_id)
{
    px_keeper *keeper = q->keeper;
    const px_record *record = px_records_by_id(&keeper->records, msg_id);
    px_wanted copy = *wanted;
    if (record == NULL) {
        if (keeper->store != NULL) {
            (void)px_store_find(keeper->store, msg_id, write_row_buffers, &copy); // it was there
        }
        return;
    }
    PX_AUTO_BUF request = {0};
    PX_AUTO_BUF reply = {0};
    px_record_pack(record, &request, &reply);
    const px_row row = {.request = px_buf_slice(&request), .reply = px_buf_slice(&reply)};
    write_row_buffers(&copy, &row);
}

// --- questions -----------------------------------------------------------------------------------

static void db_request(px_question *q)
{
    const px_json *keys = px_json_get(q->content, "keys");
    px_items items = {.q = q, .query = px_json_get(q->content, "query"), .keys = keys};
    bool named = keys != NULL && px_json_is_array(keys);
    bool found = find_all(&items);
    px_jsonw_key(q->w, "records");
    px_jsonw_array(q->w);
    for (size_t i = 0; found && i < items.n; i++) {
        px_item *item = &items.all[i];
        px_jsonw w = {.out = &item->text, .need_comma = true};
        const px_wanted wanted = {.w = &w,
                                  .requests = named && px_match_asked(keys, "buffers"),
                                  .results = named && px_match_asked(keys, "result_buffers")};
        if (wanted.requests || wanted.results) {
            write_item_buffers(q, &wanted, item->msg_id);
        }
        px_jsonw_end_object(&w);
        px_jsonw_raw(q->w, px_buf_slice(&item->text));
    }
    px_jsonw_end_array(q->w);
    items_done(&items);
}

static void history_request(px_question *q)
{
    px_items items = {.q = q};
    bool found = find_all(&items);
    px_jsonw_key(q->w, "history");
    px_jsonw_array(q->w);
    for (size_t i = 0; found && i < items.n; i++) {
        px_jsonw_string(q->w, items.all[i].msg_id);
    }
    px_jsonw_end_array(q->w);
    items_done(&items);
}

static void see_row(void *context, const px_row *row)
{
    (void)row;
    *(bool *)context = true;
}

typedef enum px_state { UNKNOWN, PENDING, COMPLETED } px_state;

static px_state state_of(px_keeper *keeper, const char *msg_id)
{
    bool there = false;
    const px_record *record = px_records_by_id(&keeper->records, msg_id);
    if (record != NULL) {
        return record->done ? COMPLETED : PENDING;
    }
    if (keeper->store != NULL) {
        (void)px_store_find(keeper->store, msg_id, see_row, &there); // not there, or not readable
    }
    return there ? COMPLETED : UNKNOWN;
}

static void write_states(px_question *q, const char *key, px_state wanted)
{
    const px_json *ids = px_json_get(q->content, "msg_ids");
    px_jsonw_key(q->w, key);
    px_jsonw_array(q->w);
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const char *msg_id = px_json_as_string(px_json_item(ids, i), "");
        px_state state = state_of(q->keeper, msg_id);
        if (state == UNKNOWN) {
            refuse(q, "KeyError", "No such message: ", msg_id);
        } else if (state == wanted) {
            px_jsonw_string(q->w, msg_id);
        }
    }
    px_jsonw_end_array(q->w);
}

static void result_request(px_question *q)
{
    write_states(q, "pending", PENDING);
    write_states(q, "completed", COMPLETED);
}

// --- forgetting ----------------------------------------------------------------------------------

static void forget_list(px_records *records, const px_record_list *list, const px_json *engines)
{
    px_record *record, *next;
    DL_FOREACH_SAFE (list->head, record, next) {
        bool named = engines == NULL;
        for (size_t i = 0; !named && i < px_json_length(engines); i++) {
            named = px_json_as_int(px_json_item(engines, i), -1) == (int64_t)record->ran;
        }
        if (named) {
            px_records_forget(records, record);
        }
    }
}

// forget_done forgets what is done, of these engines or (NULL) of all.
static void forget_done(px_records *records, const px_json *engines)
{
    forget_list(records, &records->kept, engines);
    forget_list(records, &records->delivered, engines);
    forget_list(records, &records->large, engines);
}

static void purge_ids(px_question *q, const px_json *ids)
{
    px_keeper *keeper = q->keeper;
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const char *msg_id = px_json_as_string(px_json_item(ids, i), "");
        if (state_of(keeper, msg_id) == PENDING) {
            refuse(q, "IndexError", "msg pending: ", msg_id);
            return;
        }
    }
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const char *msg_id = px_json_as_string(px_json_item(ids, i), "");
        px_record *record = px_records_by_id(&keeper->records, msg_id);
        if (record != NULL) {
            px_records_forget(&keeper->records, record);
        } else if (keeper->store != NULL && px_store_remove(keeper->store, msg_id) != PX_OK) {
            refuse(q, "OSError", "the file of results cannot be written", "");
        }
    }
}

static void purge_request(px_question *q)
{
    px_keeper *keeper = q->keeper;
    px_records *records = &keeper->records;
    const px_json *ids = px_json_get(q->content, "msg_ids");
    const px_json *engines = px_json_get(q->content, "engine_ids");
    bool all = strcmp(px_json_as_string(ids, ""), "all") == 0;
    px_err err = PX_OK;
    if (all) {
        forget_done(records, NULL);
        err = keeper->store != NULL ? px_store_clear(keeper->store) : PX_OK;
    } else if (ids != NULL) {
        purge_ids(q, ids);
    }
    if (engines != NULL && px_json_is_array(engines)) {
        forget_done(records, engines);
        for (size_t i = 0; keeper->store != NULL && i < px_json_length(engines); i++) {
            int64_t engine = px_json_as_int(px_json_item(engines, i), PX_NOWHERE);
            err = err == PX_OK ? px_store_remove_engine(keeper->store, (uint32_t)engine) : err;
        }
    }
    if (err != PX_OK) {
        refuse(q, "OSError", "the file of results cannot be written", "");
    }
}

// --- repeating, aborting ------------------------------------------------------------------------

static void note_again(void *context, const char *msg_id, const px_json *again)
{
    px_question *q = context;
    const char *id = px_json_as_string(again, "");
    px_record *record = px_records_by_id(&q->keeper->records, msg_id);
    if (record != NULL) {
        free(record->resubmitted);
        record->resubmitted = strdup(id);
    } else if (q->keeper->store != NULL &&
               px_store_resubmitted(q->keeper->store, msg_id, id) != PX_OK) {
        refuse(q, "OSError", "the file of results cannot be written", "");
    }
}

static void resubmitted_request(px_question *q)
{
    px_json_each(px_json_get(q->content, "resubmitted"), note_again, q);
}

// cancel_request has the admin abort requests of whichever client, as that client would.
static void cancel_request(px_question *q)
{
    const px_json *ids = px_json_get(q->content, "msg_ids");
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const char *msg_id = px_json_as_string(px_json_item(ids, i), "");
        const px_record *record = px_records_by_id(&q->keeper->records, msg_id);
        px_answer *order = record != NULL && !record->done ? calloc(1, sizeof(*order)) : NULL;
        if (order != NULL) {
            order->letter.kind = PX_NEWS_ABORT;
            order->client = record->key.client;
            order->task = record->key.task;
            order->interrupt = px_json_bool(q->content, "interrupt", false);
            px_mailbox_post(q->keeper->answers, &order->letter);
        }
    }
}

// --- dispatch ------------------------------------------------------------------------------------

static const struct {
    const char *request, *reply;
    void (*answer)(px_question *q);
} questions[] = {
    {"result_request", "result_reply", result_request},
    {"history_request", "history_reply", history_request},
    {"db_request", "db_reply", db_request},
    {"purge_request", "purge_reply", purge_request},
    {"resubmitted_request", "resubmitted_reply", resubmitted_request},
    {"cancel_request", "cancel_reply", cancel_request},
};
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

bool px_keeper_knows(const char *msg_type)
{
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        if (strcmp(questions[i].request, msg_type) == 0) {
            return true;
        }
    }
    return false;
}

static void write_error(px_buf *out, const px_question *q)
{
    px_jsonw w = px_jsonw_to(out);
    px_buf_clear(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    px_jsonw_key(&w, "error");
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "ename", q->ename);
    px_jsonw_key_string(&w, "evalue", q->error.text);
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
}

void px__answer(px_keeper *keeper, const px_kept *kept)
{
    PX_AUTO(px_json) content = NULL;
    px_answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) {
        return; // its client's own time limit ends the wait
    }
    px_jsonw w = px_jsonw_to(&answer->content);
    px_question q = {.keeper = keeper, .kept = kept, .w = &w};
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    const char *type = (const char *)px_kept_frame(kept, PX_ASK_TYPE).data;
    if (px_json_parse(px_kept_frame(kept, PX_ASK_CONTENT), &content, NULL) != PX_OK) {
        refuse(&q, "ValueError", "the content is not JSON", "");
    }
    q.content = content;
    for (size_t i = 0; content != NULL && i < N_QUESTIONS; i++) {
        if (strcmp(questions[i].request, type) == 0) {
            (void)snprintf(answer->type, sizeof(answer->type), "%s", questions[i].reply);
            questions[i].answer(&q);
        }
    }
    px_jsonw_end_object(&w);
    if (q.ename != NULL) {
        write_error(&answer->content, &q);
    }
    answer->letter.kind = PX_NEWS_ANSWER;
    answer->client = kept->client;
    px_buf_append_slice(&answer->parent, px_kept_frame(kept, PX_ASK_HEADER));
    px_mailbox_post(keeper->answers, &answer->letter);
}
