// show.c: clusters and engines for people and for programs.

#include "../launch/host.h"
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void px_cli_print(const px_buf *out)
{
    if (px_buf_status(out) == PX_OK) {
        (void)fwrite(out->data, 1, out->size, stdout);
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
    }
}

static void fail_json(const px_problem *problem)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "message", problem->message);
    px_jsonw_key_string(&w, "reason", NULL);
    px_jsonw_key(&w, "error");
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "code", problem->code);
    px_jsonw_key_string(&w, "message", problem->message);
    px_jsonw_key_string(&w, "cause", problem->cause);
    px_jsonw_key(&w, "fix");
    px_jsonw_array(&w);
    if (problem->fix != NULL && problem->fix[0] != '\0') {
        px_jsonw_string(&w, problem->fix);
    }
    px_jsonw_end_array(&w);
    px_jsonw_key_string(&w, "log", problem->log);
    px_jsonw_end_object(&w);
    px_jsonw_end_object(&w);
    px_cli_print(&out);
}

// next_step is what to do about a problem whose finder had no better advice.
static const char *next_step(const char *code)
{
    static const char *const steps[][2] = {
        {"bad-cwd", "name a folder that exists with --cwd, or leave it out"},
        {"bad-name", "give it another name: `pxcluster start NAME`"},
        {"failed", "put that right, then start again; `pxcluster start --help` has the options"},
        {"no-folder", "put that right, or name another folder in PX_RUNTIME_DIR"},
        {"refused", "`pxcluster status` shows what there is"},
        {"time-out", "`pxcluster logs` says what went on; `pxcluster stop` ends it"}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (code != NULL && strcmp(code, steps[i][0]) == 0) {
            return steps[i][1];
        }
    }
    return "`pxcluster list` shows what runs, `pxcluster --help` what can be done";
}

int px_cli_fail(const px_cli *cli, const px_problem *problem)
{
    px_problem whole = *problem;
    if (whole.fix == NULL || whole.fix[0] == '\0') {
        whole.fix = next_step(whole.code);
    }
    problem = &whole;
    if (cli->json) {
        fail_json(problem);
        return problem->exit_code;
    }
    (void)fprintf(stderr, "pxcluster: %s\n", problem->message);
    if (problem->cause != NULL && problem->cause[0] != '\0') {
        (void)fprintf(stderr, "  because: %s\n", problem->cause);
    }
    if (problem->fix != NULL && problem->fix[0] != '\0') {
        (void)fprintf(stderr, "  %s\n", problem->fix);
    }
    if (problem->log != NULL && problem->log[0] != '\0') {
        (void)fprintf(stderr, "  log: %s\n", problem->log);
    }
    return problem->exit_code;
}

void px_show_host(px_jsonw *w)
{
    px_jsonw_object(w);
    px_jsonw_key_int(w, "cores", px_host_cores());
    px_jsonw_key_int(w, "free_bytes", (int64_t)px_host_free_bytes());
    px_jsonw_end_object(w);
}

static void copy_member(void *context, const char *key, const px_json *value)
{
    px_jsonw *w = context;
    PX_AUTO_BUF text = {0};
    if (px_json_dump(value, &text) == PX_OK) {
        px_jsonw_key(w, key);
        px_jsonw_raw(w, px_buf_slice(&text));
    }
}

void px_show_json(const px_json *status, px_jsonw *w)
{
    px_jsonw_object(w);
    px_json_each(px_json_get(status, "cluster"), copy_member, w);
    const px_json *engines = px_json_get(status, "engines");
    if (engines != NULL) {
        copy_member(w, "engines", engines);
    }
    px_jsonw_end_object(w);
}

void px_show_lost(const px_cluster_file *file, px_jsonw *w)
{
    px_jsonw_object(w);
    px_jsonw_key_string(w, "id", file->id);
    px_jsonw_key_string(w, "launcher", file->launcher);
    px_jsonw_key_string(w, "state", "failed");
    px_jsonw_key_int(w, "n", file->n);
    px_jsonw_key_int(w, "ready", 0);
    px_jsonw_key_string(w, "since", file->started);
    px_jsonw_key_int(w, "pid", file->pid);
    px_jsonw_key_string(w, "host", file->host);
    px_jsonw_key(w, "error");
    px_jsonw_object(w);
    px_jsonw_key_string(w, "code", "no-answer");
    px_jsonw_key_string(w, "message", "the controller does not answer");
    px_jsonw_key(w, "cause");
    px_jsonw_null(w);
    px_jsonw_key(w, "fix");
    px_jsonw_array(w);
    px_jsonw_string(w, "stop the cluster and start it again");
    px_jsonw_end_array(w);
    px_jsonw_key(w, "log");
    px_jsonw_null(w);
    px_jsonw_end_object(w);
    px_jsonw_key(w, "engines");
    px_jsonw_array(w);
    px_jsonw_end_array(w);
    px_jsonw_end_object(w);
}

static void show_engine(const px_json *engine)
{
    const px_json *end = px_json_get(engine, "exit");
    (void)printf("%6" PRId64 "  %-8s %8" PRId64 " %6.1f %8.1f %8" PRId64 " %8" PRId64 " %8" PRId64
                 "%s%s\n",
                 px_json_int(engine, "id", -1), px_json_string(engine, "state", "?"),
                 px_json_int(engine, "pid", 0), px_json_real(engine, "cpu", 0),
                 (double)px_json_int(engine, "rss", 0) / 1048576,
                 px_json_int(engine, "running", 0) + px_json_int(engine, "queued", 0),
                 px_json_int(engine, "done", 0), px_json_int(engine, "failed", 0),
                 end != NULL && px_json_is_object(end) ? "  " : "",
                 end != NULL && px_json_is_object(end) ? px_json_string(end, "cause", "") : "");
}

void px_show_text(const px_json *status)
{
    const px_json *cluster = px_json_get(status, "cluster");
    const px_json *engines = px_json_get(status, "engines");
    const px_json *error = px_json_get(cluster, "error");
    int64_t owner = px_json_int(cluster, "attached_to", 0);
    (void)printf("cluster %s: %s, %" PRId64 " of %" PRId64 " engines (controller %" PRId64
                 ", since %.19s",
                 px_json_string(cluster, "id", "?"), px_json_string(cluster, "state", "?"),
                 px_json_int(cluster, "ready", 0), px_json_int(cluster, "n", 0),
                 px_json_int(cluster, "pid", 0), px_json_string(cluster, "since", ""));
    if (owner != 0) {
        (void)printf(", ends with process %" PRId64, owner);
    }
    (void)printf(")\n");
    if (error != NULL && px_json_is_object(error)) {
        (void)printf("  %s: %s\n", px_json_string(error, "message", ""),
                     px_json_string(error, "cause", ""));
    }
    const char *pending = px_json_string(cluster, "pending", NULL);
    if (pending != NULL) {
        (void)printf("  %s\n", pending);
    }
    size_t n = px_json_length(engines);
    if (n > 0) {
        (void)printf("engine  state         pid  cpu %%      MiB    tasks     done   failed\n");
    }
    for (size_t i = 0; i < n; i++) {
        show_engine(px_json_item(engines, i));
    }
}
