// main.c: pxcontroller: the one process that a cluster's clients and engines connect to.
//
// Three threads. px-admin, this one, owns control connections, the zygote's line, signals and the
// list of engines; px-relay owns work connections; px-store keeps results. They tell each other
// things by letters, nothing else is shared but the counters of px_tally.
//
// Start: lock, sockets, zygote (its imports take longest, so it is started before the rest), relay,
// cluster.json, engines. End: engines, zygote, relay, folder, lock. The starter waits on
// --status-fd for one line of JSON: ok once cluster.json is there, else what went wrong.

#include "jobs.h"
#include "nests.h"

#include "px/log.h"

#include <utlist.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_LEASE_S 86400

static const char help[] =
    "usage: pxcontroller [--name NAME] [-n N] [--attach PID] [--cwd DIR] [--preload MODULES]\n"
    "                    [--ip ADDRESS] [--port N] [--location ADDRESSES] [--lease S]\n"
    "                    [--engines LAUNCHER] [--ssh COMMAND] [--remote-engine PATH] [--tunnel]\n"
    "                    [--mpi COMMAND] [--queue Q] [--account A] [--template FILE]\n"
    "                    [--restart] [--results none|memory|disk] [--set NAME] [--status-fd FD]\n"
    "\n"
    "Runs one cluster until it is told to stop: listens for clients, starts N engines and\n"
    "carries what they say to each other. `pxcluster start` runs it for you, in the background.\n"
    "\n"
    "  --name NAME        the cluster's name (default: default)\n"
    "  -n N               engines to start (default: 1)\n"
    "  --attach PID       end when process PID ends\n"
    "  --cwd DIR          working directory of the engines (default: this one)\n"
    "  --preload MODULES  modules to import before engines are forked, comma separated\n"
    "  --restart          start a new engine in place of one that dies\n"
    "  --set NAME         what the set of these engines is called (default: default)\n"
    "  --ip ADDRESS       listen for clients and engines of other hosts on this address of ours,\n"
    "                     or on all with \"*\" (default: not at all)\n"
    "  --port N           on this port (default: a free one)\n"
    "  --location LIST    the addresses by which others reach us, comma separated (default: those\n"
    "                     of our network interfaces)\n"
    "  --lease S          how long a peer that is cut off may take to come back (default: 75)\n"
    "  --engines HOW      local, ssh:HOST=N,HOST=N with user@host:port for a host, mpi, slurm, "
    "pbs,\n"
    "                     sge, lsf, htcondor\n"
    "  --ssh COMMAND      how ssh is run, options included (default: ssh)\n"
    "  --remote-engine P  path of pxengine on those hosts (default: the one on the PATH there)\n"
    "  --tunnel           engines come back through ssh, for hosts that cannot reach this one\n"
    "  --mpi COMMAND      how mpiexec is run, options included (default: mpiexec)\n"
    "  --queue Q, --account A  of the batch system (default: its own)\n"
    "  --template FILE    a job script of your own, with {name} {n} {queue} {account} {command}\n"
    "  --results WHERE    where results outlive the client that asked for them: disk (they\n"
    "                     outlive the cluster, too), memory, or none (default: disk; with\n"
    "                     --attach memory)\n"
    "  --status-fd FD     write one line of JSON here when it runs, or why it does not\n"
    "  --help, --version\n"
    "\n"
    "Signals: SIGTERM and SIGINT stop the cluster.\n"
    "Environment: PX_RUNTIME_DIR (where clusters have their folders), PX_DATA_DIR (where results\n"
    "are kept), PX_ENGINE (path of pxengine), PX_LOG (debug, info, warning, error, off).\n";

// tell_starter writes the outcome and lets the starter go.
static void tell_starter(px_controller *controller, const char *code, const char *message)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    if (controller->status_fd < 0) {
        return;
    }
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", code == NULL ? "ok" : "error");
    px_jsonw_key_string(&w, "code", code);
    px_jsonw_key_string(&w, "message", message);
    px_jsonw_end_object(&w);
    px_buf_append_str(&out, "\n");
    if (px_buf_status(&out) == PX_OK) {
        ssize_t n = write(controller->status_fd, out.data, out.size);
        (void)n; // the starter may be gone; we run all the same
    }
    (void)close(controller->status_fd);
    controller->status_fd = -1;
}

// --- options -------------------------------------------------------------------------------------

static bool bad_number(const char *option, const char *text, long long low, long long high)
{
    (void)fprintf(stderr, "pxcontroller: %s needs a number from %lld to %lld, not \"%s\"\n", option,
                  low, high, text);
    return false;
}

static bool read_network_option(px_controller *controller, int option, const char *text)
{
    long long number = 0;
    switch (option) {
    case 'i':
        controller->ip = strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0 ? "*" : text;
        return true;
    case 'P':
        if (px_parse_number(text, 1, UINT16_MAX, &number) != PX_OK) {
            return bad_number("--port", text, 1, UINT16_MAX);
        }
        controller->port = (uint16_t)number;
        return true;
    case 'L':
        controller->location = text;
        return true;
    default:
        if (px_parse_number(text, 2, MOST_LEASE_S, &number) != PX_OK) {
            return bad_number("--lease", text, 2, MOST_LEASE_S);
        }
        controller->lease_s = (uint32_t)number;
        return true;
    }
}

static bool read_launch_option(px_controller *controller, int option, const char *text)
{
    switch (option) {
    case 'E':
        controller->engines = text;
        return true;
    case 'S':
        controller->ssh = text;
        return true;
    case 'R':
        controller->remote_engine = text;
        return true;
    case 'M':
        controller->mpi = text;
        return true;
    case 'Q':
        controller->queue = text;
        return true;
    case 'A':
        controller->account = text;
        return true;
    case 'F':
        controller->template = text;
        return true;
    default:
        controller->tunnel = true;
        return true;
    }
}

static bool read_option(px_controller *controller, int option, const char *text)
{
    long long number = 0;
    switch (option) {
    case 'N':
        controller->name = text;
        return true;
    case 'n':
        if (px_parse_number(text, 0, PX_MOST_ENGINES, &number) != PX_OK) {
            return bad_number("-n", text, 0, PX_MOST_ENGINES);
        }
        controller->n = (uint32_t)number;
        return true;
    case 'a':
        if (px_parse_number(text, 1, INT32_MAX, &number) != PX_OK) {
            return bad_number("--attach", text, 1, INT32_MAX);
        }
        controller->attach = (pid_t)number;
        return true;
    case 's':
        if (px_parse_number(text, 3, 1 << 20, &number) != PX_OK) {
            return bad_number("--status-fd", text, 3, 1 << 20);
        }
        controller->status_fd = (int)number;
        return true;
    case 'p':
        controller->preload = text;
        return true;
    case 'r':
        controller->restart = true;
        return true;
    case 'G':
        controller->set = text;
        return true;
    case 'E':
    case 'S':
    case 'R':
    case 'T':
    case 'M':
    case 'Q':
    case 'A':
    case 'F':
        return read_launch_option(controller, option, text);
    case 'i':
    case 'P':
    case 'L':
    case 'l':
        return read_network_option(controller, option, text);
    case 'K':
        if (strcmp(text, "none") != 0 && strcmp(text, "memory") != 0 && strcmp(text, "disk") != 0) {
            (void)fprintf(stderr, "pxcontroller: --results is none, memory or disk, not \"%s\"\n",
                          text);
            return false;
        }
        controller->results = text;
        return true;
    case 'c':
        if (chdir(text) != 0) {
            (void)fprintf(stderr, "pxcontroller: cannot enter %s: %s\n", text, strerror(errno));
            return false;
        }
        return true;
    default:
        return false;
    }
}

// read_options gives -1 to go on, or the exit status.
static int read_options(px_controller *controller, int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'N'},
                                            {"attach", required_argument, NULL, 'a'},
                                            {"cwd", required_argument, NULL, 'c'},
                                            {"preload", required_argument, NULL, 'p'},
                                            {"restart", no_argument, NULL, 'r'},
                                            {"results", required_argument, NULL, 'K'},
                                            {"set", required_argument, NULL, 'G'},
                                            {"status-fd", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"mpi", required_argument, NULL, 'M'},
                                            {"queue", required_argument, NULL, 'Q'},
                                            {"account", required_argument, NULL, 'A'},
                                            {"template", required_argument, NULL, 'F'},
                                            {"engines", required_argument, NULL, 'E'},
                                            {"ssh", required_argument, NULL, 'S'},
                                            {"remote-engine", required_argument, NULL, 'R'},
                                            {"tunnel", no_argument, NULL, 'T'},
                                            {"ip", required_argument, NULL, 'i'},
                                            {"port", required_argument, NULL, 'P'},
                                            {"location", required_argument, NULL, 'L'},
                                            {"lease", required_argument, NULL, 'l'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return 0;
        }
        if (option == 'V') {
            (void)printf("pxcontroller %s\n", PX_VERSION);
            return 0;
        }
        if (!read_option(controller, option, optarg)) {
            (void)fputs("pxcontroller: `pxcontroller --help` shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "pxcontroller: \"%s\" is not understood\n", argv[optind]);
        return 2;
    }
    return -1;
}

// find_engine fills in the path of pxengine: $PX_ENGINE, or beside this executable.
static px_err find_engine(px_controller *controller, px_error *reterr)
{
    char *path = controller->program;
    const char *given = getenv("PX_ENGINE");
    if (given != NULL && given[0] != '\0') {
        (void)snprintf(path, PATH_MAX, "%s", given);
    } else {
        ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
        path[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(path, '/');
        (void)snprintf(slash != NULL ? slash : path, 16, "/pxengine");
    }
    if (access(path, X_OK) != 0) {
        return px_error_set(
            reterr, PX_ENOENT,
            "cannot run %s: %s; install pxkernel completely, or name the program in "
            "PX_ENGINE",
            path, strerror(errno));
    }
    return PX_OK;
}

// --- events --------------------------------------------------------------------------------------

static void signal_came(void *context, int events)
{
    px_controller *controller = context;
    struct signalfd_siginfo info;
    (void)events;
    if (read(controller->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        px__stop(controller, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
    }
}

static void owner_ended(void *context, int events)
{
    px_controller *controller = context;
    (void)events;
    px__stop(controller, "the process that it was attached to has ended");
}

static void store_said(px_controller *controller, px_answer *answer)
{
    if (answer->letter.kind == PX_NEWS_ANSWER) {
        px__answered(controller, answer);
    } else {
        px__cancel(controller, answer);
    }
    px_answer_free(answer);
}

static void news_came(void *context, px_letter *letter)
{
    px_controller *controller = context;
    int kind = letter->kind;
    if (kind == PX_NEWS_ANSWER || kind == PX_NEWS_ABORT) {
        store_said(controller, PX_CONTAINER(letter, px_answer, letter));
        return;
    }
    px_news *news = PX_CONTAINER(letter, px_news, letter);
    px_orders orders = {0};
    uint32_t id = news->id;
    if (kind == PX_NEWS_RECALL) {
        px__recall(controller, news);
    }
    if (kind == PX_NEWS_ACTIVE) { // the relay's own letter
        px__active(controller);
        return;
    }
    free(news);
    if (kind == PX_NEWS_ENGINE_UP) {
        px_roster_ready(controller->roster, px_now(), id, &orders);
        px__heart_join(controller);
    } else if (kind == PX_NEWS_ENGINE_GONE) {
        px_roster_disconnected(controller->roster, px_now(), id, &orders);
    } else if (kind == PX_NEWS_INIT_FAILED) {
        px__init_failed(controller, id);
    }
    px__carry_out(controller, &orders);
}

// --- start ---------------------------------------------------------------------------------------

static px_err watch_signals(px_controller *controller)
{
    sigset_t stop, all;
    (void)sigfillset(&all);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    controller->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (controller->signal_fd < 0) {
        return px_err_from_errno(errno);
    }
    return px_loop_add_fd(controller->loop, "signals", controller->signal_fd, PX_READABLE,
                          signal_came, controller, NULL);
}

static px_err watch_owner(px_controller *controller, px_error *reterr)
{
    if (controller->attach == 0) {
        return PX_OK;
    }
    controller->owner_fd = (int)syscall(SYS_pidfd_open, controller->attach, 0);
    if (controller->owner_fd < 0) {
        return px_error_set(reterr, PX_ENOENT, "there is no process %d to attach the cluster to",
                            (int)controller->attach);
    }
    (void)fcntl(controller->owner_fd, F_SETFD, FD_CLOEXEC);
    return px_loop_add_fd(controller->loop, "owner", controller->owner_fd, PX_READABLE, owner_ended,
                          controller, NULL);
}

// open_gate listens on the network, if that is asked for.
static px_err open_gate(px_controller *controller, px_error *reterr)
{
    px_cluster_file *file = &controller->file;
    const px_gate_config config = {.ip = controller->ip,
                                   .name = controller->name,
                                   .port = controller->port,
                                   .key = px_slice_str(file->key),
                                   .lease_s = controller->lease_s,
                                   .control = file->control,
                                   .work = file->work};
    if (controller->ip == NULL) {
        return PX_OK;
    }
    PX_TRY(px_gate_start(&config, &controller->gate, reterr));
    file->port = px_gate_port(controller->gate);
    file->lease_s = controller->lease_s;
    if (controller->location != NULL) {
        (void)snprintf(file->addresses, sizeof(file->addresses), "%s", controller->location);
        for (char *at = file->addresses; (at = strchr(at, ',')) != NULL;) {
            *at = ' ';
        }
    } else {
        px_gate_addresses(controller->ip, file->addresses, sizeof(file->addresses));
    }
    return PX_OK;
}

// registration_of is how long an engine may take to come: a queue may take days.
static px_ns registration_of(const px_controller *controller)
{
    switch (controller->launcher.kind) {
    case PX_LAUNCH_LOCAL:
        return 60 * PX_NS_PER_S;
    case PX_LAUNCH_SSH:
        return 120 * PX_NS_PER_S;
    default:
        return 0;
    }
}

// set_launcher fills in what follows from the launcher.
static px_err set_launcher(px_controller *controller, px_error *reterr)
{
    PX_TRY(px_launch_parse(controller->engines != NULL ? controller->engines : "local",
                           &controller->launcher, reterr));
    if (controller->launcher.kind == PX_LAUNCH_LOCAL) {
        return PX_OK;
    }
    controller->batch = px_batch_find(controller->launcher.name);
    if (controller->ip == NULL) {
        controller->ip = controller->tunnel ? "127.0.0.1" : "*";
    }
    return px__nests_open(controller, reterr);
}

// make_keeper makes px-store, unless nothing is to be kept.
static px_err make_keeper(px_controller *controller, px_error *reterr)
{
    char path[PATH_MAX];
    px_error error = {0};
    const char *where = controller->results != NULL ? controller->results
                        : controller->attach != 0   ? "memory"
                                                    : "disk";
    px_keeper_config config = {
        .cluster = controller->name, .session = controller->session, .answers = &controller->news};
    if (strcmp(where, "none") == 0) {
        return PX_OK;
    }
    if (strcmp(where, "disk") == 0) {
        if (px__files_results(controller, path, &error) == PX_OK) {
            config.path = path;
        } else {
            px_log_warning("results are kept in memory, until the cluster ends", "cause=\"%s\"",
                           error.text);
        }
    }
    return px_keeper_new(&config, &controller->keeper, reterr);
}

static px_err make_parts(px_controller *controller, px_error *reterr)
{
    const px_roster_limits limits = {.registration = registration_of(controller),
                                     .polite = PX_NS_PER_S,
                                     .terminate = 500 * PX_NS_PER_MS,
                                     .exit = 500 * PX_NS_PER_MS};
    px_relay_config relay = {.listener = controller->work_fd, .news = &controller->news};
    PX_TRY(px_session_new(px_slice_str(controller->file.key), controller->file.signature_scheme,
                          NULL, "pxcontroller", &controller->session, reterr));
    relay.session = controller->session;
    PX_TRY(make_keeper(controller, reterr));
    relay.keeper = controller->keeper;
    PX_TRY(px_roster_new(&limits, &controller->roster));
    px_roster_replace(controller->roster, controller->restart);
    PX_TRY(px_heart_new(PX_HEART_PERIOD, PX_HEART_MISSED, &controller->heart));
    PX_TRY(px_loop_add_mailbox(controller->loop, "news", &controller->news, news_came, controller));
    PX_TRY(px_relay_start(&relay, &controller->relay));
    if (controller->keeper != NULL) {
        PX_TRY(px_keeper_start(controller->keeper, controller->relay));
    }
    PX_TRY(open_gate(controller, reterr));
    px_relay_watch(controller->relay);
    return px_loop_add_fd(controller->loop, "control", controller->control_fd, PX_READABLE,
                          px__hub_knock, controller, &controller->control_source);
}

static px_err start(px_controller *controller, px_error *reterr)
{
    px_orders orders = {0};
    PX_TRY(find_engine(controller, reterr));
    PX_TRY(set_launcher(controller, reterr));
    PX_TRY(px_mailbox_init(&controller->news));
    PX_TRY(px_loop_new(&controller->loop));
    PX_TRY(watch_owner(controller, reterr));
    PX_TRY(px__files_open(controller, reterr));
    px_log_setup(PX_LOG_INFO, 2);
    if (controller->launcher.kind == PX_LAUNCH_LOCAL && controller->n > 0) {
        PX_TRY(px__zygote_start(controller, reterr)); // else with the first engine
    }
    PX_TRY(watch_signals(controller));
    PX_TRY(make_parts(controller, reterr));
    controller->file.n = controller->n;
    px__nests_start(controller);
    PX_TRY(px_cluster_file_write(&controller->file, reterr));
    px_roster_add(controller->roster, px_now(), controller->n, controller->set, &orders);
    px__carry_out(controller, &orders);
    return PX_OK;
}

// --- end -----------------------------------------------------------------------------------------

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void free_records(px_controller *controller)
{
    px_seat *seat, *next_seat;
    HASH_ITER (hh, controller->seats, seat, next_seat) {
        HASH_DEL(controller->seats, seat);
        free(seat);
    }
    while (controller->tallies != NULL) {
        px_tally_block *block = controller->tallies;
        controller->tallies = block->next;
        free(block);
    }
    for (px_letter *letter = px_mailbox_take(&controller->news), *next; letter != NULL;
         letter = next) {
        next = letter->next;
        if (letter->kind == PX_NEWS_ANSWER || letter->kind == PX_NEWS_ABORT) {
            px_answer_free(PX_CONTAINER(letter, px_answer, letter));
        } else if (letter->kind != PX_NEWS_ACTIVE) {
            free(PX_CONTAINER(letter, px_news, letter));
        }
    }
}

static void finish(px_controller *controller)
{
    px_zygote_free(controller->zygote);
    px__nests_free(controller);
    px__jobs_free(controller);
    px_visitor *visitor, *next;
    DL_FOREACH_SAFE (controller->visitors, visitor, next) {
        (void)px_link_flush(visitor->link); // the last words, as far as the socket takes them
        px_source_remove(visitor->source);
        px_link_close(visitor->link);
        free(visitor);
    }
    px__hub_free_gone(controller);
    px_keeper_stop(controller->keeper);
    px_relay_stop(controller->relay);
    px_gate_stop(controller->gate);
    px_keeper_free(controller->keeper);
    px_timer_remove(controller->roster_timer);
    px_timer_remove(controller->heart_timer);
    px_timer_remove(controller->stats_timer);
    px_timer_remove(controller->news_timer);
    px_timer_remove(controller->door_timer);
    px_loop_free(controller->loop);
    if (controller->news.fd > 0) {
        free_records(controller);
        px_mailbox_done(&controller->news);
    }
    px_heart_free(controller->heart);
    px_roster_free(controller->roster);
    px_session_free(controller->session);
    close_fd(controller->control_fd);
    close_fd(controller->work_fd);
    close_fd(controller->owner_fd);
    close_fd(controller->signal_fd);
    px__files_remove(controller);
}

int main(int argc, char **argv)
{
    px_controller *controller = calloc(1, sizeof(*controller));
    if (controller == NULL) {
        return 1;
    }
    controller->name = PX_CLUSTER_DEFAULT;
    controller->n = 1;
    controller->set = PX_SET_DEFAULT;
    controller->lease_s = PX_LEASE_S;
    controller->next_client = 1;
    controller->status_fd = controller->lock_fd = controller->signal_fd = controller->owner_fd =
        controller->control_fd = controller->work_fd = -1;
    int status = read_options(controller, argc, argv);
    if (status >= 0) {
        free(controller);
        return status;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { // two connections an engine
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (controller->status_fd >= 0) {
        (void)fcntl(controller->status_fd, F_SETFD, FD_CLOEXEC);
    }
    px_error error = {0};
    px_err err = start(controller, &error);
    if (err != PX_OK) {
        const char *text = error.text[0] != '\0' ? error.text : px_err_text(err);
        (void)fprintf(stderr, "pxcontroller: %s\n", text);
        tell_starter(controller, err == PX_EEXIST ? "exists" : "failed", text);
        finish(controller);
        px_launch_done(&controller->launcher);
        free(controller);
        return err == PX_EEXIST ? 4 : 6;
    }
    tell_starter(controller, NULL, NULL);
    while (!controller->finished && px_loop_once(controller->loop, -1) == PX_OK) {
        px__hub_free_gone(controller);
    }
    finish(controller);
    px_launch_done(&controller->launcher);
    free(controller);
    return 0;
}
