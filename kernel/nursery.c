// nursery.c: forks engines to order and tells how each of them ends.
//
// Everything here is one thread in one poll(): stdin and a signalfd for the deaths of children. A
// descriptor for each child would have to be closed again by every later child. No interpreter is
// known to this file; zygote.c lends it Python's three fork hooks, and a test tool none at all.
//
// Who cleans up: a child that ends takes its process group with it (it leads a session of its own,
// so whatever a user's code started in the background ends too). The controller's death is the end
// of stdin: all children are killed, then the run folder is removed. While the thread is busy
// importing it does not look at stdin; until px_nursery_serve the kernel's parent-death signal does
// the same work, in a handler that uses system calls only. If this process itself dies, each child
// has SIGKILL as its own parent-death signal. So no order of deaths leaves a process behind.
//
// The folder is removed only by who holds its lock, so a new controller of the same name is safe.

#include "nursery.h"

#include "px/buf.h"
#include "px/json.h"
#include "px/log.h"
#include "px/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORDER_MAX ((size_t)1 << 20) // bytes in one line

typedef struct child {
    pid_t pid;
    uint32_t engine;
} child;

struct px_nursery {
    char folder[PATH_MAX]; // "" on another host than the controller's
    int in, out;           // the controller's line
    int lease_ms;          // -1: its silence means nothing
    int cluster_fd;        // what cluster.json holds, in memory; -1: it is a file
    px_buf line;
    child *children;
    size_t n_children, capacity;
    int deaths;      // signalfd of SIGCHLD
    sigset_t before; // the mask that children get
    char *title;     // main's argv, written over by engines
    size_t title_size;
    bool finished;
};

// For the handler of the parent-death signal, which can be told nothing.
static char doomed_folder[PATH_MAX];
static int controller_line = -1;

// remove_folder empties and removes a flat folder if nobody holds its lock. System calls only: also
// called from a signal handler.
static bool remove_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        return true;
    }
    int lock = openat(folder, "lock", O_RDWR | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
        (void)close(lock);
        (void)close(folder);
        return false;
    }
    _Alignas(8) char entries[4096];
    for (int turn = 0; turn < 1000; turn++) {
        long size = syscall(SYS_getdents64, folder, entries, sizeof(entries));
        for (long at = 0; at < size;) {
            unsigned short length;
            memcpy(&length, entries + at + 16, sizeof(length)); // d_reclen, after two 8-byte fields
            const char *name = entries + at + 19;               // and d_type
            if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
                (void)unlinkat(folder, name, 0);
            }
            at += length;
        }
        (void)lseek(folder, 0, SEEK_SET);
        if (size <= 64) {
            break; // only the two dots were left, or nothing could be read
        }
    }
    (void)close(folder);
    (void)rmdir(path);
    if (lock >= 0) {
        (void)close(lock);
    }
    return true;
}

// remove_when_free waits up to a second for the kernel to have closed all of a dying controller.
static void remove_when_free(const char *path)
{
    for (int turn = 0; turn < 100 && !remove_folder(path); turn++) {
        (void)poll(NULL, 0, 10);
    }
}

// controller_gone: its end of our stdin is closed, whatever may still be in the pipe. The signal
// comes when its main thread ends, which may be a moment before its last thread lets go of the
// pipe.
static bool controller_gone(int wait_ms)
{
    struct pollfd line = {.fd = controller_line}; // no events: only the hang-up
    return poll(&line, 1, wait_ms) == 1 && (line.revents & POLLHUP) != 0;
}

static void parent_died(int signum)
{
    if (controller_gone(1000)) {
        remove_when_free(doomed_folder);
    }
    _exit(128 + signum);
}

// argv_area finds how many bytes main's arguments take in one piece.
static size_t argv_area(int argc, char **argv)
{
    char *end = argc > 0 ? argv[0] : NULL;
    for (int i = 0; i < argc && argv[i] == end; i++) {
        end = argv[i] + strlen(argv[i]) + 1;
    }
    return argc > 0 ? (size_t)(end - argv[0]) : 0;
}

static px_err watch_parent(px_nursery *nursery)
{
    (void)snprintf(doomed_folder, sizeof(doomed_folder), "%s", nursery->folder);
    controller_line = nursery->in;
    struct sigaction action = {.sa_handler = parent_died};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
        return px_err_from_errno(errno);
    }
    if (controller_gone(0)) {
        parent_died(SIGTERM); // before the signal was set
    }
    return PX_OK;
}

px_err px_nursery_open(const char *folder, int argc, char **argv, px_nursery **ret_nursery)
{
    px_nursery *nursery = calloc(1, sizeof(*nursery));
    if (nursery == NULL) {
        return PX_ENOMEM;
    }
    nursery->in = nursery->out = nursery->deaths = nursery->cluster_fd = nursery->lease_ms = -1;
    (void)snprintf(nursery->folder, sizeof(nursery->folder), "%s", folder != NULL ? folder : "");
    nursery->title = argv[0];
    nursery->title_size = argv_area(argc, argv);
    nursery->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    nursery->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool good = nursery->in >= 0 && nursery->out >= 0 && null >= 0 && dup2(null, 0) == 0 &&
                dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO;
    px_err err = good ? PX_OK : px_err_from_errno(errno);
    if (null >= 0) {
        (void)close(null);
    }
    if (err == PX_OK) {
        err = watch_parent(nursery);
    }
    if (err != PX_OK) {
        px_nursery_close(nursery);
        return err;
    }
    *ret_nursery = nursery;
    return PX_OK;
}

void px_nursery_close(px_nursery *nursery)
{
    if (nursery == NULL) {
        return;
    }
    if (nursery->in >= 0) {
        (void)close(nursery->in);
    }
    if (nursery->out >= 0) {
        (void)close(nursery->out);
    }
    if (nursery->deaths >= 0) {
        (void)close(nursery->deaths);
    }
    if (nursery->cluster_fd >= 0) {
        (void)close(nursery->cluster_fd);
    }
    free(nursery->children);
    px_buf_done(&nursery->line);
    free(nursery);
}

void px_nursery_set_lease(px_nursery *nursery, int lease_ms)
{
    nursery->lease_ms = lease_ms;
}

// say writes one event. The line is a pipe whose reader may be gone: then stdin says so as well.
static void say(px_nursery *nursery, const px_buf *event)
{
    size_t done = 0;
    while (done < event->size) {
        ssize_t n = write(nursery->out, event->data + done, event->size - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        done += (size_t)n;
    }
}

static px_jsonw begin_event(px_buf *out, const char *name)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "event", name);
    return w;
}

static void end_event(px_nursery *nursery, px_jsonw *w)
{
    px_jsonw_end_object(w);
    px_buf_append_str(w->out, "\n");
    if (px_buf_status(w->out) == PX_OK) {
        say(nursery, w->out);
    }
}

static void say_failed(px_nursery *nursery, uint32_t engine, const char *what, int errnum)
{
    PX_AUTO_BUF out = {0};
    char text[256];
    (void)snprintf(text, sizeof(text), "%s: %s", what, strerror(errnum));
    px_jsonw w = begin_event(&out, "failed");
    px_jsonw_key_int(&w, "engine", engine);
    px_jsonw_key_string(&w, "message", text);
    end_event(nursery, &w);
}

// make_room sees that one more child can be noted, before it is forked.
static px_err make_room(px_nursery *nursery)
{
    if (nursery->n_children < nursery->capacity) {
        return PX_OK;
    }
    size_t capacity = nursery->capacity == 0 ? 16 : nursery->capacity * 2;
    child *children = realloc(nursery->children, capacity * sizeof(*children));
    if (children == NULL) {
        return PX_ENOMEM;
    }
    nursery->children = children;
    nursery->capacity = capacity;
    return PX_OK;
}

// --- in the child --------------------------------------------------------------------------------

typedef struct spawn_order {
    const px_json *json; // environment
    px_engine_args args;
    const char *log, *cwd;
} spawn_order;

static void set_one(void *context, const char *name, const px_json *value)
{
    const px_nursery_hooks *hooks = context;
    const char *text = px_json_is_null(value) ? NULL : px_json_as_string(value, "");
    if (hooks->set_env != NULL) {
        hooks->set_env(hooks->context, name, text);
    } else if (text != NULL) {
        (void)setenv(name, text, 1);
    } else {
        (void)unsetenv(name);
    }
}

// rename_process makes ps and top show an engine and which.
static void rename_process(const px_nursery *nursery, const spawn_order *order)
{
    char title[128];
    int n = snprintf(title, sizeof(title), "pxengine %" PRIu32, order->args.engine);
    (void)prctl(PR_SET_NAME, "pxengine");
    if (nursery->title_size > (size_t)n) {
        memset(nursery->title, 0, nursery->title_size);
        memcpy(nursery->title, title, (size_t)n);
    }
}

// become gives the child its own session, name, log and directory.
static void become(px_nursery *nursery, const spawn_order *order, pid_t zygote)
{
    (void)signal(SIGTERM, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != zygote) {
        _exit(128 + SIGKILL); // the zygote died between fork and here
    }
    (void)setsid();
    rename_process(nursery, order);
    int log =
        order->log != NULL ? open(order->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0) {
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
        (void)close(log);
    }
    if (order->cwd != NULL && chdir(order->cwd) != 0) {
        (void)fprintf(stderr, "engine %" PRIu32 ": cannot enter %s: %s\n", order->args.engine,
                      order->cwd, strerror(errno));
    }
    (void)sigprocmask(SIG_SETMASK, &nursery->before, NULL);
    nursery->cluster_fd = -1;  // the engine reads it
    px_nursery_close(nursery); // our copies of the controller's line
}

_Noreturn static void live(px_nursery *nursery, const px_nursery_hooks *hooks,
                           const spawn_order *order, pid_t zygote)
{
    if (hooks->after_fork_child != NULL) {
        hooks->after_fork_child(hooks->context);
    }
    become(nursery, order, zygote);
    const px_json *env = px_json_get(order->json, "env");
    if (env != NULL && px_json_is_object(env)) {
        px_json_each(env, set_one, (void *)hooks);
    }
    int status = hooks->run(hooks->context, &order->args);
    (void)fflush(NULL);
    _exit(status);
}

// --- in the parent -------------------------------------------------------------------------------

static void spawn(px_nursery *nursery, const px_nursery_hooks *hooks, const spawn_order *order)
{
    if (make_room(nursery) != PX_OK) {
        say_failed(nursery, order->args.engine, "cannot note one more engine", ENOMEM);
        return;
    }
    pid_t zygote = getpid();
    (void)fflush(NULL); // or the child prints it again
    if (hooks->before_fork != NULL) {
        hooks->before_fork(hooks->context);
    }
    pid_t pid = fork();
    if (pid == 0) {
        live(nursery, hooks, order, zygote);
    }
    int errnum = errno;
    if (hooks->after_fork_parent != NULL) {
        hooks->after_fork_parent(hooks->context);
    }
    if (pid < 0) {
        say_failed(nursery, order->args.engine, "fork", errnum);
        return;
    }
    nursery->children[nursery->n_children++] = (child){.pid = pid, .engine = order->args.engine};
    PX_AUTO_BUF out = {0};
    px_jsonw w = begin_event(&out, "spawned");
    px_jsonw_key_int(&w, "engine", order->args.engine);
    px_jsonw_key_int(&w, "pid", pid);
    end_event(nursery, &w);
}

// know_cluster keeps the cluster file of a controller on another host where every engine, and
// nobody else, can read it.
static void know_cluster(px_nursery *nursery, const px_json *file)
{
    PX_AUTO_BUF text = {0};
    int fd = memfd_create("px cluster.json", MFD_CLOEXEC);
    bool good = fd >= 0 && px_json_dump(file, &text) == PX_OK &&
                write(fd, text.data, text.size) == (ssize_t)text.size;
    if (!good) {
        px_log_error("zygote: no memory for the cluster's file", "");
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    if (nursery->cluster_fd >= 0) {
        (void)close(nursery->cluster_fd);
    }
    nursery->cluster_fd = fd;
}

static void signal_child(px_nursery *nursery, int64_t engine, int64_t signum)
{
    for (size_t i = 0; i < nursery->n_children; i++) {
        if (nursery->children[i].engine == engine && signum > 0 && signum < NSIG) {
            (void)kill(nursery->children[i].pid, (int)signum); // ended, but not buried yet: nothing
        }
    }
}

// obey_small serves what is no order for an engine; false when it is another one.
static bool obey_small(px_nursery *nursery, const char *op, const px_json *json)
{
    if (strcmp(op, "quit") == 0) {
        nursery->finished = true;
    } else if (strcmp(op, "cluster") == 0) {
        know_cluster(nursery, px_json_get(json, "file"));
    } else if (strcmp(op, "signal") == 0) {
        signal_child(nursery, px_json_int(json, "engine", -1), px_json_int(json, "signal", 0));
    } else {
        return strcmp(op, "beat") == 0;
    }
    return true;
}

// obey reads one line. An order that makes no sense is logged and skipped.
static void obey(px_nursery *nursery, const px_nursery_hooks *hooks, px_slice line)
{
    px_error error = {0};
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(line, &json, &error) != PX_OK) {
        px_log_warning("zygote: order is not JSON", "cause=%s", error.text);
        return;
    }
    char known[32];
    const char *op = px_json_string(json, "op", "");
    if (obey_small(nursery, op, json)) {
        return;
    }
    (void)snprintf(known, sizeof(known), "/proc/self/fd/%d", nursery->cluster_fd);
    int64_t engine = px_json_int(json, "engine", -1);
    spawn_order order = {
        .json = json,
        .args = {.engine = (uint32_t)engine,
                 .token = px_json_string(json, "token", NULL),
                 .cluster_file =
                     px_json_string(json, "cluster", nursery->cluster_fd >= 0 ? known : NULL)},
        .log = px_json_string(json, "log", NULL),
        .cwd = px_json_string(json, "cwd", NULL),
    };
    if (strcmp(op, "spawn") != 0 || engine < 0 || engine > UINT32_MAX || order.args.token == NULL ||
        order.args.cluster_file == NULL) {
        px_log_warning("zygote: order is not understood", "op=%s", op);
        return;
    }
    spawn(nursery, hooks, &order);
}

// listen_line takes what stdin has and obeys every whole line; false at its end.
static bool listen_line(px_nursery *nursery, const px_nursery_hooks *hooks)
{
    if (nursery->line.size > ORDER_MAX || px_buf_reserve(&nursery->line, 16384) != PX_OK) {
        return false;
    }
    ssize_t n = read(nursery->in, nursery->line.data + nursery->line.size, 16384);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    nursery->line.size += (size_t)n;
    size_t start = 0;
    px_slice line;
    while (!nursery->finished && px_buf_line(&nursery->line, &start, &line)) {
        obey(nursery, hooks, line);
    }
    px_buf_drop(&nursery->line, start);
    return true;
}

// bury tells how a child ended and forgets it.
static void bury(px_nursery *nursery, size_t i, const siginfo_t *end)
{
    child *c = &nursery->children[i];
    PX_AUTO_BUF out = {0};
    px_jsonw w = begin_event(&out, "exit");
    px_jsonw_key_int(&w, "engine", c->engine);
    px_jsonw_key_int(&w, "pid", c->pid);
    px_jsonw_key(&w, "code");
    if (end->si_code == CLD_EXITED) {
        px_jsonw_int(&w, end->si_status);
        px_jsonw_key(&w, "signal");
        px_jsonw_null(&w);
    } else {
        px_jsonw_null(&w);
        px_jsonw_key_int(&w, "signal", end->si_status);
    }
    end_event(nursery, &w);
    *c = nursery->children[--nursery->n_children];
}

// bury_all takes every child that has ended. Its process group is killed while its pid is still its
// own. One that is none of ours was left by a preloaded module, and nobody else waits for it.
static void bury_all(px_nursery *nursery)
{
    struct signalfd_siginfo ignored;
    while (read(nursery->deaths, &ignored, sizeof(ignored)) > 0) {
    }
    for (;;) {
        siginfo_t end = {0};
        if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0) {
            return;
        }
        size_t i = 0;
        while (i < nursery->n_children && nursery->children[i].pid != end.si_pid) {
            i++;
        }
        if (i < nursery->n_children) {
            (void)kill(-end.si_pid, SIGKILL);
        }
        (void)waitpid(end.si_pid, NULL, WNOHANG);
        if (i < nursery->n_children) {
            bury(nursery, i, &end);
        }
    }
}

// kill_all ends every child and its group, and waits for them.
static void kill_all(px_nursery *nursery)
{
    for (size_t i = 0; i < nursery->n_children; i++) {
        (void)kill(-nursery->children[i].pid, SIGKILL);
        (void)kill(nursery->children[i].pid, SIGKILL);
    }
    for (size_t i = 0; i < nursery->n_children; i++) {
        child *c = &nursery->children[i];
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    nursery->n_children = 0;
}

static bool one_round(px_nursery *nursery, const px_nursery_hooks *hooks)
{
    struct pollfd fds[2] = {{.fd = nursery->in, .events = POLLIN},
                            {.fd = nursery->deaths, .events = POLLIN}};
    int ready = poll(fds, 2, nursery->lease_ms);
    if (ready < 0) {
        return errno == EINTR;
    }
    if (ready == 0) {
        return false; // not a word for too long
    }
    if (fds[1].revents != 0) {
        bury_all(nursery);
    }
    return fds[0].revents == 0 || listen_line(nursery, hooks);
}

static px_err watch_children(px_nursery *nursery)
{
    sigset_t deaths;
    (void)sigemptyset(&deaths);
    (void)sigaddset(&deaths, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &deaths, &nursery->before) != 0) {
        return px_err_from_errno(errno);
    }
    nursery->deaths = signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK);
    return nursery->deaths >= 0 ? PX_OK : px_err_from_errno(errno);
}

px_err px_nursery_serve(px_nursery *nursery, const px_nursery_hooks *hooks)
{
    PX_TRY(watch_children(nursery));
    (void)prctl(PR_SET_PDEATHSIG, 0); // from here the end of stdin says it
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    PX_AUTO_BUF out = {0};
    px_jsonw w = begin_event(&out, "ready");
    px_jsonw_key_int(&w, "pid", getpid());
    end_event(nursery, &w);
    while (!nursery->finished && one_round(nursery, hooks)) {
    }
    kill_all(nursery);
    if (!nursery->finished) {
        remove_when_free(nursery->folder);
    }
    return PX_OK;
}
