// find.c: which clusters there are. A folder whose lock is free belongs to nobody and is removed on
// sight.

#include "cli.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// names_in lists the folders of the root that could be clusters; free each and the list.
static px_err names_in(const char *root, char ***ret_names, size_t *ret_n, px_error *reterr)
{
    DIR *folder = opendir(root);
    char **names = NULL;
    size_t n = 0;
    if (folder == NULL) {
        return px_error_set(reterr, PX_EIO, "cannot read %s", root);
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!px_cluster_name_valid(entry->d_name)) {
            continue;
        }
        char **more = realloc(names, (n + 1) * sizeof(char *));
        char *name = strdup(entry->d_name);
        if (more == NULL || name == NULL) {
            abort(); // a command without memory for a name can do nothing for anybody
        }
        names = more;
        names[n++] = name;
    }
    (void)closedir(folder);
    if (n > 0) {
        qsort(names, n, sizeof(char *), by_name);
    }
    *ret_names = names;
    *ret_n = n;
    return PX_OK;
}

px_err px_each_cluster(void (*visit)(void *context, const char *name), void *context,
                       size_t *ret_swept, px_error *reterr)
{
    char root[PATH_MAX], folder[PATH_MAX + 128];
    char **names = NULL;
    size_t n = 0, swept = 0;
    PX_TRY(px_cluster_root(root, reterr));
    PX_TRY(names_in(root, &names, &n, reterr));
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(folder, sizeof(folder), "%s/%s", root, names[i]);
        if (px_cluster_alive(folder)) {
            visit(context, names[i]);
        } else {
            swept += px_cluster_sweep(folder);
        }
        free(names[i]);
    }
    free(names);
    if (ret_swept != NULL) {
        *ret_swept = swept;
    }
    return PX_OK;
}

typedef struct name_list {
    char *text;
    size_t size, length;
} name_list;

static void add_name(void *context, const char *name)
{
    name_list *list = context;
    int n = snprintf(list->text + list->length, list->size - list->length, "%s%s",
                     list->length > 0 ? ", " : "", name);
    if (n > 0 && (size_t)n < list->size - list->length) {
        list->length += (size_t)n;
    }
}

void px_running(char *ret_text, size_t size)
{
    name_list list = {.text = ret_text, .size = size};
    ret_text[0] = '\0';
    px_err err = px_each_cluster(add_name, &list, NULL, NULL);
    if (err != PX_OK || list.length == 0) {
        (void)snprintf(ret_text, size, "none");
    }
}

static int none_such(const px_cli *cli)
{
    char running[512], message[700], fix[128];
    px_running(running, sizeof(running));
    (void)snprintf(message, sizeof(message), "no cluster named \"%s\"; running: %s", cli->name,
                   running);
    if (strcmp(cli->command, "stop") == 0) { // then it is as was wanted
        (void)snprintf(fix, sizeof(fix), "`pxcluster list` shows what runs");
    } else {
        (void)snprintf(fix, sizeof(fix), "start one with `pxcluster start%s%s`",
                       cli->name_given ? " " : "", cli->name_given ? cli->name : "");
    }
    return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_NO_CLUSTER,
                                          .code = "no-cluster",
                                          .message = message,
                                          .fix = fix});
}

int px_find(const px_cli *cli, px_cluster_file *ret_file)
{
    px_error error = {0};
    char folder[PATH_MAX];
    px_err err = px_cluster_folder(cli->name, folder, &error);
    if (err == PX_EINVAL) {
        return px_cli_fail(
            cli,
            &(px_problem){.exit_code = PX_EXIT_USAGE, .code = "bad-name", .message = error.text});
    }
    // A controller that has the lock but has not written its file is just starting.
    for (int turn = 0; err == PX_OK && turn < 100; turn++) {
        if (!px_cluster_alive(folder)) {
            (void)px_cluster_sweep(folder);
            return none_such(cli);
        }
        err = px_cluster_file_read(cli->name, ret_file, &error);
        if (err == PX_OK) {
            return PX_EXIT_OK;
        }
        if (err == PX_ENOENT) {
            err = PX_OK;
            (void)poll(NULL, 0, 10);
        }
    }
    return px_cli_fail(cli, &(px_problem){.exit_code = PX_EXIT_OTHER,
                                          .code = "unreadable",
                                          .message = error.text[0] ? error.text
                                                                   : "the cluster's file cannot be "
                                                                     "read"});
}

int px_reach(const px_cli *cli, px_cluster_file *ret_file, px_talk **ret_talk)
{
    px_error error = {0};
    char message[256], fix[160], folder[PATH_MAX];
    int code = px_find(cli, ret_file);
    if (code != PX_EXIT_OK) {
        return code;
    }
    px_err err = px_talk_open(ret_file, 10000, ret_talk, &error);
    if (err == PX_OK) {
        return PX_EXIT_OK;
    }
    if (px_cluster_folder(cli->name, folder, NULL) == PX_OK && !px_cluster_alive(folder)) {
        (void)px_cluster_sweep(folder);
        return none_such(cli); // it ended between the two questions
    }
    (void)snprintf(message, sizeof(message), "cluster \"%s\" (controller %d) is not to be reached",
                   cli->name, (int)ret_file->pid);
    (void)snprintf(fix, sizeof(fix), "`pxcluster stop %s` ends it", cli->name);
    return px_cli_fail(
        cli, &(px_problem){.exit_code = err == PX_ETIMEOUT ? PX_EXIT_TIMEOUT : PX_EXIT_OTHER,
                           .code = "no-answer",
                           .message = message,
                           .cause = error.text,
                           .fix = fix});
}
