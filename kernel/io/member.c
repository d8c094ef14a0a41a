// Finding one member of a JSON object. The scanner knows strings and brackets and nothing else;
// text that is not JSON gives nothing, or something that is not there, but never reads outside.

#include "io/member.h"

#include <string.h>

static size_t skip_space(px_slice text, size_t at)
{
    while (at < text.size && (text.data[at] == ' ' || text.data[at] == '\n' ||
                              text.data[at] == '\t' || text.data[at] == '\r')) {
        at++;
    }
    return at;
}

// skip_string starts at the opening quote and ends behind the closing one.
static size_t skip_string(px_slice text, size_t at)
{
    at++;
    while (at < text.size) {
        const uint8_t *stop = memchr(text.data + at, '"', text.size - at);
        if (stop == NULL) {
            return text.size;
        }
        size_t quote = (size_t)(stop - text.data);
        size_t slashes = 0;
        while (quote - slashes > at && text.data[quote - slashes - 1] == '\\') {
            slashes++;
        }
        at = quote + 1;
        if (slashes % 2 == 0) {
            return at;
        }
    }
    return text.size;
}

static size_t skip_nested(px_slice text, size_t at)
{
    size_t depth = 0;
    while (at < text.size) {
        switch (text.data[at]) {
        case '"':
            at = skip_string(text, at);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0) {
                return at + 1;
            }
            break;
        default:
            break;
        }
        at++;
    }
    return text.size;
}

static size_t skip_value(px_slice text, size_t at)
{
    if (at >= text.size) {
        return at;
    }
    if (text.data[at] == '"') {
        return skip_string(text, at);
    }
    if (text.data[at] == '{' || text.data[at] == '[') {
        return skip_nested(text, at);
    }
    while (at < text.size && text.data[at] != ',' && text.data[at] != '}' && text.data[at] != ' ' &&
           text.data[at] != '\n' && text.data[at] != '\r' && text.data[at] != '\t') {
        at++;
    }
    return at;
}

px_slice px_member(px_slice object, const char *key)
{
    px_slice found = {0};
    size_t length = strlen(key);
    size_t at = skip_space(object, 0);
    if (at >= object.size || object.data[at] != '{') {
        return found;
    }
    at = skip_space(object, at + 1);
    while (at < object.size && object.data[at] == '"') {
        size_t name = at + 1;
        at = skip_string(object, at);
        bool same = at == name + length + 1 && memcmp(object.data + name, key, length) == 0;
        at = skip_space(object, at);
        if (at >= object.size || object.data[at] != ':') {
            break;
        }
        size_t value = skip_space(object, at + 1);
        at = skip_value(object, value);
        if (same && at > value) {
            found = px_slice_of(object.data + value, at - value);
        }
        at = skip_space(object, at);
        if (at >= object.size || object.data[at] != ',') {
            break;
        }
        at = skip_space(object, at + 1);
    }
    return found;
}

bool px_member_is(px_slice object, const char *key, const char *value)
{
    return px_slice_equal(px_member(object, key), px_slice_str(value));
}
