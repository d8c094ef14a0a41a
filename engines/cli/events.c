// events.c: `pxcluster events`: what happens to all clusters, as it happens, one JSON object a
// line.
//
// inotify says when a cluster's folder appears or goes and when its cluster.json is renamed into
// place; then one connection to its controller brings the rest. Nothing is polled. First comes a
// snapshot, made of the answers of all controllers that run; one that does not answer within a
// second is shown as such. What a controller says passes almost as it came: `engine` and `stats` as
// they are, `cluster` without its engines, which the reader knows; only when an engine has left the
// list is the whole list asked for again.
//
// It ends when whoever reads ends: stdout breaks, or stdin, when that was asked for, is closed.

#include "cli.h"

#include "px/log.h"
#include "px/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_NS PX_NS_PER_S

typedef struct follower follower;

// followed is one cluster's folder.
typedef struct followed {
    follower *all;
    char name[65];
    int watch; // inotify's number of the folder
    px_talk *talk;
    px_source *source;
    px_timer *timer; // after its connection ended: is it gone?
    bool asked;      // a status_request is on its way
    bool shown;      // told of once: "gone" is due at its end
    px_json *status; // before the snapshot: its first answer
    struct followed *next;
} followed;

struct follower {
    const px_cli *cli;
    px_loop *loop;
    char root[PATH_MAX];
    int inotify;
    followed *first;
    px_timer *patience; // until the snapshot is printed
    bool snapshot_done, over;
    int code;
};

// --- output --------------------------------------------------------------------------------------

static void print(follower *all, px_buf *out)
{
    px_buf_append_str(out, "\n");
    if (px_buf_status(out) != PX_OK) {
        return;
    }
    size_t done = 0;
    while (done < out->size && !all->over) {
        ssize_t n = write(STDOUT_FILENO, out->data + done, out->size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            all->over = true;
        }
    }
}

static px_jsonw begin(px_buf *out, const char *type)
{
    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "type", type);
    return w;
}

static void put(px_jsonw *w, const char *key, const px_json *value)
{
    PX_AUTO_BUF text = {0};
    px_jsonw_key(w, key);
    if (value != NULL && px_json_dump(value, &text) == PX_OK) {
        px_jsonw_raw(w, px_buf_slice(&text));
    } else {
        px_jsonw_null(w);
    }
}

static void print_cluster(followed *cluster, const px_json *status)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = begin(&out, "cluster");
    cluster->shown = true;
    px_jsonw_key(&w, "cluster");
    px_show_json(status, &w);
    px_jsonw_end_object(&w);
    print(cluster->all, &out);
}

static void print_snapshot(follower *all)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = begin(&out, "snapshot");
    px_timer_remove(all->patience);
    all->patience = NULL;
    all->snapshot_done = true;
    px_jsonw_key(&w, "host");
    px_show_host(&w);
    px_jsonw_key(&w, "clusters");
    px_jsonw_array(&w);
    for (followed *cluster = all->first; cluster != NULL; cluster = cluster->next) {
        px_cluster_file file;
        if (cluster->status != NULL) {
            px_show_json(cluster->status, &w);
            cluster->shown = true;
        } else if (cluster->talk != NULL &&
                   px_cluster_file_read(cluster->name, &file, NULL) == PX_OK) {
            px_show_lost(&file, &w);
            cluster->shown = true;
        }
        px_json_free(PX_STEAL(cluster->status));
    }
    px_jsonw_end_array(&w);
    px_jsonw_end_object(&w);
    print(all, &out);
}

static void maybe_snapshot(follower *all)
{
    if (all->snapshot_done) {
        return;
    }
    for (const followed *cluster = all->first; cluster != NULL; cluster = cluster->next) {
        if (cluster->talk != NULL && cluster->status == NULL) {
            return;
        }
    }
    print_snapshot(all);
}

static void patience_over(void *context, px_ns now)
{
    (void)now;
    print_snapshot(context);
}

// --- one cluster ---------------------------------------------------------------------------------

static void folder_path(const followed *cluster, char ret_path[PATH_MAX + 80])
{
    (void)snprintf(ret_path, PATH_MAX + 80, "%s/%s", cluster->all->root, cluster->name);
}

static void disconnect(followed *cluster)
{
    px_source_remove(cluster->source);
    cluster->source = NULL;
    px_talk_close(PX_STEAL(cluster->talk));
    cluster->asked = false;
}

static void forget(followed *cluster)
{
    follower *all = cluster->all;
    if (cluster->shown && all->snapshot_done) {
        PX_AUTO_BUF out = {0};
        px_jsonw w = begin(&out, "gone");
        px_jsonw_key_string(&w, "id", cluster->name);
        px_jsonw_end_object(&w);
        print(all, &out);
    }
    disconnect(cluster);
    px_timer_remove(cluster->timer);
    px_json_free(cluster->status);
    for (followed **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at == cluster) {
            *at = cluster->next;
            break;
        }
    }
    (void)inotify_rm_watch(all->inotify, cluster->watch); // gone with its folder, mostly
    free(cluster);
    maybe_snapshot(all);
}

static void attach(followed *cluster);

// is_it_gone: the folder of a dead controller is removed, unless its zygote is just doing that.
static void is_it_gone(void *context, px_ns now)
{
    followed *cluster = context;
    char path[PATH_MAX + 80];
    px_timer_remove(cluster->timer);
    cluster->timer = NULL;
    folder_path(cluster, path);
    if (!px_cluster_alive(path)) {
        (void)px_cluster_sweep(path);
        forget(cluster);
    } else if (cluster->talk == NULL) {
        attach(cluster);
        if (cluster->talk == NULL) {
            (void)px_loop_add_timer(cluster->all->loop, "gone?", now + 200 * PX_NS_PER_MS, 0,
                                    is_it_gone, cluster, &cluster->timer);
        }
    }
}

// ended: the controller closed the connection. Its folder goes within milliseconds.
static void ended(followed *cluster)
{
    disconnect(cluster);
    if (cluster->timer == NULL) {
        (void)px_loop_add_timer(cluster->all->loop, "gone?", px_now() + 100 * PX_NS_PER_MS, 0,
                                is_it_gone, cluster, &cluster->timer);
    }
}

static void ask_status(followed *cluster)
{
    if (!cluster->asked && cluster->talk != NULL) {
        cluster->asked = true;
        px_err err = px_talk_send(cluster->talk, "status_request", PX_SLICE_LITERAL("{}"));
        (void)err; // an end is read
    }
}

static void notified(followed *cluster, const px_message *message, const px_json *content)
{
    PX_AUTO_BUF out = {0};
    const char *event = px_json_string(content, "event", "");
    if (message->type == PX_MSG_ENGINE_NOTIFY) {
        px_jsonw w = begin(&out, "engine");
        px_jsonw_key_string(&w, "cluster", cluster->name);
        put(&w, "engine", px_json_get(content, "engine"));
        px_jsonw_end_object(&w);
        if (strcmp(event, "left") == 0) {
            ask_status(cluster);
            return;
        }
    } else if (strcmp(event, "stats") == 0) {
        px_jsonw w = begin(&out, "stats");
        px_jsonw_key_string(&w, "cluster", cluster->name);
        put(&w, "engines", px_json_get(content, "engines"));
        px_jsonw_end_object(&w);
    } else {
        px_jsonw w = begin(&out, "cluster");
        put(&w, "cluster", px_json_get(content, "cluster"));
        px_jsonw_end_object(&w);
    }
    print(cluster->all, &out);
}

static void heard(followed *cluster, const px_message *message)
{
    PX_AUTO(px_json) content = NULL;
    if (px_json_parse(message->content, &content, NULL) != PX_OK) {
        return;
    }
    if (message->type == PX_MSG_STATUS_REPLY) {
        cluster->asked = false;
        if (cluster->all->snapshot_done) {
            print_cluster(cluster, content);
        } else {
            px_json_free(cluster->status);
            cluster->status = PX_STEAL(content);
            maybe_snapshot(cluster->all);
        }
    } else if (message->type == PX_MSG_ENGINE_NOTIFY || message->type == PX_MSG_CLUSTER_NOTIFY) {
        if (cluster->all->snapshot_done && cluster->shown) {
            notified(cluster, message, content);
        } else if (cluster->status != NULL) {
            px_json_free(PX_STEAL(cluster->status)); // out of date before it was shown
            ask_status(cluster);
        }
    }
}

static void controller_speaks(void *context, int events)
{
    followed *cluster = context;
    px_error error = {0};
    (void)events;
    for (;;) {
        PX_AUTO(px_message) message = NULL;
        px_err err = px_talk_next(cluster->talk, 0, &message, &error);
        if (err == PX_ETIMEOUT) {
            return;
        }
        if (err != PX_OK) {
            ended(cluster);
            maybe_snapshot(cluster->all);
            return;
        }
        heard(cluster, message);
    }
}

// attach connects if the cluster's file is there.
static void attach(followed *cluster)
{
    px_cluster_file file;
    px_error error = {0};
    if (cluster->talk != NULL || px_cluster_file_read(cluster->name, &file, &error) != PX_OK ||
        px_talk_begin(&file, true, &cluster->talk, &error) != PX_OK) {
        return;
    }
    if (px_loop_add_fd(cluster->all->loop, "controller", px_link_fd(px_talk_link(cluster->talk)),
                       PX_READABLE, controller_speaks, cluster, &cluster->source) != PX_OK) {
        disconnect(cluster);
        return;
    }
    ask_status(cluster);
}

static void follow(follower *all, const char *name)
{
    char path[PATH_MAX + 80];
    followed *cluster = calloc(1, sizeof(*cluster));
    if (cluster == NULL) {
        return;
    }
    cluster->all = all;
    (void)snprintf(cluster->name, sizeof(cluster->name), "%s", name);
    folder_path(cluster, path);
    cluster->watch =
        inotify_add_watch(all->inotify, path, IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR);
    if (cluster->watch < 0) {
        free(cluster); // gone already
        return;
    }
    cluster->next = all->first;
    all->first = cluster;
    attach(cluster);
}

static void follow_each(void *context, const char *name)
{
    follow(context, name);
}

// --- the root ------------------------------------------------------------------------------------

static followed *find_name(const follower *all, const char *name)
{
    for (followed *cluster = all->first; cluster != NULL; cluster = cluster->next) {
        if (strcmp(cluster->name, name) == 0) {
            return cluster;
        }
    }
    return NULL;
}

static followed *find_watch(const follower *all, int watch)
{
    for (followed *cluster = all->first; cluster != NULL; cluster = cluster->next) {
        if (cluster->watch == watch) {
            return cluster;
        }
    }
    return NULL;
}

static void folder_event(follower *all, const struct inotify_event *event)
{
    followed *cluster = find_watch(all, event->wd);
    const char *name = event->len > 0 ? event->name : "";
    if (cluster != NULL && (event->mask & (IN_DELETE_SELF | IN_IGNORED)) != 0) {
        forget(cluster);
    } else if (cluster != NULL && strcmp(name, "cluster.json") == 0) {
        attach(cluster);
    } else if (cluster == NULL && (event->mask & IN_CREATE) != 0 && (event->mask & IN_ISDIR) != 0 &&
               px_cluster_name_valid(name)) {
        followed *old = find_name(all, name);
        if (old != NULL) { // removed and made again, faster than we read
            forget(old);
        }
        follow(all, name);
    }
}

static void folders_changed(void *context, int events)
{
    follower *all = context;
    _Alignas(struct inotify_event) char buffer[8192];
    ssize_t n;
    (void)events;
    while ((n = read(all->inotify, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            folder_event(all, event);
            at += sizeof(*event) + event->len;
        }
    }
}

static void stdin_speaks(void *context, int events)
{
    follower *all = context;
    char ignored[256];
    (void)events;
    if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0) {
        all->over = true;
    }
}

static void stdout_ended(void *context, int events)
{
    follower *all = context;
    all->over |= (events & PX_HANGUP) != 0;
}

// watch_reader notices when nobody reads any more, also while there is nothing to say.
static px_err watch_reader(follower *all)
{
    struct stat status;
    bool pipe = fstat(STDOUT_FILENO, &status) == 0 &&
                (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
    bool in_is_pipe =
        fstat(STDIN_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
    if (all->cli->until_stdin_closes || (all->cli->json && in_is_pipe)) {
        PX_TRY(
            px_loop_add_fd(all->loop, "stdin", STDIN_FILENO, PX_READABLE, stdin_speaks, all, NULL));
    }
    if (pipe) {
        PX_TRY(px_loop_add_fd(all->loop, "stdout", STDOUT_FILENO, PX_READABLE, stdout_ended, all,
                              NULL));
    }
    return PX_OK;
}

static px_err open_all(follower *all, px_error *reterr)
{
    PX_TRY(px_cluster_root(all->root, reterr));
    PX_TRY(px_loop_new(&all->loop));
    all->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (all->inotify < 0 ||
        inotify_add_watch(all->inotify, all->root, IN_CREATE | IN_ONLYDIR) < 0) {
        return px_error_set(reterr, PX_ESYS, "cannot watch %s: %s", all->root, strerror(errno));
    }
    PX_TRY(px_loop_add_fd(all->loop, "folders", all->inotify, PX_READABLE, folders_changed, all,
                          NULL));
    PX_TRY(watch_reader(all));
    PX_TRY(px_loop_add_timer(all->loop, "patience", px_now() + PATIENCE_NS, 0, patience_over, all,
                             &all->patience));
    return px_each_cluster(follow_each, all, NULL, reterr);
}

int px_command_events(const px_cli *cli)
{
    follower all = {.cli = cli, .inotify = -1};
    px_error error = {0};
    px_err err = open_all(&all, &error);
    if (err == PX_OK) {
        maybe_snapshot(&all);
    }
    while (err == PX_OK && !all.over) {
        err = px_loop_once(all.loop, -1);
    }
    all.snapshot_done = false; // nobody is told of our own end
    while (all.first != NULL) {
        all.snapshot_done = true;
        all.first->shown = false;
        forget(all.first);
    }
    px_timer_remove(all.patience);
    px_loop_free(all.loop);
    if (all.inotify >= 0) {
        (void)close(all.inotify);
    }
    if (err == PX_OK) {
        return PX_EXIT_OK;
    }
    return px_cli_fail(cli,
                       &(px_problem){.exit_code = PX_EXIT_OTHER,
                                     .code = "no-folder",
                                     .message = error.text[0] ? error.text : px_err_text(err)});
}
