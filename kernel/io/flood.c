// One cell's flood: counting what is shown, cutting where it becomes too much, keeping the end.

#include "io/flood.h"

#include "io/need.h"

#include <string.h>

#define LONG_LINE 4096 // bytes: shorter ones are not divided

px_flood_limits px_flood_limits_of(size_t most)
{
    px_flood_limits limits = PX_FLOOD_LIMITS;
    limits.most = most;
    limits.burst = most;
    if (limits.tail > most / 4) {
        limits.tail = most / 4;
    }
    return limits;
}

static void forget_tail(px_flood *flood)
{
    for (size_t i = 0; i < flood->n_tail; i++) {
        px_bytes_unref(flood->tail[i].bytes);
    }
    flood->n_tail = 0;
    flood->tail_size = 0;
}

void px_flood_drop_tail(px_flood *flood)
{
    forget_tail(flood);
}

void px_flood_reset(px_flood *flood)
{
    forget_tail(flood);
    px_buf_done(&flood->head);
    px_spill_unref(flood->spill);
    flood->spill = NULL;
    memset(flood->shown, 0, sizeof(flood->shown));
    flood->began = 0;
    flood->over = false;
    flood->kept_back = 0;
    flood->note = 0;
    flood->told = 0;
}

void px_flood_free(px_flood *flood)
{
    if (flood != NULL) {
        px_flood_reset(flood);
        free(flood);
    }
}

// --- what is shown ------------------------------------------------------------------------------

static size_t allowed(const px_flood *flood, const px_flood_limits *limits, px_ns now)
{
    double seconds = (double)(now - flood->began) / (double)PX_NS_PER_S;
    double sum = (double)limits->burst + (double)limits->rate * seconds;
    return sum < (double)limits->most ? (size_t)sum : limits->most;
}

size_t px_flood_shown(const px_flood *flood)
{
    return px_visible_size(&flood->shown[0]) + px_visible_size(&flood->shown[1]);
}

// cut is where to divide text so that at most size bytes come before: behind a line, else, when the
// line is a long one, between characters.
static size_t cut(px_slice text, size_t size)
{
    const uint8_t *line = size > 0 ? memrchr(text.data, '\n', size) : NULL;
    if (line != NULL) {
        return (size_t)(line - text.data) + 1;
    }
    if (memchr(text.data, '\n', text.size < LONG_LINE ? text.size : LONG_LINE) != NULL) {
        return 0;
    }
    while (size > 0 && (text.data[size] & 0xC0) == 0x80) {
        size--;
    }
    return size;
}

// remember keeps what is shown, for the file. What a progress bar wrote over is left out, and what
// is too old as well: the page has it no longer, or has it anyway.
static void remember(px_flood *flood, const px_flood_limits *limits, px_slice text)
{
    if (flood->head.size + text.size > 2 * limits->most) {
        px_buf smaller = {0};
        px_overwrite(px_buf_slice(&flood->head), &smaller);
        px_must(px_buf_status(&smaller));
        if (smaller.size > limits->most) {
            px_buf_clear(&smaller);
        }
        px_buf_done(&flood->head);
        flood->head = smaller;
    }
    px_buf_append_slice(&flood->head, text);
    px_must(px_buf_status(&flood->head));
}

// --- what is kept back --------------------------------------------------------------------------

static size_t part_size(const px_flood_part *part)
{
    return px_bytes_slice(part->bytes).size - part->from;
}

// push adds to the tail; a long text only its end, in a copy, so that its memory can go.
static void push(px_flood *flood, const px_flood_limits *limits, px_stream_name stream,
                 px_bytes *text, size_t from)
{
    px_slice whole = px_bytes_slice(text);
    px_flood_part part = {.from = from, .stream = stream};
    if (whole.size - from > 4 * limits->tail) {
        px_slice end = px_slice_of(whole.data + whole.size - limits->tail, limits->tail);
        px_must(px_bytes_copy(end, &part.bytes));
        part.from = 0;
    } else {
        part.bytes = px_bytes_ref(text);
    }
    flood->tail_size += part_size(&part);
    flood->tail[flood->n_tail++] = part;
}

// shorten drops parts that the tail does not need.
static void shorten(px_flood *flood, const px_flood_limits *limits)
{
    size_t n = 0;
    size_t size = flood->tail_size;
    while (n + 1 < flood->n_tail && (size - part_size(&flood->tail[n]) >= limits->tail ||
                                     flood->n_tail - n >= PX_FLOOD_PARTS)) {
        size -= part_size(&flood->tail[n]);
        px_bytes_unref(flood->tail[n].bytes);
        n++;
    }
    flood->n_tail -= n;
    flood->tail_size = size;
    memmove(flood->tail, flood->tail + n, flood->n_tail * sizeof(*flood->tail));
}

void px_flood_spill(px_flood *flood, px_spills *spills)
{
    if (flood->spill != NULL) {
        return;
    }
    flood->spill = px_spill_new(spills, PX_SPILL_TEXT);
    if (flood->head.size > 0) {
        px_bytes *head = NULL;
        px_must(px_bytes_copy(px_buf_slice(&flood->head), &head));
        px_buf_done(&flood->head);
        px_spill_write(flood->spill, head, 0);
        px_bytes_unref(head);
    }
    for (size_t i = 0; i < flood->n_tail; i++) {
        px_spill_write(flood->spill, flood->tail[i].bytes, flood->tail[i].from);
    }
}

static void keep_back(px_flood *flood, const px_flood_limits *limits, px_spills *spills,
                      px_stream_name stream, px_bytes *text, size_t from)
{
    size_t size = px_bytes_slice(text).size - from;
    flood->over = true;
    flood->kept_back += size;
    if (flood->spill == NULL &&
        (flood->tail_size + size > limits->tail || flood->n_tail + 1 >= PX_FLOOD_PARTS)) {
        px_flood_spill(flood, spills);
    }
    if (flood->spill != NULL) {
        px_spill_write(flood->spill, text, from);
    }
    push(flood, limits, stream, text, from);
    shorten(flood, limits);
}

size_t px_flood_add(px_flood *flood, const px_flood_limits *limits, px_spills *spills,
                    px_stream_name stream, px_bytes *text, px_ns now)
{
    px_slice slice = px_bytes_slice(text);
    if (flood->began == 0) {
        flood->began = now;
    }
    size_t fits = 0;
    if (!flood->over) {
        px_visible before = flood->shown[stream];
        size_t room = allowed(flood, limits, now);
        px_visible_add(&flood->shown[stream], slice);
        fits = slice.size;
        if (px_flood_shown(flood) > room) {
            flood->shown[stream] = before;
            size_t used = px_flood_shown(flood);
            fits = used < room && !px_overwrites(slice) ? cut(slice, room - used) : 0;
            px_visible_add(&flood->shown[stream], px_slice_of(slice.data, fits));
        }
        remember(flood, limits, px_slice_of(slice.data, fits));
    }
    if (fits < slice.size) {
        keep_back(flood, limits, spills, stream, text, fits);
    }
    return fits;
}

size_t px_flood_tail_start(const px_flood *flood, const px_flood_limits *limits)
{
    if (flood->kept_back <= flood->tail_size || flood->n_tail == 0) {
        return 0;
    }
    px_slice whole = px_bytes_slice(flood->tail[0].bytes);
    px_slice text = px_slice_of(whole.data + flood->tail[0].from, part_size(&flood->tail[0]));
    size_t at = flood->tail_size > limits->tail ? flood->tail_size - limits->tail : 0;
    at = at < text.size ? at : 0; // the parts behind it are what is wanted
    const uint8_t *line = memchr(text.data + at, '\n', text.size - at);
    size_t next = line != NULL ? (size_t)(line - text.data) + 1 : text.size;
    if (next - at <= (text.size - at) / 2) {
        return next;
    }
    while (at < text.size && (text.data[at] & 0xC0) == 0x80) {
        at++;
    }
    return at;
}
