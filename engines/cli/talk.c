// talk.c: a blocking client of a controller's control socket.

#include "../launch/host.h"
#include "cli.h"

#include "px/enter.h"
#include "px/time.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 300, // who has not answered by then may be stopped
    CONNECT_S = 10
};

struct px_talk {
    px_session *session;
    px_link *link;
    int timeout_ms;
};

px_link *px_talk_link(px_talk *talk)
{
    return talk->link;
}

void px_talk_close(px_talk *talk)
{
    if (talk != NULL) {
        px_link_close(talk->link);
        px_session_free(talk->session);
        free(talk);
    }
}

px_err px_talk_send(px_talk *talk, const char *msg_type, px_slice content)
{
    px_route hub = {.kind = PX_ROUTE_HUB};
    px_outgoing message = {.msg_type = msg_type, .content = content};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &hub, NULL));
    PX_TRY(px_session_compose(talk->session, &message, &frames));
    return px_link_send(talk->link, &frames);
}

// wait_for waits until the link has something or the time is over.
static px_err wait_for(px_talk *talk, px_ns until, px_error *reterr)
{
    struct pollfd fd = {.fd = px_link_fd(talk->link), .events = POLLIN};
    int wait_ms = -1;
    if (until != 0) {
        px_ns now = px_now();
        if (now >= until) {
            return px_error_set(reterr, PX_ETIMEOUT, "the controller does not answer");
        }
        wait_ms = (int)((until - now) / PX_NS_PER_MS) + 1;
    }
    if (px_link_wants_write(talk->link)) {
        fd.events |= POLLOUT;
    }
    if (poll(&fd, 1, wait_ms) < 0 && errno != EINTR) {
        return px_error_set(reterr, px_err_from_errno(errno), "poll: %s", strerror(errno));
    }
    if ((fd.revents & POLLOUT) != 0) {
        (void)px_link_flush(talk->link); // an end is read
    }
    return PX_OK;
}

px_err px_talk_next(px_talk *talk, int timeout_ms, px_message **ret_message, px_error *reterr)
{
    px_ns until = timeout_ms < 0 ? 0 : px_now() + (px_ns)timeout_ms * PX_NS_PER_MS;
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(talk->link, &frames);
        if (err == PX_OK) {
            return px_session_verify(talk->session, &frames, false, ret_message, reterr);
        }
        if (err != PX_EAGAIN) {
            return px_error_set(reterr, PX_ECLOSED, "the controller ended the connection");
        }
        PX_TRY(wait_for(talk, until, reterr));
    }
}

static bool is_reply(const px_message *message, const char *msg_type)
{
    size_t length = strlen(msg_type) - strlen("_request");
    return strncmp(message->msg_type, msg_type, length) == 0 &&
           strcmp(message->msg_type + length, "_reply") == 0;
}

static px_err await_reply(px_talk *talk, const char *msg_type, px_json **ret_content,
                          px_error *reterr)
{
    for (;;) {
        PX_AUTO(px_message) message = NULL;
        PX_TRY(px_talk_next(talk, talk->timeout_ms, &message, reterr));
        if (message == NULL || !is_reply(message, msg_type)) {
            continue;
        }
        PX_AUTO(px_json) json = NULL;
        PX_TRY(px_json_parse(message->content, &json, reterr));
        if (strcmp(px_json_string(json, "status", ""), "ok") != 0) {
            return px_error_set(reterr, PX_EINVAL, "%s", px_json_string(json, "evalue", "refused"));
        }
        *ret_content = PX_STEAL(json);
        return PX_OK;
    }
}

px_err px_talk_ask(px_talk *talk, const char *msg_type, px_slice content, px_json **ret_content,
                   px_error *reterr)
{
    px_err err = px_talk_send(talk, msg_type, content);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "the controller ended the connection");
    }
    return await_reply(talk, msg_type, ret_content, reterr);
}

px_err px_talk_begin(const px_cluster_file *file, bool watch, px_talk **ret_talk, px_error *reterr)
{
    PX_AUTO(px_talk) talk = calloc(1, sizeof(*talk));
    char who[128];
    if (talk == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    PX_TRY(px_session_new(px_slice_str(file->key), file->signature_scheme, NULL, NULL,
                          &talk->session, reterr));
    const px_entry entry = {.file = file, .deadline = px_now() + CONNECT_S * PX_NS_PER_S};
    PX_TRY(px_enter_connect(&entry, PX_TUNNEL_CONTROL, &talk->link, reterr));
    (void)snprintf(who, sizeof(who), "{\"role\":\"client\",\"pid\":%d,\"tool\":true,\"watch\":%s}",
                   (int)getpid(), watch ? "true" : "false");
    PX_TRY(px_talk_send(talk, "register_request", px_slice_str(who)));
    *ret_talk = PX_STEAL(talk);
    return PX_OK;
}

// look_if_stopped gives an error when a controller cannot answer because its process is stopped.
static px_err look_if_stopped(pid_t pid, px_error *reterr)
{
    px_process process;
    if (!px_process_read(pid, &process) || process.state != 'T') {
        return PX_OK;
    }
    return px_error_set(reterr, PX_ETIMEOUT,
                        "the controller's process is stopped (SIGSTOP, Ctrl-Z); `kill -CONT %d` "
                        "lets it go on",
                        (int)pid);
}

px_err px_talk_open(const px_cluster_file *file, int timeout_ms, px_talk **ret_talk,
                    px_error *reterr)
{
    PX_AUTO(px_json) answer = NULL;
    PX_AUTO(px_talk) talk = NULL;
    px_err err = px_talk_begin(file, false, &talk, reterr);
    if (err != PX_OK || talk == NULL) {
        return err;
    }
    int first_ms = timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS;
    talk->timeout_ms = first_ms;
    err = await_reply(talk, "register_request", &answer, reterr);
    if (err == PX_ETIMEOUT) {
        PX_TRY(look_if_stopped(file->pid, reterr));
        talk->timeout_ms = timeout_ms - first_ms;
        err = await_reply(talk, "register_request", &answer, reterr);
    }
    PX_TRY(err);
    talk->timeout_ms = timeout_ms;
    *ret_talk = PX_STEAL(talk);
    return PX_OK;
}
