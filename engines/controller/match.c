// match.c: see match.h. A record is compared as the JSON that it is sent as: queries are rare, and
// so what is compared is what is seen.

#include "match.h"

#include <fnmatch.h>
#include <string.h>
#include <time.h>

// --- dates ---------------------------------------------------------------------------------------

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

// read_offset reads `Z` or `±hh:mm` in minutes.
static bool read_offset(const char *text, int64_t *ret_minutes)
{
    *ret_minutes = 0;
    if (*text == 'Z' || *text == '\0') {
        return true;
    }
    if ((*text != '+' && *text != '-') || strlen(text) < 6) {
        return false;
    }
    int64_t minutes = digits(text + 1, 2) * 60 + digits(text + 4, 2);
    *ret_minutes = *text == '-' ? -minutes : minutes;
    return true;
}

// read_date gives microseconds since 1970 for `2026-01-31T12:34:56[.789012][Z|±hh:mm]`.
static bool read_date(const char *text, int64_t *ret_us)
{
    if (strlen(text) < 19 || text[4] != '-' || text[10] != 'T' || text[13] != ':') {
        return false;
    }
    struct tm utc = {.tm_year = (int)digits(text, 4) - 1900,
                     .tm_mon = (int)digits(text + 5, 2) - 1,
                     .tm_mday = (int)digits(text + 8, 2),
                     .tm_hour = (int)digits(text + 11, 2),
                     .tm_min = (int)digits(text + 14, 2),
                     .tm_sec = (int)digits(text + 17, 2)};
    int64_t us = 0;
    int64_t offset = 0;
    const char *rest = text + 19;
    if (*rest == '.') {
        int64_t unit = 100000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10) {
            us += (*rest - '0') * unit;
        }
    }
    if (!read_offset(rest, &offset)) {
        return false;
    }
    *ret_us = ((int64_t)timegm(&utc) - offset * 60) * 1000000 + us;
    return true;
}

// --- comparing -----------------------------------------------------------------------------------

typedef enum order { LESS, EQUAL, GREATER, UNLIKE } order;

static order order_of(int64_t one, int64_t two)
{
    return one < two ? LESS : one > two ? GREATER : EQUAL;
}

static bool is_null(const px_json *value)
{
    return value == NULL || px_json_is_null(value);
}

// same_text compares what has no order (objects, lists, booleans, fractions) as JSON.
static order same_text(const px_json *value, const px_json *wanted)
{
    PX_AUTO_BUF one = {0};
    PX_AUTO_BUF two = {0};
    bool same = value != NULL && wanted != NULL && px_json_dump(value, &one) == PX_OK &&
                px_json_dump(wanted, &two) == PX_OK &&
                px_slice_equal(px_buf_slice(&one), px_buf_slice(&two));
    return same ? EQUAL : UNLIKE;
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
    if (is_null(value) || is_null(wanted)) {
        return is_null(value) && is_null(wanted) ? EQUAL : UNLIKE;
    }
    return same_text(value, wanted);
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

// has_all tells if a list has every one of the wanted items.
static bool has_all(const px_json *value, const px_json *wanted)
{
    for (size_t i = 0; i < px_json_length(wanted); i++) {
        if (!among(px_json_item(wanted, i), value)) {
            return false;
        }
    }
    return px_json_is_array(value) && px_json_is_array(wanted);
}

static bool leaves(const px_json *value, const px_json *wanted)
{
    int64_t divisor = px_json_as_int(px_json_item(wanted, 0), 0);
    return px_json_is_int(value) && divisor != 0 &&
           px_json_as_int(value, 0) % divisor == px_json_as_int(px_json_item(wanted, 1), 0);
}

static bool globs(const px_json *value, const px_json *wanted)
{
    const char *text = px_json_as_string(value, NULL);
    const char *pattern = px_json_as_string(wanted, NULL);
    return text != NULL && pattern != NULL && fnmatch(pattern, text, 0) == 0;
}

static bool exists(const px_json *value, const px_json *wanted)
{
    PX_AUTO_BUF text = {0};
    bool yes = px_json_dump(wanted, &text) == PX_OK &&
               !px_slice_equal(px_buf_slice(&text), PX_SLICE_LITERAL("false"));
    return is_null(value) != yes;
}

// test_one applies one operator; false in ret_known when there is no such.
static bool test_one(const char *operator, const px_json * value, const px_json *wanted,
                     bool *ret_known)
{
    static const struct {
        const char *name;
        bool (*test)(const px_json *value, const px_json *wanted);
    } others[] = {
        {"$in", among}, {"$all", has_all}, {"$mod", leaves}, {"$exists", exists}, {"$glob", globs}};
    static const struct {
        const char *name;
        bool fits[4]; // by order
    } orders[] = {
        {"$eq", {[EQUAL] = true}},   {"$ne", {[LESS] = true, [GREATER] = true, [UNLIKE] = true}},
        {"$lt", {[LESS] = true}},    {"$lte", {[LESS] = true, [EQUAL] = true}},
        {"$gt", {[GREATER] = true}}, {"$gte", {[GREATER] = true, [EQUAL] = true}}};
    *ret_known = true;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        if (strcmp(operator, orders[i].name) == 0) {
            return orders[i].fits[compare(value, wanted)];
        }
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(operator, others[i].name) == 0) {
            return others[i].test(value, wanted);
        }
    }
    *ret_known = strcmp(operator, "$nin") == 0;
    return *ret_known && !among(value, wanted);
}

// --- the query -----------------------------------------------------------------------------------

// trial is one record being looked at.
typedef struct trial {
    const px_json *record;
    const px_json *value; // of the member that a test is about
    bool fits;
    px_err err;
    px_error *reterr;
} trial;

static void apply_operator(void *context, const char *operator, const px_json * wanted)
{
    trial *t = context;
    bool known = false;
    bool fits = test_one(operator, t->value, wanted, &known);
    if (!known) {
        t->err = px_error_set(t->reterr, PX_EINVAL,
                              "there is no operator '%.32s'; there are $eq $ne $lt $lte $gt $gte "
                              "$in $nin $all $mod $exists $glob",
                              operator);
    }
    t->fits = t->fits && fits;
}

// tests tells if a value is {"$op": …}, not an object to be equal to.
static void see_dollar(void *context, const char *key, const px_json *value)
{
    (void)value;
    *(bool *)context = *(bool *)context && key[0] == '$';
}

static bool tests(const px_json *wanted)
{
    bool all = true;
    px_json_each(wanted, see_dollar, &all);
    return all;
}

static void apply_test(void *context, const char *key, const px_json *wanted)
{
    trial *t = context;
    t->value = px_json_get(t->record, key);
    if (t->value == NULL) {
        t->err = px_error_set(t->reterr, PX_EINVAL, "records of tasks have no '%.64s'", key);
        return;
    }
    if (px_json_is_object(wanted) && tests(wanted)) {
        px_json_each(wanted, apply_operator, t);
    } else {
        t->fits = t->fits && compare(t->value, wanted) == EQUAL;
    }
}

px_err px_match(const px_json *query, const px_json *record, bool *ret_fits, px_error *reterr)
{
    trial t = {.record = record, .fits = true, .reterr = reterr};
    if (query != NULL && px_json_is_object(query)) {
        px_json_each(query, apply_test, &t);
    }
    *ret_fits = t.fits;
    return t.err;
}

// --- selecting -----------------------------------------------------------------------------------

bool px_match_asked(const px_json *keys, const char *key)
{
    bool found = keys == NULL || px_json_is_null(keys) || strcmp(key, "msg_id") == 0;
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
    const selection *s = context;
    if (!px_match_asked(s->keys, key)) {
        return;
    }
    px_jsonw_key(s->w, key);
    if (px_json_dump(value, s->w->out) == PX_OK) { // else the buffer remembers
        s->w->need_comma = true;
    }
}

void px_match_select(const px_json *record, const px_json *keys, px_jsonw *w)
{
    selection s = {.w = w, .keys = keys};
    px_jsonw_object(w);
    px_json_each(record, select_member, &s);
}
