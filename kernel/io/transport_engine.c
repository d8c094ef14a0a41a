// transport_engine.c: an engine's transport: two links to the controller instead of five sockets.
//
// In. Requests come on the work link, their route frame standing where a front end's identity
// would; so everything above sees an ordinary request, and the route of the parent says where its
// outputs and its reply go. Large buffers come as segments and are mapped here, private and
// writable. Interrupts, shutdown and questions come on the control link and are never behind a
// large request.
//
// Out. Outputs and the reply of a request leave on the one work link, in the order in which they
// were published; the controller keeps that order, so a client that has the reply has the outputs.
//
// A result's large buffers become segments too (results.h), and what a request lent us is given
// back when Python has let go of it (px/borrowing.h).
//
// The end of a link is the controller's end: there is nobody left to work for, and the engine ends.

#include "io/io.h"
#include "io/member.h"
#include "io/need.h"
#include "io/results.h"

#include "px/borrowing.h"
#include "px/bulk.h"
#include "px/enter.h"
#include "px/json.h"
#include "px/link.h"
#include "px/log.h"
#include "px/segment.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ROUND = 256, // messages from one link before others get their turn
    AT_ROUTE = 0,
    AT_BUFFERS = 7,
    ENTER_S = 10,
    FLUSH_MS = 1000,
    PUSH_US = 200 // a reply is not kept back longer
};

// outlet is the way out for buffers that are let go, which may be later than the transport's end.
typedef struct outlet {
    atomic_uint refs;
    pthread_mutex_t lock;
    px_link *work; // NULL: closed
    uint32_t own_id;
    pid_t pid;
} outlet;

// loan is one request whose segments its client wants to fill again.
typedef struct loan {
    outlet *outlet;
    uint32_t client;
    uint64_t task;
} loan;

typedef struct engine {
    px_transport base;
    px_config *config;
    px_io *io;
    px_link *control;
    px_link *work;
    px_session *writer, *reader; // of the work link; the reader of both, once they have registered
    px_source *control_source;
    px_source *work_source;
    int wake_fd; // eventfd: a link wants to write, or has read ahead
    px_results *results;
    px_timer *idle_timer; // segments that nobody wanted for a while are freed
    outlet *outlet;
    // Replies that leave together. waiting: requests that came and were not answered yet, a guess
    // (some are never answered); keeps: replies were kept back and px-io was told.
    atomic_uint waiting;
    atomic_bool keeps;
    _Atomic px_ns last_reply;
    px_timer *push_timer;
} engine;

static uint32_t own_id(const engine *e)
{
    return (uint32_t)e->config->engine_id;
}

// --- out ----------------------------------------------------------------------------------------

static bool failed(px_slice content)
{
    return px_member_is(content, "status", "\"error\"") ||
           px_member_is(content, "status", "\"aborted\"");
}

// pack puts the large buffers of a reply into segments and says so in its route.
static px_err pack(engine *e, px_frames *frames, px_route *route)
{
    uint16_t flags = 0;
    uint32_t own = own_id(e);
    px_bytes *frame = NULL;
    PX_TRY(px_results_pack(e->results, route->client, route->task, frames, AT_BUFFERS, &flags));
    route->flags |= flags;
    PX_TRY(px_route_encode(route, &own, &frame));
    px_frames_set(frames, AT_ROUTE, frame);
    return PX_OK;
}

static void wake(const engine *e)
{
    uint64_t one = 1;
    (void)!write(e->wake_fd, &one, sizeof one); // a full counter is readable already
}

// send_reply sends it, or keeps it back when the next will be there in a moment: requests wait, and
// the last reply is hardly older than this one.
static px_err send_reply(engine *e, const px_frames *frames)
{
    px_ns now = px_now();
    px_ns before = atomic_exchange(&e->last_reply, now);
    unsigned waiting = atomic_load(&e->waiting);
    if (waiting > 0) {
        waiting = atomic_fetch_sub(&e->waiting, 1) - 1;
    }
    if (waiting == 0 || now - before > PUSH_US * (PX_NS_PER_MS / 1000) / 2) {
        return px_link_send(e->work, frames);
    }
    px_err err = px_link_send_later(e->work, frames);
    if (!atomic_exchange(&e->keeps, true)) {
        wake(e);
    }
    return err;
}

static void push_due(void *context, px_ns now)
{
    engine *e = context;
    atomic_store(&e->keeps, false);
    (void)px_link_push(e->work); // a link that ended shows when it is read
    if (now - atomic_load(&e->last_reply) > PUSH_US * (PX_NS_PER_MS / 1000)) {
        atomic_store(&e->waiting, 0); // what waits takes long, or needs no answer
    }
}

// send_work sends a reply or an output to the client that asked for it.
static px_err send_work(engine *e, px_route_kind kind, const px_parent *to,
                        const px_outgoing *outgoing)
{
    px_route asked;
    PX_TRY(px_route_decode(px_frames_get(&to->idents, AT_ROUTE), &asked));
    px_route route = {.kind = (uint8_t)kind, .client = asked.client, .task = asked.task, .n = 1};
    if (kind == PX_ROUTE_REPLY && failed(outgoing->content)) {
        route.flags |= PX_ROUTE_FAILED;
    }
    uint32_t own = own_id(e);
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &route, &own));
    PX_TRY(px_session_compose(e->writer, outgoing, &frames));
    bool shares = !px_link_is_far(e->work) && (asked.flags & PX_ROUTE_FAR) == 0;
    if (kind == PX_ROUTE_REPLY && shares && px_bulk_wanted(&frames, AT_BUFFERS)) {
        PX_TRY(pack(e, &frames, &route));
    }
    return kind == PX_ROUTE_REPLY ? send_reply(e, &frames) : px_link_send(e->work, &frames);
}

static px_err send_control(engine *e, const px_outgoing *outgoing)
{
    const px_route route = {.kind = PX_ROUTE_HUB};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &route, NULL));
    PX_TRY(px_session_compose(e->base.session, outgoing, &frames));
    return px_link_send(e->control, &frames);
}

static px_err engine_send(px_transport *transport, px_channel channel, const px_parent *to,
                          px_slice topic, const px_outgoing *outgoing)
{
    (void)topic;
    engine *e = (engine *)(void *)transport;
    bool routed = to != NULL && to->channel == PX_SHELL && px_frames_count(&to->idents) > 0;
    switch (channel) {
    case PX_CONTROL:
        return send_control(e, outgoing);
    case PX_SHELL:
        return routed ? send_work(e, PX_ROUTE_REPLY, to, outgoing) : PX_EINVAL;
    case PX_STDIN:
        return routed ? send_work(e, PX_ROUTE_STDIN, to, outgoing) : PX_EINVAL;
    case PX_IOPUB:
        // Output of nobody's request has nobody to show it to, and who asked knows what he asked.
        if (!routed || strcmp(outgoing->msg_type, "execute_input") == 0) {
            return PX_OK;
        }
        return send_work(e, PX_ROUTE_OUTPUT, to, outgoing);
    default:
        return PX_EINVAL;
    }
}

static px_err engine_send_raw(px_transport *transport, px_channel channel, const px_frames *frames)
{
    (void)transport;
    (void)channel;
    (void)frames;
    return PX_EINVAL;
}

// --- in -----------------------------------------------------------------------------------------

static void lost(engine *e, px_err err)
{
    char why[512] = "";
    px_link_why(e->work, why, sizeof why);
    if (why[0] == '\0') {
        px_link_why(e->control, why, sizeof why);
    }
    const char *plain = err == PX_ECLOSED ? "the controller is gone" : px_err_text(err);
    px_io_lost(e->io, why[0] != '\0' ? why : plain);
}

// refuse answers a request whose buffers cannot be had, so that its client does not wait for ever.
static void refuse(engine *e, px_frames *frames, const px_error *cause)
{
    px_message *message = NULL;
    px_error error = {0};
    if (px_session_verify(e->base.verifier, frames, true, &message, &error) != PX_OK) {
        px_log_warning("request dropped", "cause=\"%s\"", error.text);
        return;
    }
    px_log_warning("buffers of a request cannot be read", "cause=\"%s\"", cause->text);
    char type[64];
    PX_AUTO_BUF content = {0};
    px_reply_type(message->msg_type, type, sizeof type);
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", "OSError");
    px_jsonw_key_string(&w, "evalue", cause->text);
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    px_parent *parent = px_parent_new(PX_SHELL, message);
    px_io_send(e->io, PX_SHELL, parent,
               &(px_outgoing){.msg_type = type, .content = px_buf_slice(&content)});
    px_parent_unref(parent);
    px_message_free(message);
}

static void outlet_unref(outlet *o)
{
    if (atomic_fetch_sub(&o->refs, 1) == 1) {
        (void)pthread_mutex_destroy(&o->lock);
        free(o);
    }
}

// give_back is a px_returned: it tells the client that its segments are unmapped. After a fork it
// does not: the child may still read them, and the socket is not the child's.
static void give_back(void *context, bool forked)
{
    loan *l = context;
    outlet *o = l->outlet;
    const px_route route = {.kind = PX_ROUTE_RELEASE, .client = l->client, .task = l->task, .n = 1};
    PX_AUTO_FRAMES frames = {0};
    if (!forked && px_route_push(&frames, &route, &o->own_id) == PX_OK) { // else not used again
        (void)pthread_mutex_lock(&o->lock);
        if (o->work != NULL) {
            (void)px_link_send(o->work, &frames); // a link that ended shows when it is read
        }
        (void)pthread_mutex_unlock(&o->lock);
    }
    outlet_unref(o);
    free(l);
}

static void borrow_all(engine *e, const px_route *route, px_frames *frames)
{
    px_borrowing *borrowing = NULL;
    loan *l = px_need_zeroed(sizeof *l);
    *l = (loan){.outlet = e->outlet, .client = route->client, .task = route->task};
    (void)atomic_fetch_add(&e->outlet->refs, 1);
    px_must(px_borrowing_new(give_back, l, &borrowing));
    px_must(px_borrowing_cover(borrowing, frames, AT_BUFFERS));
    px_borrowing_unref(borrowing);
}

static void take_request(engine *e, const px_route *route, px_frames *frames)
{
    if ((route->flags & PX_ROUTE_SEGMENTS) != 0) {
        px_error cause = {0};
        if (px_bulk_unpack(frames, AT_BUFFERS, &cause) != PX_OK) {
            refuse(e, frames, &cause);
            return;
        }
    }
    if ((route->flags & PX_ROUTE_LENT) != 0) {
        borrow_all(e, route, frames);
    }
    (void)atomic_fetch_add(&e->waiting, 1);
    px_io_receive(e->io, &e->base, PX_SHELL, frames);
}

static void take_release(engine *e, const px_route *route)
{
    if (route->task == 0) {
        px_results_left(e->results, route->client);
    } else if ((route->flags & PX_ROUTE_LENT) == 0) {
        px_results_mapped(e->results, route->client, route->task);
    } else {
        px_results_returned(e->results, route->client, route->task);
        px_timer_set(e->idle_timer, px_results_expire(e->results, px_now()));
    }
}

static void idle_due(void *context, px_ns now)
{
    engine *e = context;
    px_timer_set(e->idle_timer, px_results_expire(e->results, now));
}

static void take_work(engine *e, px_frames *frames)
{
    px_route route;
    if (px_route_decode(px_frames_get(frames, AT_ROUTE), &route) != PX_OK) {
        px_log_warning("message dropped", "cause=\"bad route frame\"");
        return;
    }
    switch (route.kind) {
    case PX_ROUTE_REQUEST:
        take_request(e, &route, frames);
        break;
    case PX_ROUTE_STDIN:
        px_io_receive(e->io, &e->base, PX_STDIN, frames);
        break;
    case PX_ROUTE_RELEASE:
        take_release(e, &route);
        break;
    default:
        break;
    }
}

// read_link serves what a link has; false when it has ended.
static bool read_link(engine *e, px_link *link)
{
    for (int i = 0; i < ROUND; i++) {
        PX_AUTO_FRAMES frames = {0};
        px_err err = px_link_recv(link, &frames);
        if (err == PX_EAGAIN) {
            return true;
        }
        if (err != PX_OK) {
            lost(e, err);
            return false;
        }
        if (link == e->work) {
            take_work(e, &frames);
        } else {
            px_io_receive(e->io, &e->base, PX_CONTROL, &frames);
        }
    }
    wake(e); // more may have been read ahead
    return true;
}

static void serve_link(engine *e, px_link *link, px_source **source, int events)
{
    if (*source == NULL) {
        return;
    }
    if ((events & PX_WRITABLE) != 0 && px_link_flush(link) != PX_EAGAIN) {
        px_source_set_events(*source, PX_READABLE);
    }
    if (!read_link(e, link)) {
        px_source_remove(*source);
        *source = NULL;
    }
}

static void control_ready(void *context, int events)
{
    engine *e = context;
    serve_link(e, e->control, &e->control_source, events);
}

static void work_ready(void *context, int events)
{
    engine *e = context;
    serve_link(e, e->work, &e->work_source, events);
}

static void look_again(engine *e, px_link *link, px_source **source)
{
    serve_link(e, link, source, PX_READABLE);
    if (*source != NULL && px_link_wants_write(link)) {
        px_source_set_events(*source, PX_READABLE | PX_WRITABLE);
    }
}

static void woken(void *context, int events)
{
    (void)events;
    engine *e = context;
    uint64_t count;
    (void)!read(e->wake_fd, &count, sizeof count);
    look_again(e, e->control, &e->control_source);
    look_again(e, e->work, &e->work_source);
    if (atomic_load(&e->keeps)) {
        px_timer_set(e->push_timer, px_now() + PUSH_US * (PX_NS_PER_MS / 1000));
    }
}

static void engine_drain(px_transport *transport)
{
    engine *e = (engine *)(void *)transport;
    if (e->work_source != NULL) {
        serve_link(e, e->work, &e->work_source, PX_READABLE);
    }
}

// --- open and close -----------------------------------------------------------------------------

static void write_control_registration(const engine *e, px_buf *out)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "engine");
    px_jsonw_key(&w, "engine");
    if (e->config->engine_id >= 0) {
        px_jsonw_int(&w, e->config->engine_id);
    } else {
        px_jsonw_null(&w);
    }
    px_jsonw_key_string(&w, "token", e->config->token[0] != '\0' ? e->config->token : NULL);
    px_jsonw_key_string(&w, "uuid", e->config->ident);
    px_jsonw_key_int(&w, "pid", getpid());
    px_jsonw_key_string(&w, "host", host);
    px_jsonw_key_string(&w, "python", e->config->python_version);
    px_jsonw_end_object(&w);
}

static void write_work_registration(const char *peer, px_buf *out)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "engine");
    px_jsonw_key_string(&w, "peer", peer);
    px_jsonw_end_object(&w);
}

static px_err enter(engine *e, px_error *reterr)
{
    const px_ns timeout = ENTER_S * PX_NS_PER_S;
    const px_entry entry = {.file = &e->config->cluster,
                            .session = e->base.verifier,
                            .deadline = px_now() + timeout,
                            .timeout = timeout};
    PX_AUTO_BUF first = {0};
    PX_AUTO_BUF second = {0};
    PX_AUTO(px_json) answer = NULL;
    PX_AUTO(px_json) work_answer = NULL;
    write_control_registration(e, &first);
    PX_TRY(px_buf_status(&first));
    PX_TRY(px_enter(&entry, PX_TUNNEL_CONTROL, px_buf_slice(&first), &e->control, &answer, reterr));
    e->config->engine_id = px_json_int(answer, "id", e->config->engine_id);
    write_work_registration(px_json_string(answer, "peer", ""), &second);
    PX_TRY(px_buf_status(&second));
    return px_enter(&entry, PX_TUNNEL_WORK, px_buf_slice(&second), &e->work, &work_answer, reterr);
}

static void wake_from_link(void *context)
{
    wake(context);
}

static px_err watch(engine *e)
{
    px_loop *loop = px_io_loop(e->io);
    e->wake_fd =
        eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); // 1: what came right behind the registration
    if (e->wake_fd < 0) {
        return px_err_from_errno(errno);
    }
    PX_TRY(px_loop_add_fd(loop, "wake", e->wake_fd, PX_READABLE, woken, e, NULL));
    PX_TRY(px_loop_add_fd(loop, "control", px_link_fd(e->control), PX_READABLE, control_ready, e,
                          &e->control_source));
    PX_TRY(px_loop_add_fd(loop, "work", px_link_fd(e->work), PX_READABLE, work_ready, e,
                          &e->work_source));
    PX_TRY(px_loop_add_timer(loop, "idle", UINT64_MAX, 0, idle_due, e, &e->idle_timer));
    PX_TRY(px_loop_add_timer(loop, "push", UINT64_MAX, 0, push_due, e, &e->push_timer));
    px_link_set_wake(e->control, wake_from_link, e);
    px_link_set_wake(e->work, wake_from_link, e);
    return PX_OK;
}

static px_err engine_open(px_transport *transport, px_io *io, px_error *reterr)
{
    engine *e = (engine *)(void *)transport;
    e->io = io;
    PX_TRY(enter(e, reterr));
    PX_TRY(px_session_clone_trusting(e->base.session, &e->writer));
    PX_TRY(px_session_clone_trusting(e->base.verifier, &e->reader));
    e->base.verifier = e->reader;
    e->outlet->work = e->work;
    e->outlet->own_id = own_id(e);
    e->outlet->pid = getpid();
    return watch(e);
}

static void engine_connection(px_transport *transport, px_buf *out)
{
    const engine *e = (const engine *)(const void *)transport;
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "cluster", e->config->cluster.id);
    px_jsonw_key_int(&w, "engine", e->config->engine_id);
    px_jsonw_end_object(&w);
}

// flush_within writes what is queued on the work link as long as the peer takes it, for at most a
// second.
static void flush_within(px_link *link)
{
    px_ns deadline = px_now() + FLUSH_MS * PX_NS_PER_MS;
    while (px_link_flush(link) == PX_EAGAIN) {
        px_ns now = px_now();
        struct pollfd fd = {.fd = px_link_fd(link), .events = POLLOUT};
        if (now >= deadline || poll(&fd, 1, (int)((deadline - now) / PX_NS_PER_MS) + 1) == 0) {
            return;
        }
    }
}

static void engine_close(px_transport *transport)
{
    engine *e = (engine *)(void *)transport;
    if (e->control != NULL) {
        flush_within(e->control);
    }
    if (e->work != NULL) {
        flush_within(e->work);
    }
    px_source_remove(e->control_source);
    px_source_remove(e->work_source);
    (void)pthread_mutex_lock(&e->outlet->lock);
    e->outlet->work = NULL;
    (void)pthread_mutex_unlock(&e->outlet->lock);
    outlet_unref(e->outlet);
    px_link_close(e->control);
    px_link_close(e->work);
    if (e->wake_fd >= 0) {
        (void)close(e->wake_fd);
    }
    px_results_free(e->results);
    px_session_free(e->writer);
    px_session_free(e->reader);
    free(e);
}

static const px_transport_ops engine_ops = {
    .name = "engine",
    .any_thread = true,
    .statuses = false,
    .open = engine_open,
    .send = engine_send,
    .send_raw = engine_send_raw,
    .drain = engine_drain,
    .connection = engine_connection,
    .close = engine_close,
};

px_err px_transport_engine_new(px_config *config, px_transport **ret_transport)
{
    engine *e = px_need_zeroed(sizeof *e);
    e->base.ops = &engine_ops;
    e->config = config;
    e->wake_fd = -1;
    e->outlet = px_need_zeroed(sizeof *e->outlet);
    atomic_init(&e->outlet->refs, 1);
    px_must(pthread_mutex_init(&e->outlet->lock, NULL) == 0 ? PX_OK : PX_ENOMEM);
    e->results = px_results_new();
    *ret_transport = &e->base;
    return PX_OK;
}
