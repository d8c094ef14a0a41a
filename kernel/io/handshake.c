// One message each way: delimiter, signature, content. It has no header, so it is composed and
// checked here and not by px_session. What the acknowledgement says is up to who sends it; that it
// is signed is what counts.

#include "io/handshake.h"

#include "px/json.h"
#include "px/loop.h"
#include "px/sign.h"
#include "px/time.h"

#include <stdio.h>
#include <string.h>

#define PX_HANDSHAKE_WAIT (10 * PX_NS_PER_S)
#define DELIMITER PX_SLICE_LITERAL("<IDS|MSG>")

typedef struct handshake {
    const px_connection *connection;
    px_socket *socket;
    px_signer *signer;
    bool acknowledged;
} handshake;

static void write_port(px_jsonw *w, const char *key, uint16_t port)
{
    char text[8];
    (void)snprintf(text, sizeof(text), "%u", port);
    px_jsonw_key_string(w, key, text);
}

static void write_content(const px_connection *c, px_buf *out)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "kernel_id", c->kernel_id);
    write_port(&w, "control_port", c->control_port);
    write_port(&w, "shell_port", c->shell_port);
    write_port(&w, "stdin_port", c->stdin_port);
    write_port(&w, "iopub_port", c->iopub_port);
    write_port(&w, "hb_port", c->hb_port);
    px_jsonw_end_object(&w);
}

static px_err send_ports(handshake *self)
{
    PX_AUTO_BUF content = {0};
    PX_AUTO_FRAMES frames = {0};
    char signature[PX_SIGNATURE_SIZE * 2];
    write_content(self->connection, &content);
    PX_TRY(px_buf_status(&content));
    const px_slice part = px_buf_slice(&content);
    PX_TRY(px_sign(self->signer, &part, 1, signature));
    PX_TRY(px_frames_push_copy(&frames, DELIMITER));
    PX_TRY(px_frames_push_copy(&frames, px_slice_str(signature)));
    PX_TRY(px_frames_push_copy(&frames, part));
    return px_socket_send(self->socket, &frames);
}

// is_acknowledgement checks a message: behind the delimiter a signature and what it signs.
static bool is_acknowledgement(handshake *self, const px_frames *frames)
{
    size_t n = px_frames_count(frames);
    for (size_t at = 0; at + 2 < n; at++) {
        if (px_slice_equal(px_frames_get(frames, at), DELIMITER)) {
            const px_slice part = px_frames_get(frames, at + 2);
            return px_sign_check(self->signer, &part, 1, px_frames_get(frames, at + 1)) == PX_OK;
        }
    }
    return false;
}

static void ready(void *context, int events)
{
    (void)events;
    handshake *self = context;
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        if (px_socket_recv(self->socket, &frames) != PX_OK) {
            return;
        }
        self->acknowledged = self->acknowledged || is_acknowledgement(self, &frames);
    }
}

static px_err await(handshake *self)
{
    px_loop *loop = NULL;
    PX_TRY(px_loop_new(&loop));
    px_err err = px_loop_add_socket(loop, "handshake", self->socket, ready, self, NULL);
    px_ns end = px_now() + PX_HANDSHAKE_WAIT;
    while (err == PX_OK && !self->acknowledged) {
        px_ns now = px_now();
        if (now >= end) {
            err = PX_ETIMEOUT;
            break;
        }
        err = px_loop_once(loop, (int)((end - now) / PX_NS_PER_MS) + 1);
    }
    px_loop_free(loop);
    return err;
}

static px_err talk(handshake *self, const char *address, px_error *reterr)
{
    const px_connection *c = self->connection;
    PX_TRY(px_signer_new(px_slice_str(c->key), c->signature_scheme, &self->signer, reterr));
    PX_TRY(px_socket_connect(self->socket, address, reterr));
    PX_TRY(send_ports(self));
    px_err err = await(self);
    if (err == PX_ETIMEOUT) {
        return px_error_set(reterr, err,
                            "%s did not acknowledge the ports of kernel %s; is whoever started it "
                            "still there, with the key of the registration file?",
                            address, c->kernel_id);
    }
    return err;
}

px_err px_handshake(px_context *context, const px_connection *connection, px_error *reterr)
{
    char address[sizeof(connection->registration_ip) + 32];
    (void)snprintf(
        address, sizeof(address), "%s://%s%c%u", connection->transport, connection->registration_ip,
        strcmp(connection->transport, "ipc") == 0 ? '-' : ':', connection->registration_port);
    handshake self = {.connection = connection};
    PX_TRY(px_socket_open(context, PX_DEALER, &self.socket));
    px_err err = talk(&self, address, reterr);
    px_socket_close(self.socket);
    px_signer_free(self.signer);
    return err;
}
