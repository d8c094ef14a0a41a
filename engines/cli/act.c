// act.c: the commands that change a running cluster.

#include "cli.h"

#include "px/id.h"
#include "px/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// --- which engines ------------------------------------------------------------------------------

// next_id reads an id of a list; *at is then at the next one, NULL after the last. False when it is
// none.
static bool next_id(const char **at, long long *ret_id)
{
    char id[16];
    size_t length = strcspn(*at, ",");
    if (length >= sizeof(id)) {
        return false;
    }
    memcpy(id, *at, length);
    id[length] = '\0';
    *at = (*at)[length] == ',' ? *at + length + 1 : NULL;
    return px_parse_number(id, 0, UINT32_MAX, ret_id) == PX_OK;
}

// put_engines writes "engines": "all" or the list of --engines, or "set"; false when that is not
// one.
static bool put_engines(const px_cli *cli, px_jsonw *w)
{
    if (cli->set != NULL) {
        px_jsonw_key_string(w, "set", cli->set);
        return cli->engines == NULL;
    }
    px_jsonw_key(w, "engines");
    if (cli->engines == NULL || strcmp(cli->engines, "all") == 0) {
        px_jsonw_string(w, "all");
        return true;
    }
    px_jsonw_array(w);
    long long id;
    const char *at = cli->engines;
    while (at != NULL) {
        if (!next_id(&at, &id)) {
            return false;
        }
        px_jsonw_int(w, id);
    }
    px_jsonw_end_array(w);
    return true;
}

static int bad_engines(const px_cli *cli)
{
    return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_USAGE,
                                          .code = "bad-engines",
                                          .message = "--engines needs ids such as 0,3, or all, "
                                                     "and excludes --set"});
}

// ask sends one request; prints the problem when it is refused.
static int ask(const px_cli *cli, px_talk *talk, const char *msg_type, const px_buf *content)
{
    PX_AUTO(px_json) answer = NULL;
    px_error error = {0};
    px_err err = px_talk_ask(talk, msg_type, px_buf_slice(content), &answer, &error);
    if (err == PX_OK) {
        return PX_EXIT_OK;
    }
    return px_cli_fail(cli, &(px_problem){.exit_code = err == PX_EINVAL     ? PX_EXIT_USAGE
                                                       : err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT
                                                                            : PX_EXIT_OTHER,
                                          .code = err == PX_EINVAL ? "refused" : "no-answer",
                                          .message = error.text});
}

// --- stop ----------------------------------------------------------------------------------------

// wait_end waits for a process by its pidfd; false when the time is over.
static bool wait_end(int pidfd, int timeout_ms)
{
    px_ns until = px_now() + (px_ns)timeout_ms * PX_NS_PER_MS;
    for (px_ns now = px_now(); now < until; now = px_now()) {
        struct pollfd end = {.fd = pidfd, .events = POLLIN};
        if (poll(&end, 1, (int)((until - now) / PX_NS_PER_MS) + 1) == 1) {
            return true;
        }
    }
    return false;
}

static void ask_to_stop(const px_cluster_file *file, int timeout_ms)
{
    px_error error = {0};
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO(px_json) answer = NULL;
    px_err err = px_talk_open(file, timeout_ms, &talk, &error);
    if (err == PX_OK) {
        err = px_talk_ask(talk, "shutdown_request",
                          PX_SLICE_LITERAL("{\"engines\":\"all\",\"hub\":true}"), &answer, &error);
    }
    if (err != PX_OK && err != PX_ECLOSED) {
        (void)kill(file->pid, SIGTERM);
    }
}

// clean_up waits until the zygote has taken away a controller's folder that was killed, or does it.
static void clean_up(const char *folder)
{
    for (int turn = 0; turn < 200 && access(folder, F_OK) == 0; turn++) {
        if (!px_cluster_alive(folder) && px_cluster_sweep(folder)) {
            return;
        }
        (void)poll(NULL, 0, 10);
    }
}

px_err px_stop_cluster(const px_cluster_file *file, int timeout_ms, px_error *reterr)
{
    char folder[PATH_MAX];
    PX_TRY(px_cluster_folder(file->id, folder, reterr));
    int pidfd = (int)syscall(SYS_pidfd_open, file->pid, 0);
    if (pidfd < 0) {
        clean_up(folder); // it ended by itself
        return PX_OK;
    }
    ask_to_stop(file, timeout_ms < 2000 ? timeout_ms : 2000);
    bool ended = wait_end(pidfd, timeout_ms);
    if (!ended && px_cluster_alive(folder)) {
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        ended = wait_end(pidfd, 2000);
    }
    (void)close(pidfd);
    clean_up(folder);
    return ended ? PX_OK
                 : px_error_set(reterr, PX_ETIMEOUT, "controller %d of cluster \"%s\" does not end",
                                (int)file->pid, file->id);
}

static int stop_one(const px_cli *cli)
{
    px_cluster_file file;
    px_error error = {0};
    int code = px_find(cli, &file);
    if (code != PX_EXIT_OK) {
        return code;
    }
    int timeout_ms = cli->timeout_ms < 10000 ? (int)cli->timeout_ms : 10000;
    if (px_stop_cluster(&file, timeout_ms, &error) != PX_OK) {
        return px_cli_fail(
            cli,
            &(px_problem){.exit_code = PX_EXIT_TIMEOUT, .code = "time-out", .message = error.text});
    }
    if (!cli->json) {
        (void)printf("cluster %s stopped\n", cli->name);
        return PX_EXIT_OK;
    }
    if (!cli->all) {
        PX_AUTO_BUF out = {0};
        px_jsonw w = px_jsonw_to(&out);
        px_jsonw_object(&w);
        px_jsonw_key_string(&w, "id", cli->name);
        px_jsonw_key_string(&w, "state", "gone");
        px_jsonw_end_object(&w);
        px_cli_print(&out);
    }
    return PX_EXIT_OK;
}

typedef struct stop_all {
    const px_cli *cli;
    px_jsonw *w;
    int worst;
} stop_all;

static void stop_each(void *context, const char *name)
{
    stop_all *all = context;
    px_cli one = *all->cli;
    one.name = name;
    one.name_given = true;
    int code = stop_one(&one);
    if (code == PX_EXIT_OK) {
        px_jsonw_string(all->w, name);
    } else if (code != PX_EXIT_NO_CLUSTER) { // that one ended by itself
        all->worst = code;
    }
}

// --- stopping engines ----------------------------------------------------------------------------

// named tells if the list of --engines, read already, has an id.
static bool named(const char *list, int64_t id)
{
    long long one = -1;
    const char *at = list;
    if (strcmp(list, "all") == 0) {
        return true;
    }
    while (at != NULL && next_id(&at, &one)) {
        if (one == id) {
            return true;
        }
    }
    return false;
}

// still_there counts the engines of --set or --engines that a status lists.
static size_t still_there(const px_json *status, const px_cli *cli)
{
    const px_json *engines = px_json_get(status, "engines");
    size_t n = 0;
    for (size_t i = 0; i < px_json_length(engines); i++) {
        const px_json *engine = px_json_item(engines, i);
        n += cli->set != NULL ? strcmp(px_json_string(engine, "set", ""), cli->set) == 0
                              : named(cli->engines, px_json_int(engine, "id", -1));
    }
    return n;
}

// wait_gone returns when none of the engines is listed any more.
static int wait_gone(const px_cli *cli, px_talk *talk)
{
    px_error error = {0};
    px_ns until = px_now() + (px_ns)cli->timeout_ms * PX_NS_PER_MS;
    px_err err = PX_OK;
    while (err == PX_OK) {
        PX_AUTO(px_json) status = NULL;
        PX_AUTO(px_message) news = NULL;
        err = px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error);
        if (err == PX_OK && still_there(status, cli) == 0) {
            return px_print_status(cli, talk);
        }
        px_ns now = px_now();
        err = err != PX_OK ? err
              : now >= until
                  ? PX_ETIMEOUT
                  : px_talk_next(talk, (int)((until - now) / PX_NS_PER_MS) + 1, &news, &error);
    }
    return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_TIMEOUT,
                                          .code = "time-out",
                                          .message = "the engines have not ended yet"});
}

static int stop_engines(const px_cli *cli)
{
    px_cluster_file file;
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    if (cli->all || !put_engines(cli, &w)) {
        return bad_engines(cli);
    }
    px_jsonw_key_bool(&w, "scale", true);
    px_jsonw_end_object(&w);
    int code = px_reach(cli, &file, &talk);
    code = code == PX_EXIT_OK ? ask(cli, talk, "shutdown_request", &content) : code;
    return code == PX_EXIT_OK ? wait_gone(cli, talk) : code;
}

int px_command_stop(const px_cli *cli)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    stop_all all = {.cli = cli, .w = &w};
    px_error error = {0};
    if (cli->engines != NULL || cli->set != NULL) {
        return stop_engines(cli);
    }
    if (!cli->all) {
        return stop_one(cli);
    }
    px_jsonw_object(&w);
    px_jsonw_key(&w, "stopped");
    px_jsonw_array(&w);
    if (px_each_cluster(stop_each, &all, NULL, &error) != PX_OK) {
        return px_cli_fail(
            cli,
            &(px_problem){.exit_code = PX_EXIT_OTHER, .code = "no-folder", .message = error.text});
    }
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    if (cli->json) {
        px_cli_print(&out);
    }
    return all.worst;
}

// --- changing, signalling -----------------------------------------------------------------------

int px_command_scale(const px_cli *cli)
{
    px_cluster_file file;
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    if ((cli->n < 0) == (cli->add == 0) || (cli->set != NULL && cli->add == 0)) {
        return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_USAGE,
                                              .code = "bad-n",
                                              .message = "scale needs the number of engines: "
                                                         "`pxcluster scale NAME -n 4`, or --add 2 "
                                                         "and what --set they are"});
    }
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, cli->add > 0 ? "add" : "n", cli->add > 0 ? cli->add : cli->n);
    if (cli->set != NULL) {
        px_jsonw_key_string(&w, "set", cli->set);
    }
    px_jsonw_end_object(&w);
    int code = px_reach(cli, &file, &talk);
    code = code == PX_EXIT_OK ? ask(cli, talk, "scale_request", &content) : code;
    return code == PX_EXIT_OK ? px_wait_running(cli, talk) : code;
}

int px_command_restart(const px_cli *cli)
{
    px_cluster_file file;
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    if (!put_engines(cli, &w)) {
        return bad_engines(cli);
    }
    px_jsonw_end_object(&w);
    int code = px_reach(cli, &file, &talk);
    code = code == PX_EXIT_OK ? ask(cli, talk, "restart_request", &content) : code;
    return code == PX_EXIT_OK ? px_wait_running(cli, talk) : code;
}

int px_command_signal(const px_cli *cli)
{
    px_cluster_file file;
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    long long number;
    const char *signum = cli->signal != NULL ? cli->signal : "SIGINT";
    px_jsonw_object(&w);
    px_jsonw_key(&w, "signal");
    if (px_parse_number(signum, 1, 64, &number) == PX_OK) {
        px_jsonw_int(&w, number);
    } else {
        px_jsonw_string(&w, signum);
    }
    if (!put_engines(cli, &w)) {
        return bad_engines(cli);
    }
    px_jsonw_end_object(&w);
    int code = px_reach(cli, &file, &talk);
    code = code == PX_EXIT_OK ? ask(cli, talk, "signal_request", &content) : code;
    if (code == PX_EXIT_OK) {
        (void)printf(cli->json ? "{\"id\": \"%s\", \"signal\": \"%s\"}\n"
                               : "cluster %s: %s delivered\n",
                     cli->name, signum);
    }
    return code;
}
