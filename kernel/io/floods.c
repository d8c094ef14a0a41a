// Cells that print more than a page can hold: sending the beginning, the note and the end.
//
// The note is a display with an identity of its own, so that it can say, twice a second, how far
// the output has come; its last words are sent before the reply, and the end of the text after
// them. A reply that finds its file unfinished waits for it, and everything behind it, so that the
// note tells the truth and the file is whole when the cell has ended.

#include "io/io.h"
#include "io/need.h"
#include "io/note.h"

#include <string.h>

#define NOTE_PERIOD (500 * PX_NS_PER_MS)
#define OVERWRITE_FROM ((size_t)64 << 10) // bytes: shorter texts are sent as they are

// --- sending ------------------------------------------------------------------------------------

static void send_stream(px_io *io, const px_parent *to, px_stream_name stream, px_slice text)
{
    static const char *const names[] = {"stdout", "stderr"};
    PX_AUTO_BUF content = {0};
    PX_AUTO_BUF topic = {0};
    px_must(px_buf_reserve(&content, text.size + text.size / 16 + 64));
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "name", names[stream]);
    px_jsonw_key(&w, "text");
    px_jsonw_slice(&w, text);
    px_jsonw_end_object(&w);
    px_buf_printf(&topic, "stream.%s", names[stream]);
    px_must(px_buf_status(&content));
    px_outgoing message = {.msg_type = "stream", .content = px_buf_slice(&content)};
    px_io_send_now(io, PX_IOPUB, to, px_buf_slice(&topic), &message);
}

static void send_note(px_io *io, const px_parent *to, px_flood *flood, bool last)
{
    PX_AUTO_BUF content = {0};
    px_note note = {.session = io->kernel->config.session_id, .last = last};
    px_spill_look(flood->spill, &note.file);
    note.missing = flood->kept_back > flood->tail_size ? flood->kept_back - flood->tail_size : 0;
    if (!last && flood->n_tail > 0) {
        const px_flood_part *part = &flood->tail[flood->n_tail - 1];
        px_slice whole = px_bytes_slice(part->bytes);
        note.preview = px_slice_of(whole.data + part->from, whole.size - part->from);
    }
    bool first = flood->note == 0;
    if (first) {
        flood->note = ++io->floods.notes;
    }
    note.number = flood->note;
    px_note_write(&note, &content);
    px_must(px_buf_status(&content));
    px_outgoing message = {.msg_type = first ? "display_data" : "update_display_data",
                           .content = px_buf_slice(&content)};
    px_io_send_now(io, PX_IOPUB, to, PX_SLICE_LITERAL("display_data"), &message);
    flood->told = flood->kept_back;
}

static void send_tail(px_io *io, const px_parent *to, const px_flood *flood)
{
    size_t skip = px_flood_tail_start(flood, &io->floods.limits);
    PX_AUTO_BUF text = {0};
    for (size_t i = 0; i < flood->n_tail; i++) {
        const px_flood_part *part = &flood->tail[i];
        px_slice whole = px_bytes_slice(part->bytes);
        size_t from = part->from + (i == 0 ? skip : 0);
        px_buf_append(&text, whole.data + from, whole.size - from);
        px_must(px_buf_status(&text));
        bool more = i + 1 < flood->n_tail && flood->tail[i + 1].stream == part->stream;
        if (!more && text.size > 0) {
            send_stream(io, to, part->stream, px_buf_slice(&text));
            px_buf_clear(&text);
        }
    }
}

// --- those that keep text back ------------------------------------------------------------------

static void activate(px_io *io, px_parent *parent)
{
    px_floods *floods = &io->floods;
    if (!parent->flood->active) {
        parent->flood->active = true;
        parent->flood->next_active = floods->active;
        floods->active = px_parent_ref(parent);
    }
    if (!floods->armed) {
        floods->armed = true;
        px_timer_set(floods->timer, px_now() + NOTE_PERIOD);
    }
}

static void deactivate(px_io *io, px_parent *parent)
{
    px_parent **at = &io->floods.active;
    if (!parent->flood->active) {
        return;
    }
    while (*at != parent) {
        at = &(*at)->flood->next_active;
    }
    *at = parent->flood->next_active;
    parent->flood->active = false;
    px_parent_unref(parent); // whoever called has another reference
}

bool px_floods_has_file(px_spill *spill)
{
    px_spill_report report;
    px_spill_look(spill, &report);
    return report.path[0] != '\0' || report.lost > 0;
}

static bool is_settled(px_spill *spill)
{
    px_spill_report report;
    px_spill_look(spill, &report);
    return report.settled;
}

// notes_due tells each page how far it has come. The timer is px-io's.
static void notes_due(void *context, px_ns now)
{
    px_io *io = context;
    (void)now;
    px_io_lock(io);
    io->floods.armed = false;
    for (px_parent *at = io->floods.active; at != NULL; at = at->flood->next_active) {
        px_flood *flood = at->flood;
        px_flood_spill(flood, io->floods.spills);
        if (flood->told != flood->kept_back && px_floods_has_file(flood->spill)) {
            send_note(io, at, flood, false);
        }
    }
    px_io_unlock(io);
}

static void first_notes(px_io *io)
{
    for (px_parent *at = io->floods.active; at != NULL; at = at->flood->next_active) {
        px_flood *flood = at->flood;
        if (flood->spill != NULL && flood->note == 0 && px_floods_has_file(flood->spill)) {
            send_note(io, at, flood, false);
        }
    }
}

static void files_moved(void *context, int events)
{
    (void)events;
    px_io *io = context;
    px_spills_clear(io->floods.spills);
    px_io_lock(io);
    first_notes(io);
    px_io_unlock(io);
    px_io_drain(io, false);
}

static void finish(px_io *io, px_parent *parent)
{
    px_flood *flood = parent->flood;
    if (flood->spill != NULL) {
        send_note(io, parent, flood, true);
    }
    send_tail(io, parent, flood);
    deactivate(io, parent);
    px_flood_reset(flood);
}

// --- what io.c calls ----------------------------------------------------------------------------

px_what px_floods_what(const px_out *out)
{
    if (out->kind == PX_OUT_REPLY) {
        return out->channel == PX_SHELL ? PX_WHAT_ENDS : PX_WHAT_OTHER;
    }
    if (out->kind != PX_OUT_PUBLISH) {
        return PX_WHAT_OTHER;
    }
    if (strcmp(out->msg_type, "display_data") == 0) {
        return PX_WHAT_SHOWS;
    }
    if (strcmp(out->msg_type, "update_display_data") == 0) {
        return PX_WHAT_UPDATES;
    }
    if (strcmp(out->msg_type, "clear_output") == 0) {
        return PX_WHAT_CLEARS;
    }
    if (strcmp(out->msg_type, "error") == 0 || strcmp(out->msg_type, "execute_result") == 0) {
        return PX_WHAT_ENDS;
    }
    bool idle = strcmp(out->msg_type, "status") == 0 && out->content != NULL &&
                px_member_is(px_bytes_slice(out->content), "execution_state", "\"idle\"");
    return idle ? PX_WHAT_ENDS : PX_WHAT_OTHER;
}

bool px_floods_must_wait(px_spill *spill, bool settled, bool wait)
{
    if (spill == NULL || (settled ? is_settled(spill) : px_floods_has_file(spill))) {
        return false;
    }
    if (wait) {
        px_spill_wait(spill);
        return false;
    }
    return true;
}

bool px_floods_before(px_io *io, const px_out *out, bool wait)
{
    px_parent *parent = out->parent;
    px_flood *flood = parent != NULL ? parent->flood : NULL;
    if (flood == NULL) {
        return true;
    }
    switch (px_floods_what(out)) {
    case PX_WHAT_CLEARS:
        deactivate(io, parent);
        px_flood_reset(flood);
        break;
    case PX_WHAT_SHOWS:
        if (!flood->over) {
            break;
        }
        px_flood_spill(flood, io->floods.spills);
        if (px_floods_must_wait(flood->spill, false, wait)) {
            return false;
        }
        if (flood->note == 0) {
            send_note(io, parent, flood, false);
        }
        px_flood_drop_tail(flood);
        break;
    case PX_WHAT_ENDS:
        if (!flood->over) {
            px_flood_reset(flood);
        } else if (px_floods_must_wait(flood->spill, true, wait)) {
            return false;
        } else {
            finish(io, parent);
        }
        break;
    case PX_WHAT_UPDATES:
    case PX_WHAT_OTHER:
        break;
    }
    return true;
}

static void free_bytes(void *data, void *hint)
{
    (void)hint;
    free(data);
}

// bytes_of takes what buf holds.
static px_bytes *bytes_of(px_buf *buf)
{
    size_t size = 0;
    px_bytes *bytes = NULL;
    uint8_t *data = px_buf_detach(buf, &size);
    px_must(px_bytes_adopt(data, size, free_bytes, NULL, &bytes));
    return bytes;
}

// text_of takes the text of out.
static px_bytes *text_of(px_out *out)
{
    px_bytes *text = out->whole;
    out->whole = NULL;
    return text != NULL ? text : bytes_of(&out->text);
}

void px_floods_text(px_io *io, px_out *out)
{
    const px_flood_limits *limits = &io->floods.limits;
    px_parent *parent = out->parent;
    if (limits->most == 0 || parent == NULL || io->floods.off) {
        px_slice text = out->whole != NULL ? px_bytes_slice(out->whole) : px_buf_slice(&out->text);
        send_stream(io, parent, out->stream, text);
        return;
    }
    if (parent->flood == NULL) {
        parent->flood = px_need_zeroed(sizeof(*parent->flood));
    }
    px_bytes *text = text_of(out);
    px_slice slice = px_bytes_slice(text);
    px_flood *flood = parent->flood;
    PX_AUTO_BUF shorter = {0};
    if (!flood->over && slice.size >= OVERWRITE_FROM && px_overwrites(slice)) {
        px_overwrite(slice, &shorter);
        px_must(px_buf_status(&shorter));
        px_bytes_unref(text);
        text = bytes_of(&shorter);
        slice = px_bytes_slice(text);
    }
    size_t fits = px_flood_add(flood, limits, io->floods.spills, out->stream, text, px_now());
    if (fits > 0) {
        send_stream(io, parent, out->stream, px_slice_of(slice.data, fits));
    }
    if (fits < slice.size) {
        activate(io, parent);
    }
    px_outbox_slow_down(&io->kernel->outbox, flood->over ? 0 : px_flood_shown(flood));
    px_bytes_unref(text);
}

void px_floods_room(px_io *io)
{
    px_floods *floods = &io->floods;
    bool full = px_room_is_full(&io->kernel->outbox.room);
    if (full == floods->paused) {
        return;
    }
    floods->paused = full;
    for (int which = 0; which < 2; which++) {
        if (floods->capture[which] != NULL) {
            px_source_set_events(floods->capture[which], full ? 0 : PX_READABLE);
        }
    }
}

void px_io_set_output_limit(px_io *io, long long most)
{
    px_io_lock(io);
    io->floods.limits = most < 0 ? PX_FLOOD_LIMITS : px_flood_limits_of((size_t)most);
    px_io_unlock(io);
}

void px_io_output_limits(px_io *io, size_t *ret_most, size_t *ret_burst, size_t *ret_tail)
{
    px_io_lock(io);
    *ret_most = io->floods.limits.most;
    *ret_burst = io->floods.limits.burst;
    *ret_tail = io->floods.limits.tail;
    px_io_unlock(io);
}

void px_io_spill(px_io *io, px_slice text, uint64_t missing, px_buf *sentence, px_buf *note)
{
    px_spill *spill = px_spill_new(io->floods.spills, PX_SPILL_TEXT);
    px_note about = {.session = io->kernel->config.session_id, .last = true, .missing = missing};
    px_spill_write_now(spill, text);
    px_spill_look(spill, &about.file);
    px_spill_unref(spill);
    px_io_lock(io);
    about.number = ++io->floods.notes;
    px_io_unlock(io);
    px_note_sentence(&about, sentence);
    px_note_write(&about, note);
}

px_err px_floods_open(px_io *io)
{
    px_floods *floods = &io->floods;
    floods->off = io->kernel->config.engine;
    floods->limits = PX_FLOOD_LIMITS;
    PX_TRY(px_spills_new(&io->kernel->outbox.room, &floods->spills));
    PX_TRY(px_loop_add_timer(io->loop, "notes", UINT64_MAX, 0, notes_due, io, &floods->timer));
    return px_loop_add_fd(io->loop, "files", px_spills_fd(floods->spills), PX_READABLE, files_moved,
                          io, NULL);
}

void px_floods_close(px_io *io)
{
    while (io->floods.active != NULL) {
        deactivate(io, io->floods.active);
    }
    px_spills_free(io->floods.spills);
    io->floods.spills = NULL;
}
