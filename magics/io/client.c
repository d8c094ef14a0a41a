// client.c: the life of a connection, and its thread.
//
// px-client sleeps in a loop over the control link, the work link (through an epoll descriptor that
// a leading waiter may mute, see wait.c) and an eventfd that says "look again". It never needs the
// GIL and never runs anything of the user's, so outputs flow and deaths are noticed whatever Python
// does.
//
// End. Whoever notices first that a link has ended (px-client, a leading waiter, a caller of close)
// calls px__client_end: every open slot is filled with an EngineError that says why, every wait
// ends. The thread leaves its loop by itself; links and descriptors are closed by px_client_close,
// after the thread and the last reader have gone, so no descriptor is closed under anyone who
// sleeps on it.

#include "io/internal.h"

#include "px/json.h"
#include "px/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CONTROL_BUDGET = 64, WORK_BUDGET = 256 };

px_err px__client_new(const px_client_options *options, px_client **ret_client, px_error *reterr)
{
    px_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        (void)px_error_set(reterr, PX_ENOMEM, "no memory for a connection");
        return PX_ENOMEM;
    }
    atomic_init(&client->refs, 1);
    (void)pthread_mutex_init(&client->reading, NULL); // default attributes: cannot fail here
    (void)pthread_mutex_init(&client->sending, NULL);
    (void)pthread_mutex_init(&client->lock, NULL);
    client->hooks = options->hooks;
    client->work_poll = -1;
    client->lending.pool.most_bytes = PX_LEND_IDLE_BYTES;
    client->kick = client->push = -1;
    px_err err = strchr(options->name, '/') != NULL
                     ? px_cluster_file_load(options->name, &client->file, reterr)
                     : px_cluster_file_read(options->name, &client->file, reterr);
    if (err == PX_OK) {
        px_slice key = px_slice_str(client->file.key);
        const char *scheme = client->file.signature_scheme;
        err = px_session_new(key, scheme, NULL, NULL, &client->composer, reterr);
        if (err == PX_OK) {
            err = px_session_clone_trusting(client->composer, &client->writer);
        }
        if (err == PX_OK) {
            err = px_session_clone_trusting(client->composer, &client->reader);
        }
        if (err == PX_OK) {
            err = px_session_clone(client->composer, &client->verifier);
        }
    }
    if (err != PX_OK) {
        px__client_free(client);
        return err;
    }
    *ret_client = client;
    return PX_OK;
}

void px__close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

// close_links closes what px-client and readers used; they are gone.
static void close_links(px_client *client)
{
    (void)pthread_mutex_lock(&client->reading);
    px__hold_expire(client, UINT64_MAX);
    (void)pthread_mutex_lock(&client->sending);
    (void)pthread_mutex_lock(&client->lock);
    int work_poll = client->work_poll;
    client->work_poll = -1;
    (void)pthread_mutex_unlock(&client->lock);
    px_loop_free(client->loop);
    client->loop = NULL;
    px__close(&work_poll);
    px_link_close(client->work);
    px_link_close(client->control);
    client->work = NULL;
    client->control = NULL;
    px__close(&client->kick);
    px__close(&client->push);
    (void)pthread_mutex_unlock(&client->sending);
    (void)pthread_mutex_unlock(&client->reading);
}

void px__client_free(px_client *client)
{
    close_links(client);
    px_lending_done(&client->lending);
    px__waiters_free(client);
    px_session_free(client->composer);
    px_session_free(client->writer);
    px_session_free(client->reader);
    px_session_free(client->verifier);
    px_pending_done(&client->pending);
    px_engines_done(&client->engines);
    px_buf_done(&client->cluster);
    px_buf_done(&client->reason);
    (void)pthread_mutex_destroy(&client->reading);
    (void)pthread_mutex_destroy(&client->sending);
    (void)pthread_mutex_destroy(&client->lock);
    free(client);
}

void px__client_kick(px_client *client)
{
    px__eventfd_write(client->kick);
}

static void kick_from_link(void *context)
{
    px__client_kick(context);
}

typedef struct ending {
    const char *reason;
    px_task *done;
} ending;

static void end_task(void *context, px_pending_entry *entry)
{
    ending *end = context;
    px_task *task = PX_CONTAINER(entry, px_task, entry);
    for (uint32_t i = 0; i < task->targets.n; i++) {
        if (task->slots[i].state == PX_SLOT_PENDING) {
            px__fill_lost(task, i, end->reason, &end->done);
        }
    }
}

void px__client_end(px_client *client, const char *reason)
{
    ending end = {.reason = reason};
    (void)pthread_mutex_lock(&client->lock);
    bool first = !client->closed;
    if (first) {
        client->closed = true;
        px_buf_append_str(&client->reason, reason);
        px_engines_lost(&client->engines);
        client->changed++;
        px_pending_each(&client->pending, end_task, &end);
        px__wake_all(client);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (first) {
        px__client_kick(client);
        px__settle(end.done);
    }
}

// drain_control serves what the control link has; false when it has ended.
static bool drain_control(px_client *client)
{
    for (int i = 0; i < CONTROL_BUDGET; i++) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(client->control, &frames);
        if (err == PX_EAGAIN) {
            return true;
        }
        if (err != PX_OK) {
            PX_AUTO_BUF reason = {0};
            px__link_ended(client, err, &reason);
            px_buf_append(&reason, "", 1);
            px__client_end(client, (char *)reason.data);
            return false;
        }
        px_error cause = {0};
        PX_AUTO(px_message) message = NULL;
        if (px_session_verify(client->verifier, &frames, false, &message, &cause) == PX_OK) {
            px__read_control(client, message);
        } else if (px_log_once(&client->bad_messages)) {
            px_log_warning("control message dropped", "cause=\"%s\"", cause.text);
        }
    }
    px__client_kick(client);
    return true;
}

// drain_work reads the work link unless a waiter does.
static void drain_work(px_client *client)
{
    if (pthread_mutex_trylock(&client->reading) != 0) {
        return;
    }
    px_err err = px__read_work(client, NULL, WORK_BUDGET);
    px_ns due = px__hold_due(client);
    px_timer_set(client->hold_timer, due != 0 ? due : UINT64_MAX);
    (void)pthread_mutex_unlock(&client->reading);
    if (err == PX_OK) {
        px__client_kick(client);
    }
}

static bool is_closed(px_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    bool closed = client->closed;
    (void)pthread_mutex_unlock(&client->lock);
    return closed;
}

static void on_control(void *context, int events)
{
    px_client *client = context;
    if ((events & PX_WRITABLE) != 0 && px_link_flush(client->control) != PX_EAGAIN) {
        px_source_set_events(client->control_source, PX_READABLE);
    }
    if (!drain_control(client)) {
        px_source_remove(client->control_source);
        client->control_source = NULL;
    }
}

static void on_work(void *context, int events)
{
    (void)events;
    drain_work(context);
}

static void on_work_room(void *context, int events)
{
    (void)events;
    px_client *client = context;
    if (px_link_flush(client->work) != PX_EAGAIN) {
        px_source_remove(client->work_write);
        client->work_write = NULL;
    }
}

// show_held shows what is kept back, unless a waiter reads: then that does it on leaving.
static void show_held(px_client *client)
{
    if (pthread_mutex_trylock(&client->reading) == 0) {
        px__hold_expire(client, UINT64_MAX);
        (void)pthread_mutex_unlock(&client->reading);
    }
}

static void on_hold_due(void *context, px_ns now)
{
    (void)now;
    drain_work(context);
}

// next_idle is when the next idle segment is to be freed.
static px_ns next_idle(px_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    px_ns due = px_pool_due(&client->lending.pool);
    (void)pthread_mutex_unlock(&client->lock);
    return due;
}

static void on_idle_due(void *context, px_ns now)
{
    px_client *client = context;
    px_segment *segment = NULL;
    do {
        (void)pthread_mutex_lock(&client->lock);
        segment = px_pool_expire(&client->lending.pool, now);
        (void)pthread_mutex_unlock(&client->lock);
        px_segment_free(segment);
    } while (segment != NULL);
    px_timer_set(client->idle_timer, next_idle(client));
}

static void on_push_due(void *context, int events)
{
    (void)events;
    px_client *client = context;
    px__eventfd_read(client->push); // a timerfd is read as an eventfd
    px__push(client);
}

static void on_kick(void *context, int events)
{
    (void)events;
    px_client *client = context;
    px__eventfd_read(client->kick);
    if (!is_closed(client)) {
        drain_work(client);
        (void)drain_control(client);
    }
    if (is_closed(client)) {
        show_held(client);
        px_loop_stop(client->loop);
        return;
    }
    px_timer_set(client->idle_timer, next_idle(client));
    if (client->work_write == NULL && px_link_wants_write(client->work)) {
        (void)px_loop_add_fd(client->loop, "work room", px_link_fd(client->work), PX_WRITABLE,
                             on_work_room, client, &client->work_write);
    }
    if (client->control_source != NULL && px_link_wants_write(client->control)) {
        px_source_set_events(client->control_source, PX_READABLE | PX_WRITABLE);
    }
}

static void *run(void *context)
{
    px_client *client = context;
    if (px_loop_run(client->loop) != PX_OK) {
        px__client_end(client, "the client's own loop failed: out of memory or descriptors");
    }
    return NULL;
}

static px_err watch_work(px_client *client)
{
    client->work_poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (client->work_poll < 0 ||
        epoll_ctl(client->work_poll, EPOLL_CTL_ADD, px_link_fd(client->work), &event) != 0) {
        return px_err_from_errno(errno);
    }
    return px_loop_add_fd(client->loop, "work", client->work_poll, PX_READABLE, on_work, client,
                          &client->work_source);
}

static px_err watch_all(px_client *client)
{
    client->kick =
        eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); // 1: look at what was read while registering
    client->push = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (client->kick < 0 || client->push < 0) {
        return px_err_from_errno(errno);
    }
    PX_TRY(px_loop_new(&client->loop));
    PX_TRY(px_loop_add_fd(client->loop, "kick", client->kick, PX_READABLE, on_kick, client,
                          &client->kick_source));
    PX_TRY(px_loop_add_fd(client->loop, "control", px_link_fd(client->control), PX_READABLE,
                          on_control, client, &client->control_source));
    PX_TRY(watch_work(client));
    PX_TRY(px_loop_add_timer(client->loop, "hold", UINT64_MAX, 0, on_hold_due, client,
                             &client->hold_timer));
    PX_TRY(px_loop_add_timer(client->loop, "idle", UINT64_MAX, 0, on_idle_due, client,
                             &client->idle_timer));
    PX_TRY(
        px_loop_add_fd(client->loop, "push", client->push, PX_READABLE, on_push_due, client, NULL));
    px_link_set_wake(client->work, kick_from_link, client);
    px_link_set_wake(client->control, kick_from_link, client);
    return px_thread_start(&client->thread, "px-client", run, client);
}

px_err px__client_start(px_client *client, px_error *reterr)
{
    px_err err = watch_all(client);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "the client's thread could not be started: %s",
                            px_err_text(err));
    }
    return PX_OK;
}

px_err px_client_open(const px_client_options *options, px_client **ret_client, px_error *reterr)
{
    px_client *client = NULL;
    PX_TRY(px__client_new(options, &client, reterr));
    px_err err = px__register(client, options, reterr);
    if (err == PX_OK) {
        err = px__client_start(client, reterr);
    }
    if (err != PX_OK) {
        px__client_free(client);
        return err;
    }
    px__registry_add(client);
    *ret_client = client;
    return PX_OK;
}

void px_client_close(px_client *client, const char *reason)
{
    px__push(client);
    px__client_end(client, reason);
    (void)pthread_mutex_lock(&client->lock);
    bool first = !client->closing;
    client->closing = true;
    (void)pthread_mutex_unlock(&client->lock);
    if (!first) {
        return;
    }
    px__registry_remove(client);
    px_loop_stop(client->loop);
    (void)pthread_join(client->thread, NULL);
    close_links(client);
    (void)pthread_mutex_lock(&client->lock);
    px_lending lending = client->lending;
    client->lending = (px_lending){0};
    (void)pthread_mutex_unlock(&client->lock);
    px_lending_done(&lending);
}

px_client *px_client_ref(px_client *client)
{
    (void)atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
    return client;
}

void px_client_unref(px_client *client)
{
    if (atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) == 1) {
        assert(client->closing);
        px__client_free(client);
    }
}

uint32_t px_client_id(const px_client *client)
{
    return client->id;
}

const char *px_client_session(const px_client *client)
{
    return px_session_id(client->composer);
}

const px_cluster_file *px_client_file(const px_client *client)
{
    return &client->file;
}

bool px_client_closed(px_client *client, px_buf *ret_reason)
{
    (void)pthread_mutex_lock(&client->lock);
    bool closed = client->closed;
    if (ret_reason != NULL) {
        px_buf_append_slice(ret_reason, px_buf_slice(&client->reason));
    }
    (void)pthread_mutex_unlock(&client->lock);
    return closed;
}

void px_client_cluster(px_client *client, px_buf *out)
{
    (void)pthread_mutex_lock(&client->lock);
    px_buf_append_slice(out, px_buf_slice(&client->cluster));
    (void)pthread_mutex_unlock(&client->lock);
}

void px_client_engines(px_client *client, px_buf *out)
{
    px_jsonw w = px_jsonw_to(out);
    (void)pthread_mutex_lock(&client->lock);
    px_jsonw_array(&w);
    for (size_t i = 0; i < client->engines.n; i++) {
        px_jsonw_raw(&w, px_buf_slice(&client->engines.items[i].json));
    }
    px_jsonw_end_array(&w);
    (void)pthread_mutex_unlock(&client->lock);
}

void px_client_engine_ids(px_client *client, px_buf *out)
{
    (void)pthread_mutex_lock(&client->lock);
    for (size_t i = 0; i < client->engines.n; i++) {
        if (client->engines.items[i].ready) {
            px_buf_append(out, &client->engines.items[i].id, sizeof(uint32_t));
        }
    }
    (void)pthread_mutex_unlock(&client->lock);
}

uint64_t px_client_changed(px_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    uint64_t changed = client->changed;
    (void)pthread_mutex_unlock(&client->lock);
    return changed;
}
