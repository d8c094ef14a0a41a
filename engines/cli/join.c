// join.c: `pxcluster join`: lends this machine to a cluster: engines are forked here, to the orders
// of a controller that may be on another host.
//
// Batch jobs and mpiexec run it; so may anybody. It is a line between two: what the controller says
// on its control link goes to the stdin of a zygote, what that says goes back. The end of either is
// the end of both, and the zygote takes its engines along.

#include "../launch/child.h"
#include "../launch/host.h"
#include "cli.h"

#include "px/enter.h"
#include "px/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEAT_NS (3 * PX_NS_PER_S)
#define MOST_FILE ((size_t)1 << 17)

typedef struct join {
    const px_cli *cli;
    px_cluster_file file;
    px_session *session;
    px_link *link;
    pid_t zygote;
    int to, from, signals;
    px_buf line; // of the zygote, not complete
} join;

// --- the file ------------------------------------------------------------------------------------

static px_err read_stdin(px_cluster_file *file, px_error *reterr)
{
    PX_AUTO_BUF text = {0};
    for (;;) {
        PX_TRY(px_buf_reserve(&text, 4096));
        ssize_t n = read(STDIN_FILENO, text.data + text.size, 4096);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        text.size += (size_t)n;
        if (text.size > MOST_FILE) {
            return px_error_set(reterr, PX_ETOOBIG, "what came on stdin is no cluster file");
        }
    }
    return px_cluster_file_parse(px_buf_slice(&text), "stdin", file, reterr);
}

static px_err read_file(join *j, px_error *reterr)
{
    const char *name = j->cli->name;
    if (strcmp(name, "-") == 0) {
        return read_stdin(&j->file, reterr);
    }
    return strchr(name, '/') != NULL ? px_cluster_file_load(name, &j->file, reterr)
                                     : px_cluster_file_read(name, &j->file, reterr);
}

// --- the controller ------------------------------------------------------------------------------

static px_err enter(join *j, px_error *reterr)
{
    char host[256] = "";
    PX_AUTO_BUF content = {0};
    PX_AUTO(px_json) answer = NULL;
    px_ns timeout = (px_ns)j->cli->timeout_ms * PX_NS_PER_MS;
    PX_TRY(px_session_new(px_slice_str(j->file.key), j->file.signature_scheme, NULL, "pxcluster",
                          &j->session, reterr));
    const px_entry entry = {.file = &j->file,
                            .session = j->session,
                            .deadline = px_now() + timeout,
                            .timeout = timeout};
    (void)gethostname(host, sizeof(host) - 1);
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "role", "nest");
    px_jsonw_key_int(&w, "pid", getpid());
    px_jsonw_key_string(&w, "host", host);
    px_jsonw_key_int(&w, "n", j->cli->n);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&content));
    return px_enter(&entry, PX_TUNNEL_CONTROL, px_buf_slice(&content), &j->link, &answer, reterr);
}

// report sends a line of the zygote.
static px_err report(join *j, px_slice line)
{
    px_route hub = {.kind = PX_ROUTE_HUB};
    px_outgoing message = {.msg_type = "nest_event", .content = line};
    PX_AUTO_FRAMES frames = {0};
    PX_TRY(px_route_push(&frames, &hub, NULL));
    PX_TRY(px_session_compose(j->session, &message, &frames));
    return px_link_send(j->link, &frames);
}

// --- the zygote ----------------------------------------------------------------------------------

static void find_engine(char path[PATH_MAX])
{
    const char *given = getenv("PX_ENGINE");
    if (given != NULL && given[0] != '\0') {
        (void)snprintf(path, PATH_MAX, "%s", given);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    (void)snprintf(slash != NULL ? slash : path, 16, "/pxengine");
}

static px_err write_all(int fd, px_slice bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return PX_ECLOSED;
        }
        bytes = px_slice_of(bytes.data + n, bytes.size - (size_t)n);
    }
    return PX_OK;
}

static px_err order(const join *j, px_slice line)
{
    PX_TRY(write_all(j->to, line));
    return write_all(j->to, PX_SLICE_LITERAL("\n"));
}

static px_err tell_cluster(const join *j)
{
    PX_AUTO_BUF text = {0};
    px_jsonw w = px_jsonw_to(&text);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "op", "cluster");
    px_jsonw_key(&w, "file");
    px_cluster_file_json(&j->file, true, &w);
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&text));
    return order(j, px_buf_slice(&text));
}

static px_err start_zygote(join *j, px_error *reterr)
{
    char program[PATH_MAX], lease[16], n[16];
    char *argv[] = {program,
                    "--zygote",
                    "--remote",
                    lease,
                    "--engines",
                    n,
                    j->cli->preload != NULL ? "--preload" : NULL,
                    (char *)j->cli->preload,
                    NULL};
    px_child_line line;
    px_error cause = {0};
    find_engine(program);
    (void)snprintf(lease, sizeof(lease), "%u", 2 * j->file.lease_s);
    (void)snprintf(n, sizeof(n), "%lld", j->cli->n);
    px_err err =
        px_child_line_start(&(px_child){.argv = argv, .err = STDERR_FILENO}, &line, &cause);
    if (err != PX_OK) {
        return px_error_set(reterr, err,
                            "%s; install pxkernel completely, or name the program in PX_ENGINE",
                            cause.text);
    }
    j->zygote = line.pid;
    j->to = line.to;
    j->from = line.from;
    return tell_cluster(j);
}

// --- the line ------------------------------------------------------------------------------------

// from_controller hands orders on; false at its end.
static bool from_controller(join *j)
{
    for (;;) {
        PX_AUTO_FRAMES frames = {0};
        PX_AUTO(px_message) message = NULL;
        px_error error = {0};
        px_err err = px_link_recv(j->link, &frames);
        if (err == PX_EAGAIN) {
            return true;
        }
        if (err != PX_OK ||
            px_session_verify(j->session, &frames, false, &message, &error) != PX_OK) {
            return false;
        }
        if (strcmp(message->msg_type, "nest_order") == 0 && order(j, message->content) != PX_OK) {
            return false;
        }
    }
}

// from_zygote reports whole lines; false at its end.
static bool from_zygote(join *j)
{
    if (px_buf_reserve(&j->line, 16384) != PX_OK) {
        return false;
    }
    ssize_t n = read(j->from, j->line.data + j->line.size, 16384);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    j->line.size += (size_t)n;
    size_t start = 0;
    px_slice line;
    while (px_buf_line(&j->line, &start, &line)) {
        if (report(j, line) != PX_OK) {
            return false;
        }
    }
    px_buf_drop(&j->line, start);
    return true;
}

// carry goes on until one of the two ends, or we are told to.
static void carry(join *j)
{
    px_ns beat = px_now() + BEAT_NS;
    bool goes_on = from_controller(j); // it may have spoken right behind its answer
    while (goes_on) {
        px_ns now = px_now();
        if (now >= beat) {
            beat = now + BEAT_NS;
            goes_on = order(j, PX_SLICE_LITERAL("{\"op\":\"beat\"}")) == PX_OK;
        }
        short events = px_link_wants_write(j->link) ? POLLIN | POLLOUT : POLLIN;
        struct pollfd fds[3] = {{.fd = px_link_fd(j->link), .events = events},
                                {.fd = j->from, .events = POLLIN},
                                {.fd = j->signals, .events = POLLIN}};
        int n = poll(fds, 3, (int)((beat - now) / PX_NS_PER_MS) + 1);
        if (n < 0 && errno != EINTR) {
            return;
        }
        if (n > 0) {
            (void)px_link_flush(j->link); // its end is read from it
            goes_on = goes_on && fds[2].revents == 0 &&
                      (fds[0].revents == 0 || from_controller(j)) &&
                      (fds[1].revents == 0 || from_zygote(j));
        }
    }
}

// finish lets the zygote end: the end of its stdin takes its engines along.
static void finish(join *j)
{
    px_child_close(j->to);
    px_child_close(j->from);
    if (j->zygote > 0) {
        while (waitpid(j->zygote, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    px_link_close(j->link);
    px_session_free(j->session);
    px_child_close(j->signals);
    px_buf_done(&j->line);
}

int px_command_join(const px_cli *given)
{
    px_cli cli = *given;
    sigset_t stop;
    px_error error = {0};
    join *j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return PX_EXIT_OTHER;
    }
    cli.n = cli.n >= 1 ? cli.n : (long long)px_host_cores();
    *j = (join){.cli = &cli, .to = -1, .from = -1, .signals = -1};
    px_err err = read_file(j, &error);
    err = err == PX_OK ? enter(j, &error) : err;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    j->signals = signalfd(-1, &stop, SFD_CLOEXEC);
    err = err == PX_OK ? start_zygote(j, &error) : err;
    if (err == PX_OK) {
        carry(j);
    }
    finish(j);
    free(j);
    if (err == PX_OK) {
        return PX_EXIT_OK;
    }
    return px_cli_fail(
        &cli, &(px_problem){.exit_code = err == PX_ENOENT     ? PX_EXIT_NO_CLUSTER
                                         : err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT
                                                              : PX_EXIT_FAILED,
                            .code = "not-joined",
                            .message = error.text[0] != '\0' ? error.text : px_err_text(err)});
}
