// Writing JSON by appending. The state is one bit: does a comma come before the next value. Opening
// a bracket or writing a key clears it, anything finished sets it.
#include "utf8.h"

#include "px/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

px_jsonw px_jsonw_to(px_buf *out)
{
    return (px_jsonw){.out = out};
}

static void before_value(px_jsonw *w)
{
    if (w->need_comma) {
        px_buf_append(w->out, ",", 1);
    }
    w->need_comma = true;
}

static void open_bracket(px_jsonw *w, const char *bracket)
{
    before_value(w);
    px_buf_append(w->out, bracket, 1);
    w->need_comma = false;
}

static void close_bracket(px_jsonw *w, const char *bracket)
{
    px_buf_append(w->out, bracket, 1);
    w->need_comma = true;
}

void px_jsonw_object(px_jsonw *w)
{
    open_bracket(w, "{");
}

void px_jsonw_end_object(px_jsonw *w)
{
    close_bracket(w, "}");
}

void px_jsonw_array(px_jsonw *w)
{
    open_bracket(w, "[");
}

void px_jsonw_end_array(px_jsonw *w)
{
    close_bracket(w, "]");
}

// Appends the escape of a byte that cannot stand in a string.
static void append_escape(px_buf *out, uint8_t c)
{
    static const char hex_digits[] = "0123456789abcdef";
    static const char short_forms[] = "btn?fr"; // 8, 9, 10, 12, 13
    char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};

    if (c == '"' || c == '\\') {
        escape[1] = (char)c;
        px_buf_append(out, escape, 2);
    } else if (c >= 8 && c <= 13 && c != 11) {
        escape[1] = short_forms[c - 8];
        px_buf_append(out, escape, 2);
    } else {
        px_buf_append(out, escape, 6);
    }
}

// plain8 tells if eight bytes can all stand in a string as they are: printable ASCII without quote
// and backslash. Subtracting makes a byte borrow into its high bit where it is too small.
static bool plain8(const uint8_t *bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = ones << 7;
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    uint64_t bad = word | (word - ones * 0x20) | (quote - ones) | (backslash - ones);
    return (bad & high) == 0;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

// skip_plain is where the first byte from at on stands that is not plain ASCII.
static size_t skip_plain(px_slice text, size_t at)
{
    while (text.size - at >= 8 && plain8(text.data + at)) {
        at += 8;
    }
    while (at < text.size && is_plain(text.data[at])) {
        at++;
    }
    return at;
}

static void append_text(px_buf *out, px_slice text)
{
    size_t from = 0; // what comes before it is written
    size_t at = skip_plain(text, 0);

    while (at < text.size) {
        size_t length = px__utf8_length(text, at);
        if (length > 1) {
            at = skip_plain(text, at + length);
            continue;
        }
        px_buf_append(out, text.data + from, at - from);
        if (length == 1) {
            append_escape(out, text.data[at]);
        } else {
            px_buf_append(out, "\xef\xbf\xbd", 3);
        }
        from = at + 1;
        at = skip_plain(text, from);
    }
    px_buf_append(out, text.data + from, at - from);
}

void px_jsonw_slice(px_jsonw *w, px_slice text)
{
    before_value(w);
    // Room for all of it at once: most text needs no escapes. A failure is remembered by the
    // buffer.
    if (text.size < SIZE_MAX / 4 && px_buf_reserve(w->out, text.size + 2) != PX_OK) {
        return;
    }
    px_buf_append(w->out, "\"", 1);
    if (text.size != 0) {
        append_text(w->out, text);
    }
    px_buf_append(w->out, "\"", 1);
}

void px_jsonw_string(px_jsonw *w, const char *text)
{
    px_jsonw_slice(w, px_slice_str(text));
}

void px_jsonw_key(px_jsonw *w, const char *key)
{
    px_jsonw_string(w, key);
    px_buf_append(w->out, ":", 1);
    w->need_comma = false;
}

void px_jsonw_int(px_jsonw *w, int64_t number)
{
    char digits[24];
    char *end = digits + sizeof(digits);
    char *start = end;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        *--start = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        *--start = '-';
    }
    before_value(w);
    px_buf_append(w->out, start, (size_t)(end - start));
}

void px_jsonw_real(px_jsonw *w, double number)
{
    char text[40];

    if (!isfinite(number)) {
        px_jsonw_null(w);
        return;
    }
    // 17 digits are always enough, 15 often are and look better.
    int length = snprintf(text, sizeof(text), "%.15g", number);
    if (strtod(text, NULL) != number) {
        length = snprintf(text, sizeof(text), "%.17g", number);
    }
    for (int i = 0; i < length; i++) {
        if (text[i] == ',') { // user code may have set a locale
            text[i] = '.';
        }
    }
    before_value(w);
    px_buf_append(w->out, text, (size_t)length);
    if (strpbrk(text, ".e") == NULL) {
        px_buf_append(w->out, ".0", 2); // it stays a real number for who reads it
    }
}

void px_jsonw_bool(px_jsonw *w, bool value)
{
    before_value(w);
    px_buf_append_str(w->out, value ? "true" : "false");
}

void px_jsonw_null(px_jsonw *w)
{
    before_value(w);
    px_buf_append(w->out, "null", 4);
}

void px_jsonw_raw(px_jsonw *w, px_slice json)
{
    before_value(w);
    px_buf_append_slice(w->out, json);
}

void px_jsonw_key_string(px_jsonw *w, const char *key, const char *text)
{
    px_jsonw_key(w, key);
    if (text != NULL) {
        px_jsonw_string(w, text);
    } else {
        px_jsonw_null(w);
    }
}

void px_jsonw_key_int(px_jsonw *w, const char *key, int64_t number)
{
    px_jsonw_key(w, key);
    px_jsonw_int(w, number);
}

void px_jsonw_key_bool(px_jsonw *w, const char *key, bool value)
{
    px_jsonw_key(w, key);
    px_jsonw_bool(w, value);
}
