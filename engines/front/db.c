// db.c: db_request: which records match a query of ipyparallel's little language (equality, or
// {"$op": value}; all must hold), and the members that are asked for.
//
// A record is written as JSON and read again to be compared: a query is rare, and so the record
// that is compared is the record that is sent. Dates are compared as points of time, since a client
// may write them in another zone.

#include "front.h"

#include "px/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// --- comparing -----------------------------------------------------------------------------------

// digits reads n digits at text; -1 when they are none.
static long digits(const char *text, int n)
{
    long number = 0;
    for (int i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

// read_date gives microseconds since 1970 for `2026-01-31T12:34:56[.789012][Z|±hh:mm]`.
static bool read_date(const char *text, int64_t *ret_us)
{
    size_t length = strlen(text);
    if (length < 19 || text[4] != '-' || text[10] != 'T' || text[13] != ':') {
        return false;
    }
    struct tm utc = {.tm_year = (int)digits(text, 4) - 1900,
                     .tm_mon = (int)digits(text + 5, 2) - 1,
                     .tm_mday = (int)digits(text + 8, 2),
                     .tm_hour = (int)digits(text + 11, 2),
                     .tm_min = (int)digits(text + 14, 2),
                     .tm_sec = (int)digits(text + 17, 2)};
    int64_t us = 0;
    const char *rest = text + 19;
    if (*rest == '.') {
        int64_t unit = 100000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10) {
            us += (*rest - '0') * unit;
        }
    }
    int64_t offset = 0; // minutes
    if ((*rest == '+' || *rest == '-') && strlen(rest) >= 6) {
        offset = digits(rest + 1, 2) * 60 + digits(rest + 4, 2);
        offset = *rest == '-' ? -offset : offset;
    } else if (*rest != 'Z' && *rest != '\0') {
        return false;
    }
    *ret_us = ((int64_t)timegm(&utc) - offset * 60) * 1000000 + us;
    return true;
}

typedef enum order { LESS, EQUAL, GREATER, UNLIKE } order;

static order order_of(int64_t one, int64_t two)
{
    return one < two ? LESS : one > two ? GREATER : EQUAL;
}

static order compare(const px_json *value, const px_json *wanted)
{
    const char *one = px_json_as_string(value, NULL);
    const char *two = px_json_as_string(wanted, NULL);
    int64_t one_us = 0;
    int64_t two_us = 0;
    if (one != NULL && two != NULL) {
        return read_date(one, &one_us) && read_date(two, &two_us) ? order_of(one_us, two_us)
                                                                  : order_of(strcmp(one, two), 0);
    }
    if (px_json_is_int(value) && px_json_is_int(wanted)) {
        return order_of(px_json_as_int(value, 0), px_json_as_int(wanted, 0));
    }
    bool both_null = (value == NULL || px_json_is_null(value)) && px_json_is_null(wanted);
    return both_null ? EQUAL : UNLIKE;
}

static bool among(const px_json *value, const px_json *list)
{
    for (size_t i = 0; i < px_json_length(list); i++) {
        if (compare(value, px_json_item(list, i)) == EQUAL) {
            return true;
        }
    }
    return false;
}

// --- the query -----------------------------------------------------------------------------------

// trial is one record being looked at. unknown: an operator that we do not have.
typedef struct trial {
    const px_json *record;
    const px_json *value; // of the member that a test is about
    bool fits, unknown;
} trial;

static void apply_operator(void *context, const char *operator, const px_json * wanted)
{
    trial *t = context;
    order o = compare(t->value, wanted);
    bool fits = false;
    if (strcmp(operator, "$eq") == 0) {
        fits = o == EQUAL;
    } else if (strcmp(operator, "$ne") == 0) {
        fits = o != EQUAL;
    } else if (strcmp(operator, "$lt") == 0) {
        fits = o == LESS;
    } else if (strcmp(operator, "$lte") == 0) {
        fits = o == LESS || o == EQUAL;
    } else if (strcmp(operator, "$gt") == 0) {
        fits = o == GREATER;
    } else if (strcmp(operator, "$gte") == 0) {
        fits = o == GREATER || o == EQUAL;
    } else if (strcmp(operator, "$in") == 0) {
        fits = among(t->value, wanted);
    } else if (strcmp(operator, "$nin") == 0) {
        fits = !among(t->value, wanted);
    } else {
        t->unknown = true;
    }
    t->fits = t->fits && fits;
}

static void apply_test(void *context, const char *key, const px_json *wanted)
{
    trial *t = context;
    t->value = px_json_get(t->record, key);
    if (px_json_is_object(wanted)) {
        px_json_each(wanted, apply_operator, t);
    } else {
        t->fits = t->fits && compare(t->value, wanted) == EQUAL;
    }
}

// --- records -------------------------------------------------------------------------------------

static void raw_or_null(px_jsonw *w, const char *key, px_slice json)
{
    px_jsonw_key(w, key);
    px_jsonw_raw(w, json.size != 0 ? json : PX_SLICE_LITERAL("null"));
}

static void copy_member(px_jsonw *w, const char *key, const px_json *object, const char *from)
{
    const px_json *value = px_json_get(object, from);
    px_jsonw_key(w, key);
    if (value == NULL || px_json_dump(value, w->out) != PX_OK) {
        px_jsonw_null(w);
    }
    w->need_comma = true;
}

static void write_record(px_jsonw *w, const px_job *job)
{
    PX_AUTO(px_json) header = NULL;
    PX_AUTO(px_json) metadata = NULL;
    PX_AUTO(px_json) reply = NULL;
    (void)px_json_parse(job->request->header, &header, NULL); // NULL: its members are null
    (void)px_json_parse(job->request->metadata, &metadata, NULL);
    (void)px_json_parse(px_buf_slice(&job->header), &reply, NULL);
    px_slice content = job->reply != NULL ? job->reply->content : px_buf_slice(&job->content);
    px_jsonw_object(w);
    px_jsonw_key_string(w, "msg_id", job->request->msg_id);
    raw_or_null(w, "header", job->request->header);
    raw_or_null(w, "metadata", job->request->metadata);
    raw_or_null(w, "content", job->request->content);
    copy_member(w, "submitted", header, "date");
    px_jsonw_key_string(w, "client_uuid", job->request->session);
    px_jsonw_key_string(w, "engine_uuid", job->worker != NULL ? job->worker->uuid : NULL);
    px_jsonw_key_string(w, "started", job->done ? job->started : NULL);
    copy_member(w, "completed", reply, "date");
    px_jsonw_key_string(w, "resubmitted", job->resubmitted);
    px_jsonw_key_string(w, "received", job->done ? job->received : NULL);
    raw_or_null(w, "result_header", px_buf_slice(&job->header));
    raw_or_null(w, "result_metadata", px_buf_slice(&job->metadata));
    raw_or_null(w, "result_content", content);
    px_jsonw_key_string(w, "queue", job->door == PX_DOOR_TASK ? "task" : "mux");
    raw_or_null(w, "execute_input", px_buf_slice(&job->execute_input));
    raw_or_null(w, "execute_result", px_buf_slice(&job->execute_result));
    raw_or_null(w, "error", px_buf_slice(&job->error));
    px_jsonw_key(w, "stdout");
    px_jsonw_slice(w, px_buf_slice(&job->stdout_text));
    px_jsonw_key(w, "stderr");
    px_jsonw_slice(w, px_buf_slice(&job->stderr_text));
    copy_member(w, "label", metadata, "label");
    px_jsonw_end_object(w);
}

static bool asked_for(const px_json *keys, const char *key)
{
    bool all = keys == NULL || px_json_is_null(keys);
    bool found = all || strcmp(key, "msg_id") == 0;
    for (size_t i = 0; !found && i < px_json_length(keys); i++) {
        found = strcmp(px_json_as_string(px_json_item(keys, i), ""), key) == 0;
    }
    return found;
}

typedef struct selection {
    px_jsonw *w;
    const px_json *keys;
} selection;

static void select_member(void *context, const char *key, const px_json *value)
{
    selection *s = context;
    if (!asked_for(s->keys, key)) {
        return;
    }
    px_jsonw_key(s->w, key);
    if (px_json_dump(value, s->w->out) == PX_OK) { // else the buffer remembers
        s->w->need_comma = true;
    }
}

// --- buffers -------------------------------------------------------------------------------------

typedef struct found {
    const px_job **jobs;
    size_t n;
    px_bytes **buffers;
    size_t n_buffers;
} found;

static const px_message *carrier(const px_job *job, bool results)
{
    return !results ? job->request : job->failed ? NULL : job->reply;
}

static void write_lengths(px_jsonw *w, const char *key, const found *f, bool wanted, bool results)
{
    px_jsonw_key(w, key);
    if (!wanted) {
        px_jsonw_null(w);
        return;
    }
    px_jsonw_array(w);
    for (size_t i = 0; i < f->n; i++) {
        const px_message *message = carrier(f->jobs[i], results);
        px_jsonw_int(w, message != NULL ? (int64_t)message->n_buffers : 0);
    }
    px_jsonw_end_array(w);
}

static px_err add_buffers(found *f, const px_message *message)
{
    size_t n = message != NULL ? message->n_buffers : 0;
    px_bytes **all = realloc(f->buffers, (f->n_buffers + n + 1) * sizeof(px_bytes *));
    if (all == NULL) {
        return PX_ENOMEM;
    }
    f->buffers = all;
    for (size_t i = 0; i < n; i++) {
        all[f->n_buffers++] = px_frames_at(&message->frames, message->first_buffer + i);
    }
    return PX_OK;
}

static px_err write_buffers(px_jsonw *w, const px_json *keys, found *f)
{
    bool explicit = px_json_is_array(keys);
    bool requests = explicit && asked_for(keys, "buffers");
    bool results = explicit && asked_for(keys, "result_buffers");
    write_lengths(w, "buffer_lens", f, requests, false);
    write_lengths(w, "result_buffer_lens", f, results, true);
    for (size_t i = 0; i < f->n; i++) {
        if (requests) {
            PX_TRY(add_buffers(f, carrier(f->jobs[i], false)));
        }
        if (results) {
            PX_TRY(add_buffers(f, carrier(f->jobs[i], true)));
        }
    }
    return PX_OK;
}

// --- all together --------------------------------------------------------------------------------

// try_job writes the job's record if it matches.
static px_err try_job(const px_job *job, const px_json *query, selection *s, bool *ret_fits)
{
    PX_AUTO_BUF text = {0};
    PX_AUTO(px_json) record = NULL;
    px_jsonw own = px_jsonw_to(&text);
    write_record(&own, job);
    PX_TRY(px_buf_status(&text));
    PX_TRY(px_json_parse(px_buf_slice(&text), &record, NULL));
    trial t = {.record = record, .fits = true};
    px_json_each(query, apply_test, &t);
    if (t.unknown) {
        return PX_EINVAL;
    }
    *ret_fits = t.fits;
    if (t.fits) {
        px_jsonw_object(s->w);
        px_json_each(record, select_member, s);
        px_jsonw_end_object(s->w);
    }
    return PX_OK;
}

static px_err write_records(px_front *front, const px_json *query, selection *s, found *f)
{
    for (const px_job *job = front->jobs; job != NULL; job = job->next) {
        bool fits = false;
        if (!job->recorded) {
            continue;
        }
        PX_TRY(try_job(job, query, s, &fits));
        if (fits) {
            f->jobs[f->n++] = job;
        }
    }
    return PX_OK;
}

px_err px__db_query(px_front *front, const px_json *content, px_jsonw *w, px_bytes ***ret_buffers,
                    size_t *ret_n)
{
    const px_json *keys = px_json_get(content, "keys");
    selection s = {.w = w, .keys = keys};
    PX_AUTO_FREE const px_job **jobs =
        calloc(HASH_CNT(by_id, front->jobs_by_id) + 1, sizeof(px_job *));
    found f = {.jobs = jobs};
    if (jobs == NULL) {
        return PX_ENOMEM;
    }
    px_jsonw_key(w, "records");
    px_jsonw_array(w);
    px_err err = write_records(front, px_json_get(content, "query"), &s, &f);
    px_jsonw_end_array(w);
    if (err == PX_OK) {
        err = write_buffers(w, keys, &f);
    }
    *ret_buffers = f.buffers;
    *ret_n = f.n_buffers;
    return err;
}
