// The client's core against a controller of our own (hub.h).

#include "hub.h"
#include "io/internal.h"
#include "unit.h"

#include "px/json.h"
#include "px/segment.h"
#include "px/thread.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

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
    return px_client_wait(task->client, &want, px_now() + timeout, -1);
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

// What the notebook of these tests was shown.
static pthread_mutex_t shown_lock = PTHREAD_MUTEX_INITIALIZER;
static px_buf shown;

static void show_stream(px_parent *parent, const char *name, px_slice text)
{
    (void)parent;
    (void)name;
    (void)pthread_mutex_lock(&shown_lock);
    px_buf_append_slice(&shown, text);
    (void)pthread_mutex_unlock(&shown_lock);
}

static void drop_parent(px_parent *parent)
{
    (void)parent;
}

START_TEST(test_client__first_outputs_are_shown_in_the_order_of_the_targets)
{
    static const px_kernel_api api = {.stream = show_stream, .parent_unref = drop_parent};
    static const uint32_t engines[] = {2, 0, 1};
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *task = NULL;
    const px_submission submission = {.msg_type = "execute_request",
                                      .targets = engines,
                                      .n_targets = 3,
                                      .content = PX_SLICE_LITERAL("{\"do\":\"say last first\"}"),
                                      .shows = true,
                                      .prefix = true,
                                      .api = &api,
                                      .parent = (px_parent *)&h};
    ok(px_client_submit(client, &submission, &task, NULL));
    ok(wait_all(task, 10 * PX_NS_PER_S));
    expect_text(px_buf_slice(&shown), "[stdout:2] hi\n[stdout:0] hi\n[stdout:1] hi\n");
    ck_assert(task->shown);
    px_buf_done(&shown);
    px_task_unref(task);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__outputs_are_not_held_back_for_long)
{
    static const px_kernel_api api = {.stream = show_stream, .parent_unref = drop_parent};
    static const uint32_t engines[] = {0, 1};
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    for (int waits = 0; waits < 2; waits++) { // px-client minds the time, or a waiter does
        px_task *task = NULL;
        const px_submission submission = {.msg_type = "execute_request",
                                          .targets = engines,
                                          .n_targets = 2,
                                          .content =
                                              PX_SLICE_LITERAL("{\"do\":\"say only first\"}"),
                                          .shows = true,
                                          .prefix = true,
                                          .api = &api,
                                          .parent = (px_parent *)&h};
        ok(px_client_submit(client, &submission, &task, NULL));
        size_t size = 0;
        while (size == 0) {
            if (waits == 1) {
                (void)wait_all(task, 5 * PX_NS_PER_MS);
            } else {
                ck_assert_int_eq(poll(NULL, 0, 1), 0);
            }
            (void)pthread_mutex_lock(&shown_lock);
            size = shown.size;
            (void)pthread_mutex_unlock(&shown_lock);
        }
        (void)pthread_mutex_lock(&shown_lock);
        expect_text(px_buf_slice(&shown), "[stdout:0] hi\n");
        px_buf_clear(&shown);
        (void)pthread_mutex_unlock(&shown_lock);
        px_task_unref(task);
    }
    client_end(client);
    px_buf_done(&shown);
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

START_TEST(test_client__a_garbled_reply_ends_the_wait_with_an_error)
{
    expect_lost("garble", "was refused: malformed");
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

START_TEST(test_client__segments_come_back_and_are_filled_again)
{
    enum { LARGE = PX_SEGMENT_THRESHOLD + 5 };
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    static const uint32_t engines[] = {0, 1};
    for (unsigned round = 0; round < 4; round++) {
        uint8_t *data;
        px_bytes *bytes;
        ok(px_bytes_new(LARGE, &data, &bytes));
        unit_pattern(data, LARGE, round);
        px_task *task = NULL;
        const px_submission submission = {.msg_type = "apply_request",
                                          .targets = engines,
                                          .n_targets = 2,
                                          .content = PX_SLICE_LITERAL("{\"do\":\"echo\"}"),
                                          .buffers = &bytes,
                                          .n_buffers = 1};
        ok(px_client_submit(client, &submission, &task, NULL));
        px_bytes_unref(bytes);
        ok(wait_all(task, 10 * PX_NS_PER_S));
        ck_assert(unit_is_pattern(px_frames_get(&task->slots[0].reply, PX_AT_BUFFERS), round));
        px_task_unref(task);
        px_task *after = submit(client, "echo", 1); // what came before it has been read
        ok(wait_all(after, 10 * PX_NS_PER_S));
        px_task_unref(after);
        (void)pthread_mutex_lock(&client->lock);
        size_t n_loans = HASH_COUNT(client->lending.loans);
        size_t n_idle = client->lending.pool.n;
        (void)pthread_mutex_unlock(&client->lock);
        ck_assert_uint_eq(n_loans, 0);
        ck_assert_uint_eq(n_idle, 1);
    }
    ck_assert_int_eq(atomic_load(&h.lent), 4);
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
    ok(px_client_wait(client, &want, px_now() + 10 * PX_NS_PER_S, -1));
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
    ok(px_client_wait(client, &want, px_now() + 10 * PX_NS_PER_S, -1));
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
        ok(px_client_wait(client, &want, 0, -1));
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
    ok(px_client_wait(task->client, &want, 0, -1));
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

// asked waits until an engine asks and takes the question.
static px_question *asked(px_task *task)
{
    const px_want want = {.task = task, .slot = PX_WANT_ALL, .asks = PX_ASKS_OWN};
    ok(px_client_wait(task->client, &want, px_now() + 10 * PX_NS_PER_S, -1));
    px_question *question = px_client_question(task->client, &want);
    ck_assert_ptr_nonnull(question);
    return question;
}

START_TEST(test_client__questions_are_answered_one_after_the_other)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *task = submit(client, "say ask", 2);
    for (int i = 0; i < 2; i++) {
        px_question *question = asked(task);
        expect_text(px_buf_slice(&question->prompt), "name? ");
        expect_text(px_buf_slice(&question->said), "hi\n");
        ck_assert(question->password);
        uint32_t engine = question->engine;
        px_client_unasked(client, question); // interrupted: it is there for who asks next
        question = asked(task);
        ck_assert_uint_eq(question->engine, engine);
        expect_text(px_buf_slice(&question->said), "hi\n"); // told again
        ok(px_client_answer(client, question, PX_SLICE_LITERAL("Ada \"A\"")));
    }
    ok(wait_all(task, 10 * PX_NS_PER_S));
    ck_assert_int_eq(px_task_status(task, 1), PX_SLOT_OK);
    ck_assert_int_eq(atomic_load(&h.answered), 2);
    px_task_unref(task);
    client_end(client);
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__a_question_that_nobody_can_answer_is_refused)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task_unref(submit(client, "ask", 1));
    px_task *other = submit(client, "ask", 1);
    px_task_abandon(other);
    px_task_unref(other);
    while (atomic_load(&h.answered) < 2) {
        px_task *task = submit(client, "echo", 1); // time passes with the work that is done
        ok(wait_all(task, 10 * PX_NS_PER_S));
        px_task_unref(task);
    }
    client_end(client);
    ck_assert_ptr_nonnull(
        memmem(h.answer.data, h.answer.size, "nobody waits", strlen("nobody waits")));
    hub_stop(&h);
}
END_TEST

START_TEST(test_client__questions_end_with_the_connection)
{
    hub h;
    hub_start(&h);
    px_client *client = client_open();
    px_task *task = submit(client, "ask", 4);
    px_question *question = asked(task);
    px_client_close(client, "the test is over");
    ck_assert_int_eq(px_task_status(task, 0), PX_SLOT_ERROR);
    px_client_unasked(client, question); // its slot is filled: it is dropped
    px_task_unref(task);
    px_client_unref(client);
    hub_stop(&h);
}
END_TEST

UNIT_MAIN("client", test_client__questions_are_answered_one_after_the_other,
          test_client__a_question_that_nobody_can_answer_is_refused,
          test_client__questions_end_with_the_connection, test_client__replies_fill_the_slots,
          test_client__outputs_are_there_when_the_reply_is,
          test_client__first_outputs_are_shown_in_the_order_of_the_targets,
          test_client__outputs_are_not_held_back_for_long,
          test_client__a_dead_engine_fills_its_slot_with_the_cause,
          test_client__a_garbled_reply_ends_the_wait_with_an_error,
          test_client__the_end_of_the_controller_ends_every_wait,
          test_client__a_wait_can_time_out_and_go_on,
          test_client__large_results_are_mapped_and_released,
          test_client__large_buffers_are_sent_in_segments_and_closed,
          test_client__segments_come_back_and_are_filled_again,
          test_client__engines_follow_the_notifications,
          test_client__the_controller_answers_questions,
          test_client__who_asked_is_told_when_a_task_is_done,
          test_client__nobody_can_submit_after_the_end, test_client__bad_targets_are_refused,
          test_client__a_balanced_task_learns_its_engine,
          test_client__many_small_requests_leave_together_and_by_themselves,
          test_client__threads_share_a_connection,
          test_client__closing_ends_the_waits_of_other_threads)
