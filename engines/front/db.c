// db.c: db_request: which records match a query (controller/match.h), and the members and buffers
// that are asked for.

#include "../controller/match.h"
#include "front.h"

#include <stdio.h>
#include <stdlib.h>

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
    bool requests = explicit && px_match_asked(keys, "buffers");
    bool results = explicit && px_match_asked(keys, "result_buffers");
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

// selection is where a matching record goes, and what of it.
typedef struct selection {
    px_jsonw *w;
    const px_json *keys;
} selection;

// try_job writes the job's record if it matches.
static px_err try_job(const px_job *job, const px_json *query, selection *s, bool *ret_fits)
{
    PX_AUTO_BUF text = {0};
    PX_AUTO(px_json) record = NULL;
    px_jsonw own = px_jsonw_to(&text);
    write_record(&own, job);
    PX_TRY(px_buf_status(&text));
    PX_TRY(px_json_parse(px_buf_slice(&text), &record, NULL));
    PX_TRY(px_match(query, record, ret_fits, NULL));
    if (*ret_fits) {
        px_match_select(record, s->keys, s->w);
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
