// json.h: JSON in two directions: reading through jansson behind few functions, writing by
// appending to a px_buf.
//
// px_json is a parsed document or a part of one (borrowed from its root). No jansson type leaves
// json.c. Depth is limited to 512.
#ifndef PX_JSON_H
#define PX_JSON_H

#include "px/buf.h"
#include "px/err.h"
#include "px/own.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct px_json px_json;

// px_json_parse reads one JSON value of any kind; reterr (may be NULL) names position and cause.
// Invalid UTF-8 is PX_EJSON.
px_err px_json_parse(px_slice text, px_json **ret_json, px_error *reterr);
void px_json_free(px_json *json); // the root that px_json_parse gave
PX_DEFINE_AUTO(px_json, px_json_free)

bool px_json_is_object(const px_json *json);
// The getters give otherwise when the member is absent or of another kind. A string with a NUL
// character in it is none for those that give a const char *.
const px_json *px_json_get(const px_json *object, const char *key); // NULL when absent
const char *px_json_string(const px_json *object, const char *key, const char *otherwise);
int64_t px_json_int(const px_json *object, const char *key, int64_t otherwise);
double px_json_real(const px_json *object, const char *key, double otherwise);
bool px_json_bool(const px_json *object, const char *key, bool otherwise);
size_t px_json_length(const px_json *array); // 0 when not an array
const px_json *px_json_item(const px_json *array, size_t index);
const char *px_json_as_string(const px_json *json, const char *otherwise);
int64_t px_json_as_int(const px_json *json, int64_t otherwise);
// px_json_text is a string member with its length, so that NUL characters survive; {NULL, 0} when
// it is absent or no string.
px_slice px_json_text(const px_json *object, const char *key);
bool px_json_is_string(const px_json *json);
bool px_json_is_int(const px_json *json);
bool px_json_is_array(const px_json *json);
bool px_json_is_null(const px_json *json);
// px_json_each calls visit for every member of an object, in the order of the text.
typedef void px_json_visit(void *context, const char *key, const px_json *value);
void px_json_each(const px_json *object, px_json_visit *visit, void *context);
// px_json_dump appends the compact text of a parsed value.
px_err px_json_dump(const px_json *json, px_buf *out);

// The writer: px_jsonw appends to out and looks after commas. Strings are escaped; invalid UTF-8
// becomes U+FFFD.
typedef struct px_jsonw {
    px_buf *out;
    bool need_comma;
} px_jsonw;
px_jsonw px_jsonw_to(px_buf *out);
void px_jsonw_object(px_jsonw *w);
void px_jsonw_end_object(px_jsonw *w);
void px_jsonw_array(px_jsonw *w);
void px_jsonw_end_array(px_jsonw *w);
void px_jsonw_key(px_jsonw *w, const char *key);
void px_jsonw_string(px_jsonw *w, const char *text);
void px_jsonw_slice(px_jsonw *w, px_slice text);
void px_jsonw_int(px_jsonw *w, int64_t number);
void px_jsonw_real(px_jsonw *w, double number); // NaN and infinities become null
void px_jsonw_bool(px_jsonw *w, bool value);
void px_jsonw_null(px_jsonw *w);
void px_jsonw_raw(px_jsonw *w, px_slice json);                            // already JSON
void px_jsonw_key_string(px_jsonw *w, const char *key, const char *text); // NULL text: null
void px_jsonw_key_int(px_jsonw *w, const char *key, int64_t number);
void px_jsonw_key_bool(px_jsonw *w, const char *key, bool value);

#endif
