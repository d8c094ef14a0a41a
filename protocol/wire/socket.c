// ZeroMQ sockets with our defaults, and frames in and out of them.
//
// ZeroMQ's defaults lose messages: a thousand waiting for a slow reader, and a PUB drops, a ROUTER
// too. A notebook whose `idle` was dropped waits for ever. So there is no high-water mark; memory
// is the limit, and who produces without end is held back above (by the kernel's own flow control).
//
// A received body is adopted: the frame keeps ZeroMQ's message and releases it with the last
// reference. Small ones are copied instead, which is cheaper than keeping the message. A sent body
// above the same limit is lent to ZeroMQ, which gives it back from its own thread: px_bytes counts
// atomically for that reason.
#include "px/socket.h"

#include "../loop/loop.h"
#include "zeromq.h"

#include "px/id.h"
#include "px/loop.h"

#include <zmq.h>

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define COPY_BELOW 1024
#define MAX_FRAMES 4096
#define LINGER_MS 1000

struct px_context {
    void *handle;
};

struct px_socket {
    void *handle;
    px_socket_kind kind;
    // Nothing can be received and ZeroMQ has nothing to tell this socket, so its descriptor will be
    // readable when either changes. Sending and receiving may take such news in passing.
    atomic_bool settled;
};

px_err px__zmq_err(void)
{
    int errnum = zmq_errno();

    switch (errnum) {
    case ETERM:
        return PX_ECLOSED;
    case EFSM:
    case EMTHREAD:
    case ENOCOMPATPROTO:
        return PX_EZMQ;
    default:
        break;
    }
    px_err err = px_err_from_errno(errnum);
    return err == PX_ESYS || err == PX_OK ? PX_EZMQ : err;
}

px_err px_context_new(px_context **ret_context)
{
    px_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return PX_ENOMEM;
    }
    context->handle = zmq_ctx_new();
    if (context->handle == NULL) {
        free(context);
        return PX_ENOMEM;
    }
    *ret_context = context;
    return PX_OK;
}

void px_context_free(px_context *context)
{
    if (context == NULL) {
        return;
    }
    while (zmq_ctx_term(context->handle) != 0 && zmq_errno() == EINTR) {
        // a signal came in between; the linger time still bounds the wait
    }
    free(context);
}

static px_err set_int(px_socket *socket, int option, int value)
{
    if (zmq_setsockopt(socket->handle, option, &value, sizeof(value)) != 0) {
        return px__zmq_err();
    }
    return PX_OK;
}

static px_err set_defaults(px_socket *socket)
{
    PX_TRY(set_int(socket, ZMQ_SNDHWM, 0));
    PX_TRY(set_int(socket, ZMQ_RCVHWM, 0));
    PX_TRY(set_int(socket, ZMQ_LINGER, LINGER_MS));
    PX_TRY(set_int(socket, ZMQ_IPV6, 0));
    if (socket->kind == PX_ROUTER) {
        PX_TRY(set_int(socket, ZMQ_ROUTER_HANDOVER, 1));
    }
    if (socket->kind == PX_XPUB) {
        PX_TRY(set_int(socket, ZMQ_XPUB_VERBOSE, 1));
    }
    return PX_OK;
}

px_err px_socket_open(px_context *context, px_socket_kind kind, px_socket **ret_socket)
{
    static const int kinds[] = {
        [PX_ROUTER] = ZMQ_ROUTER, [PX_DEALER] = ZMQ_DEALER, [PX_XPUB] = ZMQ_XPUB,
        [PX_SUB] = ZMQ_SUB,       [PX_REP] = ZMQ_REP,       [PX_PAIR] = ZMQ_PAIR};
    px_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        return PX_ENOMEM;
    }
    socket->kind = kind;
    socket->handle = zmq_socket(context->handle, kinds[kind]);
    px_err err = socket->handle == NULL ? px__zmq_err() : set_defaults(socket);
    if (err != PX_OK) {
        px_socket_close(socket);
        return err;
    }
    *ret_socket = socket;
    return PX_OK;
}

void px_socket_close(px_socket *socket)
{
    if (socket == NULL) {
        return;
    }
    if (socket->handle != NULL) {
        int status = zmq_close(socket->handle);
        assert(status == 0); // fails only for what is no socket
        (void)status;
    }
    free(socket);
}

static px_err set_text(px_socket *socket, int option, const char *text)
{
    if (zmq_setsockopt(socket->handle, option, text, strlen(text)) != 0) {
        return px__zmq_err();
    }
    return PX_OK;
}

px_err px_socket_use_curve_server(px_socket *socket, const px_curve_keys *keys)
{
    if (keys == NULL) {
        return PX_OK;
    }
    if (!px_curve_valid(keys)) {
        return PX_EINVAL;
    }
    PX_TRY(set_int(socket, ZMQ_CURVE_SERVER, 1));
    PX_TRY(set_text(socket, ZMQ_CURVE_PUBLICKEY, keys->publickey));
    return set_text(socket, ZMQ_CURVE_SECRETKEY, keys->secretkey);
}

px_err px_socket_use_curve_client(px_socket *socket, const px_curve_keys *own,
                                  const char *server_publickey)
{
    if (!px_curve_valid(own)) {
        return PX_EINVAL;
    }
    PX_TRY(set_text(socket, ZMQ_CURVE_PUBLICKEY, own->publickey));
    PX_TRY(set_text(socket, ZMQ_CURVE_SECRETKEY, own->secretkey));
    return set_text(socket, ZMQ_CURVE_SERVERKEY, server_publickey);
}

px_err px_socket_set_identity(px_socket *socket, px_slice identity)
{
    if (zmq_setsockopt(socket->handle, ZMQ_ROUTING_ID, identity.data, identity.size) != 0) {
        return px__zmq_err();
    }
    return PX_OK;
}

px_err px_socket_subscribe(px_socket *socket, px_slice topic)
{
    atomic_store(&socket->settled, false);
    if (zmq_setsockopt(socket->handle, ZMQ_SUBSCRIBE, topic.data, topic.size) != 0) {
        return px__zmq_err();
    }
    return PX_OK;
}

static uint16_t last_port(px_socket *socket)
{
    char endpoint[512];
    size_t size = sizeof(endpoint);
    long long port = 0;

    if (zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0 || size == 0) {
        return 0;
    }
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) != 0 || colon == NULL ||
        px_parse_number(colon + 1, 1, UINT16_MAX, &port) != PX_OK) {
        return 0;
    }
    return (uint16_t)port;
}

px_err px_socket_bind(px_socket *socket, const char *address, uint16_t *ret_port, px_error *reterr)
{
    atomic_store(&socket->settled, false);
    if (zmq_bind(socket->handle, address) != 0) {
        int errnum = zmq_errno();
        return px_error_set(reterr, px__zmq_err(), "cannot listen on %s: %s", address,
                            zmq_strerror(errnum));
    }
    if (ret_port != NULL) {
        *ret_port = last_port(socket);
    }
    return PX_OK;
}

px_err px_socket_connect(px_socket *socket, const char *address, px_error *reterr)
{
    atomic_store(&socket->settled, false);
    if (zmq_connect(socket->handle, address) != 0) {
        int errnum = zmq_errno();
        return px_error_set(reterr, px__zmq_err(), "cannot connect to %s: %s", address,
                            zmq_strerror(errnum));
    }
    return PX_OK;
}

static void release_message(void *data, void *hint)
{
    (void)data;
    zmq_msg_t *message = hint;
    (void)zmq_msg_close(message); // fails only for what is no message
    free(message);
}

// Turns a received part into a frame; the part is closed or moved in every case.
static px_err take_part(zmq_msg_t *part, px_frames *frames)
{
    size_t size = zmq_msg_size(part);
    px_bytes *bytes = NULL;
    px_err err = PX_ENOMEM;

    if (frames->n >= MAX_FRAMES) {
        (void)zmq_msg_close(part); // it is a message
        return PX_ETOOBIG;
    }
    if (size < COPY_BELOW) {
        err = px_frames_push_copy(frames, px_slice_of(zmq_msg_data(part), size));
        (void)zmq_msg_close(part); // it is a message
        return err;
    }
    zmq_msg_t *kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        (void)zmq_msg_close(part); // it is a message
        return PX_ENOMEM;
    }
    (void)zmq_msg_init(kept);       // cannot fail
    (void)zmq_msg_move(kept, part); // both are messages
    (void)zmq_msg_close(part);      // it is an empty message now
    err = px_bytes_adopt(zmq_msg_data(kept), size, release_message, kept, &bytes);
    if (err != PX_OK) {
        release_message(NULL, kept);
        return err;
    }
    err = px_frames_push(frames, bytes);
    if (err != PX_OK) {
        px_bytes_unref(bytes);
    }
    return err;
}

px_err px_socket_recv(px_socket *socket, px_frames *ret_frames)
{
    PX_AUTO_FRAMES frames = {0};
    px_err err = PX_OK;
    bool more = true;

    atomic_store(&socket->settled, false);
    // A multipart message arrives whole. After a failure the rest of its parts are still taken from
    // the socket, so that the next message begins with its first part.
    while (more) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part); // cannot fail
        if (zmq_msg_recv(&part, socket->handle, ZMQ_DONTWAIT) < 0) {
            px_err failure = px__zmq_err();
            (void)zmq_msg_close(&part); // it is a message
            if (failure == PX_EINTR) {
                continue;
            }
            atomic_store(&socket->settled, failure == PX_EAGAIN);
            return failure;
        }
        more = zmq_msg_more(&part) != 0;
        if (err == PX_OK) {
            err = take_part(&part, &frames);
        } else {
            (void)zmq_msg_close(&part); // it is a message
        }
    }
    if (err == PX_OK) {
        px_frames_move(ret_frames, &frames);
    }
    return err;
}

static void give_back(void *data, void *hint)
{
    (void)data;
    px_bytes_unref(hint);
}

static px_err make_part(px_bytes *bytes, zmq_msg_t *ret_part)
{
    px_slice slice = px_bytes_slice(bytes);

    if (slice.size < COPY_BELOW) {
        if (zmq_msg_init_size(ret_part, slice.size) != 0) {
            return PX_ENOMEM;
        }
        if (slice.size != 0) {
            memcpy(zmq_msg_data(ret_part), slice.data, slice.size);
        }
        return PX_OK;
    }
    // ZeroMQ wants a pointer that is not const, and does not write through it.
    void *data = (void *)(uintptr_t)slice.data;
    if (zmq_msg_init_data(ret_part, data, slice.size, give_back, px_bytes_ref(bytes)) != 0) {
        px_bytes_unref(bytes);
        return PX_ENOMEM;
    }
    return PX_OK;
}

px_err px_socket_send(px_socket *socket, const px_frames *frames)
{
    atomic_store(&socket->settled, false);
    for (size_t i = 0; i < frames->n; i++) {
        zmq_msg_t part;
        int flags = ZMQ_DONTWAIT | (i + 1 < frames->n ? ZMQ_SNDMORE : 0);
        PX_TRY(make_part(frames->items[i], &part));
        while (zmq_msg_send(&part, socket->handle, flags) < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            px_err err = zmq_errno() == EHOSTUNREACH ? PX_OK : px__zmq_err();
            (void)zmq_msg_close(&part); // it is a message
            return err;
        }
    }
    return PX_OK;
}

int px_socket_events(px_socket *socket)
{
    int events = 0;
    size_t size = sizeof(events);

    while (zmq_getsockopt(socket->handle, ZMQ_EVENTS, &events, &size) != 0) {
        if (zmq_errno() != EINTR) {
            return 0; // the context is being closed
        }
    }
    atomic_store(&socket->settled, (events & ZMQ_POLLIN) == 0);
    return ((events & ZMQ_POLLIN) != 0 ? PX_READABLE : 0) |
           ((events & ZMQ_POLLOUT) != 0 ? PX_WRITABLE : 0);
}

void *px_socket_handle(px_socket *socket)
{
    return socket->handle;
}

static int probe_socket(void *target)
{
    return px_socket_events(target);
}

static bool is_touched(void *target)
{
    const px_socket *socket = target;
    return !atomic_load(&socket->settled);
}

px_err px_loop_add_socket(px_loop *loop, const char *name, px_socket *socket, px_ready *ready,
                          void *context, px_source **ret_source)
{
    int fd = -1;
    size_t size = sizeof(fd);

    if (zmq_getsockopt(socket->handle, ZMQ_FD, &fd, &size) != 0) {
        return px__zmq_err();
    }
    const px_source draft = {.name = name,
                             .fd = fd,
                             .events = PX_READABLE,
                             .ready = ready,
                             .context = context,
                             .probe = probe_socket,
                             .touched = is_touched,
                             .target = socket};
    return px__loop_add_probed(loop, &draft, ret_source);
}
