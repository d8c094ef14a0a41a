// start.c: `pxcluster start`: run a controller in the background and wait until its engines are
// there.
//
// The controller gets a session of its own, /dev/null for stdin, stdout and stderr, and one more
// descriptor on which it says in one line that it runs or why not. After that the waiting is done
// by listening to it as any client would.

#include "../launch/child.h"
#include "../launch/host.h"
#include "../launch/spec.h"
#include "cli.h"

#include "px/id.h"
#include "px/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

// --- launching -----------------------------------------------------------------------------------

static bool find_controller(char ret_path[PATH_MAX])
{
    const char *given = getenv("PX_CONTROLLER");
    if (given != NULL && given[0] != '\0') {
        (void)snprintf(ret_path, PATH_MAX, "%s", given);
        return access(ret_path, X_OK) == 0;
    }
    ssize_t n = readlink("/proc/self/exe", ret_path, PATH_MAX - 32);
    ret_path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(ret_path, '/');
    (void)snprintf(slash != NULL ? slash : ret_path, 32, "/pxcontroller");
    return access(ret_path, X_OK) == 0;
}

// read_outcome reads the controller's one line; "" when it ended without a word.
static px_err read_outcome(int fd, long long timeout_ms, char *ret_text, size_t size)
{
    size_t length = 0;
    px_ns until = px_now() + (px_ns)timeout_ms * PX_NS_PER_MS;
    while (length < size - 1) {
        px_ns now = px_now();
        struct pollfd line = {.fd = fd, .events = POLLIN};
        if (now >= until) {
            return PX_ETIMEOUT;
        }
        int n = poll(&line, 1, (int)((until - now) / PX_NS_PER_MS) + 1);
        if (n < 0 && errno != EINTR) {
            return px_err_from_errno(errno);
        }
        if (n <= 0) {
            continue;
        }
        ssize_t got = read(fd, ret_text + length, size - 1 - length);
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    ret_text[length] = '\0';
    return PX_OK;
}

// launch runs a controller; gives its line in ret_text.
static px_err launch(const px_cli *cli, const char *program, char *ret_text, size_t size,
                     px_error *reterr)
{
    char n[16], attach[16], status[8];
    int line[2];
    char *argv[40] = {(char *)program, "--name", (char *)cli->name, "-n", n, "--status-fd", status};
    size_t argc = 7;
    (void)snprintf(n, sizeof(n), "%lld", cli->n);
    (void)snprintf(attach, sizeof(attach), "%lld", cli->attach);
    (void)snprintf(status, sizeof(status), "%d", PX_CHILD_STATUS_FD);
    if (cli->attach != 0) {
        argv[argc++] = "--attach";
        argv[argc++] = attach;
    }
    if (cli->cwd != NULL) {
        argv[argc++] = "--cwd";
        argv[argc++] = (char *)cli->cwd;
    }
    if (cli->restart) {
        argv[argc++] = "--restart";
    }
    if (cli->preload != NULL) {
        argv[argc++] = "--preload";
        argv[argc++] = (char *)cli->preload;
    }
    for (size_t i = 0; i < cli->n_for_controller; i++) {
        argv[argc++] = cli->for_controller[i];
    }
    if (pipe2(line, O_CLOEXEC) != 0) {
        return px_error_set(reterr, PX_ESYS, "cannot make a pipe: %s", strerror(errno));
    }
    // Above the descriptor that it becomes, or dup2 would leave it close-on-exec.
    int out = fcntl(line[1], F_DUPFD_CLOEXEC, PX_CHILD_STATUS_FD + 1);
    (void)close(line[1]);
    const px_child child = {
        .argv = argv, .in = -1, .out = -1, .err = -1, .status = out, .own_session = true};
    pid_t pid;
    int errnum = out >= 0 ? px_child_start(&child, &pid) : errno;
    if (out >= 0) {
        (void)close(out);
    }
    px_err err = errnum == 0 ? read_outcome(line[0], cli->timeout_ms, ret_text, size)
                             : px_err_from_errno(errnum);
    (void)close(line[0]);
    if (errnum != 0) {
        return px_error_set(reterr, err, "cannot run %s: %s", program, strerror(errnum));
    }
    return err == PX_OK ? PX_OK
                        : px_error_set(reterr, err, "the controller said nothing in %lld s",
                                       cli->timeout_ms / 1000);
}

// --- waiting -------------------------------------------------------------------------------------

static void show_progress(const px_json *cluster, bool last)
{
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r%s: engines %lld/%lld%s", px_json_string(cluster, "id", ""),
                      (long long)px_json_int(cluster, "ready", 0),
                      (long long)px_json_int(cluster, "n", 0), last ? "\n" : " …");
    }
}

int px_print_status(const px_cli *cli, px_talk *talk)
{
    PX_AUTO(px_json) status = NULL;
    px_error error = {0};
    if (px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error) != PX_OK) {
        return px_cli_fail(
            cli,
            &(px_problem){.exit_code = PX_EXIT_OTHER, .code = "no-answer", .message = error.text});
    }
    if (cli->json) {
        PX_AUTO_BUF out = {0};
        px_jsonw w = px_jsonw_to(&out);
        px_show_json(status, &w);
        px_cli_print(&out);
    } else {
        px_show_text(status);
    }
    return PX_EXIT_OK;
}

// settled tells if a cluster's state is one to wait no longer for.
static bool settled(const px_json *cluster)
{
    return strcmp(px_json_string(cluster, "state", ""), "starting") != 0;
}

// outcome prints what became of it.
static int outcome(const px_cli *cli, px_talk *talk, const px_json *cluster)
{
    const char *state = px_json_string(cluster, "state", "");
    const px_json *error = px_json_get(cluster, "error");
    if (strcmp(state, "running") == 0) {
        return px_print_status(cli, talk);
    }
    char message[320];
    (void)snprintf(
        message, sizeof(message), "cluster \"%s\" is %s with %lld of %lld engines%s%s", cli->name,
        state, (long long)px_json_int(cluster, "ready", 0), (long long)px_json_int(cluster, "n", 0),
        error != NULL && px_json_is_object(error) ? ": " : "",
        error != NULL && px_json_is_object(error) ? px_json_string(error, "message", "") : "");
    const px_json *fixes = px_json_get(error, "fix");
    px_problem problem = {.exit_code = PX_EXIT_FAILED,
                          .code = px_json_string(error, "code", "failed"),
                          .message = message,
                          .cause = px_json_string(error, "cause", NULL),
                          .fix = px_json_as_string(px_json_item(fixes, 0), NULL),
                          .log = px_json_string(error, "log", NULL)};
    return px_cli_fail(cli, &problem);
}

static int waited_in_vain(const px_cli *cli, px_err err, const px_json *cluster)
{
    char message[700];
    const char *pending = px_json_string(cluster, "pending", NULL);
    const px_json *error = px_json_get(cluster, "error");
    const char *last = px_json_is_object(error) ? px_json_string(error, "cause", NULL) : NULL;
    if (err == PX_ETIMEOUT) {
        (void)snprintf(
            message, sizeof(message),
            "cluster \"%s\" is still starting after %lld s, with %lld of %lld engines%s%s"
            "%s%s; it goes on",
            cli->name, cli->timeout_ms / 1000, (long long)px_json_int(cluster, "ready", 0),
            (long long)px_json_int(cluster, "n", 0), pending != NULL ? ", " : "",
            pending != NULL ? pending : "", last != NULL ? ", last error: " : "",
            last != NULL ? last : "");
    } else {
        (void)snprintf(message, sizeof(message), "cluster \"%s\" ended while it was starting",
                       cli->name);
    }
    return px_cli_fail(
        cli,
        &(px_problem){.exit_code = err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT : PX_EXIT_FAILED,
                      .code = err == PX_ETIMEOUT ? "time-out" : "ended",
                      .message = message,
                      .fix = err == PX_ETIMEOUT ? "`pxcluster status` shows how far it is" : NULL});
}

// cluster_of finds the Cluster in a notification; NULL when it is another message.
static const px_json *cluster_of(const px_message *message, const px_json *content)
{
    const char *event = px_json_string(content, "event", "");
    return message->type == PX_MSG_CLUSTER_NOTIFY && strcmp(event, "stats") != 0
               ? px_json_get(content, "cluster")
               : NULL;
}

int px_wait_running(const px_cli *cli, px_talk *talk)
{
    PX_AUTO(px_json) status = NULL;
    px_error error = {0};
    px_ns until = px_now() + (px_ns)cli->timeout_ms * PX_NS_PER_MS;
    px_err err = px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error);
    if (err != PX_OK) {
        return waited_in_vain(cli, err, NULL);
    }
    const px_json *cluster = px_json_get(status, "cluster");
    if (settled(cluster) || cli->no_wait) {
        return cli->no_wait ? px_print_status(cli, talk) : outcome(cli, talk, cluster);
    }
    show_progress(cluster, false);
    PX_AUTO(px_json) last = NULL; // news of the cluster
    for (;;) {
        PX_AUTO(px_message) message = NULL;
        PX_AUTO(px_json) content = NULL;
        px_ns now = px_now();
        err = now < until
                  ? px_talk_next(talk, (int)((until - now) / PX_NS_PER_MS) + 1, &message, &error)
                  : PX_ETIMEOUT;
        if (err != PX_OK) {
            return waited_in_vain(cli, err, px_json_get(last != NULL ? last : status, "cluster"));
        }
        if (px_json_parse(message->content, &content, NULL) != PX_OK) {
            continue;
        }
        cluster = cluster_of(message, content);
        if (cluster != NULL) {
            show_progress(cluster, settled(cluster));
            px_json_free(last);
            last = PX_STEAL(content);
        }
        if (cluster != NULL && settled(cluster)) {
            return outcome(cli, talk, cluster);
        }
    }
}

// --- the command ---------------------------------------------------------------------------------

// replace_failed stops a cluster of this name that has failed; true when there was one.
static bool replace_failed(const px_cli *cli)
{
    px_cluster_file file;
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO(px_json) status = NULL;
    px_error error = {0};
    if (px_cluster_file_read(cli->name, &file, &error) != PX_OK ||
        px_talk_open(&file, 2000, &talk, &error) != PX_OK ||
        px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error) != PX_OK ||
        strcmp(px_json_string(px_json_get(status, "cluster"), "state", ""), "failed") != 0) {
        return false;
    }
    return px_stop_cluster(&file, 10000, &error) == PX_OK;
}

static int fail_launch(const px_cli *cli, const px_json *line, const char *text)
{
    const char *code = px_json_string(line, "code", "failed");
    bool exists = strcmp(code, "exists") == 0;
    char fix[192];
    (void)snprintf(fix, sizeof(fix), exists ? "`pxcluster status %s` shows it" : "", cli->name);
    return px_cli_fail(cli, &(px_problem){.exit_code = exists ? PX_EXIT_EXISTS : PX_EXIT_FAILED,
                                          .code = code,
                                          .message = px_json_string(line, "message", text),
                                          .fix = fix});
}

// stop_failed leaves nothing of a cluster that a person waited for in vain; its error is printed.
static void stop_failed(const px_cluster_file *file)
{
    px_error error = {0};
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO(px_json) status = NULL;
    if (px_talk_open(file, 2000, &talk, &error) == PX_OK &&
        px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error) == PX_OK &&
        strcmp(px_json_string(px_json_get(status, "cluster"), "state", ""), "failed") == 0 &&
        px_stop_cluster(file, 10000, &error) != PX_OK) {
        (void)fprintf(stderr, "pxcluster: %s\n", error.text);
    }
}

static int check(const px_cli *cli, char program[PATH_MAX])
{
    char folder[PATH_MAX], message[PATH_MAX + 64];
    px_error error = {0};
    px_err err = px_cluster_folder(cli->name, folder, &error);
    if (err != PX_OK) {
        return px_cli_fail(
            cli, &(px_problem){.exit_code = err == PX_EINVAL ? PX_EXIT_USAGE : PX_EXIT_FAILED,
                               .code = err == PX_EINVAL ? "bad-name" : "no-folder",
                               .message = error.text});
    }
    if (cli->cwd != NULL && access(cli->cwd, X_OK) != 0) {
        (void)snprintf(message, sizeof(message), "cannot enter %s: %s", cli->cwd, strerror(errno));
        return px_cli_fail(
            cli, &(px_problem){.exit_code = PX_EXIT_USAGE, .code = "bad-cwd", .message = message});
    }
    if (!find_controller(program)) {
        (void)snprintf(message, sizeof(message), "there is no program %s", program);
        return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_NO_LAUNCHER,
                                              .code = "launcher-missing",
                                              .message = message,
                                              .fix = "install pxkernel completely, or name the "
                                                     "program in PX_CONTROLLER"});
    }
    return PX_EXIT_OK;
}

// default_number is how many engines are started where -n is not given: an ssh list says it itself.
static long long default_number(const px_cli *cli)
{
    px_launch_spec spec = {0};
    long long listed = 0;
    if (cli->engines != NULL && px_launch_parse(cli->engines, &spec, NULL) == PX_OK) {
        listed = px_launch_total(&spec);
        px_launch_done(&spec);
    }
    return listed > 0 ? listed : (long long)px_host_cores();
}

int px_command_start(const px_cli *given)
{
    char program[PATH_MAX], text[2048];
    px_cluster_file file;
    px_error error = {0};
    px_cli cli = *given;
    PX_AUTO(px_json) line = NULL;
    PX_AUTO(px_talk) talk = NULL;
    if (cli.n < 0) {
        cli.n = default_number(&cli);
    }
    int code = check(&cli, program);
    if (code != PX_EXIT_OK) {
        return code;
    }
    for (int turn = 0; turn < 2; turn++) {
        text[0] = '\0';
        px_json_free(PX_STEAL(line));
        px_err err = launch(&cli, program, text, sizeof(text), &error);
        if (err != PX_OK) {
            return px_cli_fail(&cli, &(px_problem){.exit_code = err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT
                                                                                   : PX_EXIT_FAILED,
                                                   .code = "launch-failed",
                                                   .message = error.text});
        }
        err = px_json_parse(px_slice_str(text), &line, NULL);
        if (err == PX_OK && strcmp(px_json_string(line, "status", ""), "ok") == 0) {
            break;
        }
        if (strcmp(px_json_string(line, "code", ""), "exists") != 0 || !replace_failed(&cli)) {
            return fail_launch(&cli, line, "the controller ended without a word");
        }
    }
    code = px_reach(&cli, &file, &talk);
    if (code != PX_EXIT_OK) {
        return code;
    }
    code = px_wait_running(&cli, talk);
    if (code == PX_EXIT_FAILED) {
        stop_failed(&file);
    }
    return code;
}
