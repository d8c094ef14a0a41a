// Cells that show more than a page can hold, or quicker than one can look.

#include "io/displays.h"

#include "io/io.h"
#include "io/need.h"
#include "io/note.h"

#include <string.h>

#define UPDATES_PERIOD (PX_NS_PER_S / PX_UPDATES_RATE)
#define NOTE_PERIOD (500 * PX_NS_PER_MS)

// --- how much ------------------------------------------------------------------------------------

// pour takes one from the bucket and answers by how many it is overdrawn; 0: it was not empty.
static double pour(px_bucket *bucket, double burst, double rate, px_ns now)
{
    if (bucket->when != 0) {
        bucket->used -= (double)(now - bucket->when) / (double)PX_NS_PER_S * rate;
    }
    bucket->used = (bucket->used > 0 ? bucket->used : 0) + 1;
    bucket->when = now;
    return bucket->used > burst ? bucket->used - burst : 0;
}

// is_empty tells if the next pour would overdraw it.
static bool is_empty(const px_bucket *bucket, double burst, double rate, px_ns now)
{
    px_bucket copy = *bucket;
    return pour(&copy, burst, rate, now) > 0;
}

static bool is_full(const px_displays *state, px_ns now)
{
    uint64_t seconds = state->began != 0 ? (now - state->began) / PX_NS_PER_S : 0;
    uint64_t most = PX_DISPLAYS_BURST + PX_DISPLAYS_RATE * seconds;
    uint64_t most_bytes = PX_DISPLAYS_BYTES_BURST + PX_DISPLAYS_BYTES_RATE * seconds;
    return state->shown >= (most < PX_DISPLAYS_MOST ? most : PX_DISPLAYS_MOST) ||
           state->bytes >=
               (most_bytes < PX_DISPLAYS_BYTES_MOST ? most_bytes : PX_DISPLAYS_BYTES_MOST);
}

// --- those with something to do later ------------------------------------------------------------

static void set_timer(px_io *io, px_ns due)
{
    px_gallery *gallery = &io->gallery;
    if (!gallery->armed || due < gallery->due) {
        gallery->armed = true;
        gallery->due = due;
        px_timer_set(gallery->timer, due);
    }
}

static void activate(px_io *io, px_parent *parent, px_ns period)
{
    px_displays *state = parent->displays;
    if (!state->active) {
        state->active = true;
        state->next_active = io->gallery.active;
        io->gallery.active = px_parent_ref(parent);
    }
    set_timer(io, px_now() + period);
}

// deactivate takes parent off the list. Whoever calls has another reference.
static void deactivate(px_io *io, px_parent *parent)
{
    px_parent **at = &io->gallery.active;
    if (!parent->displays->active) {
        return;
    }
    while (*at != parent) {
        at = &(*at)->displays->next_active;
    }
    *at = parent->displays->next_active;
    parent->displays->active = false;
    px_parent_unref(parent);
}

// --- updates -------------------------------------------------------------------------------------

static px_slice identity(const px_out *out)
{
    px_slice transient = px_member(px_bytes_slice(out->content), "transient");
    return transient.size > 0 ? px_member(transient, "display_id") : transient;
}

static void send_updates(px_io *io, px_displays *state)
{
    while (state->updates != NULL) {
        px_out *out = state->updates;
        state->updates = out->next;
        out->next = NULL;
        state->n_updates--;
        px_io_send_entry(io, out);
        px_out_free(out);
    }
}

// hold keeps an update for later, in place of an earlier one of the same display.
static void hold(px_io *io, px_out *out, px_slice id)
{
    px_displays *state = out->parent->displays;
    px_out **at = &state->updates;
    while (*at != NULL && !px_slice_equal(identity(*at), id)) {
        at = &(*at)->next;
    }
    px_out *before = *at;
    out->next = before != NULL ? before->next : NULL;
    *at = out;
    if (before != NULL) {
        before->next = NULL;
        px_out_free(before);
    } else {
        state->n_updates++;
    }
    activate(io, out->parent, UPDATES_PERIOD);
}

static px_turn update(px_io *io, px_out *out)
{
    px_displays *state = out->parent->displays;
    px_ns now = px_now();
    if (state->updates == NULL &&
        !is_empty(&state->renewed, PX_UPDATES_BURST, PX_UPDATES_RATE, now)) {
        (void)pour(&state->renewed, PX_UPDATES_BURST, PX_UPDATES_RATE, now);
        return PX_TURN_NOW;
    }
    px_slice id = identity(out);
    if (id.size == 0) {
        return PX_TURN_NOW; // of no display: a front end ignores it
    }
    hold(io, out, id);
    if (state->n_updates > PX_UPDATES_HELD) {
        send_updates(io, state);
    }
    return PX_TURN_TAKEN;
}

// --- what is kept aside --------------------------------------------------------------------------

static void send_note(px_io *io, const px_parent *to, px_displays *state, bool last)
{
    PX_AUTO_BUF content = {0};
    px_note note = {.session = io->kernel->config.session_id,
                    .last = last,
                    .displays = state->kept,
                    .missing = state->kept_bytes};
    px_spill_look(state->spill, &note.file);
    bool first = state->note == 0;
    if (first) {
        state->note = ++io->floods.notes;
    }
    note.number = state->note;
    px_note_write(&note, &content);
    px_must(px_buf_status(&content));
    px_outgoing message = {.msg_type = first ? "display_data" : "update_display_data",
                           .content = px_buf_slice(&content)};
    px_io_send_now(io, PX_IOPUB, to, PX_SLICE_LITERAL("display_data"), &message);
    state->told = state->kept;
}

static void keep(px_io *io, px_out *out)
{
    px_displays *state = out->parent->displays;
    px_bytes *line = NULL;
    px_must(px_bytes_copy(PX_SLICE_LITERAL("\n"), &line));
    if (state->spill == NULL) {
        state->spill = px_spill_new(io->floods.spills, PX_SPILL_DISPLAYS);
    }
    px_spill_write(state->spill, out->content, 0);
    px_spill_write(state->spill, line, 0);
    px_bytes_unref(line);
    state->kept++;
    state->kept_bytes += px_bytes_slice(out->content).size;
    activate(io, out->parent, NOTE_PERIOD);
    px_out_free(out);
}

static void reset(px_io *io, px_parent *parent)
{
    px_displays *state = parent->displays;
    deactivate(io, parent);
    px_spill_unref(state->spill);
    *state = (px_displays){.sent = state->sent, .renewed = state->renewed};
}

static void due(void *context, px_ns now)
{
    px_io *io = context;
    px_io_lock(io);
    io->gallery.armed = false;
    px_parent *next = NULL;
    for (px_parent *at = io->gallery.active; at != NULL; at = next) {
        px_displays *state = at->displays;
        next = state->next_active;
        send_updates(io, state);
        if (state->told != state->kept && px_floods_has_file(state->spill)) {
            send_note(io, at, state, false);
        }
        if (state->spill == NULL) {
            deactivate(io, at); // the list's reference goes, and at with it if the cell is over
        }
    }
    if (io->gallery.active != NULL) {
        set_timer(io, now + NOTE_PERIOD);
    }
    px_io_unlock(io);
}

// --- what io.c calls -----------------------------------------------------------------------------

static px_turn display(px_io *io, px_out *out)
{
    px_displays *state = out->parent->displays;
    px_ns now = px_now();
    send_updates(io, state); // it may be of one of these
    if (is_full(state, now) && px_frames_count(&out->frames) == 0) {
        keep(io, out);
        return PX_TURN_TAKEN;
    }
    state->began = state->began != 0 ? state->began : now;
    return PX_TURN_NOW;
}

px_turn px_displays_turn(px_io *io, px_out *out, bool wait)
{
    px_parent *parent = out->parent;
    if (parent == NULL || io->floods.off || io->floods.limits.most == 0) {
        return PX_TURN_NOW;
    }
    if (parent->displays == NULL) {
        if (strstr(out->msg_type, "display_data") == NULL &&
            strcmp(out->msg_type, "clear_output") != 0) {
            return PX_TURN_NOW; // which is most messages
        }
        parent->displays = px_need_zeroed(sizeof(*parent->displays));
    }
    px_what what = px_floods_what(out);
    bool updates = what == PX_WHAT_UPDATES && out->content != NULL;
    bool shows = what == PX_WHAT_SHOWS && out->content != NULL;
    if (updates) {
        return update(io, out);
    }
    if (shows) {
        return display(io, out);
    }
    if (what != PX_WHAT_CLEARS && what != PX_WHAT_ENDS) {
        return PX_TURN_NOW;
    }
    px_displays *state = parent->displays;
    send_updates(io, state);
    if (what == PX_WHAT_ENDS && state->spill != NULL) {
        if (px_floods_must_wait(state->spill, true, wait)) {
            return PX_TURN_LATER;
        }
        send_note(io, parent, state, true);
    }
    reset(io, parent);
    return PX_TURN_NOW;
}

void px_displays_sent(px_io *io, const px_out *out)
{
    px_displays *state = out->parent != NULL ? out->parent->displays : NULL;
    if (state == NULL) {
        return;
    }
    px_what what = px_floods_what(out);
    if (what != PX_WHAT_SHOWS && what != PX_WHAT_UPDATES && what != PX_WHAT_CLEARS) {
        return;
    }
    px_ns now = px_now();
    if (what == PX_WHAT_SHOWS) {
        state->shown++;
        state->bytes += px_out_bytes(out);
    }
    double over = pour(&state->sent, PX_DISPLAYS_SENT_BURST, PX_DISPLAYS_SENT_RATE, now);
    if (over > 0) {
        px_ns wait = (px_ns)(over / PX_DISPLAYS_SENT_RATE * (double)PX_NS_PER_S);
        atomic_store(&io->kernel->outbox.not_before, now + wait);
    }
}

void px_displays_free(px_displays *displays)
{
    if (displays == NULL) {
        return;
    }
    while (displays->updates != NULL) {
        px_out *out = displays->updates;
        displays->updates = out->next;
        px_out_free(out);
    }
    px_spill_unref(displays->spill);
    free(displays);
}

px_err px_displays_open(px_io *io)
{
    return px_loop_add_timer(io->loop, "displays", UINT64_MAX, 0, due, io, &io->gallery.timer);
}

void px_displays_close(px_io *io)
{
    while (io->gallery.active != NULL) {
        px_parent *parent = io->gallery.active;
        send_updates(io, parent->displays);
        deactivate(io, parent);
    }
}
