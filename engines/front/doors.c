// doors.c: what clients send, and the answers.
//
// The front's key is the cluster's own, so a request goes to its engine with the very bytes and the
// signature that the client wrote, behind a route frame. Answers are composed anew: ipyparallel
// wants to know in their metadata which engine answered. A broadcast becomes one request for each
// engine, each with a message id of its own, as ipyparallel's tree of schedulers does it.

#include "front.h"

#include "px/id.h"
#include "px/log.h"
#include "px/terms.h"

#include <stdio.h>
#include <stdlib.h>

#define ABORT_AGAIN (50 * PX_NS_PER_MS)

// --- answers -------------------------------------------------------------------------------------

px_err px__send(px_front *front, px_door door, const px_message *to, const char *prefix,
                const px_outgoing *outgoing)
{
    PX_AUTO_FRAMES frames = {0};
    if (to != NULL) {
        PX_TRY(px_frames_share(&frames, &to->frames, 0, 1)); // the client's own identity
    }
    if (prefix != NULL) {
        PX_TRY(px_frames_push_copy(&frames, px_slice_str(prefix)));
    }
    PX_TRY(px_session_compose(front->session, outgoing, &frames));
    return px_socket_send(front->doors[door], &frames);
}

static px_slice content_of(const px_job *job)
{
    return job->reply != NULL ? job->reply->content : px_buf_slice(&job->content);
}

// write_member copies a member of the request's metadata.
static void write_member(px_jsonw *w, const px_json *metadata, const char *key,
                         const char *otherwise)
{
    const px_json *value = px_json_get(metadata, key);
    px_jsonw_key(w, key);
    if (value == NULL) {
        px_jsonw_raw(w, px_slice_str(otherwise));
    } else if (px_json_dump(value, w->out) == PX_OK) { // else the buffer remembers
        w->need_comma = true;
    }
}

static void write_engine_info(px_jsonw *w, const px_job *job)
{
    px_jsonw_key(w, "engine_info");
    px_jsonw_object(w);
    px_jsonw_key_string(w, "engine_uuid", job->worker->uuid);
    px_jsonw_key_int(w, "engine_id", job->worker->id);
    px_jsonw_end_object(w);
}

// write_targets is metadata broadcast_targets: who is in a coalesced answer.
static void write_targets(px_jsonw *w, const px_gather *gather)
{
    px_jsonw_key(w, "broadcast_targets");
    px_jsonw_array(w);
    for (size_t i = 0; i < gather->n; i++) {
        if (gather->jobs[i] != NULL && gather->jobs[i]->worker != NULL) {
            px_jsonw_array(w);
            px_jsonw_string(w, gather->jobs[i]->worker->uuid);
            px_jsonw_int(w, gather->jobs[i]->worker->id);
            px_jsonw_end_array(w);
        }
    }
    px_jsonw_end_array(w);
}

static void write_metadata(px_job *job)
{
    PX_AUTO(px_json) asked = NULL;
    PX_AUTO(px_json) content = NULL;
    PX_AUTO(px_json) told = NULL; // by the engine
    px_jsonw w = px_jsonw_to(&job->metadata);
    const char *status = "ok";
    bool met = true;
    if (px_json_parse(job->request->metadata, &asked, NULL) != PX_OK) {
        asked = NULL; // then there is nothing to copy
    }
    if (job->failed && px_json_parse(content_of(job), &content, NULL) == PX_OK) {
        status = px_json_string(content, "status", "error");
        met = strcmp(px_json_string(content, "ename", ""), "UnmetDependency") != 0;
    }
    if (job->reply != NULL && px_json_parse(job->reply->metadata, &told, NULL) == PX_OK) {
        const char *started = px_json_string(told, "started", "");
        if (strlen(started) == PX_STAMP_SIZE - 1) {
            memcpy(job->started, started, PX_STAMP_SIZE);
        }
    }
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "started", job->started);
    px_jsonw_key_bool(&w, "dependencies_met", met);
    px_jsonw_key_string(&w, "engine", job->worker != NULL ? job->worker->uuid : NULL);
    write_member(&w, asked, "is_broadcast", "false");
    write_member(&w, asked, "is_coalescing", "false");
    px_jsonw_key_string(&w, "original_msg_id", job->original != NULL ? job->original : "");
    write_member(&w, asked, "label", "null");
    px_jsonw_key_string(&w, "status", status);
    if (job->failed && job->worker != NULL) {
        write_engine_info(&w, job);
    }
    if (job->gather != NULL) {
        write_targets(&w, job->gather);
    }
    px_jsonw_end_object(&w);
}

static const char *reply_type(const px_job *job, char type[80])
{
    const char *asked = job->door == PX_DOOR_CONTROL ? "clear_request" : job->request->msg_type;
    size_t length = strlen(asked);
    if (length > 8 && strcmp(asked + length - 8, "_request") == 0) {
        length -= 8;
    }
    (void)snprintf(type, 80, "%.*s_reply", (int)(length < 64 ? length : 64), asked);
    return type;
}

// buffers_of collects the buffers of a job's answer, or of a whole gathering. malloc'ed.
static px_bytes **buffers_of(const px_job *job, size_t *ret_n)
{
    px_job *const *jobs = job->gather != NULL ? job->gather->jobs : (px_job *const *)&job;
    size_t n_jobs = job->gather != NULL ? job->gather->n : 1;
    size_t n = 0;
    for (size_t i = 0; i < n_jobs; i++) {
        n += jobs[i] != NULL && jobs[i]->reply != NULL ? jobs[i]->reply->n_buffers : 0;
    }
    px_bytes **buffers = calloc(n + 1, sizeof(px_bytes *));
    *ret_n = 0;
    for (size_t i = 0; buffers != NULL && i < n_jobs; i++) {
        const px_message *reply = jobs[i] != NULL ? jobs[i]->reply : NULL;
        for (size_t k = 0; reply != NULL && k < reply->n_buffers; k++) {
            buffers[(*ret_n)++] = px_frames_at(&reply->frames, reply->first_buffer + k);
        }
    }
    return buffers;
}

// compose_from appends a message with a header that is there already: an engine's, so that its date
// is when the engine was done.
static px_err compose_from(px_front *front, px_slice header, const px_outgoing *outgoing,
                           px_frames *frames)
{
    char signature[PX_SIGNATURE_SIZE * 2];
    const px_slice parts[] = {header, outgoing->parent, outgoing->metadata, outgoing->content};
    PX_TRY(px_sign(front->signer, parts, 4, signature));
    PX_TRY(px_frames_push_copy(frames, PX_SLICE_LITERAL(PX_DELIMITER)));
    PX_TRY(px_frames_push_copy(frames, px_slice_str(signature)));
    for (size_t i = 0; i < 4; i++) {
        PX_TRY(px_frames_push_copy(frames, parts[i]));
    }
    for (size_t i = 0; i < outgoing->n_buffers; i++) {
        px_bytes *bytes = px_bytes_ref(outgoing->buffers[i]);
        if (px_frames_push(frames, bytes) != PX_OK) {
            px_bytes_unref(bytes);
            return PX_ENOMEM;
        }
    }
    return PX_OK;
}

// compose_answer sends an answer, and keeps its header for who asks for the record.
static px_err compose_answer(px_front *front, px_job *job, const px_outgoing *outgoing)
{
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_frames_share(&frames, &job->request->frames, 0, 1)); // the client
    if (job->door != PX_DOOR_BROADCAST && job->worker != NULL) {
        PX_TRY(px_frames_push_copy(&frames, px_slice_str(job->worker->uuid)));
    }
    size_t header = px_frames_count(&frames) + 2; // delimiter, signature, header
    if (job->reply != NULL && job->door != PX_DOOR_CONTROL) {
        PX_TRY(compose_from(front, job->reply->header, outgoing, &frames));
    } else {
        PX_TRY(px_session_compose(front->session, outgoing, &frames));
    }
    px_buf_append_slice(&job->header, px_frames_get(&frames, header));
    return job->nobody_waits ? PX_OK : px_socket_send(front->doors[job->door], &frames);
}

static void send_answer(px_front *front, px_job *job)
{
    char type[80];
    size_t n_buffers = 0;
    write_metadata(job);
    px_bytes **buffers = buffers_of(job, &n_buffers);
    const px_outgoing outgoing = {.msg_type = reply_type(job, type),
                                  .parent = job->request->header,
                                  .metadata = px_buf_slice(&job->metadata),
                                  .content = content_of(job),
                                  .buffers = buffers,
                                  .n_buffers = job->failed ? 0 : n_buffers};
    px_err err = buffers == NULL ? PX_ENOMEM : compose_answer(front, job, &outgoing);
    free(buffers);
    if (err != PX_OK) {
        px_log_error("answer not sent", "type=%s cause=%s", type, px_err_text(err));
    }
}

// gathered tells if this was the last answer of a broadcast; an error among them becomes its own.
static bool gathered(px_job *job)
{
    px_gather *gather = job->gather;
    if (gather == NULL) {
        return true;
    }
    return --gather->n_left == 0;
}

static px_job *spokesman(px_job *job)
{
    for (size_t i = 0; job->gather != NULL && i < job->gather->n; i++) {
        if (job->gather->jobs[i] != NULL && job->gather->jobs[i]->failed) {
            return job->gather->jobs[i];
        }
    }
    return job;
}

void px__door_answer(px_front *front, px_job *job)
{
    // A client that had sent to one engine takes its end from the notification, and would find an
    // answer behind it strange.
    bool lost_with_engine = job->lost && job->door == PX_DOOR_MUX;
    px_gather *gather = job->gather;
    if (!gathered(job)) {
        job->done = true; // kept for the last one
        return;
    }
    if (!lost_with_engine) {
        send_answer(front, spokesman(job));
    }
    if (gather == NULL) {
        px__job_done(front, job);
        return;
    }
    size_t n = gather->n;
    px_job **jobs = calloc(n, sizeof(px_job *));
    if (jobs == NULL) {
        return; // they stay until the end
    }
    memcpy(jobs, gather->jobs, n * sizeof(px_job *));
    for (size_t i = 0; i < n; i++) { // the first to go frees the gathering
        px__job_forget(front, jobs[i]);
    }
    free(jobs);
}

// refuse answers a job that never left.
static void refuse(px_front *front, px_job *job, const char *ename, const char *evalue)
{
    px_jsonw w = px_jsonw_to(&job->content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", ename);
    px_jsonw_key_string(&w, "evalue", evalue);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_key(&w, "engine_info");
    px_jsonw_object(&w);
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
    job->failed = true;
    px_stamp_now(job->received);
    px__door_answer(front, job);
}

// aborted_early tells if the client gave this request up before it came here; it is answered then.
static bool aborted_early(px_front *front, px_job *job)
{
    for (size_t i = 0; i < PX_EARLY; i++) {
        if (front->early[i][0] != '\0' && strcmp(front->early[i], job->request->msg_id) == 0) {
            front->early[i][0] = '\0';
            if (!job->recorded) {
                px__job_record(front, job);
            }
            px_buf_append_str(&job->content, "{\"status\":\"aborted\"}");
            job->failed = true;
            px_stamp_now(job->received);
            px__door_answer(front, job);
            return true;
        }
    }
    return false;
}

// --- mux -----------------------------------------------------------------------------------------

// addressee is the engine that the second frame names.
static px_worker *addressee(const px_front *front, const px_message *message)
{
    char uuid[64] = "";
    if (message->delimiter < 2) {
        return NULL;
    }
    px_slice frame = px_frames_get(&message->frames, 1);
    if (frame.size >= sizeof(uuid)) {
        return NULL;
    }
    memcpy(uuid, frame.data, frame.size);
    px_worker *worker = px__worker_by_uuid(front, uuid);
    return worker != NULL && worker->alive ? worker : NULL;
}

static void send_job(px_front *front, px_job *job, const px_frames *frames, size_t first)
{
    const px_route route = {.kind = PX_ROUTE_REQUEST, .task = job->task, .n = 1};
    px_err err = px__inside_send(front, &route, &job->worker->id, NULL, frames, first);
    if (err != PX_OK) {
        refuse(front, job, "EngineError", "the cluster is gone, or out of memory");
    }
}

static void take_mux(px_front *front, px_message *message)
{
    px_job *job = px__job_new(front, PX_DOOR_MUX);
    if (job == NULL) {
        px_message_free(message);
        return;
    }
    job->request = message;
    px__job_record(front, job);
    px_worker *worker = addressee(front, message);
    if (worker == NULL) {
        refuse(front, job, "EngineError", "this engine is not part of the cluster any more");
        return;
    }
    job->worker = worker;
    if (!aborted_early(front, job)) {
        send_job(front, job, &message->frames, message->delimiter);
    }
}

// --- tasks ---------------------------------------------------------------------------------------

// write_dependency appends the task numbers that `after` or `follow` name; gives the rule.
static uint8_t write_dependency(const px_front *front, const px_json *dependency, px_buf *numbers)
{
    const px_json *ids = dependency;
    unsigned rule = PX_TERMS_SUCCESS;
    if (px_json_is_object(dependency)) {
        ids = px_json_get(dependency, "dependencies");
        rule = (px_json_bool(dependency, "all", true) ? 0U : PX_TERMS_ANY) |
               (px_json_bool(dependency, "success", true) ? PX_TERMS_SUCCESS : 0U) |
               (px_json_bool(dependency, "failure", false) ? PX_TERMS_FAILURE : 0U);
    }
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const px_job *job = px__job_by_id(front, px_json_as_string(px_json_item(ids, i), ""));
        uint64_t task = job != NULL ? job->task : UINT64_MAX; // never was: an invalid dependency
        px_buf_append(numbers, &task, sizeof(task));
    }
    return (uint8_t)rule;
}

static px_err make_terms(const px_front *front, const px_json *metadata, px_bytes **ret_terms)
{
    PX_AUTO_BUF numbers = {0};
    double timeout = px_json_real(metadata, "timeout", 0);
    int64_t retries = px_json_int(metadata, "retries", 0);
    px_terms terms = {.retries = retries > 0 && retries <= UINT32_MAX ? (uint32_t)retries : 0};
    terms.after_rule = write_dependency(front, px_json_get(metadata, "after"), &numbers);
    terms.n_after = (uint32_t)(numbers.size / sizeof(uint64_t));
    terms.follow_rule = write_dependency(front, px_json_get(metadata, "follow"), &numbers);
    terms.n_follow = (uint32_t)(numbers.size / sizeof(uint64_t)) - terms.n_after;
    if (timeout > 0) {
        double ms = timeout * 1000 + 1; // 0 would mean none
        terms.timeout_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    }
    PX_TRY(px_buf_status(&numbers));
    bool plain = terms.retries == 0 && terms.timeout_ms == 0 && numbers.size == 0;
    *ret_terms = NULL;
    return plain ? PX_OK
                 : px_terms_encode(&terms, (const uint64_t *)(const void *)numbers.data, ret_terms);
}

// choose reads `targets`; false: it names only engines that are gone.
static bool choose(const px_front *front, const px_json *targets, px_buf *ids)
{
    size_t n = px_json_length(targets);
    for (size_t i = 0; i < n; i++) {
        const px_worker *worker =
            px__worker_by_uuid(front, px_json_as_string(px_json_item(targets, i), ""));
        if (worker != NULL && worker->alive) {
            px_buf_append(ids, &worker->id, sizeof(worker->id));
        }
    }
    return n == 0 || ids->size > 0;
}

static px_err send_task(px_front *front, px_job *job, const px_json *metadata, const px_buf *ids)
{
    px_bytes *terms = NULL;
    PX_TRY(px_buf_status(ids));
    PX_TRY(make_terms(front, metadata, &terms));
    const px_route route = {.kind = PX_ROUTE_TASK,
                            .flags = terms != NULL ? PX_ROUTE_TERMS : 0,
                            .task = job->task,
                            .n = (uint32_t)(ids->size / sizeof(uint32_t))};
    px_err err = px__inside_send(front, &route, (const uint32_t *)(const void *)ids->data, terms,
                                 &job->request->frames, job->request->delimiter);
    px_bytes_unref(terms);
    return err;
}

static void take_task(px_front *front, px_message *message)
{
    PX_AUTO(px_json) metadata = NULL;
    PX_AUTO_BUF ids = {0};
    px_job *job = px__job_new(front, PX_DOOR_TASK);
    if (job == NULL || px_json_parse(message->metadata, &metadata, NULL) != PX_OK) {
        if (job != NULL) {
            px__job_forget(front, job);
        }
        px_message_free(message);
        return;
    }
    job->request = message;
    if (!choose(front, px_json_get(metadata, "targets"), &ids)) {
        px__job_record(front, job);
        refuse(front, job, "ImpossibleDependency", "all engines that it may run on are gone");
        return;
    }
    if (aborted_early(front, job)) {
        return;
    }
    px_err err = send_task(front, job, metadata, &ids);
    px__job_record(front, job); // behind its dependencies: it may not wait for itself
    if (err != PX_OK) {
        refuse(front, job, "EngineError", "the cluster is gone, or out of memory");
    }
}

// --- broadcasts ----------------------------------------------------------------------------------

typedef struct rewrite {
    px_jsonw *w;
    const char *key;   // the member that is replaced
    const char *value; // by this string
} rewrite;

static void copy_member(void *context, const char *key, const px_json *value)
{
    rewrite *r = context;
    if (strcmp(key, r->key) == 0) {
        return;
    }
    px_jsonw_key(r->w, key);
    if (px_json_dump(value, r->w->out) == PX_OK) { // else the buffer remembers
        r->w->need_comma = true;
    }
}

// with_member is the object with one member replaced or added.
static px_err with_member(px_slice object, const char *key, const char *value, px_buf *out)
{
    PX_AUTO(px_json) json = NULL;
    px_jsonw w = px_jsonw_to(out);
    rewrite r = {.w = &w, .key = key, .value = value};
    PX_TRY(px_json_parse(object, &json, NULL));
    px_jsonw_object(&w);
    px_json_each(json, copy_member, &r);
    px_jsonw_key_string(&w, key, value);
    px_jsonw_end_object(&w);
    return px_buf_status(out);
}

// readdress makes a message of its own from another: other id and metadata, another date unless it
// is NULL, signed anew.
static px_err readdress(px_front *front, const px_message *from, const char *id, const char *date,
                        px_slice metadata, px_frames *ret_frames)
{
    char signature[PX_SIGNATURE_SIZE * 2];
    PX_AUTO_BUF same_date = {0};
    PX_AUTO_BUF header = {0};
    PX_TRY(with_member(from->header, "msg_id", id, &same_date));
    if (date == NULL) {
        px_buf_append_slice(&header, px_buf_slice(&same_date));
    } else {
        PX_TRY(with_member(px_buf_slice(&same_date), "date", date, &header));
    }
    PX_TRY(px_buf_status(&header));
    const px_slice parts[] = {px_buf_slice(&header), from->parent, metadata, from->content};
    PX_TRY(px_sign(front->signer, parts, 4, signature));
    PX_TRY(px_frames_share(ret_frames, &from->frames, 0, 1)); // the client
    PX_TRY(px_frames_push_copy(ret_frames, PX_SLICE_LITERAL(PX_DELIMITER)));
    PX_TRY(px_frames_push_copy(ret_frames, px_slice_str(signature)));
    for (size_t i = 0; i < 4; i++) {
        PX_TRY(px_frames_push_copy(ret_frames, parts[i]));
    }
    return px_frames_share(ret_frames, &from->frames, from->first_buffer, from->n_buffers);
}

// new_from makes a job whose request is readdressed; NULL without memory.
static px_job *new_from(px_front *front, px_door door, const px_message *from, const char *id,
                        const char *date, px_slice metadata)
{
    PX_AUTO_FRAMES frames = {0};
    px_job *job = px__job_new(front, door);
    if (job != NULL &&
        (readdress(front, from, id, date, metadata, &frames) != PX_OK ||
         px_session_verify(front->verifier, &frames, false, &job->request, NULL) != PX_OK)) {
        px__job_forget(front, job);
        return NULL;
    }
    return job;
}

static px_job *broadcast_job(px_front *front, const px_message *all, const char *uuid)
{
    char id[256];
    PX_AUTO_BUF metadata = {0};
    (void)snprintf(id, sizeof(id), "%.128s_%.64s", all->msg_id, uuid);
    if (with_member(all->metadata, "original_msg_id", all->msg_id, &metadata) != PX_OK) {
        return NULL;
    }
    px_job *job = new_from(front, PX_DOOR_BROADCAST, all, id, NULL, px_buf_slice(&metadata));
    if (job != NULL) {
        job->original = strdup(all->msg_id);
    }
    return job;
}

static px_gather *new_gather(size_t n)
{
    px_gather *gather = calloc(1, sizeof(*gather));
    if (gather == NULL) {
        return NULL;
    }
    gather->jobs = calloc(n, sizeof(px_job *));
    if (gather->jobs == NULL) {
        free(gather);
        return NULL;
    }
    gather->n = n;
    gather->n_left = n;
    return gather;
}

static void take_broadcast(px_front *front, px_message *message)
{
    PX_AUTO(px_message) all = message;
    PX_AUTO(px_json) metadata = NULL;
    if (px_json_parse(all->metadata, &metadata, NULL) != PX_OK) {
        return;
    }
    const px_json *targets = px_json_get(metadata, "targets");
    size_t n = px_json_length(targets);
    px_gather *gather =
        px_json_bool(metadata, "is_coalescing", false) && n > 0 ? new_gather(n) : NULL;
    PX_AUTO_FREE px_job **jobs = calloc(n + 1, sizeof(px_job *));
    for (size_t i = 0; jobs != NULL && i < n; i++) {
        const char *uuid = px_json_as_string(px_json_item(px_json_item(targets, i), 0), "");
        jobs[i] = broadcast_job(front, all, uuid);
        if (gather != NULL) {
            gather->jobs[i] = jobs[i];
            gather->n_left -= jobs[i] == NULL ? 1 : 0;
        }
        if (jobs[i] != NULL) {
            jobs[i]->gather = gather;
            jobs[i]->worker = px__worker_by_uuid(front, uuid);
        }
    }
    for (size_t i = 0; jobs != NULL && i < n; i++) {
        if (jobs[i] != NULL && (jobs[i]->worker == NULL || !jobs[i]->worker->alive)) {
            refuse(front, jobs[i], "EngineError",
                   "this engine is not part of the cluster any more");
        } else if (jobs[i] != NULL) {
            send_job(front, jobs[i], &jobs[i]->request->frames, jobs[i]->request->delimiter);
        }
    }
}

// --- once more -----------------------------------------------------------------------------------

const char *px__door_resubmit(px_front *front, px_job *done)
{
    char id[PX_MSG_ID_SIZE];
    const px_buf no_targets = {0};
    char now[PX_STAMP_SIZE];
    px_session_next_id(front->session, id);
    px_stamp_now(now);
    px_job *job = new_from(front, PX_DOOR_TASK, done->request, id, now, PX_SLICE_LITERAL("{}"));
    if (job == NULL) {
        return NULL;
    }
    job->nobody_waits = true; // who wants the result asks for it
    px__job_record(front, job);
    free(done->resubmitted);
    done->resubmitted = strdup(id);
    if (send_task(front, job, NULL, &no_targets) != PX_OK) {
        refuse(front, job, "EngineError", "the cluster is gone, or out of memory");
    }
    return done->resubmitted;
}

// --- control -------------------------------------------------------------------------------------

static void control_reply(px_front *front, const px_message *message, const char *msg_type,
                          const px_worker *worker)
{
    const px_outgoing outgoing = {.msg_type = msg_type,
                                  .parent = message->header,
                                  .content = PX_SLICE_LITERAL("{\"status\":\"ok\"}")};
    (void)px__send(front, PX_DOOR_CONTROL, message, worker->uuid, &outgoing);
}

static void take_signal(px_front *front, const px_json *content, const px_worker *worker)
{
    PX_AUTO_BUF out = {0};
    const px_json *signal = px_json_get(content, "sig");
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "engines");
    px_jsonw_array(&w);
    px_jsonw_int(&w, worker->id);
    px_jsonw_end_array(&w);
    px_jsonw_key(&w, "signal");
    if (px_json_is_int(signal)) {
        px_jsonw_int(&w, px_json_as_int(signal, 0));
    } else {
        px_jsonw_string(&w, px_json_as_string(signal, "SIGINT"));
    }
    px_jsonw_end_object(&w);
    (void)px__inside_ask(front, "signal_request", px_buf_slice(&out)); // its end is read from it
}

static void ask_abort(px_front *front)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "tasks");
    px_jsonw_array(&w);
    for (const px_job *job = front->jobs; job != NULL; job = job->next) {
        if (job->unwanted && !job->done) {
            px_jsonw_int(&w, (int64_t)job->task);
        }
    }
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    (void)px__inside_ask(front, "abort_request", px_buf_slice(&out)); // its end is read from it
}

// abort_again: a request and its abort travel on two links, and the abort may have come first.
static void abort_again(void *context, px_ns now)
{
    px_front *front = context;
    (void)now;
    ask_abort(front);
    for (px_job *job = front->jobs; job != NULL; job = job->next) {
        job->unwanted = false;
    }
}

// take_abort: an empty list means everything that waits there.
static void take_abort(px_front *front, const px_json *content, const px_worker *worker)
{
    const px_json *ids = px_json_get(content, "msg_ids");
    px_ns due = px_now() + ABORT_AGAIN;
    for (size_t i = 0; i < px_json_length(ids); i++) {
        const char *id = px_json_as_string(px_json_item(ids, i), "");
        px_job *job = px__job_by_id(front, id);
        if (job != NULL) {
            job->unwanted = true;
        } else {
            char *early = front->early[front->next_early++ % PX_EARLY];
            (void)snprintf(early, sizeof(front->early[0]), "%s", id); // cut: of nobody
        }
    }
    for (px_job *job = front->jobs; px_json_length(ids) == 0 && job != NULL; job = job->next) {
        job->unwanted = job->unwanted || job->worker == worker;
    }
    ask_abort(front);
    if (front->abort_timer != NULL) {
        px_timer_set(front->abort_timer, due);
    } else {
        (void)px_loop_add_timer(front->loop, "abort", due, 0, abort_again, front,
                                &front->abort_timer); // without it once must do
    }
}

// take_clear has the engine reset itself; the answer to that is the answer to clear_request.
static void take_clear(px_front *front, px_message *message, px_worker *worker)
{
    static const char code[] =
        "{\"code\":\"get_ipython().reset(new_session=False)\",\"silent\":true}";
    const px_outgoing outgoing = {.msg_type = "execute_request", .content = px_slice_str(code)};
    PX_AUTO_FRAMES frames = {0};
    px_job *job = px__job_new(front, PX_DOOR_CONTROL);
    if (job == NULL || px_session_compose(front->session, &outgoing, &frames) != PX_OK) {
        if (job != NULL) {
            px__job_forget(front, job);
        }
        px_message_free(message);
        return;
    }
    job->request = message;
    job->worker = worker;
    send_job(front, job, &frames, 0);
}

static void take_shutdown(px_front *front, const px_worker *worker)
{
    PX_AUTO_BUF out = {0};
    px_buf_printf(&out, "{\"engines\":[%u],\"hub\":false}", worker->id);
    (void)px__inside_ask(front, "shutdown_request", px_buf_slice(&out)); // its end is read from it
}

static void take_control(px_front *front, px_message *message)
{
    px_worker *worker = addressee(front, message);
    PX_AUTO(px_json) content = NULL;
    if (worker == NULL || px_json_parse(message->content, &content, NULL) != PX_OK) {
        px_message_free(message);
        return;
    }
    if (strcmp(message->msg_type, "clear_request") == 0) {
        take_clear(front, message, worker);
        return;
    }
    if (strcmp(message->msg_type, "signal_request") == 0) {
        take_signal(front, content, worker);
        control_reply(front, message, "_request", worker); // so an ipengine's nanny names it
    } else if (message->type == PX_MSG_ABORT_REQUEST) {
        take_abort(front, content, worker);
        control_reply(front, message, "abort_reply", worker);
    } else if (message->type == PX_MSG_SHUTDOWN_REQUEST) {
        take_shutdown(front, worker);
        control_reply(front, message, "shutdown_reply", worker);
    }
    px_message_free(message);
}

void px__door_message(px_front *front, px_door door, px_message *message)
{
    if (message->delimiter == 0) { // no way back
        px_message_free(message);
        return;
    }
    switch (door) {
    case PX_DOOR_MUX:
        take_mux(front, message);
        return;
    case PX_DOOR_TASK:
        take_task(front, message);
        return;
    case PX_DOOR_BROADCAST:
        take_broadcast(front, message);
        return;
    case PX_DOOR_CONTROL:
        take_control(front, message);
        return;
    default:
        px__hub_message(front, message);
        px_message_free(message);
    }
}
