// Reading JSON through jansson. A px_json is jansson's value under another name; nothing else in
// the tree sees jansson.
//
// What comes from outside is bounded before jansson sees it: depth by a scan of brackets (jansson
// parses recursively), size by the caller. A string with a NUL character inside is not a string for
// our getters, because C would see only its first part.
#include "px/json.h"

#include <jansson.h>

#include <stdlib.h>

#define MAX_DEPTH 512

static const json_t *inner(const px_json *json)
{
    return (const json_t *)json;
}

static const px_json *outer(const json_t *value)
{
    return (const px_json *)value;
}

static bool depth_fits(px_slice text)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH) {
                return false;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return true;
}

px_err px_json_parse(px_slice text, px_json **ret_json, px_error *reterr)
{
    json_error_t error;

    if (!depth_fits(text)) {
        return px_error_set(reterr, PX_EJSON, "JSON is nested more than %d levels deep", MAX_DEPTH);
    }
    // jansson refuses a NULL text, even of no length.
    const char *data = text.size == 0 ? "" : (const char *)text.data;
    json_t *value = json_loadb(data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory) {
            return px_error_set(reterr, PX_ENOMEM, "out of memory while reading JSON");
        }
        return px_error_set(reterr, PX_EJSON, "line %d, column %d: %s", error.line, error.column,
                            error.text);
    }
    *ret_json = (px_json *)value;
    return PX_OK;
}

void px_json_free(px_json *json)
{
    json_decref((json_t *)json);
}

bool px_json_is_object(const px_json *json)
{
    return json_is_object(inner(json));
}

bool px_json_is_string(const px_json *json)
{
    return json_is_string(inner(json));
}

bool px_json_is_int(const px_json *json)
{
    return json_is_integer(inner(json));
}

bool px_json_is_array(const px_json *json)
{
    return json_is_array(inner(json));
}

bool px_json_is_null(const px_json *json)
{
    return json_is_null(inner(json));
}

const px_json *px_json_get(const px_json *object, const char *key)
{
    return outer(json_object_get(inner(object), key));
}

const char *px_json_as_string(const px_json *json, const char *otherwise)
{
    const char *text = json_string_value(inner(json));

    if (text == NULL || strlen(text) != json_string_length(inner(json))) {
        return otherwise;
    }
    return text;
}

const char *px_json_string(const px_json *object, const char *key, const char *otherwise)
{
    return px_json_as_string(px_json_get(object, key), otherwise);
}

px_slice px_json_text(const px_json *object, const char *key)
{
    const json_t *value = inner(px_json_get(object, key));
    return px_slice_of(json_string_value(value), json_string_length(value));
}

int64_t px_json_as_int(const px_json *json, int64_t otherwise)
{
    return json_is_integer(inner(json)) ? json_integer_value(inner(json)) : otherwise;
}

int64_t px_json_int(const px_json *object, const char *key, int64_t otherwise)
{
    return px_json_as_int(px_json_get(object, key), otherwise);
}

double px_json_real(const px_json *object, const char *key, double otherwise)
{
    const json_t *value = inner(px_json_get(object, key));
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool px_json_bool(const px_json *object, const char *key, bool otherwise)
{
    const json_t *value = inner(px_json_get(object, key));
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

size_t px_json_length(const px_json *array)
{
    return json_array_size(inner(array));
}

const px_json *px_json_item(const px_json *array, size_t index)
{
    return outer(json_array_get(inner(array), index));
}

void px_json_each(const px_json *object, px_json_visit *visit, void *context)
{
    json_t *members = (json_t *)(uintptr_t)object; // jansson's iterators are not const
    void *place = json_object_iter(members);

    while (place != NULL) {
        visit(context, json_object_iter_key(place), outer(json_object_iter_value(place)));
        place = json_object_iter_next(members, place);
    }
}

static int append(const char *text, size_t size, void *context)
{
    px_buf *out = context;
    px_buf_append(out, text, size);
    return out->failed ? -1 : 0;
}

px_err px_json_dump(const px_json *json, px_buf *out)
{
    if (json_dump_callback(inner(json), append, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
        out->failed = true;
        return PX_ENOMEM;
    }
    return PX_OK;
}
