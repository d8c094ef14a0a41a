// px-io: one loop that owns every socket of the kernel and never waits for Python.
//
// In: the transport hands over frames (px_io_receive); they are verified here, once, and go three
// ways: answered on the spot (answer.c: heartbeats, kernel_info, interrupts, shutdown), put in
// front of whoever waits in input(), or posted to px-main's inbox.
//
// Out: px-io empties the outbox. Composing (headers, signature) happens at the end, off the GIL.
// What px-io answers itself goes past the outbox: it belongs to no cell, and must not wait behind
// one. The sending lock makes composing and sending one step, so that a transport that allows it
// can also be fed by px-main directly.

#include "io/io.h"

#include "io/need.h"

#include "px/thread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

px_kernel *px_io_kernel(px_io *io)
{
    return io->kernel;
}

px_loop *px_io_loop(px_io *io)
{
    return io->loop;
}

void px_io_lock(px_io *io)
{
    (void)pthread_mutex_lock(&io->send_lock);
}

void px_io_unlock(px_io *io)
{
    (void)pthread_mutex_unlock(&io->send_lock);
}

bool px_io_is_self(const px_io *io)
{
    return pthread_equal(pthread_self(), io->thread) != 0;
}

px_transport *px_io_way(const px_io *io, px_channel channel, const px_parent *to)
{
    px_transport *doors = atomic_load(&io->doors.transport);
    bool theirs = to != NULL ? to->door : channel == PX_IOPUB;
    return doors != NULL && theirs ? doors : io->transport;
}

// --- out ----------------------------------------------------------------------------------------

void px_topic(const px_config *config, const char *msg_type, px_buf *out)
{
    if (strcmp(msg_type, "display_data") == 0 || strcmp(msg_type, "update_display_data") == 0 ||
        strcmp(msg_type, "clear_output") == 0) {
        px_buf_append_str(out, "display_data");
        return;
    }
    const char *shown = strcmp(msg_type, "shutdown_reply") == 0 ? "shutdown" : msg_type;
    px_buf_printf(out, "kernel.%s.%s", config->ident, shown);
}

static px_slice parent_header(const px_parent *to)
{
    return to != NULL ? px_bytes_slice(to->header) : (px_slice){0};
}

void px_io_send_now(px_io *io, px_channel channel, const px_parent *to, px_slice topic,
                    px_outgoing *outgoing)
{
    outgoing->parent = parent_header(to);
    px_transport *way = px_io_way(io, channel, to);
    px_err err = way->ops->send(way, channel, to, topic, outgoing);
    if (err != PX_OK) {
        px_log_warning("message was not sent", "type=%s channel=%s cause=%s", outgoing->msg_type,
                       px_channel_name(channel), px_err_text(err));
    }
}

void px_io_send(px_io *io, px_channel channel, const px_parent *to, const px_outgoing *outgoing)
{
    PX_AUTO_BUF topic = {0};
    px_outgoing message = *outgoing;
    if (channel == PX_IOPUB) {
        px_topic(&io->kernel->config, outgoing->msg_type, &topic);
    }
    (void)pthread_mutex_lock(&io->send_lock);
    px_io_send_now(io, channel, to, px_buf_slice(&topic), &message);
    (void)pthread_mutex_unlock(&io->send_lock);
}

void px_io_status(px_io *io, const px_parent *to, const char *state)
{
    if (!px_io_wants_statuses(io, to)) {
        return;
    }
    PX_AUTO_BUF content = {0};
    px_buf_printf(&content, "{\"execution_state\":\"%s\"}", state);
    px_io_send(io, PX_IOPUB, to,
               &(px_outgoing){.msg_type = "status", .content = px_buf_slice(&content)});
}

static px_slice bytes_or_nothing(const px_bytes *bytes)
{
    return bytes != NULL ? px_bytes_slice(bytes) : (px_slice){0};
}

void px_io_send_entry(px_io *io, const px_out *out)
{
    PX_AUTO_BUF topic = {0};
    px_channel channel = out->kind == PX_OUT_PUBLISH ? PX_IOPUB : out->channel;
    px_outgoing message = {
        .msg_type = out->msg_type,
        .content = bytes_or_nothing(out->content),
        .metadata = bytes_or_nothing(out->metadata),
        .msg_id = out->msg_id,
        .date = out->kind == PX_OUT_REPLY ? out->made : NULL,
        .buffers = out->frames.items,
        .n_buffers = px_frames_count(&out->frames),
    };
    if (out->topic != NULL) {
        px_buf_append_slice(&topic, px_bytes_slice(out->topic));
        if (strncmp(out->msg_type, "comm_", 5) == 0 && !io->transport->ops->any_thread) {
            px_comms_sent(&io->kernel->subshells, px_buf_slice(&topic), out);
        }
    } else if (channel == PX_IOPUB) {
        px_topic(&io->kernel->config, out->msg_type, &topic);
    }
    px_io_send_now(io, channel, out->parent, px_buf_slice(&topic), &message);
    px_displays_sent(io, out);
}

static void send_out(px_io *io, px_out *out)
{
    switch (out->kind) {
    case PX_OUT_STREAM:
        px_floods_text(io, out);
        break;
    case PX_OUT_PUBLISH:
    case PX_OUT_REPLY:
        px_io_send_entry(io, out);
        break;
    case PX_OUT_RAW: {
        px_err err = io->transport->ops->send_raw(io->transport, out->channel, &out->frames);
        if (err != PX_OK) {
            px_log_warning("ready-made message was not sent", "channel=%s cause=%s",
                           px_channel_name(out->channel), px_err_text(err));
        }
        break;
    }
    case PX_OUT_ABORT: {
        if (out->parent == NULL ||
            !out->parent->door) { // else px-io has read what there was, or will
            io->transport->ops->drain(io->transport);
        }
        px_mailbox *inbox = px_shells_inbox(io->kernel, out->parent);
        if (inbox != NULL) {
            px_letter *letter = px_need_zeroed(sizeof(*letter));
            letter->kind = PX_NOTICE_ABORT_END;
            px_mailbox_post(inbox, letter);
        }
        break;
    }
    }
}

// send_taken sends what was taken from the outbox. False: something has to wait for a file.
static bool send_taken(px_io *io, bool flush)
{
    while (io->taken != NULL) {
        px_out *out = io->taken;
        px_out *next = out->next;
        px_turn turn = px_displays_turn(io, out, flush);
        if (turn == PX_TURN_TAKEN) {
            io->taken = next;
            continue;
        }
        if (turn == PX_TURN_LATER || !px_floods_before(io, out, flush)) {
            return false;
        }
        io->taken = next;
        send_out(io, out);
        px_out_free(out);
    }
    return true;
}

// send_rounds empties the outbox as far as it lets go. Sending lock held.
static void send_rounds(px_io *io, bool flush)
{
    px_outbox *box = &io->kernel->outbox;
    bool begin = true;
    while (send_taken(io, flush)) {
        io->taken = px_outs_merge(px_outbox_take(box, px_now(), begin, flush));
        begin = false;
        px_room_wake(&box->room);
        if (io->taken == NULL) {
            break;
        }
    }
}

void px_io_drain(px_io *io, bool flush)
{
    (void)pthread_mutex_lock(&io->send_lock);
    send_rounds(io, flush);
    (void)pthread_mutex_unlock(&io->send_lock);
    px_floods_room(io);
}

static void outbox_ready(void *context, int events)
{
    (void)events;
    px_io_drain(context, false);
}

static void text_due(void *context, int events)
{
    (void)events;
    px_io *io = context;
    uint64_t count;
    (void)!read(io->kernel->outbox.text_fd, &count, sizeof(count)); // it may have been set anew
    px_io_drain(io, false);
}

void px_io_post(px_io *io, px_out *chain)
{
    px_outbox *box = &io->kernel->outbox;
    if (chain == NULL) {
        return;
    }
    if (!io->transport->ops->any_thread) {
        px_outbox_post(box, chain);
        return;
    }
    px_outbox_post_quiet(box, chain);
    if (pthread_mutex_trylock(&io->send_lock) == 0) {
        send_rounds(io, false);
        (void)pthread_mutex_unlock(&io->send_lock);
    } else {
        px_outbox_wake(box); // somebody else sends just now
    }
}

void px_io_post_soon(px_io *io, px_out *chain)
{
    if (io->transport->ops->any_thread) {
        px_io_post(io, chain);
    } else if (chain != NULL) {
        px_outbox_post_quiet(&io->kernel->outbox, chain);
    }
}

void px_io_wake(px_io *io)
{
    px_outbox_wake(&io->kernel->outbox);
}

void px_io_next_id(px_io *io, char ret_id[PX_MSG_ID_SIZE])
{
    px_session_next_id(io->session, ret_id);
}

bool px_io_wants_statuses(const px_io *io, const px_parent *parent)
{
    return px_io_way(io, PX_IOPUB, parent)->ops->statuses;
}

// --- in -----------------------------------------------------------------------------------------

static void deliver(px_io *io, px_channel channel, px_message *message, bool door);

void px_io_receive(px_io *io, const px_transport *from, px_channel channel, px_frames *frames)
{
    px_message *message = NULL;
    px_error error = {0};
    // On an engine's private link the controller may send a task again, by design.
    bool door = from != io->transport;
    bool check_replay = door || !io->kernel->config.engine;
    px_err err = px_session_verify(from->verifier, frames, check_replay, &message, &error);
    if (err != PX_OK) {
        if (px_log_once(&io->bad_messages)) {
            px_log_warning("message dropped", "channel=%s cause=\"%s\" so_far=%lu",
                           px_channel_name(channel), error.text, io->bad_messages.count);
        }
        px_frames_done(frames);
        return;
    }
    deliver(io, channel, message, door);
}

static void post_request(px_io *io, px_request *request, px_subshell *shell)
{
    io->n_requests++;
    if (shell != NULL) {
        px_waiting_add(&shell->waiting, request);
        px_mailbox_post(&shell->inbox, &request->letter);
    } else if (!px_side_offer(io, request)) {
        px_waiting_add(&io->kernel->waiting, request);
        px_mailbox_post(&io->kernel->inbox, &request->letter);
    }
}

static void deliver(px_io *io, px_channel channel, px_message *message, bool door)
{
    px_request *request = px_request_new(channel, message);
    request->parent->door = door;
    px_subshell *shell = NULL;
    if (channel == PX_STDIN) {
        px_questions_answer(&io->kernel->questions, request);
    } else if (!px_shells_find(io, request, &shell) ||
               px_answer(io, channel, message, request->parent)) {
        px_request_free(request);
    } else {
        post_request(io, request, shell);
    }
}

void px_io_deliver(px_io *io, px_channel channel, px_message *message)
{
    deliver(io, channel, message, false);
}

void px_io_lost(px_io *io, const char *cause)
{
    if (!atomic_exchange(&io->lost, true)) {
        px_log_info("the connection is gone, ending", "cause=\"%s\"", cause);
        px_ending_begin(io, false);
    }
}

void px_io_set_kernel_info(px_io *io, px_bytes *content)
{
    (void)pthread_mutex_lock(&io->info_lock);
    px_bytes *before = io->kernel_info;
    io->kernel_info = content;
    (void)pthread_mutex_unlock(&io->info_lock);
    px_bytes_unref(before);
}

static void captured_ready(void *context, int events)
{
    (void)events;
    px_io *io = context;
    px_capture_drain(&io->kernel->capture, false);
    px_floods_room(io);
}

// --- the thread ---------------------------------------------------------------------------------

static void io_free(px_io *io)
{
    px_loop_free(io->loop);
    px_session_free(io->session);
    px_session_free(io->verifier);
    px_bytes_unref(io->kernel_info);
    (void)pthread_mutex_destroy(&io->send_lock);
    (void)pthread_mutex_destroy(&io->info_lock);
    if (io->opened_fd >= 0) {
        (void)close(io->opened_fd);
    }
    if (io->parent_fd >= 0) {
        (void)close(io->parent_fd);
    }
    free(io);
}

static px_err add_sources(px_io *io)
{
    px_kernel *kernel = io->kernel;
    PX_TRY(
        px_loop_add_fd(io->loop, "outbox", kernel->outbox.fd, PX_READABLE, outbox_ready, io, NULL));
    PX_TRY(
        px_loop_add_fd(io->loop, "text", kernel->outbox.text_fd, PX_READABLE, text_due, io, NULL));
    PX_TRY(px_loop_add_timer(io->loop, "side", UINT64_MAX, 0, px_side_due, io, &io->side_timer));
    PX_TRY(px_stuck_attach(io));
    PX_TRY(px_doors_attach(io));
    PX_TRY(px_known_attach(io));
    for (int which = 0; which < 2; which++) {
        int fd = px_capture_fd(&kernel->capture, which);
        if (fd >= 0) {
            PX_TRY(px_loop_add_fd(io->loop, "capture", fd, PX_READABLE, captured_ready, io,
                                  &io->floods.capture[which]));
        }
    }
    PX_TRY(px_displays_open(io));
    return px_floods_open(io);
}

static void *io_body(void *arg)
{
    px_io *io = arg;
    io->open_err = io->transport->ops->open(io->transport, io, &io->open_error);
    if (io->open_err == PX_OK) {
        io->open_err = add_sources(io);
        px_ending_watch_parent(io);
        px_witness_watch(io);
    }
    bool open = io->open_err == PX_OK;
    uint64_t one = 1;
    (void)!write(io->opened_fd, &one, sizeof(one)); // an empty eventfd takes it
    if (open) {
        px_err err = px_loop_run(io->loop);
        if (err != PX_OK) {
            px_log_error("px-io stopped", "cause=%s", px_err_text(err));
        }
        px_io_drain(io, true);
        px_io_lock(io);
        px_displays_close(io);
        px_io_unlock(io);
    }
    px_doors_close(io);
    io->transport->ops->close(io->transport);
    px_floods_close(io);
    return NULL;
}

static void await_open(px_io *io)
{
    struct pollfd item = {.fd = io->opened_fd, .events = POLLIN};
    uint64_t count;
    while (poll(&item, 1, -1) < 0 && errno == EINTR) {
    }
    (void)!read(io->opened_fd, &count, sizeof(count)); // hands over what open has written
}

static px_err make_sessions(px_io *io, px_error *reterr)
{
    const px_config *config = &io->kernel->config;
    const char *key = config->engine ? config->cluster.key : config->connection.key;
    const char *scheme =
        config->engine ? config->cluster.signature_scheme : config->connection.signature_scheme;
    PX_TRY(
        px_session_new(px_slice_str(key), scheme, config->session_id, NULL, &io->session, reterr));
    PX_TRY(px_session_clone(io->session, &io->verifier));
    io->transport->session = io->session;
    io->transport->verifier = io->verifier;
    return PX_OK;
}

px_err px_io_start(px_kernel *kernel, px_transport *transport, px_error *reterr)
{
    px_io *io = px_need_zeroed(sizeof(*io));
    io->kernel = kernel;
    io->transport = transport;
    io->parent_fd = io->doors.asked_fd = io->doors.done_fd = -1;
    io->opened_fd = eventfd(0, EFD_CLOEXEC);
    kernel->io = io;
    px_must(pthread_mutex_init(&io->send_lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    px_must(pthread_mutex_init(&io->info_lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    PX_AUTO_BUF info = {0};
    px_answer_default(&kernel->config, &info);
    px_must(px_bytes_copy(px_buf_slice(&info), &io->kernel_info));
    px_err err = make_sessions(io, reterr);
    if (err == PX_OK) {
        err = px_loop_new(&io->loop);
    }
    if (err == PX_OK) {
        err = px_thread_start(&io->thread, "px-io", io_body, io);
    }
    if (err != PX_OK) {
        transport->ops->close(transport);
    } else {
        await_open(io);
        err = io->open_err;
        if (err != PX_OK) {
            (void)pthread_join(io->thread, NULL);
            (void)px_error_set(reterr, err, "%s",
                               io->open_error.text[0] != '\0' ? io->open_error.text
                                                              : px_err_text(err));
        }
    }
    if (err != PX_OK) {
        kernel->io = NULL;
        io_free(io);
    }
    return err;
}

void px_io_stop(px_io *io)
{
    px_loop_stop(io->loop);
    (void)pthread_join(io->thread, NULL);
    io->kernel->io = NULL;
    io_free(io);
}
