#include "peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

px_message *peer_next(test_peer *peer, px_link *link, px_err *ret_err)
{
    PX_AUTO_FRAMES frames = {0};
    px_message *message = NULL;
    px_error error = {0};
    *ret_err = px_link_recv(link, &frames);
    while (*ret_err == PX_OK && px_frames_count(&frames) == 1) { // a release: we hold no segments
        px_frames_done(&frames);
        *ret_err = px_link_recv(link, &frames);
    }
    if (*ret_err == PX_OK) {
        px_session *session =
            link == peer->work && peer->reader != NULL ? peer->reader : peer->session;
        *ret_err = px_session_verify(session, &frames, false, &message, &error);
        if (*ret_err != PX_OK) {
            die("a message that does not verify", error.text);
        }
    }
    return message;
}

px_message *peer_wait(test_peer *peer, px_link *link)
{
    for (;;) {
        px_err err;
        px_message *message = peer_next(peer, link, &err);
        if (message != NULL || err != PX_EAGAIN) {
            return message;
        }
        struct pollfd fd = {.fd = px_link_fd(link), .events = POLLIN};
        if (px_link_wants_write(link)) {
            fd.events |= POLLOUT;
        }
        (void)poll(&fd, 1, -1);
        if ((fd.revents & POLLOUT) != 0) {
            (void)px_link_flush(link);
        }
    }
}

void peer_send(test_peer *peer, px_link *link, const px_route *route, const uint32_t *engines,
               const px_outgoing *message)
{
    PX_AUTO_FRAMES frames = {0};
    px_bytes *head = NULL;
    if (px_route_encode(route, engines, &head) != PX_OK || px_frames_push(&frames, head) != PX_OK ||
        px_session_compose(peer->session, message, &frames) != PX_OK) {
        die("compose", "out of memory");
    }
    px_err err = px_link_send(link, &frames);
    (void)err; // an ended link is seen by its reader
}

static void ask(test_peer *peer, px_link *link, const char *content)
{
    px_route hub = {.kind = PX_ROUTE_HUB};
    px_outgoing message = {.msg_type = "register_request", .content = px_slice_str(content)};
    peer_send(peer, link, &hub, NULL, &message);
}

void peer_knock(test_peer *peer, const char *who)
{
    px_error error = {0};
    if (px_session_new(px_slice_str(peer->file.key), peer->file.signature_scheme, NULL, "test",
                       &peer->session, &error) != PX_OK ||
        px_link_connect(peer->file.control, &peer->control, &error) != PX_OK) {
        die("connect", error.text);
    }
    ask(peer, peer->control, who);
}

bool peer_enter(test_peer *peer, const char *role, px_message *reply)
{
    px_error error = {0};
    PX_AUTO(px_json) answer = NULL;
    char content[256];
    if (reply == NULL || px_json_parse(reply->content, &answer, NULL) != PX_OK) {
        die("registration", "the controller hung up");
    }
    px_message_free(reply);
    if (strcmp(px_json_string(answer, "status", ""), "ok") != 0) {
        die("registration", px_json_string(answer, "evalue", "refused"));
    }
    if (peer->work != NULL) {
        if (px_session_clone_trusting(peer->session, &peer->reader) != PX_OK) {
            die("registration", "no memory");
        }
        return true;
    }
    peer->id = (uint32_t)px_json_int(answer, "id", 0);
    (void)snprintf(content, sizeof(content), "{\"role\":\"%s\",\"peer\":\"%s\"}", role,
                   px_json_string(answer, "peer", ""));
    if (px_link_connect(peer->file.work, &peer->work, &error) != PX_OK) {
        die("connect", error.text);
    }
    ask(peer, peer->work, content);
    return false;
}

void peer_join(test_peer *peer, const char *who, const char *role)
{
    peer_knock(peer, who);
    (void)peer_enter(peer, role, peer_wait(peer, peer->control));
    (void)peer_enter(peer, role, peer_wait(peer, peer->work));
}

void peer_leave(test_peer *peer)
{
    px_link_close(peer->control);
    px_link_close(peer->work);
    px_session_free(peer->reader);
    px_session_free(peer->session);
}
