// zygote_link.c: a child process, two pipes and a pidfd.
//
// The zygote's end is known by its pidfd, not by the end of its line: what it had still written is
// read first, so the exits that it saw are told before it is gone. Engines forked by it hold
// neither end of the line (the nursery closes them), so nothing keeps a pipe open behind its back.

#include "zygote_link.h"

#include "child.h"

#include "px/buf.h"
#include "px/json.h"
#include "px/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT_MAX ((size_t)1 << 20)

struct px_zygote {
    pid_t pid;
    int pidfd, to, from;
    px_source *to_source, *from_source, *end_source;
    px_zygote_events events;
    px_buf out, in;
};

// --- events --------------------------------------------------------------------------------------

void px_zygote_understand(const px_zygote_events *events, px_slice line)
{
    px_error error = {0};
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(line, &json, &error) != PX_OK) {
        px_log_warning("the zygote's words are not JSON", "cause=%s", error.text);
        return;
    }
    const char *event = px_json_string(json, "event", "");
    uint32_t engine = (uint32_t)px_json_int(json, "engine", -1);
    if (strcmp(event, "ready") == 0) {
        events->ready(events->context);
    } else if (strcmp(event, "spawned") == 0) {
        events->spawned(events->context, engine, (pid_t)px_json_int(json, "pid", 0));
    } else if (strcmp(event, "failed") == 0) {
        events->failed(events->context, engine, px_json_string(json, "message", ""));
    } else if (strcmp(event, "exit") == 0) {
        events->exited(events->context, engine, (int)px_json_int(json, "signal", -1),
                       (int)px_json_int(json, "code", -1));
    }
}

// hear reads what is there; false at the end of the line or when nothing more comes now.
static bool hear(px_zygote *zygote)
{
    if (zygote->in.size > EVENT_MAX || px_buf_reserve(&zygote->in, 16384) != PX_OK) {
        return false;
    }
    ssize_t n = read(zygote->from, zygote->in.data + zygote->in.size, 16384);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    zygote->in.size += (size_t)n;
    // The lines are taken out first: what is told may end in starting another zygote.
    size_t start = 0;
    px_slice line;
    while (px_buf_line(&zygote->in, &start, &line)) {
        px_zygote_understand(&zygote->events, line);
    }
    px_buf_drop(&zygote->in, start);
    return true;
}

static void line_ready(void *context, int events)
{
    px_zygote *zygote = context;
    if (!hear(zygote) && (events & PX_HANGUP) != 0) {
        px_source_remove(zygote->from_source); // its end is told by the pidfd
        zygote->from_source = NULL;
    }
}

static void process_ended(void *context, int events)
{
    px_zygote *zygote = context;
    siginfo_t info = {0};
    (void)events;
    if (waitid(P_PID, (id_t)zygote->pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
        return;
    }
    while (hear(zygote)) {
    }
    zygote->pid = 0;
    px_source_remove(zygote->end_source);
    zygote->end_source = NULL;
    bool exited = info.si_code == CLD_EXITED;
    zygote->events.gone(zygote->events.context, exited ? -1 : info.si_status,
                        exited ? info.si_status : -1);
}

// --- orders --------------------------------------------------------------------------------------

static void push_out(px_zygote *zygote)
{
    while (zygote->out.size > 0) {
        ssize_t n = write(zygote->to, zygote->out.data, zygote->out.size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break; // full, or gone: the pidfd says so
        }
        memmove(zygote->out.data, zygote->out.data + n, zygote->out.size - (size_t)n);
        zygote->out.size -= (size_t)n;
    }
    px_source_set_events(zygote->to_source, zygote->out.size > 0 ? PX_WRITABLE : 0);
}

static void line_takes(void *context, int events)
{
    px_zygote *zygote = context;
    if ((events & PX_HANGUP) != 0) {
        px_buf_clear(&zygote->out);
    }
    push_out(zygote);
}

static px_err say(px_zygote *zygote)
{
    px_buf_append_str(&zygote->out, "\n");
    PX_TRY(px_buf_status(&zygote->out));
    push_out(zygote);
    return PX_OK;
}

px_err px_zygote_tell(px_zygote *zygote, px_slice order)
{
    px_buf_append_slice(&zygote->out, order);
    return say(zygote);
}

void px_zygote_write_order(const px_zygote_order *order, px_buf *out)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "op", "spawn");
    px_jsonw_key_int(&w, "engine", order->engine);
    px_jsonw_key_string(&w, "token", order->token);
    px_jsonw_key_string(&w, "log", order->log);
    px_jsonw_key_string(&w, "cluster", order->cluster);
    px_jsonw_key_string(&w, "cwd", order->cwd);
    px_jsonw_end_object(&w);
}

px_err px_zygote_spawn(px_zygote *zygote, const px_zygote_order *order)
{
    px_zygote_write_order(order, &zygote->out);
    return say(zygote);
}

px_err px_zygote_quit(px_zygote *zygote)
{
    px_buf_append_str(&zygote->out, "{\"op\":\"quit\"}");
    return say(zygote);
}

// --- start and end -------------------------------------------------------------------------------

pid_t px_zygote_pid(const px_zygote *zygote)
{
    return zygote->pid;
}

// open_line starts the process, with the line as its stdin and stdout.
static px_err open_line(px_zygote *zygote, const px_zygote_config *config, px_error *reterr)
{
    char *own[] = {(char *)config->program,
                   "--zygote",
                   "--folder",
                   (char *)config->folder,
                   config->preload != NULL ? "--preload" : NULL,
                   (char *)config->preload,
                   NULL};
    const px_child child = {
        .argv = config->argv != NULL ? config->argv : own, .env = config->env, .err = config->log};
    px_child_line line;
    PX_TRY(px_child_line_start(&child, &line, reterr));
    zygote->pid = line.pid;
    zygote->to = line.to;
    zygote->from = line.from;
    zygote->pidfd = (int)syscall(SYS_pidfd_open, zygote->pid, 0);
    if (zygote->pidfd < 0) {
        return px_error_set(reterr, PX_ESYS, "cannot watch process %d: %s", (int)zygote->pid,
                            strerror(errno));
    }
    (void)fcntl(zygote->to, F_SETFL, O_NONBLOCK);
    (void)fcntl(zygote->from, F_SETFL, O_NONBLOCK);
    return PX_OK;
}

px_err px_zygote_start(px_loop *loop, const px_zygote_config *config,
                       const px_zygote_events *events, px_zygote **ret_zygote, px_error *reterr)
{
    px_zygote *zygote = calloc(1, sizeof(*zygote));
    if (zygote == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    zygote->events = *events;
    zygote->pidfd = zygote->to = zygote->from = -1;
    px_err err = open_line(zygote, config, reterr);
    err = err == PX_OK ? px_loop_add_fd(loop, "zygote orders", zygote->to, 0, line_takes, zygote,
                                        &zygote->to_source)
                       : err;
    err = err == PX_OK ? px_loop_add_fd(loop, "zygote events", zygote->from, PX_READABLE,
                                        line_ready, zygote, &zygote->from_source)
                       : err;
    err = err == PX_OK ? px_loop_add_fd(loop, "zygote end", zygote->pidfd, PX_READABLE,
                                        process_ended, zygote, &zygote->end_source)
                       : err;
    if (err != PX_OK) {
        px_zygote_free(zygote);
        return err;
    }
    *ret_zygote = zygote;
    return PX_OK;
}

void px_zygote_free(px_zygote *zygote)
{
    if (zygote == NULL) {
        return;
    }
    px_source_remove(zygote->to_source);
    px_source_remove(zygote->from_source);
    px_source_remove(zygote->end_source);
    if (zygote->pid != 0) {
        (void)kill(zygote->pid, SIGKILL);
        while (waitpid(zygote->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    px_child_close(zygote->pidfd);
    px_child_close(zygote->to);
    px_child_close(zygote->from);
    px_buf_done(&zygote->out);
    px_buf_done(&zygote->in);
    free(zygote);
}
