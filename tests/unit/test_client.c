// The client's core against a controller of our own: one thread that answers for all engines. What
// an engine does stands in the content of the request:
//   echo   reply with the request's buffers        say    an output, then the reply
//   lost   the engine died                         hang   nothing at all
//   forge  a reply with a wrong signature          share  a reply with a large buffer, in a segment
//   end    the controller closes both links

#include "io/client.h"
#include "unit.h"

#include "px/json.h"
#include "px/segment.h"
#include "px/thread.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define KEY "0123456789abcdef0123456789abcdef"

typedef struct hub {
    px_cluster_file file;
    px_session *session;
    int control_listener, work_listener;
    px_link *control, *work;
    pthread_t thread;
    atomic_int released; // RELEASE frames seen
    px_bulk bulk;
    bool over;
} hub;

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
        ok(px_frames_push_copy(&frames, px_slice_str("")));
        px_bytes *forged;
        ok(px_bytes_copy(px_slice_str("0000"), &forged));
        px_frames_set(&frames, 2, forged);
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
    if (wants(request, "lost")) {
        out.msg_type = "error";
        out.content = PX_SLICE_LITERAL("{\"status\":\"error\",\"ename\":\"EngineError\",\"evalue\":"
                                       "\"engine 1 died: killed by signal 9\"}");
        send_from_engine(h, PX_ROUTE_LOST, route, engine, &out);
        return;
    }
    if (wants(request, "forge")) {
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
    PX_AUTO(px_message) request = NULL;
    ok(px_session_verify(h->session, frames, false, &request, NULL));
    if (request->type == PX_MSG_REGISTER_REQUEST) {
        answer(h, h->work, request, "{\"status\":\"ok\"}");
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
        if (!wants(request, "hang")) {
            reply(h, request, &route, px_route_engine(&route, i));
        }
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

static void hub_start(hub *h)
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
    ok(px_link_listen(h->file.control, &h->control_listener, NULL));
    ok(px_link_listen(h->file.work, &h->work_listener, NULL));
    ok(px_thread_start(&h->thread, "hub", run, h));
}

static void hub_stop(hub *h)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 16];
    ck_assert_int_eq(pthread_join(h->thread, NULL), 0);
    (void)close(h->control_listener);
    (void)close(h->work_listener);
    px_bulk_done(&h->bulk);
    px_session_free(h->session);
    ok(px_cluster_folder("unit", folder, NULL));
    (void)snprintf(path, sizeof path, "%s/cluster.json", folder);
    (void)unlink(path);
    (void)unlink(h->file.control);
    (void)unlink(h->file.work);
    (void)rmdir(folder);
}

static atomic_int n_notified;

static void task_done(px_task *task)
{
    atomic_fetch_add(&n_notified, 1);
    px_task_unref(task);
}

static px_client *client_open(void)
{
    static const px_client_hooks hooks = {.task_done = task_done};
    const px_client_options options = {
        .name = "unit", .python = "3", .timeout = 10 * PX_NS_PER_S, .hooks = &hooks};
    px_client *client = NULL;
    px_error error = {0};
    px_err err = px_client_open(&options, &client, &error);
    ck_assert_msg(err == PX_OK, "%s", error.text);
    return client;
}

static void client_end(px_client *client)
{
    px_client_close(client, "the test is over");
    px_client_unref(client);
}

static px_task *submit(px_client *client, const char *what, uint32_t n_targets)
{
    static const uint32_t engines[] = {0, 1, 2, 3};
    PX_AUTO_BUF content = {0};
    px_buf_printf(&content, "{\"do\":\"%s\"}", what);
    px_task *task = NULL;
    const px_submission submission = {.msg_type = "apply_request",
                                      .targets = engines,
                                      .n_targets = n_targets,
                                      .content = px_buf_slice(&content),
                                      .label = "the test"};
    ok(px_client_submit(client, &submission, &task, NULL));
    return task;
}

static px_err wait_all(px_task *task, px_ns timeout)
{
    const px_want want = {.task = task, .slot = PX_WANT_ALL};
    return px_client_wait(task->client, &want, px_now() + timeout, NULL);
}

START_TEST(test_client__replies_fill_the_slots)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    ck_assert_uint_eq(px_client_id(client), 7);
    px_task *task = submit(client, "echo", 4);
    ok(wait_all(task, 10 * PX_NS_PER_S));
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(px_task_status(task, i), PX_SLOT_OK);
    }
    px_task_unref(task);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__outputs_are_there_when_the_reply_is)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    for (int i = 0; i < 200; i++) {
        px_task *task = submit(client, "say", 2);
        ok(wait_all(task, 10 * PX_NS_PER_S));
        for (uint32_t slot = 0; slot < 2; slot++) {
            ck_assert_ptr_nonnull(task->slots[slot].outputs.first);
            expect_text(px_buf_slice(&task->slots[slot].outputs.first->text), "hi\n");
        }
        px_task_unref(task);
    }
    client_end(client);
    hub_stop(&h);
}
END_TEST

static void expect_lost(const char *what, const char *sentence)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *task = submit(client, what, 1);
    ok(wait_all(task, 10 * PX_NS_PER_S));
    ck_assert_int_eq(px_task_status(task, 0), PX_SLOT_ERROR);
    px_buf_append(&task->slots[0].substitute, "", 1);
    const char *content = (const char *)task->slots[0].substitute.data;
    ck_assert_msg(strstr(content, sentence) != NULL, "\"%s\" is not in %s", sentence, content);
    ck_assert_ptr_nonnull(strstr(content, "while it ran the test"));
    px_task_unref(task);
    client_end(client);
    hub_stop(&h);
}

START_TEST(test_client__a_dead_engine_fills_its_slot_with_the_cause)
{
    expect_lost("lost", "engine 1 died: killed by signal 9");
}
END_TEST

START_TEST(test_client__a_forged_reply_ends_the_wait_with_an_error)
{
    expect_lost("forge", "was refused: signature does not match");
}
END_TEST

START_TEST(test_client__the_end_of_the_controller_ends_every_wait)
{
    expect_lost("end", "the controller of cluster 'unit' is gone");
}
END_TEST

START_TEST(test_client__a_wait_can_time_out_and_go_on)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *hanging = submit(client, "hang", 1);
    fails_with(PX_ETIMEOUT, wait_all(hanging, PX_NS_PER_MS));
    px_task *task = submit(client, "echo", 1);
    ok(wait_all(task, 10 * PX_NS_PER_S));
    px_task_unref(task);
    px_task_abandon(hanging);
    ok(wait_all(hanging, 0));
    ck_assert_int_eq(px_task_status(hanging, 0), PX_SLOT_ABORTED);
    px_task_unref(hanging);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__large_results_are_mapped_and_released)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *task = submit(client, "share", 2);
    ok(wait_all(task, 10 * PX_NS_PER_S));
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(px_frames_count(&task->slots[i].reply), PX_AT_BUFFERS + 1);
        ck_assert(unit_is_pattern(px_frames_get(&task->slots[i].reply, PX_AT_BUFFERS), i));
    }
    px_task *late = submit(client, "share", 1);
    px_task_abandon(late); // its result, too, has to be released
    px_task_unref(late);
    px_task *after = submit(client, "echo", 1);
    ok(wait_all(after, 10 * PX_NS_PER_S));
    px_task_unref(after);
    px_task_unref(task);
    px_task *sync = submit(client, "echo", 1); // everything before it has been read
    ok(wait_all(sync, 10 * PX_NS_PER_S));
    px_task_unref(sync);
    ck_assert_int_eq(atomic_load(&h.released), 3);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__large_buffers_are_sent_in_segments_and_closed)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    static const uint32_t engine = 0;
    uint8_t *data;
    px_bytes *bytes;
    ok(px_bytes_new(PX_SEGMENT_THRESHOLD + 1, &data, &bytes));
    unit_pattern(data, PX_SEGMENT_THRESHOLD + 1, 9);
    px_task *task = NULL;
    const px_submission submission = {.msg_type = "apply_request",
                                      .targets = &engine,
                                      .n_targets = 1,
                                      .content = PX_SLICE_LITERAL("{\"do\":\"echo\"}"),
                                      .buffers = &bytes,
                                      .n_buffers = 1};
    ok(px_client_submit(client, &submission, &task, NULL));
    px_bytes_unref(bytes);
    ok(wait_all(task, 10 * PX_NS_PER_S));
    ck_assert(unit_is_pattern(px_frames_get(&task->slots[0].reply, PX_AT_BUFFERS), 9));
    px_task_unref(task);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__engines_follow_the_notifications)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    const px_want want = {.seen = 0};
    ok(px_client_wait(client, &want, px_now() + 10 * PX_NS_PER_S, NULL));
    PX_AUTO_BUF ids = {0};
    px_client_engine_ids(client, &ids);
    ck_assert_uint_eq(ids.size, 2 * sizeof(uint32_t));
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__the_controller_answers_questions)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_ask ask = {0};
    ok(px_client_ask(client, "queue_request", px_slice_str("{}"), &ask, NULL));
    const px_want want = {.ask = &ask};
    ok(px_client_wait(client, &want, px_now() + 10 * PX_NS_PER_S, NULL));
    px_client_ask_done(client, &ask);
    expect_text(px_buf_slice(&ask.content), "{\"status\":\"ok\",\"engines\":{}}");
    px_buf_done(&ask.content);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__who_asked_is_told_when_a_task_is_done)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    atomic_store(&n_notified, 0);
    px_task *task = submit(client, "hang", 1);
    ck_assert(px_task_notify(task, NULL));
    px_task_unref(task); // the table keeps it
    px_task *answered = submit(client, "echo", 1);
    ok(wait_all(answered, 10 * PX_NS_PER_S));
    ck_assert(!px_task_notify(answered, NULL));
    px_task_unref(answered);
    ck_assert_int_eq(atomic_load(&n_notified), 0);
    px_client_close(client, "over");
    ck_assert_int_eq(atomic_load(&n_notified), 1);
    px_client_unref(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__nobody_can_submit_after_the_end)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_client_close(client, "closed by the test");
    static const uint32_t engine = 0;
    px_task *task = NULL;
    px_error error = {0};
    const px_submission submission = {
        .msg_type = "apply_request", .targets = &engine, .n_targets = 1};
    fails_with(PX_ECLOSED, px_client_submit(client, &submission, &task, &error));
    ck_assert_str_eq(error.text, "closed by the test");
    px_client_unref(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__bad_targets_are_refused)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    static const uint32_t twice[] = {1, 1};
    px_task *task = NULL;
    px_submission submission = {.msg_type = "apply_request", .targets = twice, .n_targets = 2};
    fails_with(PX_EINVAL, px_client_submit(client, &submission, &task, NULL));
    submission.n_targets = 0;
    fails_with(PX_EINVAL, px_client_submit(client, &submission, &task, NULL));
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__a_balanced_task_learns_its_engine)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    const px_terms terms = {.retries = 1, .n_after = 1, .n_follow = 1};
    const uint64_t others[] = {1, 2};
    px_submission submission = {.msg_type = "apply_request",
                                .content = PX_SLICE_LITERAL("{\"do\":\"say\"}"),
                                .balanced = true};
    for (uint32_t i = 0; i < 2; i++) {
        px_task *task = NULL;
        submission.terms = i == 0 ? NULL : &terms;
        submission.tasks = others;
        ok(px_client_submit(client, &submission, &task, NULL));
        ok(wait_all(task, 10 * PX_NS_PER_S));
        ck_assert_int_eq(px_task_status(task, 0), PX_SLOT_OK);
        ck_assert_uint_eq(task->own_engine, 40 + 2 * i);
        expect_text(px_buf_slice(&task->slots[0].outputs.first->text), "hi\n");
        px_task_unref(task);
    }
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__many_small_requests_leave_together_and_by_themselves)
{
    enum { N = 500 };
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *tasks[N];
    for (int i = 0; i < N; i++) {
        tasks[i] = submit(client, i < 100 ? "hang" : "echo", 1);
    }
    int fd = -1;
    ok(px_task_done_fd(tasks[N - 1], &fd));
    unit_wait(fd, POLLIN); // nobody waits in px_client_wait
    for (int i = 100; i < N; i++) {
        ck_assert_int_eq(px_task_status(tasks[i], 0), PX_SLOT_OK);
    }
    for (int i = 0; i < N; i++) {
        px_task_unref(tasks[i]);
    }
    client_end(client);
    hub_stop(&h);
}
END_TEST

enum { N_THREADS = 4, N_EACH = 400 };

static void *submit_many(void *context)
{
    px_client *client = context;
    for (int i = 0; i < N_EACH; i++) {
        px_task *first = submit(client, i % 3 == 0 ? "say" : "echo", 1 + (uint32_t)i % 4);
        px_task *second = submit(client, "echo", 1);
        ok(wait_all(second, 10 * PX_NS_PER_S));
        ok(wait_all(first, 10 * PX_NS_PER_S));
        px_task_unref(first);
        px_task_unref(second);
    }
    return NULL;
}

static void *watch_engines(void *context)
{
    px_client *client = context;
    uint64_t seen = 0;
    while (!px_client_closed(client, NULL)) {
        const px_want want = {.seen = seen};
        ok(px_client_wait(client, &want, 0, NULL));
        seen = px_client_changed(client);
    }
    return NULL;
}

START_TEST(test_client__threads_share_a_connection)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    pthread_t threads[N_THREADS];
    pthread_t watcher;
    ok(px_thread_start(&watcher, "watcher", watch_engines, client));
    for (int i = 0; i < N_THREADS; i++) {
        ok(px_thread_start(&threads[i], "submitter", submit_many, client));
    }
    for (int i = 0; i < N_THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    px_client_close(client, "over");
    ck_assert_int_eq(pthread_join(watcher, NULL), 0);
    px_client_unref(client);
    hub_stop(&h);
}
END_TEST

static void *wait_for_ever(void *context)
{
    px_task *task = context;
    const px_want want = {.task = task, .slot = PX_WANT_ALL};
    ok(px_client_wait(task->client, &want, 0, NULL));
    return NULL;
}

START_TEST(test_client__closing_ends_the_waits_of_other_threads)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    pthread_t threads[N_THREADS];
    px_task *tasks[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        tasks[i] = submit(client, "hang", 2);
        ok(px_thread_start(&threads[i], "waiter", wait_for_ever, tasks[i]));
    }
    px_client_close(client, "closed while others wait");
    for (int i = 0; i < N_THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(px_task_status(tasks[i], 1), PX_SLOT_ERROR);
        px_task_unref(tasks[i]);
    }
    px_client_unref(client);
    hub_stop(&h);
}
END_TEST

UNIT_MAIN(
    "client", test_client__replies_fill_the_slots, test_client__outputs_are_there_when_the_reply_is,
    test_client__a_dead_engine_fills_its_slot_with_the_cause,
    test_client__a_forged_reply_ends_the_wait_with_an_error,
    test_client__the_end_of_the_controller_ends_every_wait,
    test_client__a_wait_can_time_out_and_go_on, test_client__large_results_are_mapped_and_released,
    test_client__large_buffers_are_sent_in_segments_and_closed,
    test_client__engines_follow_the_notifications, test_client__the_controller_answers_questions,
    test_client__who_asked_is_told_when_a_task_is_done,
    test_client__nobody_can_submit_after_the_end, test_client__bad_targets_are_refused,
    test_client__a_balanced_task_learns_its_engine,
    test_client__many_small_requests_leave_together_and_by_themselves,
    test_client__threads_share_a_connection, test_client__closing_ends_the_waits_of_other_threads)
