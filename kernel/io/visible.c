// Carriage returns. A line is made of segments between them; each segment covers what the ones
// before it wrote, as far as it reaches. So a segment can be left out when a later one of its line
// is at least as wide.

#include "io/visible.h"

// A cursor that goes up one line, as progress bars below each other use it.
#define UP "\x1b[A"

typedef struct segment {
    px_slice text;
    size_t width;  // in columns; KEEP: it does more than to write
    bool returned; // a carriage return stands before it
    bool clears;   // it begins by clearing the line
} segment;

#define KEEP SIZE_MAX
#define SEGMENTS 8 // of one line; more are let through as they are

static const uint8_t *find(px_slice text, size_t from, int byte)
{
    return from < text.size ? memchr(text.data + from, byte, text.size - from) : NULL;
}

static bool has_up(px_slice text)
{
    return text.size >= sizeof(UP) - 1 && memmem(text.data, text.size, UP, sizeof(UP) - 1) != NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

// add_segment counts text without control characters that matter.
static void add_segment(px_visible *visible, size_t size)
{
    visible->at += size;
    visible->line = larger(visible->line, visible->at);
}

static void push_above(px_visible *visible, size_t size)
{
    memmove(visible->above, visible->above + 1, (PX_VISIBLE_ABOVE - 1) * sizeof(size_t));
    visible->above[PX_VISIBLE_ABOVE - 1] = size;
}

static void end_line(px_visible *visible)
{
    visible->lines += visible->line + 1;
    push_above(visible, visible->line + 1);
    visible->line = 0;
    visible->at = 0;
}

// go_up forgets the line that the cursor leaves, and goes on with the one above.
static void go_up(px_visible *visible)
{
    size_t above = visible->above[PX_VISIBLE_ABOVE - 1];
    memmove(visible->above + 1, visible->above, (PX_VISIBLE_ABOVE - 1) * sizeof(size_t));
    visible->above[0] = 0;
    visible->lines -= above;
    visible->line = above > 0 ? above - 1 : 0;
    visible->at = 0;
}

// add_plain counts text without carriage returns and moves of the cursor.
static void add_plain(px_visible *visible, px_slice text)
{
    const uint8_t *last = memrchr(text.data, '\n', text.size);
    if (last != NULL) {
        size_t whole = (size_t)(last - text.data) + 1;
        const uint8_t *before = whole > 1 ? memrchr(text.data, '\n', whole - 1) : NULL;
        push_above(visible, before != NULL ? (size_t)(last - before) : visible->line + whole);
        visible->lines += visible->line + whole;
        visible->line = 0;
        visible->at = 0;
        text = px_slice_of(text.data + whole, text.size - whole);
    }
    add_segment(visible, text.size);
}

// add_line counts text that has no newline.
static void add_line(px_visible *visible, px_slice line)
{
    size_t from = 0;
    for (size_t at = 0; at < line.size; at++) {
        bool up = line.data[at] == '\x1b' && line.size - at >= sizeof(UP) - 1 &&
                  memcmp(line.data + at, UP, sizeof(UP) - 1) == 0;
        if (line.data[at] != '\r' && !up) {
            continue;
        }
        add_segment(visible, at - from);
        if (up) {
            at += sizeof(UP) - 2;
            go_up(visible);
        } else {
            visible->at = 0;
        }
        from = at + 1;
    }
    add_segment(visible, line.size - from);
}

void px_visible_add(px_visible *visible, px_slice text)
{
    if (text.size == 0) {
        return;
    }
    if (find(text, 0, '\r') == NULL && !has_up(text)) { // nearly always
        add_plain(visible, text);
        return;
    }
    size_t from = 0;
    const uint8_t *end;
    while ((end = find(text, from, '\n')) != NULL) {
        size_t size = (size_t)(end - text.data) - from;
        add_line(visible, px_slice_of(text.data + from, size));
        end_line(visible);
        from += size + 1;
    }
    add_line(visible, px_slice_of(text.data + from, text.size - from));
}

bool px_overwrites(px_slice text)
{
    const uint8_t *at = find(text, 0, '\r');
    while (at != NULL) {
        size_t next = (size_t)(at - text.data) + 1;
        if (next < text.size && text.data[next] != '\n') {
            return !has_up(text);
        }
        at = find(text, next, '\r');
    }
    return false;
}

// width_of is how many columns text takes: a colour takes none, a character one.
static size_t width_of(px_slice text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.size; at++) {
        if (text.data[at] == '\x1b') {
            const uint8_t *end = find(text, at, 'm');
            size_t size = end != NULL ? (size_t)(end - text.data) - at : 0;
            if (size < 2 || strspn((const char *)text.data + at + 1, "[;0123456789") < size - 1) {
                return KEEP;
            }
            at += size;
        } else if ((text.data[at] & 0xC0) != 0x80) {
            width++;
        }
    }
    return width;
}

static bool begins(px_slice text, px_slice start)
{
    return text.size >= start.size && memcmp(text.data, start.data, start.size) == 0;
}

static segment segment_of(px_slice text, bool returned)
{
    static const px_slice clearing[] = {{(const uint8_t *)"\x1b[K", 3},
                                        {(const uint8_t *)"\x1b[2K", 4}};
    segment made = {.text = text, .returned = returned};
    for (size_t i = 0; i < 2 && returned; i++) {
        if (begins(text, clearing[i])) {
            size_t size = clearing[i].size;
            made.clears = width_of(px_slice_of(text.data + size, text.size - size)) != KEEP;
        }
    }
    made.width = width_of(text);
    return made;
}

static bool covers(const segment *next, const segment *before)
{
    return next->returned && (next->clears || (before->width != KEEP && next->width != KEEP && //
                                               before->width <= next->width));
}

static void write_segments(const segment *segments, size_t n, px_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (segments[i].returned) {
            px_buf_append(out, "\r", 1);
        }
        px_buf_append_slice(out, segments[i].text);
    }
}

// write_line writes a line (without its newline) from its segments that can still be seen. first:
// it may go on with a line that begins elsewhere, so it is not known where its first segment ends.
static void write_line(px_slice line, bool first, px_buf *out)
{
    segment kept[SEGMENTS];
    size_t n = 0;
    bool returned = false;
    for (size_t from = 0; from <= line.size;) {
        const uint8_t *end = find(line, from, '\r');
        size_t size = end != NULL ? (size_t)(end - line.data) - from : line.size - from;
        segment next = segment_of(px_slice_of(line.data + from, size), returned);
        if (first && !returned) {
            next.width = KEEP;
        }
        while (n > 0 && covers(&next, &kept[n - 1])) {
            n--;
        }
        if (n == SEGMENTS) {
            write_segments(kept, n, out);
            n = 0;
        }
        kept[n++] = next;
        from += size + 1;
        returned = true;
    }
    write_segments(kept, n, out);
}

void px_overwrite(px_slice text, px_buf *out)
{
    size_t from = 0;
    const uint8_t *end;
    while ((end = find(text, from, '\n')) != NULL) {
        size_t size = (size_t)(end - text.data) - from;
        bool crlf = size > 0 && text.data[from + size - 1] == '\r';
        write_line(px_slice_of(text.data + from, crlf ? size - 1 : size), from == 0, out);
        px_buf_append_str(out, crlf ? "\r\n" : "\n");
        from += size + 1;
    }
    write_line(px_slice_of(text.data + from, text.size - from), from == 0, out);
}
