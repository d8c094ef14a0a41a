// The five sockets of a Jupyter kernel: shell, control and stdin are ROUTERs, iopub is an XPUB that
// welcomes its subscribers (JEP 65), hb echoes. All are bound before Python exists, so a front
// end's first connect succeeds and its requests wait here.
//
// Ports that the connection file names are bound as they are, or the start fails; those it leaves
// open are chosen by the system and written back (kernel facts: a port of 0 or none). With ipc a
// "port" n is the path <ip>-<n>.

#include "io/early.h"
#include "io/handshake.h"
#include "io/io.h"
#include "io/need.h"
#include "io/transport.h"

#include "px/json.h"
#include "px/log.h"
#include "px/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

// late is a message that waits for px-io: an engine's doors are given theirs by px-main as well.
typedef struct late {
    struct late *next;
    px_channel channel;
    px_frames frames;
} late;

typedef struct jupyter {
    px_transport transport; // first
    px_config *config;
    px_io *io;
    px_context *context;
    px_socket *sockets[PX_CHANNELS];
    bool said_starting;
    px_early early;               // under the sending lock
    bool shared;                  // an engine's doors: send is called by any thread
    late *first_late, *last_late; // under the sending lock
    int late_fd;                  // eventfd: some wait; -1: not shared
} jupyter;

#define BUDGET 256 // messages that one socket may have served before the others get their turn

static jupyter *of(px_transport *transport)
{
    return PX_CONTAINER(transport, jupyter, transport);
}

static uint16_t *port_of(px_connection *connection, px_channel channel)
{
    switch (channel) {
    case PX_SHELL:
        return &connection->shell_port;
    case PX_CONTROL:
        return &connection->control_port;
    case PX_STDIN:
        return &connection->stdin_port;
    case PX_IOPUB:
        return &connection->iopub_port;
    default:
        return &connection->hb_port;
    }
}

// --- binding ------------------------------------------------------------------------------------

static px_err bind_tcp(px_socket *socket, const px_connection *connection, uint16_t *port,
                       px_error *reterr)
{
    char address[sizeof(connection->ip) + 32];
    const char *ip = strcmp(connection->ip, "*") == 0 ? "0.0.0.0" : connection->ip;
    if (*port == 0) {
        (void)snprintf(address, sizeof(address), "tcp://%s:*", ip);
    } else {
        (void)snprintf(address, sizeof(address), "tcp://%s:%u", ip, *port);
    }
    uint16_t bound = 0;
    PX_TRY(px_socket_bind(socket, address, &bound, reterr));
    *port = bound;
    return PX_OK;
}

static px_err bind_ipc(px_socket *socket, const px_connection *connection, uint16_t *port,
                       px_error *reterr)
{
    char path[sizeof(connection->ip) + 16];
    char address[sizeof(path) + 8];
    uint16_t number = *port != 0 ? *port : 1;
    (void)snprintf(path, sizeof(path), "%s-%u", connection->ip, number);
    while (*port == 0 && number < UINT16_MAX && access(path, F_OK) == 0) {
        number++;
        (void)snprintf(path, sizeof(path), "%s-%u", connection->ip, number);
    }
    (void)snprintf(address, sizeof(address), "ipc://%s", path);
    PX_TRY(px_socket_bind(socket, address, NULL, reterr));
    *port = number;
    return PX_OK;
}

static px_err open_channel(jupyter *self, px_channel channel, px_error *reterr)
{
    px_connection *connection = &self->config->connection;
    px_socket_kind kind = channel == PX_IOPUB ? PX_XPUB : PX_ROUTER;
    PX_TRY(px_socket_open(self->context, kind, &self->sockets[channel]));
    px_socket *socket = self->sockets[channel];
    if (connection->has_curve) {
        PX_TRY(px_socket_use_curve_server(socket, &connection->curve));
    }
    uint16_t *port = port_of(connection, channel);
    if (strcmp(connection->transport, "ipc") == 0) {
        return bind_ipc(socket, connection, port, reterr);
    }
    return bind_tcp(socket, connection, port, reterr);
}

// --- receiving ----------------------------------------------------------------------------------

// serve reads one request channel. True: there may be more.
static bool serve(jupyter *self, px_channel channel)
{
    for (int n = 0; n < BUDGET; n++) {
        PX_AUTO_FRAMES frames = {0};
        if (px_socket_recv(self->sockets[channel], &frames) != PX_OK) {
            return false;
        }
        px_io_receive(self->io, &self->transport, channel, &frames);
    }
    return true;
}

static void shell_ready(void *context, int events)
{
    (void)events;
    (void)serve(context, PX_SHELL);
}

static void control_ready(void *context, int events)
{
    (void)events;
    (void)serve(context, PX_CONTROL);
}

static void stdin_ready(void *context, int events)
{
    (void)events;
    (void)serve(context, PX_STDIN);
}

static void hb_ready(void *context, int events)
{
    (void)events;
    jupyter *self = context;
    for (int n = 0; n < BUDGET; n++) {
        PX_AUTO_FRAMES frames = {0};
        if (px_socket_recv(self->sockets[PX_HB], &frames) != PX_OK) {
            return;
        }
        (void)px_socket_send(self->sockets[PX_HB], &frames); // who asked may be gone
    }
}

// flush_late sends what waits. px-io, sending lock held.
static void flush_late(jupyter *self)
{
    while (self->first_late != NULL) {
        late *message = self->first_late;
        self->first_late = message->next;
        (void)px_socket_send(self->sockets[message->channel], &message->frames); // may have left
        px_frames_done(&message->frames);
        free(message);
    }
    self->last_late = NULL;
}

static void late_came(void *context, int events)
{
    (void)events;
    jupyter *self = context;
    uint64_t count;
    (void)!read(self->late_fd, &count, sizeof(count));
    px_io_lock(self->io);
    flush_late(self);
    px_io_unlock(self->io);
}

// send_frames sends, or has px-io send: a socket is one thread's. Sending lock held.
static px_err send_frames(jupyter *self, px_channel channel, px_frames *frames)
{
    if (!self->shared) {
        return px_socket_send(self->sockets[channel], frames);
    }
    late *message = px_need_zeroed(sizeof(*message));
    message->channel = channel;
    px_frames_move(&message->frames, frames);
    *(self->last_late != NULL ? &self->last_late->next : &self->first_late) = message;
    self->last_late = message;
    if (px_io_is_self(self->io)) {
        flush_late(self);
    } else {
        uint64_t one = 1;
        (void)!write(self->late_fd, &one, sizeof(one)); // a full one is readable already
    }
    return PX_OK;
}

// welcome greets whoever subscribed, so that a client knows that it will miss nothing from here on.
static px_err welcome(jupyter *self, px_slice subscription)
{
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "subscription");
    px_jsonw_slice(&w, subscription);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&content));
    PX_TRY(px_frames_push_copy(&frames, subscription));
    const px_outgoing message = {.msg_type = "iopub_welcome", .content = px_buf_slice(&content)};
    px_io_lock(self->io);
    px_err err = px_session_compose(self->transport.session, &message, &frames);
    px_io_unlock(self->io);
    return err == PX_OK ? px_socket_send(self->sockets[PX_IOPUB], &frames) : err;
}

// publish sends on iopub, or keeps for the first subscriber. Takes frames. Sending lock held.
static px_err publish(jupyter *self, px_frames *frames)
{
    if (px_early_keep(&self->early, frames, px_now())) {
        return PX_OK;
    }
    return send_frames(self, PX_IOPUB, frames);
}

// first_heard: from here on somebody listens. It begins with `starting`, and what came before.
static void first_heard(jupyter *self)
{
    px_io_lock(self->io);
    px_early early = self->early;
    self->early = (px_early){0};
    if (!self->shared) { // an engine runs already
        px_io_unlock(self->io);
        px_io_status(self->io, NULL, "starting");
        px_io_lock(self->io);
    }
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        if (!px_early_take(&early, &frames)) {
            break;
        }
        (void)px_socket_send(self->sockets[PX_IOPUB], &frames); // the subscriber may have left
    }
    px_io_unlock(self->io);
}

static void iopub_ready(void *context, int events)
{
    (void)events;
    jupyter *self = context;
    for (int n = 0; n < BUDGET; n++) {
        PX_AUTO_FRAMES frames = {0};
        if (px_socket_recv(self->sockets[PX_IOPUB], &frames) != PX_OK) {
            return;
        }
        px_slice frame = px_frames_count(&frames) > 0 ? px_frames_get(&frames, 0) : (px_slice){0};
        if (frame.size == 0 || frame.data[0] != 1) {
            continue; // somebody unsubscribed
        }
        px_err err = welcome(self, px_slice_of(frame.data + 1, frame.size - 1));
        if (err != PX_OK) {
            px_log_warning("a subscriber was not welcomed", "cause=%s", px_err_text(err));
        }
        // Once, and when somebody is there to hear it, before any request of theirs is answered.
        if (!self->said_starting) {
            self->said_starting = true;
            first_heard(self);
        }
    }
}

static void drain(px_transport *transport)
{
    while (serve(of(transport), PX_SHELL)) {
    }
}

// --- opening and closing ------------------------------------------------------------------------

static px_err add_sources(jupyter *self)
{
    px_ready *const ready[PX_CHANNELS] = {shell_ready, control_ready, stdin_ready, iopub_ready,
                                          hb_ready};
    for (px_channel channel = PX_SHELL; channel < PX_CHANNELS; channel++) {
        PX_TRY(px_loop_add_socket(px_io_loop(self->io), px_channel_name(channel),
                                  self->sockets[channel], ready[channel], self, NULL));
    }
    return PX_OK;
}

static px_err open_jupyter(px_transport *transport, px_io *io, px_error *reterr)
{
    jupyter *self = of(transport);
    px_config *config = self->config;
    self->io = io;
    px_early_init(&self->early, px_now());
    self->shared = io->kernel->config.engine;
    if (self->shared) {
        self->late_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (self->late_fd < 0) {
            return px_err_from_errno(errno);
        }
    }
    PX_TRY(px_context_new(&self->context));
    for (px_channel channel = PX_SHELL; channel < PX_CHANNELS; channel++) {
        PX_TRY(open_channel(self, channel, reterr));
    }
    if (config->write_connection) {
        PX_TRY(px_connection_write(config->connection_file, &config->connection, reterr));
    }
    if (config->connection.registration_port != 0) {
        PX_TRY(px_handshake(self->context, &config->connection, reterr));
    }
    PX_TRY(add_sources(self));
    if (self->shared) {
        PX_TRY(px_loop_add_fd(px_io_loop(io), "late", self->late_fd, PX_READABLE, late_came, self,
                              NULL));
    }
    return PX_OK;
}

// remove_sockets removes the files of ipc sockets: libzmq leaves them.
static void remove_sockets(px_connection *connection)
{
    char path[sizeof(connection->ip) + 16];
    for (px_channel channel = PX_SHELL; channel < PX_CHANNELS; channel++) {
        (void)snprintf(path, sizeof(path), "%s-%u", connection->ip, *port_of(connection, channel));
        (void)unlink(path); // it may never have been bound
    }
}

static void close_jupyter(px_transport *transport)
{
    jupyter *self = of(transport);
    flush_late(self);
    if (self->late_fd >= 0) {
        (void)close(self->late_fd);
    }
    for (px_channel channel = PX_SHELL; channel < PX_CHANNELS; channel++) {
        px_socket_close(self->sockets[channel]);
    }
    px_context_free(self->context);
    px_early_done(&self->early);
    if (strcmp(self->config->connection.transport, "ipc") == 0) {
        remove_sockets(&self->config->connection);
    }
    if (self->config->remove_connection) {
        (void)unlink(self->config->connection_file); // it may be gone already
    }
    free(self);
}

// --- sending ------------------------------------------------------------------------------------

static px_err send_message(px_transport *transport, px_channel channel, const px_parent *to,
                           px_slice topic, const px_outgoing *outgoing)
{
    jupyter *self = of(transport);
    PX_AUTO_FRAMES frames = {0};
    if (channel == PX_IOPUB) {
        PX_TRY(px_frames_push_copy(&frames, topic));
    } else if (to == NULL || px_frames_count(&to->idents) == 0) {
        return PX_EINVAL; // nobody to send it to
    } else {
        PX_TRY(px_frames_share(&frames, &to->idents, 0, px_frames_count(&to->idents)));
    }
    PX_TRY(px_session_compose(self->transport.session, outgoing, &frames));
    return channel == PX_IOPUB ? publish(self, &frames) : send_frames(self, channel, &frames);
}

static px_err send_raw(px_transport *transport, px_channel channel, const px_frames *frames)
{
    return px_socket_send(of(transport)->sockets[channel], frames);
}

static void write_connection(px_transport *transport, px_buf *out)
{
    px_connection *connection = &of(transport)->config->connection;
    static const char *const keys[PX_CHANNELS] = {"shell_port", "control_port", "stdin_port",
                                                  "iopub_port", "hb_port"};
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    for (px_channel channel = PX_SHELL; channel < PX_CHANNELS; channel++) {
        px_jsonw_key_int(&w, keys[channel], *port_of(connection, channel));
    }
    px_jsonw_end_object(&w);
}

static const px_transport_ops jupyter_ops = {
    .name = "jupyter",
    .any_thread = false,
    .statuses = true,
    .open = open_jupyter,
    .send = send_message,
    .send_raw = send_raw,
    .drain = drain,
    .connection = write_connection,
    .close = close_jupyter,
};

px_err px_transport_jupyter_new(px_config *config, px_transport **ret_transport)
{
    jupyter *self = px_need_zeroed(sizeof(*self));
    self->transport.ops = &jupyter_ops;
    self->config = config;
    self->late_fd = -1;
    *ret_transport = &self->transport;
    return PX_OK;
}
