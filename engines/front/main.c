// main.c: pxfront: options, sockets, connection file, life.
//
// A process of its own, beside the controller: a cluster whose users never come with stock
// ipyparallel loads no ZeroMQ and pays nothing, and whatever such a client sends can at worst end
// this process. It ends with its cluster, by SIGTERM, or by SIGINT, and takes its file with it.

#include "front.h"

#include "px/connection.h"
#include "px/id.h"
#include "px/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BUDGET 256
#define MAX_FILE 65536

static const char help[] =
    "usage: pxfront [NAME] [--profile-dir DIR] [--force]\n"
    "\n"
    "Lets stock ipyparallel clients (7 to 9) use the running cluster NAME (default: default):\n"
    "writes the file by which they find a controller, and translates until the cluster ends.\n"
    "Cluster \"default\" is what `ipyparallel.Client()` finds; another is found by\n"
    "`ipyparallel.Client(cluster_id=\"NAME\")`. ipyparallel must be installed where the engines "
    "run.\n"
    "\n"
    "  --profile-dir DIR  IPython profile to write into (default: $IPP_PROFILE_DIR, else\n"
    "                     profile_default in $IPYTHONDIR or ~/.ipython)\n"
    "  --force            replace the file of another controller\n"
    "  --help, --version\n";

typedef struct settings {
    const char *name, *profile;
    bool force;
} settings;

// --- sockets -------------------------------------------------------------------------------------

static void read_door(px_front *front, px_door door)
{
    static px_log_gate gate;
    for (int i = 0; i < READ_BUDGET; i++) {
        PX_AUTO_FRAMES frames = {0};
        px_message *message = NULL;
        px_error error = {0};
        if (px_socket_recv(front->doors[door], &frames) != PX_OK) {
            return;
        }
        if (px_session_verify(front->verifier, &frames, true, &message, &error) == PX_OK) {
            px__door_message(front, door, message);
        } else if (px_log_once(&gate)) {
            px_log_warning("message of a client dropped", "door=%d cause=\"%s\"", (int)door,
                           error.text);
        }
    }
}

#define DOOR_READY(name, door)                                                                     \
    static void name(void *context, int events)                                                    \
    {                                                                                              \
        (void)events;                                                                              \
        read_door(context, door);                                                                  \
    }
DOOR_READY(hub_ready, PX_DOOR_HUB)
DOOR_READY(control_ready, PX_DOOR_CONTROL)
DOOR_READY(mux_ready, PX_DOOR_MUX)
DOOR_READY(task_ready, PX_DOOR_TASK)
DOOR_READY(broadcast_ready, PX_DOOR_BROADCAST)

// read_subscriptions takes what an XPUB socket hears: everybody subscribes to all.
static void read_subscriptions(px_front *front, px_door door)
{
    px_err err = PX_OK;
    while (err == PX_OK) {
        PX_AUTO_FRAMES frames = {0};
        err = px_socket_recv(front->doors[door], &frames);
    }
}

static void subscribed(void *context, int events)
{
    (void)events;
    read_subscriptions(context, PX_DOOR_NOTIFICATION);
    read_subscriptions(context, PX_DOOR_IOPUB);
}

static px_err open_doors(px_front *front, px_error *reterr)
{
    static const struct {
        const char *name;
        px_socket_kind kind;
        px_ready *ready;
    } doors[PX_DOORS] = {
        [PX_DOOR_HUB] = {"hub", PX_ROUTER, hub_ready},
        [PX_DOOR_NOTIFICATION] = {"notification", PX_XPUB, subscribed},
        [PX_DOOR_CONTROL] = {"control", PX_ROUTER, control_ready},
        [PX_DOOR_MUX] = {"mux", PX_ROUTER, mux_ready},
        [PX_DOOR_TASK] = {"task", PX_ROUTER, task_ready},
        [PX_DOOR_IOPUB] = {"iopub", PX_XPUB, subscribed},
        [PX_DOOR_BROADCAST] = {"broadcast", PX_ROUTER, broadcast_ready},
    };
    PX_TRY(px_context_new(&front->context));
    for (int i = 0; i < PX_DOORS; i++) {
        PX_TRY(px_socket_open(front->context, doors[i].kind, &front->doors[i]));
        PX_TRY(px_socket_bind(front->doors[i], "tcp://127.0.0.1:*", &front->ports[i], reterr));
        PX_TRY(px_loop_add_socket(front->loop, doors[i].name, front->doors[i], doors[i].ready,
                                  front, &front->sources[i]));
    }
    return PX_OK;
}

// --- the connection file -------------------------------------------------------------------------

// make_folders makes path and what is above it.
static px_err make_folders(char *path, px_error *reterr)
{
    for (char *slash = path + 1;; slash++) {
        slash = strchrnul(slash, '/');
        char kept = *slash;
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return px_error_set(reterr, px_err_from_errno(errno), "cannot create %s: %s", path,
                                strerror(errno));
        }
        *slash = kept;
        if (kept == '\0') {
            return PX_OK;
        }
    }
}

static px_err find_file(const settings *given, char path[PATH_MAX], px_error *reterr)
{
    const char *profile = given->profile != NULL ? given->profile : getenv("IPP_PROFILE_DIR");
    const char *ipython = getenv("IPYTHONDIR");
    const char *home = getenv("HOME");
    bool other = strcmp(given->name, PX_CLUSTER_DEFAULT) != 0;
    char folder[PATH_MAX];
    int length = 0;
    if (profile != NULL && *profile != '\0') {
        length = snprintf(folder, sizeof(folder), "%s/security", profile);
    } else if (ipython != NULL && *ipython != '\0') {
        length = snprintf(folder, sizeof(folder), "%s/profile_default/security", ipython);
    } else if (home != NULL && *home != '\0') {
        length = snprintf(folder, sizeof(folder), "%s/.ipython/profile_default/security", home);
    }
    if (length <= 0 || length >= PATH_MAX - 128) {
        return px_error_set(reterr, PX_EINVAL,
                            "no IPython profile: name one with --profile-dir DIR");
    }
    PX_TRY(make_folders(folder, reterr));
    length = snprintf(path, PATH_MAX, "%s/ipcontroller%s%s-client.json", folder, other ? "-" : "",
                      other ? given->name : "");
    return length < PATH_MAX ? PX_OK : px_error_set(reterr, PX_EINVAL, "the path is too long");
}

// owner is the process that a file of ours names; 0: of somebody else, -1: there is none.
static pid_t owner(const char *path)
{
    PX_AUTO_FREE char *text = NULL;
    PX_AUTO(px_json) json = NULL;
    size_t size = 0;
    px_err err = px_file_read(path, MAX_FILE, &text, &size, NULL);
    if (err == PX_ENOENT) {
        return -1;
    }
    if (err != PX_OK || px_json_parse(px_slice_of(text, size), &json, NULL) != PX_OK) {
        return 0;
    }
    return (pid_t)px_json_int(json, "pxfront", 0);
}

static px_err may_write(const settings *given, const char *path, px_error *reterr)
{
    pid_t pid = owner(path);
    if (given->force || pid == -1 || (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)) {
        return PX_OK;
    }
    return px_error_set(reterr, PX_EEXIST,
                        "%s belongs to %s; stop that first, or use --force if it does not run",
                        path, pid > 0 ? "another pxfront" : "an ipyparallel controller");
}

static void write_ports(const px_front *front, px_jsonw *w)
{
    static const struct {
        const char *key;
        px_door door;
    } ports[] = {{"registration", PX_DOOR_HUB},
                 {"control", PX_DOOR_CONTROL},
                 {"mux", PX_DOOR_MUX},
                 {"task", PX_DOOR_TASK},
                 {"iopub", PX_DOOR_IOPUB},
                 {"notification", PX_DOOR_NOTIFICATION},
                 {"broadcast", PX_DOOR_BROADCAST}};
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        px_jsonw_key_int(w, ports[i].key, front->ports[ports[i].door]);
    }
}

static px_err write_file(px_front *front, const settings *given, px_error *reterr)
{
    char path[PATH_MAX];
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    PX_TRY(find_file(given, path, reterr));
    PX_TRY(may_write(given, path, reterr));
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "ssh", "");
    px_jsonw_key_string(&w, "interface", "tcp://127.0.0.1");
    write_ports(front, &w);
    px_jsonw_key_string(&w, "task_scheme", "leastload");
    px_jsonw_key_string(&w, "key", front->file.key);
    px_jsonw_key_string(&w, "curve_serverkey", NULL);
    px_jsonw_key_string(&w, "location", front->file.host);
    px_jsonw_key_string(&w, "pack", "json");
    px_jsonw_key_string(&w, "unpack", "json");
    px_jsonw_key_string(&w, "signature_scheme", front->file.signature_scheme);
    px_jsonw_key_int(&w, "pxfront", getpid());
    px_jsonw_end_object(&w);
    PX_TRY(px_buf_status(&out));
    PX_TRY(px_file_replace(path, out.data, out.size, 0600, reterr));
    memcpy(front->path, path, sizeof(path));
    return PX_OK;
}

// --- life ----------------------------------------------------------------------------------------

static void signal_came(void *context, int events)
{
    px_front *front = context;
    (void)events;
    px_loop_stop(front->loop);
}

static px_err watch_signals(px_front *front)
{
    sigset_t stop;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    front->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (front->signal_fd < 0) {
        return px_err_from_errno(errno);
    }
    return px_loop_add_fd(front->loop, "signals", front->signal_fd, PX_READABLE, signal_came, front,
                          NULL);
}

static px_err open_all(px_front *front, const settings *given, px_error *reterr)
{
    PX_TRY(px_cluster_file_read(given->name, &front->file, reterr));
    px_slice key = px_slice_str(front->file.key);
    const char *scheme = front->file.signature_scheme;
    PX_TRY(px_loop_new(&front->loop));
    PX_TRY(watch_signals(front));
    PX_TRY(px_session_new(key, scheme, NULL, NULL, &front->session, reterr));
    PX_TRY(px_session_clone(front->session, &front->verifier));
    PX_TRY(px_session_clone_trusting(front->session, &front->reader));
    PX_TRY(px_signer_new(key, scheme, &front->signer, reterr));
    PX_TRY(open_doors(front, reterr));
    PX_TRY(px__inside_open(front, reterr));
    return write_file(front, given, reterr);
}

static void close_all(px_front *front)
{
    if (front->path[0] != '\0' && owner(front->path) == getpid()) {
        (void)unlink(front->path);
    }
    if (front->loop == NULL) {
        return;
    }
    px__jobs_free(front);
    px_timer_remove(front->abort_timer);
    px__inside_close(front);
    for (int i = 0; i < PX_DOORS; i++) {
        px_source_remove(front->sources[i]);
        px_socket_close(front->doors[i]);
    }
    px_context_free(front->context);
    px_loop_free(front->loop);
    px_signer_free(front->signer);
    px_session_free(front->reader);
    px_session_free(front->verifier);
    px_session_free(front->session);
    if (front->signal_fd >= 0) {
        (void)close(front->signal_fd);
    }
}

// read_options gives -1 to go on, or the exit status.
static int read_options(settings *given, int argc, char **argv)
{
    static const struct option options[] = {{"profile-dir", required_argument, NULL, 'p'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            given->profile = optarg;
            break;
        case 'f':
            given->force = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        case 'V':
            (void)printf("pxfront %s\n", PX_VERSION);
            return 0;
        default:
            (void)fputs("pxfront: `pxfront --help` shows the options\n", stderr);
            return 2;
        }
    }
    if (argc - optind > 1) {
        (void)fprintf(stderr, "pxfront: \"%s\" is not understood\n", argv[optind + 1]);
        return 2;
    }
    given->name = optind < argc ? argv[optind] : PX_CLUSTER_DEFAULT;
    return -1;
}

static int exit_status(px_err err)
{
    return err == PX_ENOENT ? 3 : err == PX_EEXIST ? 4 : 1;
}

int main(int argc, char **argv)
{
    settings given = {0};
    px_error error = {0};
    int status = read_options(&given, argc, argv);
    if (status >= 0) {
        return status;
    }
    px_front *front = calloc(1, sizeof(*front));
    if (front == NULL) {
        return 1;
    }
    front->signal_fd = -1;
    px_log_setup(PX_LOG_WARNING, STDERR_FILENO);
    px_err err = open_all(front, &given, &error);
    if (err == PX_OK) {
        (void)printf("ipyparallel clients find cluster \"%s\" by %s\n", given.name, front->path);
        (void)fflush(stdout);
        err = px_loop_run(front->loop);
    } else {
        (void)fprintf(stderr, "pxfront: %s\n",
                      error.text[0] != '\0' ? error.text : px_err_text(err));
    }
    close_all(front);
    free(front);
    return err == PX_OK ? 0 : exit_status(err);
}
