// simengine.c: an engine without Python, to test and measure the controller alone.
//
// It is started in pxengine's place (PX_ENGINE) and uses the real zygote's fork server. An engine
// answers any request on its work connection at once with status ok and the request's buffers. The
// code of an execute_request may ask for more:
//   print TEXT   an output, then the reply      error     a reply with status error
//   hang         no reply until interrupted     exit N    the process ends with status N
//   crash        SIGSEGV                        deaf      from now on a shutdown_request is ignored
// SIMENGINE_FAIL=zygote: the zygote ends before it is ready; =engine: each engine ends at once
// with 3.
// SIMENGINE_CROWD=1: all engines live in the zygote's own process, so that a thousand of them are
// a thousand pairs of sockets and not a thousand forks.

#include "../../kernel/nursery.h"
#include "peer.h"

#include "px/id.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

typedef struct sim_engine {
    test_peer peer;
    bool joined; // of a crowd
    bool deaf, over;
    int status;
    px_message *hanging;
} sim_engine;

static px_route route_of(const px_message *request, uint8_t kind)
{
    px_route route = {0};
    if (px_route_decode(px_frames_get(&request->frames, 0), &route) != PX_OK) {
        abort();
    }
    route.kind = kind;
    route.flags = 0;
    return route;
}

static void reply(sim_engine *engine, const px_message *request, const char *content, bool failed)
{
    px_route route = route_of(request, PX_ROUTE_REPLY);
    px_bytes *buffers[PX_LINK_MAX_FRAMES];
    for (size_t i = 0; i < request->n_buffers; i++) {
        buffers[i] = px_frames_at(&request->frames, request->first_buffer + i);
    }
    px_outgoing message = {.msg_type = request->type == PX_MSG_APPLY_REQUEST ? "apply_reply"
                                                                             : "execute_reply",
                           .parent = request->header,
                           .content = px_slice_str(content),
                           .buffers = buffers,
                           .n_buffers = request->n_buffers};
    route.flags = failed ? PX_ROUTE_FAILED : 0;
    peer_send(&engine->peer, engine->peer.work, &route, &engine->peer.id, &message);
}

static void output(sim_engine *engine, const px_message *request, const char *text)
{
    px_route route = route_of(request, PX_ROUTE_OUTPUT);
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "name", "stdout");
    px_jsonw_key_string(&w, "text", text);
    px_jsonw_end_object(&w);
    px_outgoing message = {
        .msg_type = "stream", .parent = request->header, .content = px_buf_slice(&content)};
    peer_send(&engine->peer, engine->peer.work, &route, &engine->peer.id, &message);
}

// work does what one request asks; takes it.
static void work(sim_engine *engine, px_message *request)
{
    PX_AUTO(px_json) content = NULL;
    px_err err = px_json_parse(request->content, &content, NULL);
    const char *code = err == PX_OK ? px_json_string(content, "code", "") : "";
    long long status = 0;
    if (strcmp(code, "hang") == 0) {
        px_message_free(engine->hanging);
        engine->hanging = request;
        return;
    }
    if (strncmp(code, "exit ", 5) == 0 && px_parse_number(code + 5, 0, 255, &status) == PX_OK) {
        (void)fprintf(stderr, "simulated engine: told to end with %lld\n", status);
        _exit((int)status);
    }
    if (strcmp(code, "crash") == 0) {
        (void)raise(SIGSEGV);
    }
    if (strcmp(code, "deaf") == 0) {
        engine->deaf = true;
    }
    if (strncmp(code, "print ", 6) == 0) {
        output(engine, request, code + 6);
    }
    bool failed = strcmp(code, "error") == 0;
    reply(engine, request,
          failed ? "{\"status\":\"error\",\"ename\":\"ValueError\",\"evalue\":\"asked for\"}"
                 : "{\"status\":\"ok\"}",
          failed);
    px_message_free(request);
}

static void control(sim_engine *engine, const px_message *request)
{
    px_route hub = {.kind = PX_ROUTE_HUB};
    px_outgoing answer = {.parent = request->header, .content = PX_SLICE_LITERAL("{}")};
    if (request->type == PX_MSG_HEARTBEAT_REQUEST) {
        answer.msg_type = "heartbeat_reply";
        peer_send(&engine->peer, engine->peer.control, &hub, NULL, &answer);
    } else if (request->type == PX_MSG_SHUTDOWN_REQUEST && !engine->deaf) {
        engine->over = true;
    } else if (request->type == PX_MSG_INTERRUPT_REQUEST && engine->hanging != NULL) {
        reply(engine, engine->hanging, "{\"status\":\"error\",\"ename\":\"KeyboardInterrupt\"}",
              true);
        px_message_free(engine->hanging);
        engine->hanging = NULL;
    }
}

// listen_to handles all that a link has; false at its end.
static bool listen_to(sim_engine *engine, px_link *link)
{
    px_err err;
    px_message *message;
    while ((message = peer_next(&engine->peer, link, &err)) != NULL) {
        if (link == engine->peer.work) {
            work(engine, message);
        } else {
            control(engine, message);
            px_message_free(message);
        }
    }
    return err == PX_EAGAIN;
}

static short wanted(px_link *link)
{
    return (short)(POLLIN | (px_link_wants_write(link) ? POLLOUT : 0));
}

static void describe(uint32_t id, const char *token, char who[256])
{
    (void)snprintf(who, 256, "{\"role\":\"engine\",\"engine\":%u,\"token\":\"%s\",\"pid\":%d}", id,
                   token, (int)getpid());
}

static int run(void *context, const px_engine_args *args)
{
    sim_engine engine = {0};
    px_error error = {0};
    char who[256];
    const char *fail = getenv("SIMENGINE_FAIL");
    (void)context;
    if (fail != NULL && strcmp(fail, "engine") == 0) {
        (void)fprintf(stderr, "simulated engine: told to fail\n");
        return 3;
    }
    if (px_cluster_file_load(args->cluster_file, &engine.peer.file, &error) != PX_OK) {
        (void)fprintf(stderr, "simulated engine: %s\n", error.text);
        return 1;
    }
    describe(args->engine, args->token, who);
    peer_join(&engine.peer, who, "engine");
    struct pollfd fds[2] = {{.fd = px_link_fd(engine.peer.control)},
                            {.fd = px_link_fd(engine.peer.work)}};
    bool open = true;
    while (open && !engine.over) {
        fds[0].events = wanted(engine.peer.control);
        fds[1].events = wanted(engine.peer.work);
        (void)poll(fds, 2, -1);
        if ((fds[0].revents & POLLOUT) != 0) {
            (void)px_link_flush(engine.peer.control);
        }
        if ((fds[1].revents & POLLOUT) != 0) {
            (void)px_link_flush(engine.peer.work);
        }
        open = listen_to(&engine, engine.peer.control) && listen_to(&engine, engine.peer.work);
    }
    px_message_free(engine.hanging);
    peer_leave(&engine.peer);
    return 0;
}

// --- many in one process -------------------------------------------------------------------------

typedef struct crowd {
    px_cluster_file file;
    int epoll;
    px_buf line; // of stdin, so far
    bool over;
} crowd;

static void say(const char *event, int64_t engine)
{
    char line[128];
    int n = engine < 0 ? snprintf(line, sizeof(line), "{\"event\":\"%s\",\"pid\":%d}\n", event,
                                  (int)getpid())
                       : snprintf(line, sizeof(line),
                                  "{\"event\":\"%s\",\"engine\":%d,\"pid\":%d,\"code\":0}\n", event,
                                  (int)engine, (int)getpid());
    if (write(STDOUT_FILENO, line, (size_t)n) != n) {
        exit(1); // the controller is gone
    }
}

static void listen_for(const crowd *all, sim_engine *engine, px_link *link)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = engine};
    if (epoll_ctl(all->epoll, EPOLL_CTL_ADD, px_link_fd(link), &event) != 0) {
        abort();
    }
}

static void obey(crowd *all, px_slice line)
{
    PX_AUTO(px_json) order = NULL;
    px_error error = {0};
    char who[256];
    if (px_json_parse(line, &order, &error) != PX_OK) {
        abort();
    }
    const char *op = px_json_string(order, "op", "");
    all->over = all->over || strcmp(op, "quit") == 0;
    if (strcmp(op, "spawn") != 0) {
        return;
    }
    if (all->file.key[0] == '\0' &&
        px_cluster_file_load(px_json_string(order, "cluster", ""), &all->file, &error) != PX_OK) {
        (void)fprintf(stderr, "simulated engines: %s\n", error.text);
        exit(1);
    }
    sim_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        abort();
    }
    engine->peer.file = all->file;
    int64_t id = px_json_int(order, "engine", 0);
    say("spawned", id);
    describe((uint32_t)id, px_json_string(order, "token", ""), who);
    peer_knock(&engine->peer, who);
    listen_for(all, engine, engine->peer.control);
}

// enter goes on with the registration of an engine that has not joined yet.
static void enter(const crowd *all, sim_engine *engine)
{
    px_link *link = engine->peer.work != NULL ? engine->peer.work : engine->peer.control;
    px_err err;
    px_message *reply = peer_next(&engine->peer, link, &err);
    if (reply == NULL && err == PX_EAGAIN) {
        return;
    }
    engine->joined = peer_enter(&engine->peer, "engine", reply);
    if (!engine->joined) {
        listen_for(all, engine, engine->peer.work);
    }
}

// hear_orders obeys what stdin says; its end is the controller's.
static void hear_orders(crowd *all)
{
    if (px_buf_reserve(&all->line, 65536) != PX_OK) {
        abort();
    }
    ssize_t n = read(STDIN_FILENO, all->line.data + all->line.size, 65536);
    if (n <= 0) {
        all->over = n == 0 || errno != EINTR;
        return;
    }
    all->line.size += (size_t)n;
    size_t start = 0;
    px_slice line;
    while (px_buf_line(&all->line, &start, &line)) {
        obey(all, line);
    }
    px_buf_drop(&all->line, start);
}

static void flush(px_link *link)
{
    while (px_link_wants_write(link) && px_link_flush(link) == PX_OK) {
        struct pollfd room = {.fd = px_link_fd(link), .events = POLLOUT};
        (void)poll(&room, 1, -1);
    }
}

static void hear(sim_engine *engine)
{
    bool open = listen_to(engine, engine->peer.control) && listen_to(engine, engine->peer.work);
    flush(engine->peer.control);
    flush(engine->peer.work);
    if (!open || engine->over) {
        say("exit", engine->peer.id);
        px_message_free(engine->hanging);
        peer_leave(&engine->peer); // closed, they leave the epoll set
        free(engine);
    }
}

static int live_together(void)
{
    crowd all = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event orders = {.events = EPOLLIN};
    if (all.epoll < 0 || epoll_ctl(all.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &orders) != 0) {
        abort();
    }
    (void)signal(SIGPIPE, SIG_IGN);
    say("ready", -1);
    while (!all.over) {
        struct epoll_event ready; // one at a time: an engine that ends has two links
        if (epoll_wait(all.epoll, &ready, 1, -1) != 1) {
            continue;
        }
        sim_engine *engine = ready.data.ptr;
        if (engine == NULL) {
            hear_orders(&all);
        } else if (!engine->joined) {
            enter(&all, engine);
        } else {
            hear(engine);
        }
    }
    px_buf_done(&all.line);
    (void)close(all.epoll);
    return 0;
}

int main(int argc, char **argv)
{
    px_nursery *nursery = NULL;
    px_nursery_hooks hooks = {.run = run};
    const char *folder = NULL, *fail = getenv("SIMENGINE_FAIL");
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--folder") == 0) {
            folder = argv[i + 1];
        }
    }
    if (getenv("SIMENGINE_CROWD") != NULL) {
        return live_together();
    }
    if (folder == NULL || px_nursery_open(folder, argc, argv, &nursery) != PX_OK) {
        (void)fputs("usage: simengine --zygote --folder DIR, started by pxcontroller\n", stderr);
        return 2;
    }
    if (fail != NULL && strcmp(fail, "zygote") == 0) {
        (void)fputs("simulated zygote: told to fail\n", stderr);
        return 5;
    }
    px_err err = px_nursery_serve(nursery, &hooks);
    px_nursery_close(nursery);
    return err == PX_OK ? 0 : 1;
}
