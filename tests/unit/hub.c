#include "hub.h"

#include "unit.h"

#include "px/json.h"
#include "px/segment.h"
#include "px/terms.h"
#include "px/thread.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "0123456789abcdef0123456789abcdef"

static bool wants(const px_message *request, const char *what)
{
    return memmem(request->content.data, request->content.size, what, strlen(what)) != NULL;
}

static void push_route(px_frames *frames, px_route_kind kind, uint16_t flags, const px_route *of,
                       uint32_t engine)
{
    px_route route = {.kind = (uint8_t)kind, .flags = flags, .n = of != NULL ? 1 : 0};
    if (of != NULL) {
        route.client = of->client;
        route.task = of->task;
    }
    px_bytes *frame;
    ok(px_route_encode(&route, &engine, &frame));
    ok(px_frames_push(frames, frame));
}

static void answer(hub *h, px_link *link, const px_message *request, const char *content)
{
    PX_AUTO_FRAMES frames = {0};
    push_route(&frames, PX_ROUTE_HUB, 0, NULL, 0);
    char type[64];
    (void)snprintf(type, sizeof type, "%s", request->msg_type);
    char *end = strstr(type, "_request");
    ck_assert_ptr_nonnull(end);
    (void)snprintf(end, 8, "_reply");
    ok(px_session_compose(h->session,
                          &(px_outgoing){.msg_type = type,
                                         .parent = request->header,
                                         .content = px_slice_str(content)},
                          &frames));
    (void)px_link_send(link, &frames);
}

static void notify(hub *h, const char *type, const char *content)
{
    PX_AUTO_FRAMES frames = {0};
    push_route(&frames, PX_ROUTE_HUB, 0, NULL, 0);
    ok(px_session_compose(
        h->session, &(px_outgoing){.msg_type = type, .content = px_slice_str(content)}, &frames));
    (void)px_link_send(h->control, &frames);
}

static void send_from_engine(hub *h, px_route_kind kind, const px_route *to, uint32_t engine,
                             const px_outgoing *outgoing)
{
    PX_AUTO_FRAMES frames = {0};
    bool large = outgoing->n_buffers > 0 &&
                 px_bytes_slice(outgoing->buffers[0]).size >= PX_SEGMENT_THRESHOLD;
    push_route(&frames, kind, large ? PX_ROUTE_SEGMENTS : 0, to, engine);
    ok(px_session_compose(h->session, outgoing, &frames));
    if (large) {
        ok(px_bulk_pack(&frames, 7, &h->bulk));
    }
    if (kind == PX_ROUTE_REPLY && px_slice_equal(outgoing->metadata, px_slice_str("{\"x\":1}"))) {
        px_bytes *garbled;
        ok(px_bytes_copy(px_slice_str("0000"), &garbled));
        px_frames_set(&frames, 1, garbled);
    }
    (void)px_link_send(h->work, &frames);
}

static void reply(hub *h, const px_message *request, const px_route *route, uint32_t engine)
{
    px_outgoing out = {.msg_type = "apply_reply",
                       .parent = request->header,
                       .content = PX_SLICE_LITERAL("{\"status\":\"ok\"}")};
    px_bytes *buffers[8] = {0};
    if (wants(request, "say")) {
        px_outgoing said = {.msg_type = "stream",
                            .parent = request->header,
                            .content =
                                PX_SLICE_LITERAL("{\"name\":\"stdout\",\"text\":\"hi\\n\"}")};
        send_from_engine(h, PX_ROUTE_OUTPUT, route, engine, &said);
    }
    if (wants(request, "ask")) {
        out.msg_type = "input_request";
        out.content = PX_SLICE_LITERAL("{\"prompt\":\"name? \",\"password\":true}");
        send_from_engine(h, PX_ROUTE_STDIN, route, engine, &out);
        return;
    }
    if (wants(request, "lost")) {
        out.msg_type = "error";
        out.content = PX_SLICE_LITERAL("{\"status\":\"error\",\"ename\":\"EngineError\",\"evalue\":"
                                       "\"engine 1 died: killed by signal 9\"}");
        send_from_engine(h, PX_ROUTE_LOST, route, engine, &out);
        return;
    }
    if (wants(request, "garble")) {
        out.metadata = PX_SLICE_LITERAL("{\"x\":1}");
    }
    if (wants(request, "share")) {
        uint8_t *data;
        ok(px_bytes_new(PX_SEGMENT_THRESHOLD, &data, &buffers[0]));
        unit_pattern(data, PX_SEGMENT_THRESHOLD, engine);
        out.buffers = buffers;
        out.n_buffers = 1;
        send_from_engine(h, PX_ROUTE_REPLY, route, engine, &out);
        px_bytes_unref(buffers[0]);
        return;
    }
    for (size_t i = 0; i < request->n_buffers && i < 8; i++) {
        buffers[i] = px_frames_at(&request->frames, request->first_buffer + i);
    }
    out.buffers = buffers;
    out.n_buffers = request->n_buffers;
    send_from_engine(h, PX_ROUTE_REPLY, route, engine, &out);
}

// take_answer notes the answer to a question and gives the reply that waited for it.
static void take_answer(hub *h, const px_message *said, const px_route *route)
{
    ck_assert_int_eq(said->type, PX_MSG_INPUT_REPLY);
    ck_assert_uint_eq(route->n, 1);
    px_buf_clear(&h->answer);
    px_buf_append_slice(&h->answer, said->content);
    atomic_fetch_add(&h->answered, 1);
    const px_outgoing out = {.msg_type = "apply_reply",
                             .content = PX_SLICE_LITERAL("{\"status\":\"ok\"}")};
    send_from_engine(h, PX_ROUTE_REPLY, route, px_route_engine(route, 0), &out);
}

// give_back says for every target of a request that its buffers are unmapped.
static void give_back(hub *h, const px_route *to)
{
    for (uint32_t i = 0; i < to->n; i++) {
        PX_AUTO_FRAMES frames = {0};
        push_route(&frames, PX_ROUTE_RELEASE, 0, to, px_route_engine(to, i));
        (void)px_link_send(h->work, &frames);
    }
}

static void serve_work(hub *h, px_frames *frames)
{
    px_route route;
    ok(px_route_decode(px_frames_get(frames, 0), &route));
    if (route.kind == PX_ROUTE_RELEASE) {
        atomic_fetch_add(&h->released, 1);
        return;
    }
    if ((route.flags & PX_ROUTE_SEGMENTS) != 0) {
        ok(px_bulk_unpack(frames, 7, NULL));
    }
    if ((route.flags & PX_ROUTE_LENT) != 0) {
        atomic_fetch_add(&h->lent, 1);
    }
    PX_AUTO(px_message) request = NULL;
    ok(px_session_verify(h->entered ? h->reader : h->session, frames, false, &request, NULL));
    if (request->type == PX_MSG_REGISTER_REQUEST) {
        h->entered = true;
        answer(h, h->work, request, "{\"status\":\"ok\"}");
        return;
    }
    if (route.kind == PX_ROUTE_STDIN) {
        take_answer(h, request, &route);
        return;
    }
    if (wants(request, "end")) {
        h->over = true;
        return;
    }
    if (route.kind == PX_ROUTE_TASK) {
        px_terms terms = {0};
        if ((route.flags & PX_ROUTE_TERMS) != 0) {
            ok(px_terms_decode(px_frames_get(&request->frames, 1), &terms));
        }
        // Chosen: engine 40 and the number of tasks that it depends on.
        reply(h, request, &route, 40 + terms.n_after + terms.n_follow);
        return;
    }
    for (uint32_t i = 0; i < route.n; i++) {
        if (i == 1 && wants(request, "only first")) {
            break;
        }
        uint32_t at = wants(request, "last first") ? route.n - 1 - i : i;
        if (!wants(request, "hang")) {
            reply(h, request, &route, px_route_engine(&route, at));
        }
    }
    if ((route.flags & PX_ROUTE_LENT) != 0) {
        px_frames kept = {0};
        ok(px_frames_share(&kept, &request->frames, 0, 1)); // the route lies in it
        px_message_free(PX_STEAL(request));                 // unmapped
        give_back(h, &route);
        px_frames_done(&kept);
    }
}

static void serve_control(hub *h, px_frames *frames)
{
    PX_AUTO(px_message) request = NULL;
    ok(px_session_verify(h->session, frames, false, &request, NULL));
    if (request->type == PX_MSG_REGISTER_REQUEST) {
        answer(h, h->control, request,
               "{\"status\":\"ok\",\"id\":7,\"peer\":\"secret\",\"cluster\":{\"id\":\"unit\"},"
               "\"engines\":[{\"id\":0,\"state\":\"idle\"}]}");
        notify(h, "engine_notify",
               "{\"event\":\"registered\",\"engine\":{\"id\":1,\"state\":\"idle\"}}");
    } else if (request->type == PX_MSG_QUEUE_REQUEST) {
        answer(h, h->control, request, "{\"status\":\"ok\",\"engines\":{}}");
    }
}

// receive serves a link; false at its end.
static bool receive(hub *h, px_link *link, void (*serve)(hub *h, px_frames *frames))
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(link, &frames);
        if (err != PX_OK) {
            return err == PX_EAGAIN;
        }
        serve(h, &frames);
    }
}

static void *run(void *context)
{
    hub *h = context;
    unit_wait(h->control_listener, POLLIN);
    ok(px_link_accept(h->control_listener, PX_LINK_MAX_BYTES, &h->control));
    while (h->work == NULL) {
        struct pollfd fds[2] = {{.fd = px_link_fd(h->control), .events = POLLIN},
                                {.fd = h->work_listener, .events = POLLIN}};
        ck_assert_int_ge(poll(fds, 2, -1), 0);
        (void)receive(h, h->control, serve_control);
        if (fds[1].revents != 0) {
            ok(px_link_accept(h->work_listener, PX_LINK_MAX_BYTES, &h->work));
        }
    }
    bool open = true;
    while (open && !h->over) {
        struct pollfd fds[2] = {{.fd = px_link_fd(h->control), .events = POLLIN},
                                {.fd = px_link_fd(h->work), .events = POLLIN}};
        if (px_link_wants_write(h->work)) {
            fds[1].events = POLLIN | POLLOUT;
        }
        ck_assert_int_ge(poll(fds, 2, -1), 0);
        (void)px_link_flush(h->work);
        open = receive(h, h->control, serve_control) && receive(h, h->work, serve_work);
    }
    px_link_close(h->control);
    px_link_close(h->work);
    return NULL;
}

void hub_start(hub *h)
{
    char folder[PATH_MAX];
    ck_assert_int_eq(setenv("PX_RUNTIME_DIR", unit_folder(), 1), 0);
    ck_assert_int_eq(chmod(unit_folder(), 0700), 0);
    ok(px_cluster_folder("unit", folder, NULL));
    (void)mkdir(folder, 0700);
    *h = (hub){.file = {.id = "unit",
                        .pid = getpid(),
                        .n = 2,
                        .launcher = "local",
                        .key = KEY,
                        .signature_scheme = "hmac-sha256"}};
    (void)snprintf(h->file.control, sizeof h->file.control, "%.4000s/control.sock", folder);
    (void)snprintf(h->file.work, sizeof h->file.work, "%.4000s/work.sock", folder);
    ok(px_cluster_file_write(&h->file, NULL));
    ok(px_session_new(px_slice_str(KEY), "hmac-sha256", NULL, "hub", &h->session, NULL));
    ok(px_session_clone_trusting(h->session, &h->reader));
    ok(px_link_listen(h->file.control, &h->control_listener, NULL));
    ok(px_link_listen(h->file.work, &h->work_listener, NULL));
    ok(px_thread_start(&h->thread, "hub", run, h));
}

void hub_stop(hub *h)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 16];
    ck_assert_int_eq(pthread_join(h->thread, NULL), 0);
    (void)close(h->control_listener);
    (void)close(h->work_listener);
    px_bulk_done(&h->bulk);
    px_buf_done(&h->answer);
    px_session_free(h->reader);
    px_session_free(h->session);
    ok(px_cluster_folder("unit", folder, NULL));
    (void)snprintf(path, sizeof path, "%s/cluster.json", folder);
    (void)unlink(path);
    (void)unlink(h->file.control);
    (void)unlink(h->file.work);
    (void)rmdir(folder);
}
