// A message's header is read for four strings and then kept as bytes. Building a tree for that
// costs 4 us and some thirty allocations; walking over the text costs half a microsecond and none.
// The walk checks the whole grammar, since the same bytes go out again as the parent header of
// every reply: what is not JSON must stop here.
//
// Nesting is a bit stack, not recursion: 64 levels, then it is refused.
#include "scan.h"

#include "utf8.h"

typedef struct scanner {
    px_slice text;
    size_t at;
    const char *fault;
} scanner;

static int peek(const scanner *s)
{
    return s->at < s->text.size ? s->text.data[s->at] : -1;
}

static bool fail(scanner *s, const char *fault)
{
    s->fault = fault;
    return false;
}

static void skip_space(scanner *s)
{
    int c = peek(s);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        s->at++;
        c = peek(s);
    }
}

static bool is_hex(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(scanner *s)
{
    s->at++; // the backslash
    int c = peek(s);
    if (c >= 0 && strchr("\"\\/bfnrt", c) != NULL && c != '\0') {
        s->at++;
        return true;
    }
    if (c != 'u') {
        return fail(s, "unknown escape in a string");
    }
    s->at++;
    for (int i = 0; i < 4; i++) {
        if (!is_hex(peek(s))) {
            return fail(s, "\\u needs four hex digits");
        }
        s->at++;
    }
    return true;
}

static bool scan_string(scanner *s)
{
    if (peek(s) != '"') {
        return fail(s, "expected a string");
    }
    s->at++;
    while (s->at < s->text.size) {
        uint8_t c = s->text.data[s->at];
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            if (!scan_escape(s)) {
                return false;
            }
        } else if (c < 0x20) {
            return fail(s, "control character in a string");
        } else {
            size_t length = px__utf8_length(s->text, s->at);
            if (length == 0) {
                return fail(s, "invalid UTF-8");
            }
            s->at += length;
        }
    }
    return fail(s, "string without an end");
}

static bool scan_digits(scanner *s)
{
    size_t from = s->at;
    while (peek(s) >= '0' && peek(s) <= '9') {
        s->at++;
    }
    return s->at > from;
}

static bool scan_number(scanner *s)
{
    if (peek(s) == '-') {
        s->at++;
    }
    if (peek(s) == '0') {
        s->at++;
    } else if (!scan_digits(s)) {
        return fail(s, "expected a value");
    }
    if (peek(s) == '.') {
        s->at++;
        if (!scan_digits(s)) {
            return fail(s, "digits must follow the point");
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') {
            s->at++;
        }
        if (!scan_digits(s)) {
            return fail(s, "digits must follow the exponent");
        }
    }
    return true;
}

static bool scan_word(scanner *s, const char *word)
{
    size_t length = strlen(word);
    if (s->text.size - s->at < length || memcmp(s->text.data + s->at, word, length) != 0) {
        return fail(s, "expected a value");
    }
    s->at += length;
    return true;
}

static bool scan_scalar(scanner *s)
{
    switch (peek(s)) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

// Scans `"key" :` and the space around it.
static bool scan_key(scanner *s)
{
    skip_space(s);
    if (!scan_string(s)) {
        return false;
    }
    skip_space(s);
    if (peek(s) != ':') {
        return fail(s, "expected a colon");
    }
    s->at++;
    skip_space(s);
    return true;
}

// Closes as many levels as end here. false: a fault, or (without one) nothing is open any more.
static bool close_levels(scanner *s, uint64_t *is_object, int *depth)
{
    while (*depth > 0) {
        bool object = (*is_object & 1) != 0;
        skip_space(s);
        int c = peek(s);
        if (c == ',') {
            s->at++;
            skip_space(s);
            return !object || scan_key(s);
        }
        if (c != (object ? '}' : ']')) {
            return fail(s, object ? "expected a comma or }" : "expected a comma or ]");
        }
        s->at++;
        *is_object >>= 1;
        (*depth)--;
    }
    return false;
}

// Scans any value. The stack is one bit a level: 1 for an object, 0 for an array.
static bool scan_value(scanner *s)
{
    uint64_t is_object = 0;
    int depth = 0;

    for (;;) {
        int c = peek(s);
        if (c == '{' || c == '[') {
            if (depth == 63) {
                return fail(s, "nested more than 64 levels deep");
            }
            is_object = is_object << 1 | (c == '{' ? 1 : 0);
            depth++;
            s->at++;
            skip_space(s);
            int next = peek(s);
            if (next != (c == '{' ? '}' : ']')) {
                if (c == '{' && !scan_key(s)) {
                    return false;
                }
                continue;
            }
        } else if (!scan_scalar(s)) {
            return false;
        }
        if (!close_levels(s, &is_object, &depth)) {
            return s->fault == NULL;
        }
    }
}

static px_slice part(const scanner *s, size_t from, size_t to)
{
    return px_slice_of(s->text.data + from, to - from);
}

static bool scan_members(scanner *s, px__member *member, void *context)
{
    skip_space(s);
    if (peek(s) == '}') {
        s->at++;
        return true;
    }
    for (;;) {
        skip_space(s);
        size_t key_from = s->at + 1;
        if (!scan_string(s)) {
            return false;
        }
        px_slice key = part(s, key_from, s->at - 1);
        skip_space(s);
        if (peek(s) != ':') {
            return fail(s, "expected a colon");
        }
        s->at++;
        skip_space(s);
        size_t value_from = s->at;
        if (!scan_value(s)) {
            return false;
        }
        member(context, key, part(s, value_from, s->at));
        skip_space(s);
        int c = peek(s);
        s->at++;
        if (c == '}') {
            return true;
        }
        if (c != ',') {
            s->at--;
            return fail(s, "expected a comma or }");
        }
    }
}

px_err px__scan_object(px_slice text, px__member *member, void *context, px_error *reterr)
{
    scanner s = {.text = text};

    skip_space(&s);
    bool good = peek(&s) == '{' || fail(&s, "expected a JSON object");
    if (good) {
        s.at++;
        good = scan_members(&s, member, context);
    }
    if (good) {
        skip_space(&s);
        good = s.at == text.size || fail(&s, "text after the object");
    }
    if (!good) {
        return px_error_set(reterr, PX_EJSON, "byte %zu: %s", s.at, s.fault);
    }
    return PX_OK;
}

static uint32_t hex4(const uint8_t *digits)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = digits[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

// Decodes \uXXXX (and its second half) at p[at], the u. Gives how many bytes were read; 0: not text
// for C.
static size_t decode_unicode(px_slice body, size_t at, uint32_t *ret_point)
{
    uint32_t point = hex4(body.data + at + 1);

    if (point == 0 || (point >= 0xdc00 && point <= 0xdfff)) {
        return 0;
    }
    if (point < 0xd800 || point > 0xdbff) {
        *ret_point = point;
        return 5;
    }
    if (body.size - at < 11 || body.data[at + 5] != '\\' || body.data[at + 6] != 'u') {
        return 0;
    }
    uint32_t low = hex4(body.data + at + 7);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *ret_point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    return 11;
}

bool px__scan_string(px_slice value, char *out)
{
    static const char names[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";

    if (value.size < 2 || value.data[0] != '"') {
        return false;
    }
    px_slice body = px_slice_of(value.data + 1, value.size - 2);
    for (size_t at = 0; at < body.size;) {
        uint8_t c = body.data[at++];
        if (c != '\\') {
            *out++ = (char)c;
            continue;
        }
        c = body.data[at];
        if (c == 'u') {
            uint32_t point = 0;
            size_t read = decode_unicode(body, at, &point);
            if (read == 0) {
                return false;
            }
            at += read;
            out += put_utf8(out, point);
            continue;
        }
        const char *name = strchr(names, c);
        *out++ = name != NULL ? meanings[name - names] : (char)c;
        at++;
    }
    *out = '\0';
    return true;
}
