// A controller of one thread answers in different ways.
#include "unit.h"

#include "px/enter.h"
#include "px/thread.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

typedef enum manner { WELCOME, REFUSAL, SILENCE, GARBAGE, GOODBYE, WRONG_KEY, WRONG_TYPE } manner;

typedef struct host {
    manner manner;
    int listener;
    px_link *link;
} host;

static px_cluster_file file = {.id = "unit", .pid = 1};

static px_session *session_with(const char *key)
{
    px_session *session = NULL;
    ok(px_session_new(px_slice_str(key), "hmac-sha256", NULL, NULL, &session, NULL));
    return session;
}

static px_message *request_of(px_link *link, px_session *session)
{
    PX_AUTO_FRAMES frames = {0};
    px_message *message = NULL;
    px_route route;

    while (px_link_recv(link, &frames) == PX_EAGAIN) {
        unit_wait(px_link_fd(link), POLLIN);
    }
    ok(px_route_decode(px_frames_get(&frames, 0), &route));
    ck_assert_uint_eq(route.kind, PX_ROUTE_HUB);
    ok(px_session_verify(session, &frames, true, &message, NULL));
    ck_assert_int_eq(message->type, PX_MSG_REGISTER_REQUEST);
    return message;
}

static void answer(host *h, px_session *session, const px_message *request)
{
    PX_AUTO_FRAMES frames = {0};
    px_bytes *frame = NULL;
    const px_route route = {.kind = PX_ROUTE_HUB};
    const px_outgoing outgoing = {
        .msg_type = h->manner == WRONG_TYPE ? "status_reply" : "register_reply",
        .parent = request->header,
        .content = h->manner == REFUSAL
                       ? PX_SLICE_LITERAL("{\"status\":\"error\",\"evalue\":\"no room\"}")
                       : PX_SLICE_LITERAL("{\"status\":\"ok\",\"id\":7}")};

    ok(px_route_encode(&route, NULL, &frame));
    ok(px_frames_push(&frames, frame));
    if (h->manner == GARBAGE) {
        unit_frames(&frames, "no", "message", NULL);
    } else {
        ok(px_session_compose(session, &outgoing, &frames));
    }
    ok(px_link_send(h->link, &frames));
}

static void *be_host(void *arg)
{
    host *h = arg;
    PX_AUTO(px_session) good = session_with("key");
    PX_AUTO(px_session) other = session_with("other");

    unit_wait(h->listener, POLLIN);
    ok(px_link_accept(h->listener, PX_LINK_MAX_UNTRUSTED, &h->link));
    PX_AUTO(px_message) request = request_of(h->link, good);
    if (h->manner == GOODBYE) {
        px_link_shutdown(h->link);
    } else if (h->manner != SILENCE) {
        answer(h, h->manner == WRONG_KEY ? other : good, request);
    }
    return NULL;
}

static px_err enter(manner how, px_error *error)
{
    const char *path = unit_path("control.sock");
    PX_AUTO(px_session) session = session_with("key");
    PX_AUTO(px_link) link = NULL;
    PX_AUTO(px_json) reply = NULL;
    host h = {.manner = how};
    pthread_t thread;
    // Long where an answer comes, so that a slow machine does not matter.
    px_ns timeout = how == SILENCE ? 20 * PX_NS_PER_MS : 20 * PX_NS_PER_S;
    const px_entry entry = {
        .file = &file, .session = session, .deadline = px_now() + timeout, .timeout = timeout};

    (void)snprintf(file.control, sizeof(file.control), "%s", path);
    ok(px_link_listen(path, &h.listener, NULL));
    ok(px_thread_start(&thread, "host", be_host, &h));
    px_err err = px_enter(&entry, PX_TUNNEL_CONTROL, PX_SLICE_LITERAL("{\"role\":\"client\"}"),
                          &link, &reply, error);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(err != PX_OK || px_json_int(reply, "id", 0) == 7);
    ck_assert(err == PX_OK || (link == NULL && reply == NULL));
    px_link_close(h.link);
    (void)close(h.listener); // nobody comes any more
    return err;
}

START_TEST(test_enter__is_let_in)
{
    px_error error = {0};

    ok(enter(WELCOME, &error));
}
END_TEST

START_TEST(test_enter__every_other_answer_is_said)
{
    static const struct {
        manner manner;
        px_err err;
    } cases[] = {{REFUSAL, PX_EPERM},   {SILENCE, PX_ETIMEOUT},     {GARBAGE, PX_EFORMAT},
                 {GOODBYE, PX_ECLOSED}, {WRONG_KEY, PX_ESIGNATURE}, {WRONG_TYPE, PX_EFORMAT}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        px_error error = {0};
        fails_with(cases[i].err, enter(cases[i].manner, &error));
        ck_assert_int_gt((int)strlen(error.text), 10);
        ck_assert(cases[i].manner != REFUSAL || strstr(error.text, "no room") != NULL);
    }
}
END_TEST

START_TEST(test_enter__nobody_there_is_said)
{
    PX_AUTO(px_session) session = session_with("key");
    px_link *link = NULL;
    px_json *reply = NULL;
    px_error error = {0};
    const px_entry entry = {.file = &file, .session = session, .deadline = px_now()};

    (void)snprintf(file.control, sizeof(file.control), "%s", unit_path("none.sock"));
    fails_with(PX_ENOENT,
               px_enter(&entry, PX_TUNNEL_CONTROL, PX_SLICE_LITERAL("{}"), &link, &reply, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "none.sock"));
}
END_TEST

UNIT_MAIN("enter", test_enter__is_let_in, test_enter__every_other_answer_is_said,
          test_enter__nobody_there_is_said)
