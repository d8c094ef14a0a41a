// query.c: the commands that only look.

#include "../launch/host.h"
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const px_cli *cli, const char *code, const px_error *error)
{
    return px_cli_fail(
        cli, &(px_problem){.exit_code = error->err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT : PX_EXIT_OTHER,
                           .code = code,
                           .message = error->text[0] ? error->text : px_err_text(error->err)});
}

int px_command_status(const px_cli *cli)
{
    px_cluster_file file;
    px_error error = {0};
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO(px_json) status = NULL;
    int code = px_reach(cli, &file, &talk);
    if (code != PX_EXIT_OK) {
        return code;
    }
    if (px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error) != PX_OK) {
        return fail(cli, "no-answer", &error);
    }
    if (!cli->json) {
        px_show_text(status);
        return PX_EXIT_OK;
    }
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_show_json(status, &w);
    px_cli_print(&out);
    return PX_EXIT_OK;
}

// --- list ----------------------------------------------------------------------------------------

typedef struct listing {
    const px_cli *cli;
    px_jsonw *w;
    size_t n, n_unread;
} listing;

static void list_text(const px_json *cluster)
{
    if (cluster != NULL) {
        (void)printf(
            "%-20s %-9s %5lld/%-5lld %8lld  %.19s\n", px_json_string(cluster, "id", ""),
            px_json_string(cluster, "state", ""), (long long)px_json_int(cluster, "ready", 0),
            (long long)px_json_int(cluster, "n", 0), (long long)px_json_int(cluster, "pid", 0),
            px_json_string(cluster, "since", ""));
    }
}

static void list_one(void *context, const char *name)
{
    listing *list = context;
    px_cluster_file file;
    px_error error = {0};
    PX_AUTO(px_talk) talk = NULL;
    PX_AUTO(px_json) status = NULL;
    px_err err = px_cluster_file_read(name, &file, &error);
    if (err == PX_ENOENT) {
        return; // just starting, or just over
    }
    if (err != PX_OK) {
        list->n_unread++;
        (void)fprintf(stderr, "pxcluster: %s\n", error.text);
        return;
    }
    err = px_talk_open(&file, 2000, &talk, &error);
    err = err == PX_OK
              ? px_talk_ask(talk, "status_request", PX_SLICE_LITERAL("{}"), &status, &error)
              : err;
    if (err == PX_ECLOSED || err == PX_EREFUSED || err == PX_ENOENT) {
        return; // it ended just now
    }
    if (list->n++ == 0 && !list->cli->json) {
        (void)printf("%-20s %-9s %11s %8s  %s\n", "cluster", "state", "engines", "pid", "since");
    }
    if (list->cli->json && err == PX_OK) {
        px_show_json(status, list->w);
    } else if (list->cli->json) {
        px_show_lost(&file, list->w);
    } else if (err == PX_OK) {
        list_text(px_json_get(status, "cluster"));
    } else {
        (void)printf("%-20s does not answer (controller %d): `pxcluster stop %s` ends it\n", name,
                     (int)file.pid, name);
    }
}

int px_command_list(const px_cli *cli)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_error error = {0};
    listing list = {.cli = cli, .w = &w};
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, "version", 1);
    px_jsonw_key(&w, "host");
    px_show_host(&w);
    px_jsonw_key(&w, "clusters");
    px_jsonw_array(&w);
    if (px_each_cluster(list_one, &list, NULL, &error) != PX_OK) {
        return fail(cli, "no-folder", &error);
    }
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    if (cli->json) {
        px_cli_print(&out);
    } else if (list.n + list.n_unread == 0) {
        (void)printf("no cluster is running; start one with `pxcluster start`\n");
    }
    return PX_EXIT_OK;
}

static void ignore(void *context, const char *name)
{
    (void)context;
    (void)name;
}

int px_command_clean(const px_cli *cli)
{
    size_t swept = 0;
    px_error error = {0};
    if (px_each_cluster(ignore, NULL, &swept, &error) != PX_OK) {
        return fail(cli, "no-folder", &error);
    }
    (void)printf(cli->json ? "{\"removed\": %zu}\n" : "%zu folders of dead clusters removed\n",
                 swept);
    return PX_EXIT_OK;
}

// on_path tells if a program of that name can be run.
static bool on_path(const char *program)
{
    char file[PATH_MAX];
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        int length = (int)strcspn(at, ":");
        if (snprintf(file, sizeof(file), "%.*s/%s", length, at, program) < (int)sizeof(file) &&
            access(file, X_OK) == 0) {
            return true;
        }
        at += length;
        at += *at == ':';
    }
    return false;
}

int px_command_launchers(const px_cli *cli)
{
    static const struct {
        const char *name, *program, *what;
    } launchers[] = {{"local", NULL, "engines on this machine"},
                     {"ssh", "ssh", "engines on other hosts: ssh:HOST=N,HOST=N"},
                     {"mpi", "mpiexec", "engines as ranks of one mpiexec"},
                     {"slurm", "sbatch", "a job of Slurm"},
                     {"pbs", "qsub", "a job of PBS"},
                     {"sge", "qsub", "a job of Grid Engine"},
                     {"lsf", "bsub", "a job of LSF"},
                     {"htcondor", "condor_submit", "a job of HTCondor"}};
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_array(&w);
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        char why[64] = "";
        const char *program = launchers[i].program;
        if (program != NULL && !on_path(program)) {
            (void)snprintf(why, sizeof(why), "there is no program %s here", program);
        }
        if (!cli->json) {
            (void)printf("%s: %s%s%s%s\n", launchers[i].name, launchers[i].what,
                         why[0] != '\0' ? " (" : "", why, why[0] != '\0' ? ")" : "");
        }
        px_jsonw_object(&w);
        px_jsonw_key_string(&w, "name", launchers[i].name);
        px_jsonw_key(&w, "ok");
        px_jsonw_bool(&w, why[0] == '\0');
        px_jsonw_key_string(&w, "why", why[0] != '\0' ? why : NULL);
        px_jsonw_key(&w, "profiles");
        px_jsonw_array(&w);
        px_jsonw_end_array(&w);
        px_jsonw_end_object(&w);
    }
    px_jsonw_end_array(&w);
    if (cli->json) {
        px_cli_print(&out);
    }
    return PX_EXIT_OK;
}

// --- logs ----------------------------------------------------------------------------------------

#define LOG_LIMIT ((size_t)1 << 20)

// read_tail reads the last lines of a file, at most LOG_LIMIT bytes; free the result. NULL: no
// file.
static char *read_tail(const char *path, long long lines, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    size_t size = fstat(fd, &status) == 0 ? (size_t)status.st_size : 0;
    off_t from = size > LOG_LIMIT ? (off_t)(size - LOG_LIMIT) : 0;
    char *text = malloc(LOG_LIMIT + 1);
    ssize_t got = text != NULL ? pread(fd, text, LOG_LIMIT, from) : -1;
    (void)close(fd);
    if (got < 0) {
        free(text);
        return NULL;
    }
    size_t end = (size_t)got, start = end;
    long long seen = 0;
    while (start > 0) {
        if (text[start - 1] == '\n' && start != end && ++seen == lines) {
            break;
        }
        start--;
    }
    memmove(text, text + start, end - start);
    *ret_size = end - start;
    return text;
}

int px_command_logs(const px_cli *cli)
{
    char folder[PATH_MAX], path[PATH_MAX + 48], message[PATH_MAX + 128];
    px_cluster_file file;
    px_error error = {0};
    size_t size = 0;
    int code = px_find(cli, &file);
    if (code != PX_EXIT_OK) {
        return code;
    }
    if (px_cluster_folder(cli->name, folder, &error) != PX_OK) {
        return fail(cli, "no-folder", &error);
    }
    if (cli->engine >= 0) {
        (void)snprintf(path, sizeof(path), "%s/engine-%lld.log", folder, cli->engine);
    } else {
        (void)snprintf(path, sizeof(path), "%s/controller.log", folder);
    }
    PX_AUTO_FREE char *text = read_tail(path, cli->tail, &size);
    if (text == NULL) {
        (void)snprintf(message, sizeof(message), "cluster \"%s\" has no log of %s%.0lld", cli->name,
                       cli->engine >= 0 ? "engine " : "its controller",
                       cli->engine >= 0 ? cli->engine : 0);
        return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_USAGE,
                                              .code = "no-log",
                                              .message = message,
                                              .fix = "`pxcluster status` shows its engines",
                                              .log = path});
    }
    if (!cli->json) {
        (void)fwrite(text, 1, size, stdout);
        return PX_EXIT_OK;
    }
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, "version", 1);
    px_jsonw_key_string(&w, "id", cli->name);
    px_jsonw_key(&w, "engine");
    if (cli->engine >= 0) {
        px_jsonw_int(&w, cli->engine);
    } else {
        px_jsonw_null(&w);
    }
    px_jsonw_key_string(&w, "log", path);
    px_jsonw_key(&w, "text");
    px_jsonw_slice(&w, px_slice_of(text, size));
    px_jsonw_end_object(&w);
    px_cli_print(&out);
    return PX_EXIT_OK;
}
