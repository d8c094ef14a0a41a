// Every allocation of a walk through a module fails once, in turn: the walk must end with PX_ENOMEM
// (or do without), leave nothing behind (descriptors: the fixture; memory: AddressSanitizer), and
// work when nothing fails. The same for every system call, with EIO and with EINTR: the walk must
// end with an error, or do without.
#include "torture.h"
#include "unit.h"

#include "px/cluster.h"
#include "px/connection.h"
#include "px/json.h"
#include "px/link.h"
#include "px/loop.h"
#include "px/segment.h"
#include "px/session.h"
#include "px/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void torture_calls_with(px_err (*walk)(void), int errnum)
{
    long n_failed = 0;

    for (long n = 1;; n++) {
        torture_call_fail_at(n, errnum);
        px_err err = walk();
        int failed = torture_call_failed();
        torture_call_fail_at(0, 0);
        if (!failed) {
            ok(err);
            break;
        }
        n_failed++;
    }
    ck_assert_int_gt((int)n_failed, 0);
}

static void torture_calls(px_err (*walk)(void))
{
    torture_calls_with(walk, EIO);
    torture_calls_with(walk, EINTR);
}

static void torture(px_err (*walk)(void))
{
    long n_failed = 0;

    for (long n = 1;; n++) {
        torture_fail_at(n);
        px_err err = walk();
        int failed = torture_failed();
        torture_fail_at(0);
        if (!failed) {
            ok(err);
            break;
        }
        n_failed++;
        ck_assert_msg(err == PX_ENOMEM || err == PX_OK, "allocation %ld: %s", n, px_err_text(err));
    }
    ck_assert_int_gt((int)n_failed, 0);
}

// Instead of ck_assert, which allocates: it must not meet the failure meant for the walk.
static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const char *paths[2]; // made before the walk, for the same reason

static px_err walk_buf(void)
{
    PX_AUTO_BUF buf = {0};
    px_jsonw w = px_jsonw_to(&buf);

    px_jsonw_array(&w);
    for (int i = 0; i < 1000; i++) {
        px_jsonw_string(&w, "text\n");
        px_jsonw_int(&w, i);
    }
    px_jsonw_end_array(&w);
    px_buf_printf(&buf, "%s", "more");
    return px_buf_status(&buf);
}

static px_err walk_frames(void)
{
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES shared = {0};

    for (int i = 0; i < 50; i++) {
        PX_TRY(px_frames_push_copy(&frames, PX_SLICE_LITERAL("frame")));
    }
    return px_frames_share(&shared, &frames, 3, 40);
}

static px_err walk_session(void)
{
    PX_AUTO(px_session) session = NULL;
    PX_AUTO(px_session) clone = NULL;
    PX_AUTO(px_message) message = NULL;
    PX_AUTO_FRAMES frames = {0};
    px_error error;

    PX_TRY(px_session_new(PX_SLICE_LITERAL("key"), "hmac-sha256", NULL, NULL, &session, &error));
    PX_TRY(px_session_clone(session, &clone));
    PX_TRY(px_frames_push_copy(&frames, PX_SLICE_LITERAL("topic")));
    const px_outgoing outgoing = {.msg_type = "stream", .content = PX_SLICE_LITERAL("{\"a\":1}")};
    px_err err = px_session_compose(session, &outgoing, &frames);
    if (err != PX_OK) {
        must(frames.n == 1); // what was there before stays, nothing else
        return err;
    }
    err = px_session_verify(clone, &frames, true, &message, &error);
    must(frames.n == (err == PX_OK ? 0U : 7U));
    return err;
}

static px_err walk_json(void)
{
    PX_AUTO(px_json) json = NULL;
    PX_AUTO_BUF out = {0};

    PX_TRY(px_json_parse(PX_SLICE_LITERAL("{\"a\":[1,2,{\"b\":\"c\"}]}"), &json, NULL));
    return px_json_dump(json, &out);
}

static px_err exchange(px_link *from, px_link *to)
{
    static uint8_t large[4 << 20]; // more than the socket takes: the rest is queued
    PX_AUTO_FRAMES frames = {0};
    px_bytes *bytes = NULL;

    for (int i = 0; i < 12; i++) {
        PX_TRY(px_frames_push_copy(&frames, PX_SLICE_LITERAL("frame")));
    }
    PX_TRY(px_link_send(from, &frames));
    PX_TRY(px_bytes_copy(px_slice_of(large, sizeof(large)), &bytes));
    px_frames_set(&frames, 3, bytes);
    PX_TRY(px_link_send(from, &frames));
    PX_TRY(px_link_send(from, &frames));
    for (int n_received = 0; n_received < 3;) {
        PX_AUTO_FRAMES received = {0};
        px_err err = px_link_flush(from);
        if (err != PX_OK && err != PX_EAGAIN) {
            return err;
        }
        err = px_link_recv(to, &received);
        if (err == PX_OK) {
            n_received++;
        } else if (err != PX_EAGAIN) {
            return err;
        }
    }
    return PX_OK;
}

static px_err walk_link(void)
{
    int pair[2];
    PX_AUTO(px_link) one = NULL;
    PX_AUTO(px_link) two = NULL;

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    px_err err = px_link_adopt(pair[0], PX_LINK_MAX_BYTES, &one);
    if (err != PX_OK) {
        (void)close(pair[0]); // not taken
        (void)close(pair[1]); // not given
        return err;
    }
    err = px_link_adopt(pair[1], PX_LINK_MAX_BYTES, &two);
    if (err != PX_OK) {
        (void)close(pair[1]); // not taken
        return err;
    }
    return exchange(one, two);
}

static px_err walk_listen(void)
{
    PX_AUTO(px_link) one = NULL;
    PX_AUTO(px_link) two = NULL;
    int listener = -1;

    (void)unlink(paths[0]); // of the walk before
    PX_TRY(px_link_listen(paths[0], &listener, NULL));
    px_err err = px_link_connect(paths[0], &one, NULL);
    if (err == PX_OK) {
        err = px_link_accept(listener, PX_LINK_MAX_BYTES, &two);
    }
    if (err == PX_OK) {
        err = exchange(one, two);
    }
    (void)close(listener); // the end of the walk
    return err;
}

static void ignore_timer(void *context, px_ns now)
{
    (void)context;
    (void)now;
}

static void ignore_ready(void *context, int events)
{
    (void)context;
    (void)events;
}

static px_err fill_loop(px_loop *loop, int fd)
{
    px_source *source = NULL;

    PX_TRY(px_loop_add_fd(loop, "fd", fd, PX_READABLE, ignore_ready, NULL, &source));
    for (int i = 0; i < 40; i++) {
        PX_TRY(px_loop_add_timer(loop, "t", 0, 0, ignore_timer, NULL, NULL));
    }
    return px_loop_once(loop, 0);
}

static px_err walk_loop(void)
{
    px_loop *loop = NULL;
    int pair[2];

    must(pipe(pair) == 0);
    px_err err = px_loop_new(&loop);
    if (err == PX_OK) {
        err = fill_loop(loop, pair[0]);
    }
    px_loop_free(loop);
    (void)close(pair[0]); // the end of the walk
    (void)close(pair[1]); // the end of the walk
    return err;
}

static px_err talk(px_socket *one, px_socket *two)
{
    static uint8_t large[5000];
    PX_AUTO_FRAMES frames = {0};
    PX_AUTO_FRAMES received = {0};

    PX_TRY(px_socket_bind(one, "inproc://torture", NULL, NULL));
    PX_TRY(px_socket_connect(two, "inproc://torture", NULL));
    PX_TRY(px_frames_push_copy(&frames, PX_SLICE_LITERAL("small")));
    PX_TRY(px_frames_push_copy(&frames, px_slice_of(large, sizeof(large))));
    PX_TRY(px_socket_send(two, &frames));
    return px_socket_recv(one, &received); // inproc: it is there
}

static px_err walk_socket(void)
{
    px_context *context = NULL;
    px_socket *one = NULL;
    px_socket *two = NULL;

    px_err err = px_context_new(&context);
    if (err == PX_OK) {
        err = px_socket_open(context, PX_PAIR, &one);
    }
    if (err == PX_OK) {
        err = px_socket_open(context, PX_PAIR, &two);
    }
    if (err == PX_OK) {
        err = talk(one, two);
    }
    px_socket_close(one);
    px_socket_close(two);
    px_context_free(context);
    return err;
}

static px_err walk_files(void)
{
    px_connection connection;
    px_cluster_file file = {.id = "c", .pid = 1, .control = "/c", .work = "/w"};
    px_error error;
    char folder[PATH_MAX];

    must(setenv("PX_RUNTIME_DIR", paths[0], 1) == 0);
    PX_TRY(px_connection_defaults(&connection));
    PX_TRY(px_connection_write(paths[1], &connection, &error));
    PX_TRY(px_connection_read(paths[1], &connection, &error));
    int lock = -1;
    PX_TRY(px_cluster_folder("c", folder, &error));
    PX_TRY(px_cluster_lock(folder, &lock, &error));
    px_err err = px_cluster_file_write(&file, &error);
    if (err == PX_OK) {
        err = px_cluster_file_read("c", &file, &error);
    }
    (void)close(lock); // lets go of the folder
    (void)px_cluster_sweep(folder);
    return err;
}

static px_err walk_segment(void)
{
    static const uint8_t data[10000];
    px_segment_ref ref;
    px_bytes *bytes = NULL;
    int fd = -1;

    PX_TRY(px_segment_create(px_slice_of(data, sizeof(data)), &fd, &ref, NULL));
    px_err err = px_segment_map(&ref, &bytes, NULL);
    if (err == PX_OK) {
        px_bytes_unref(bytes);
    }
    (void)close(fd); // mapped or not
    return err;
}

START_TEST(test_torture__buf)
{
    torture(walk_buf);
}
END_TEST

START_TEST(test_torture__frames)
{
    torture(walk_frames);
}
END_TEST

START_TEST(test_torture__session)
{
    torture(walk_session);
}
END_TEST

START_TEST(test_torture__json)
{
    torture(walk_json);
}
END_TEST

START_TEST(test_torture__link)
{
    torture(walk_link);
    torture_calls(walk_link);
}
END_TEST

START_TEST(test_torture__listen)
{
    paths[0] = unit_path("link.sock");
    torture(walk_listen);
    torture_calls(walk_listen);
    (void)unlink(paths[0]); // the fixture's rmdir tells
}
END_TEST

START_TEST(test_torture__loop)
{
    torture(walk_loop);
    torture_calls(walk_loop);
}
END_TEST

START_TEST(test_torture__socket)
{
    torture(walk_socket);
}
END_TEST

START_TEST(test_torture__files)
{
    paths[0] = unit_path("root");
    paths[1] = unit_path("k.json");
    torture(walk_files);
    torture_calls(walk_files);
    (void)rmdir(paths[0]); // the fixture's rmdir tells
}
END_TEST

START_TEST(test_torture__segment)
{
    torture(walk_segment);
    torture_calls(walk_segment);
}
END_TEST

UNIT_MAIN("torture", test_torture__buf, test_torture__frames, test_torture__session,
          test_torture__json, test_torture__link, test_torture__listen, test_torture__loop,
          test_torture__socket, test_torture__files, test_torture__segment)
