// output.c: outputs of engines, kept and made ready to be shown.
//
// Order: outputs of one engine are kept in the order in which they came, and a text is joined to
// the output before it only when that is text of the same stream, so nothing moves past anything
// else.

#include "io/output.h"

#include "px/json.h"

#include <stdlib.h>
#include <string.h>

static px_output *output_new(px_outputs *outputs, px_message *message)
{
    px_output *output = calloc(1, sizeof *output);
    if (output == NULL) {
        return NULL;
    }
    output->message = message;
    if (outputs->last == NULL) {
        outputs->first = output;
    } else {
        outputs->last->next = output;
    }
    outputs->last = output;
    return output;
}

px_err px_outputs_add(px_outputs *outputs, px_message *message, px_output **ret_output)
{
    px_output *output = output_new(outputs, message);
    if (output == NULL) {
        return PX_ENOMEM;
    }
    if (ret_output != NULL) {
        *ret_output = output;
    }
    return PX_OK;
}

px_err px_outputs_add_text(px_outputs *outputs, px_message *message, bool is_stderr, px_slice text)
{
    px_output *output = outputs->last;
    bool joins = output != NULL && output->is_stream && output->is_stderr == is_stderr;
    if (!joins) {
        output = output_new(outputs, message);
        if (output == NULL) {
            return PX_ENOMEM;
        }
        output->is_stream = true;
        output->is_stderr = is_stderr;
    }
    px_buf_append_slice(&output->text, text);
    if (joins) {
        px_message_free(message);
    }
    return PX_OK;
}

void px_outputs_done(px_outputs *outputs)
{
    px_output *output = outputs->first;
    while (output != NULL) {
        px_output *next = output->next;
        px_message_free(output->message);
        px_buf_done(&output->text);
        free(output);
        output = next;
    }
    *outputs = (px_outputs){0};
}

static bool is_same(const px_speaker *speaker, uint32_t engine, bool is_stderr)
{
    return speaker->speaking && speaker->engine == engine && speaker->is_stderr == is_stderr;
}

bool px_speaker_breaks(const px_speaker *speaker, uint32_t engine, bool is_stderr, bool *ret_stderr)
{
    *ret_stderr = speaker->is_stderr;
    return speaker->speaking && speaker->midline && !is_same(speaker, engine, is_stderr);
}

void px_speaker_say(px_speaker *speaker, uint32_t engine, bool is_stderr, px_slice text,
                    px_buf *out)
{
    if (text.size == 0) {
        return;
    }
    if (!is_same(speaker, engine, is_stderr)) {
        px_buf_printf(out, "[%s:%u] ", is_stderr ? "stderr" : "stdout", engine);
    }
    px_buf_append_slice(out, text);
    speaker->speaking = true;
    speaker->engine = engine;
    speaker->is_stderr = is_stderr;
    speaker->midline = text.data[text.size - 1] != '\n';
}

void px_speaker_pause(px_speaker *speaker)
{
    *speaker = (px_speaker){0};
}

typedef struct rewrite {
    px_jsonw w;
    uint32_t engine;
    int64_t count; // execution count of a result
    bool is_result;
    px_err err;
} rewrite;

static void copy_value(rewrite *r, const char *key, const px_json *value)
{
    PX_AUTO_BUF text = {0};
    px_err err = px_json_dump(value, &text);
    if (err != PX_OK) {
        r->err = err;
        return;
    }
    px_jsonw_key(&r->w, key);
    px_jsonw_raw(&r->w, px_buf_slice(&text));
}

static void copy_metadata(void *context, const char *key, const px_json *value)
{
    if (strcmp(key, "engine") != 0) {
        copy_value(context, key, value);
    }
}

// copy_data heads the plain text of a result; a text of several lines starts on a line of its own.
static void copy_data(void *context, const char *key, const px_json *value)
{
    rewrite *r = context;
    if (!r->is_result || strcmp(key, "text/plain") != 0 || !px_json_is_string(value)) {
        copy_value(r, key, value);
        return;
    }
    const char *plain = px_json_as_string(value, "");
    PX_AUTO_BUF text = {0};
    px_buf_printf(&text, "\x1b[0;31mOut[%u:%lld]: \x1b[0m%s", r->engine, (long long)r->count,
                  strchr(plain, '\n') != NULL ? "\n" : "");
    px_buf_append_str(&text, plain);
    px_jsonw_key(&r->w, key);
    px_jsonw_slice(&r->w, px_buf_slice(&text));
}

px_err px_output_content(px_msg_type type, px_slice content, uint32_t engine, px_buf *out)
{
    PX_AUTO(px_json) json = NULL;
    PX_TRY(px_json_parse(content, &json, NULL));
    rewrite r = {.w = px_jsonw_to(out),
                 .engine = engine,
                 .count = px_json_int(json, "execution_count", 0),
                 .is_result = type == PX_MSG_EXECUTE_RESULT};
    px_jsonw_object(&r.w);
    px_jsonw_key(&r.w, "data");
    px_jsonw_object(&r.w);
    px_json_each(px_json_get(json, "data"), copy_data, &r);
    px_jsonw_end_object(&r.w);
    px_jsonw_key(&r.w, "metadata");
    px_jsonw_object(&r.w);
    px_json_each(px_json_get(json, "metadata"), copy_metadata, &r);
    px_jsonw_key_int(&r.w, "engine", (int64_t)engine);
    px_jsonw_end_object(&r.w);
    if (px_json_is_object(px_json_get(json, "transient"))) {
        copy_value(&r, "transient", px_json_get(json, "transient"));
    }
    px_jsonw_end_object(&r.w);
    return r.err != PX_OK ? r.err : px_buf_status(out);
}
