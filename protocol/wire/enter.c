// enter.c: connecting and registering, by the thread that wants it: it may wait, but not for ever.

#include "px/enter.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

// wait_for sleeps until the link is readable, or writable while something is queued.
static px_err wait_for(const px_entry *entry, px_link *link, px_error *reterr)
{
    px_ns now = px_now();
    const char *name = entry->file->id;
    if (now >= entry->deadline) {
        return px_error_set(reterr, PX_ETIMEOUT,
                            "the controller of cluster \"%s\" (process %d) did not answer within "
                            "%.3g s; see `pxcluster status %s` and `pxcluster logs %s`",
                            name, (int)entry->file->pid,
                            (double)entry->timeout / (double)PX_NS_PER_S, name, name);
    }
    short events = px_link_wants_write(link) ? POLLIN | POLLOUT : POLLIN;
    struct pollfd fd = {.fd = px_link_fd(link), .events = events};
    int n = poll(&fd, 1, (int)((entry->deadline - now) / PX_NS_PER_MS) + 1);
    if (n < 0 && errno == EINTR && entry->interrupted != NULL &&
        entry->interrupted(entry->context)) {
        return px_error_set(reterr, PX_EINTR, "interrupted while connecting to cluster \"%s\"",
                            name);
    }
    return PX_OK;
}

static px_err ended(const px_entry *entry, px_err err, px_error *reterr)
{
    return px_error_set(reterr, err,
                        "the controller of cluster \"%s\" ended the connection while we "
                        "registered (%s); see `pxcluster logs %s`",
                        entry->file->id, px_err_text(err), entry->file->id);
}

// receive gives the next verified message.
static px_err receive(const px_entry *entry, px_link *link, px_message **ret_message,
                      px_error *reterr)
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(link, &frames);
        if (err == PX_OK) {
            return px_session_verify(entry->session, &frames, false, ret_message, reterr);
        }
        if (err != PX_EAGAIN) {
            return ended(entry, err, reterr);
        }
        PX_TRY(wait_for(entry, link, reterr));
        err = px_link_flush(link);
        if (err != PX_OK && err != PX_EAGAIN) {
            return ended(entry, err, reterr);
        }
    }
}

static px_err send(const px_entry *entry, px_link *link, px_slice content, px_error *reterr)
{
    const px_route route = {.kind = PX_ROUTE_HUB};
    const px_outgoing outgoing = {.msg_type = "register_request", .content = content};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &route, NULL));
    PX_TRY(px_session_compose(entry->session, &outgoing, &frames));
    px_err err = px_link_send(link, &frames);
    return err == PX_OK ? PX_OK : ended(entry, err, reterr);
}

static px_err exchange(const px_entry *entry, px_link *link, px_slice content, px_json **ret_answer,
                       px_error *reterr)
{
    PX_TRY(send(entry, link, content, reterr));
    PX_AUTO(px_message) message = NULL;
    PX_TRY(receive(entry, link, &message, reterr));
    assert(message != NULL);
    if (message->type != PX_MSG_REGISTER_REPLY) {
        return px_error_set(reterr, PX_EFORMAT,
                            "the controller of cluster \"%s\" answered a registration with %s",
                            entry->file->id, message->msg_type);
    }
    PX_AUTO(px_json) answer = NULL;
    PX_TRY(px_json_parse(message->content, &answer, reterr));
    if (strcmp(px_json_string(answer, "status", "error"), "ok") != 0) {
        return px_error_set(reterr, PX_EPERM, "cluster \"%s\" refused this process: %s",
                            entry->file->id, px_json_string(answer, "evalue", "no reason given"));
    }
    *ret_answer = PX_STEAL(answer);
    return PX_OK;
}

px_err px_enter_connect(const px_entry *entry, px_tunnel_use use, px_link **ret_link,
                        px_error *reterr)
{
    const px_cluster_file *file = entry->file;
    if (px_cluster_near(file)) {
        return px_link_connect(use == PX_TUNNEL_WORK ? file->work : file->control, ret_link,
                               reterr);
    }
    const px_far far = {.name = file->id,
                        .key = px_slice_str(file->key),
                        .addresses = file->addresses,
                        .port = file->port,
                        .lease_s = file->lease_s,
                        .use = use,
                        .deadline = entry->deadline,
                        .interrupted = entry->interrupted,
                        .context = entry->context};
    return px_far_connect(&far, ret_link, reterr);
}

px_err px_enter(const px_entry *entry, px_tunnel_use use, px_slice content, px_link **ret_link,
                px_json **ret_answer, px_error *reterr)
{
    PX_AUTO(px_link) link = NULL;
    PX_TRY(px_enter_connect(entry, use, &link, reterr));
    PX_TRY(exchange(entry, link, content, ret_answer, reterr));
    *ret_link = PX_STEAL(link);
    return PX_OK;
}
