// Python acts on a signal between two of its own instructions. So does it on a pending call, which
// any thread may ask for: when an interrupt is two seconds old and the call that was asked for with
// it has not been made, the main thread is in C code, or waits for another thread that is.
//
// Where it is, is read without the GIL, by Python's own faulthandler: a signal has the main thread
// write its traceback into a pipe, from inside whatever it is doing. When nothing comes out of the
// pipe either, the user is told without a place.

#include "io/stuck.h"

#include "io/io.h"
#include "io/need.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define PX_STUCK_AGAIN (50 * PX_NS_PER_MS)
#define PX_STUCK_AFTER (2 * PX_NS_PER_S)
#define PX_STUCK_PLACE (300 * PX_NS_PER_MS) // for the traceback
#define PX_STUCK_TEXT 65536                 // bytes of it

px_err px_stuck_init(px_stuck *stuck)
{
    int fds[2];
    *stuck = (px_stuck){.read_fd = -1, .write_fd = -1};
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        return PX_ENOMEM;
    }
    stuck->read_fd = fds[0];
    stuck->write_fd = fds[1];
    return PX_OK;
}

void px_stuck_done(px_stuck *stuck)
{
    if (stuck->read_fd >= 0) {
        (void)close(stuck->read_fd);
        (void)close(stuck->write_fd);
    }
    px_parent_unref(stuck->cell);
    px_buf_done(&stuck->place);
}

// find gives the offset behind the first `word` in text from start on; SIZE_MAX: it is not there.
static size_t find(px_slice text, size_t start, const char *word)
{
    size_t size = strlen(word);
    for (size_t at = start; at + size <= text.size; at++) {
        if (memcmp(text.data + at, word, size) == 0) {
            return at + size;
        }
    }
    return SIZE_MAX;
}

static px_slice part(px_slice text, size_t start, size_t end)
{
    return px_slice_of(text.data + start, end - start);
}

bool px_stuck_place(px_slice text, px_buf *out)
{
    size_t path = find(text, 0, "  File \"");
    size_t end = path != SIZE_MAX ? find(text, path, "\n") : SIZE_MAX;
    size_t number = end != SIZE_MAX ? find(text, path, "\", line ") : SIZE_MAX;
    size_t name = number != SIZE_MAX ? find(text, number, " in ") : SIZE_MAX;
    if (name == SIZE_MAX || name >= end) {
        return false;
    }
    px_slice file = part(text, path, number - strlen("\", line "));
    px_slice line = part(text, number, name - strlen(" in "));
    px_slice function = part(text, name, end - 1);
    bool module = px_slice_equal(function, PX_SLICE_LITERAL("<module>"));
    if (find(file, 0, "/ipykernel_") != SIZE_MAX) {
        px_buf_printf(out, "at line %.*s of %s cell", (int)line.size, (const char *)line.data,
                      module ? "the" : "a");
    } else {
        px_buf_printf(out, "at %.*s, line %.*s", (int)file.size, (const char *)file.data,
                      (int)line.size, (const char *)line.data);
    }
    if (!module) {
        px_buf_printf(out, ", in %.*s", (int)function.size, (const char *)function.data);
    }
    return px_buf_status(out) == PX_OK;
}

// forget ends the watch.
static void forget(px_stuck *stuck)
{
    px_parent_unref(stuck->cell);
    stuck->cell = NULL;
    stuck->again = false;
    stuck->asked = false;
    stuck->told = false;
}

// still_stuck tells if what was interrupted runs on, and Python has not come by since.
static bool still_stuck(px_io *io)
{
    px_kernel *kernel = io->kernel;
    px_stuck *stuck = &kernel->stuck;
    px_parent *running = px_interrupt_running(&kernel->interrupt);
    bool same = running != NULL && running == stuck->cell;
    px_parent_unref(running);
    return same && atomic_load(&stuck->alive) < stuck->question;
}

// write_text writes what the user is told.
static void write_text(const px_config *config, px_slice where, px_buf *out)
{
    PX_AUTO_BUF who = {0};
    PX_AUTO_BUF cure = {0};
    if (config->engine) {
        px_buf_printf(&who, " of engine %lld", (long long)config->engine_id);
        px_buf_printf(&cure,
                      "interrupt once more to leave it to that, or restart it (`pxcluster "
                      "restart --engines %lld`)",
                      (long long)config->engine_id);
    } else {
        px_buf_append_str(&cure, "or restart the kernel");
    }
    px_buf_append_str(out, "The interrupt has not acted yet: Python");
    px_buf_append_slice(out, px_buf_slice(&who));
    px_buf_append_str(out, " is in a C function that does not look for interrupts");
    if (where.size > 0) {
        px_buf_append_str(out, ", called ");
        px_buf_append_slice(out, where);
    }
    px_buf_append_str(out, ". It acts when that function returns. Wait for that, ");
    px_buf_append_slice(out, px_buf_slice(&cure));
    px_buf_append_str(out, "; until then all variables are kept.\n");
    px_must(px_buf_status(&who));
    px_must(px_buf_status(&cure));
    px_must(px_buf_status(out));
}

static void tell(px_io *io)
{
    px_stuck *stuck = &io->kernel->stuck;
    PX_AUTO_BUF where = {0};
    PX_AUTO_BUF text = {0};
    PX_AUTO_BUF content = {0};
    if (!px_stuck_place(px_buf_slice(&stuck->place), &where)) {
        px_buf_clear(&where);
    }
    write_text(&io->kernel->config, px_buf_slice(&where), &text);
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "name", "stderr");
    px_jsonw_key(&w, "text");
    px_jsonw_slice(&w, px_buf_slice(&text));
    px_jsonw_end_object(&w);
    px_must(px_buf_status(&content));
    px_io_send(io, PX_IOPUB, stuck->cell,
               &(px_outgoing){.msg_type = "stream", .content = px_buf_slice(&content)});
    stuck->told = true;
}

static void due(void *context, px_ns now)
{
    px_io *io = context;
    px_stuck *stuck = &io->kernel->stuck;
    if (stuck->cell == NULL || stuck->told) {
        return;
    }
    if (!still_stuck(io)) {
        forget(stuck);
        return;
    }
    if (!stuck->again) {
        stuck->again = true;
        px_interrupt_again(&io->kernel->interrupt);
        px_timer_set(stuck->timer, now + PX_STUCK_AFTER - PX_STUCK_AGAIN);
        return;
    }
    int signum = atomic_load(&stuck->signal);
    if (!stuck->asked && signum != 0 && pthread_kill(io->kernel->interrupt.main, signum) == 0) {
        stuck->asked = true;
        px_timer_set(stuck->timer, now + PX_STUCK_PLACE);
        return;
    }
    tell(io);
}

static void place_came(void *context, int events)
{
    (void)events;
    px_io *io = context;
    px_stuck *stuck = &io->kernel->stuck;
    char bytes[4096];
    ssize_t n;
    while ((n = read(stuck->read_fd, bytes, sizeof(bytes))) > 0) {
        if (stuck->place.size < PX_STUCK_TEXT) {
            px_buf_append(&stuck->place, bytes, (size_t)n);
        }
    }
    px_must(px_buf_status(&stuck->place));
}

px_err px_stuck_attach(px_io *io)
{
    px_stuck *stuck = &io->kernel->stuck;
    PX_TRY(px_loop_add_fd(io->loop, "stuck", stuck->read_fd, PX_READABLE, place_came, io, NULL));
    return px_loop_add_timer(io->loop, "stuck", UINT64_MAX, 0, due, io, &stuck->timer);
}

void px_stuck_watch(px_io *io)
{
    px_kernel *kernel = io->kernel;
    px_stuck *stuck = &kernel->stuck;
    bool (*ask)(uint64_t) = atomic_load(&stuck->ask);
    px_parent *running = px_interrupt_running(&kernel->interrupt);
    if (running == NULL || ask == NULL || running == stuck->cell) {
        px_parent_unref(running); // nothing runs, or this one is being watched
        return;
    }
    forget(stuck);
    stuck->cell = running;
    stuck->place.size = 0;
    stuck->question++;
    if (ask(stuck->question)) {
        px_timer_set(stuck->timer, px_now() + PX_STUCK_AGAIN);
    } else {
        forget(stuck);
    }
}
