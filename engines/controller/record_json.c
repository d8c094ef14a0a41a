// record_json.c: a record as JSON, with the members of ipyparallel's task database. What is not
// known yet is null; buffers are left out, they are asked for by name.

#include "pack.h"
#include "records.h"

#include "px/json.h"
#include "px/own.h"

#include <string.h>

static void raw_or_null(px_jsonw *w, const char *key, px_slice json)
{
    px_jsonw_key(w, key);
    px_jsonw_raw(w, json.size != 0 ? json : PX_SLICE_LITERAL("null"));
}

static void string_or_null(px_jsonw *w, const char *key, const char *text)
{
    px_jsonw_key_string(w, key, text != NULL && text[0] != '\0' ? text : NULL);
}

// texts is what the outputs of a record come to.
typedef struct texts {
    px_buf out, err;
    px_buf result, error, input; // contents; empty when there was none
} texts;

static void keep_content(px_buf *at, px_slice content)
{
    px_buf_clear(at);
    px_buf_append_slice(at, content);
}

// one_output sorts in one message: delimiter first, as it was packed behind its route.
static void one_output(texts *t, const px_frames *frames)
{
    PX_AUTO(px_json) header = NULL;
    PX_AUTO(px_json) content = NULL;
    px_slice body = px_frames_get(frames, 6);
    if (px_frames_count(frames) < 7 ||
        px_json_parse(px_frames_get(frames, 3), &header, NULL) != PX_OK) {
        return;
    }
    const char *type = px_json_string(header, "msg_type", "");
    if (strcmp(type, "stream") == 0 && px_json_parse(body, &content, NULL) == PX_OK) {
        bool is_stderr = strcmp(px_json_string(content, "name", ""), "stderr") == 0;
        px_buf_append_slice(is_stderr ? &t->err : &t->out, px_json_text(content, "text"));
    } else if (strcmp(type, "execute_result") == 0) {
        keep_content(&t->result, body);
    } else if (strcmp(type, "error") == 0) {
        keep_content(&t->error, body);
    } else if (strcmp(type, "execute_input") == 0) {
        keep_content(&t->input, body);
    }
}

static void read_outputs(texts *t, px_slice packed)
{
    px_err err = PX_OK;
    while (err == PX_OK) {
        PX_AUTO_FRAMES frames = {0};
        err = px_unpack(&packed, &frames);
        if (err == PX_OK) {
            one_output(t, &frames);
        }
    }
}

static void write_outputs(px_jsonw *w, const px_record *record)
{
    texts t = {0};
    read_outputs(&t, px_buf_slice(&record->outputs));
    raw_or_null(w, "execute_input", px_buf_slice(&t.input));
    raw_or_null(w, "execute_result", px_buf_slice(&t.result));
    raw_or_null(w, "error", px_buf_slice(&t.error));
    px_jsonw_key(w, "stdout");
    px_jsonw_slice(w, px_buf_slice(&t.out));
    px_jsonw_key(w, "stderr");
    px_jsonw_slice(w, px_buf_slice(&t.err));
    px_buf *const all[] = {&t.out, &t.err, &t.result, &t.error, &t.input};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        px_buf_done(all[i]);
    }
}

static void write_reply(px_jsonw *w, const px_record *record)
{
    PX_AUTO(px_json) header = NULL;
    PX_AUTO(px_json) metadata = NULL;
    const px_kept *end = record->end;
    bool replied = px_record_replied(record);
    const px_slice none = {0};
    (void)px_json_parse(replied ? px_kept_frame(end, 3) : none, &header, NULL);
    (void)px_json_parse(replied ? px_kept_frame(end, 5) : none, &metadata, NULL);
    string_or_null(w, "engine_uuid", px_json_string(metadata, "engine", NULL));
    string_or_null(w, "started", px_json_string(metadata, "started", NULL));
    string_or_null(w, "completed",
                   px_json_string(header, "date", record->done ? record->received : NULL));
    raw_or_null(w, "result_header", replied ? px_kept_frame(end, 3) : none);
    raw_or_null(w, "result_metadata", replied ? px_kept_frame(end, 5) : none);
    raw_or_null(w, "result_content",
                end == NULL ? none : px_kept_frame(end, replied ? 6 : PX_LOST_CONTENT));
}

void px_record_json(const px_record *record, px_buf *out)
{
    PX_AUTO(px_json) metadata = NULL;
    (void)px_json_parse(px_record_request(record, 2), &metadata, NULL);
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "msg_id", record->msg_id);
    raw_or_null(&w, "header", px_record_request(record, 0));
    raw_or_null(&w, "metadata", px_record_request(record, 2));
    raw_or_null(&w, "content", px_record_request(record, 3));
    string_or_null(&w, "submitted", record->submitted);
    string_or_null(&w, "client_uuid", record->session);
    px_jsonw_key(&w, "engine_id");
    if (record->ran != PX_NOWHERE) {
        px_jsonw_int(&w, record->ran);
    } else if (record->key.engine != PX_NOWHERE) {
        px_jsonw_int(&w, record->key.engine);
    } else {
        px_jsonw_null(&w);
    }
    write_reply(&w, record);
    string_or_null(&w, "resubmitted", record->resubmitted);
    string_or_null(&w, "received", record->received);
    px_jsonw_key_string(&w, "queue", record->key.engine == PX_NOWHERE ? "task" : "mux");
    write_outputs(&w, record);
    string_or_null(&w, "label", px_json_string(metadata, "label", NULL));
    px_jsonw_end_object(&w);
}
