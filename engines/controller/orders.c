// orders.c: carries out what the roster orders, and brings the zygote's news to it.
//
// An order list is worked off front to back; what an order sets going comes back as an event of its
// own, never inside. The relay is told of a death after the cause is known, so that whoever waits
// for a result reads why it will not come.

#include "../launch/host.h"
#include "jobs.h"
#include "nests.h"

#include "px/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define PROGRESS_PERIOD (20 * PX_NS_PER_MS) // between two words about a cluster that starts

px_seat *px__seat(const px_controller *controller, uint32_t engine)
{
    px_seat *seat;
    HASH_FIND(hh, controller->seats, &engine, sizeof(engine), seat);
    return seat;
}

bool px__seat_silent(const px_controller *controller, const px_seat *seat)
{
    const px_engine *engine = px_roster_find(controller->roster, seat->id);
    return engine != NULL && engine->state == PX_ENGINE_SILENT;
}

bool px__engine_busy(void *context, uint32_t engine)
{
    const px_seat *seat = px__seat(context, engine);
    return seat != NULL && atomic_load(&seat->tally->in_flight) > 0;
}

// --- telling -------------------------------------------------------------------------------------

static void tell_engine(px_controller *controller, const px_seat *seat, const char *event)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "event", event);
    px_jsonw_key(&w, "engine");
    px__describe_seat(controller, seat, &w);
    px_jsonw_key_string(&w, "cause", seat->cause);
    px_jsonw_end_object(&w);
    if (px_buf_status(&content) == PX_OK) {
        px__hub_tell(controller, "engine_notify", px_buf_slice(&content));
    }
}

static void tell_cluster(px_controller *controller)
{
    PX_AUTO_BUF content = {0};
    px_timer_remove(controller->news_timer);
    controller->news_timer = NULL;
    controller->told = px_now();
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "event", controller->stopping ? "stopping" : "state");
    px_jsonw_key(&w, "cluster");
    px__describe_cluster(controller, &w);
    px_jsonw_end_object(&w);
    if (px_buf_status(&content) == PX_OK) {
        px__hub_tell(controller, "cluster_notify", px_buf_slice(&content));
    }
}

static void news_due(void *context, px_ns now)
{
    (void)now;
    tell_cluster(context);
}

// tell_progress tells that one more engine of those that start is there: not of each, when they
// come by the hundred.
static void tell_progress(px_controller *controller)
{
    px_ns due = controller->told + PROGRESS_PERIOD;
    if (controller->news_timer == NULL &&
        (px_now() >= due || px_loop_add_timer(controller->loop, "news", due, 0, news_due,
                                              controller, &controller->news_timer) != PX_OK)) {
        tell_cluster(controller);
    }
}

void px__cluster_changed(px_controller *controller)
{
    tell_cluster(controller);
}

void px__fail(px_controller *controller, const char *code, const char *message, const char *cause,
              const char *fix)
{
    (void)snprintf(controller->error.code, sizeof(controller->error.code), "%s", code);
    (void)snprintf(controller->error.message, sizeof(controller->error.message), "%s", message);
    (void)snprintf(controller->error.cause, sizeof(controller->error.cause), "%s", cause);
    (void)snprintf(controller->error.fix, sizeof(controller->error.fix), "%s", fix);
}

// explain makes the cluster's error of the death of an engine, unless there is one already.
static void explain(px_controller *controller, const px_seat *seat)
{
    const px_engine *engine = px_roster_find(controller->roster, seat->id);
    if (engine == NULL || engine->asked || controller->stopping ||
        controller->error.code[0] != '\0') {
        return; // forgotten at once means that its end was asked for
    }
    bool was_ready = engine->was_ready;
    char message[128];
    (void)snprintf(message, sizeof(message), "engine %u %s", seat->id,
                   was_ready ? "died" : "did not come up");
    px__fail(controller, was_ready ? "engine-died" : "engine-failed", message, seat->cause,
             px_roster_exhausted(controller->roster)
                 ? "engines died too often to be replaced by themselves: `pxcluster logs` says "
                   "why, `pxcluster restart` starts new ones"
             : controller->restart && was_ready ? "a new engine takes its place"
                                                : "`pxcluster restart` replaces it");
    (void)snprintf(controller->error.log, sizeof(controller->error.log), "%.*s/engine-%u.log",
                   PATH_MAX - 32, controller->folder, seat->id);
}

void px__init_failed(px_controller *controller, uint32_t engine)
{
    char message[128];
    if (engine == UINT32_MAX) {
        px__fail(controller, "init-too-large", "engines to come will not be as these",
                 "more than 256 MiB were to be recorded as initialisation",
                 "record code that makes or loads the data, not the data");
    } else {
        (void)snprintf(message, sizeof(message), "engine %u is not initialised as the others",
                       engine);
        px__fail(controller, "init-failed", message,
                 "what was recorded with %px --init raised an error on it",
                 "run that cell on it again to see the error: `%%px --targets`, then its number");
    }
    tell_cluster(controller);
}

// --- orders --------------------------------------------------------------------------------------

static px_seat *new_seat(px_controller *controller, uint32_t engine)
{
    px_seat *seat = calloc(1, sizeof(*seat));
    px_tally_block *block = calloc(1, sizeof(*block));
    if (seat == NULL || block == NULL || px_random_hex(seat->token, 16) != PX_OK ||
        px_random_hex(seat->secret, 16) != PX_OK ||
        px_heart_add(controller->heart, engine) != PX_OK) {
        free(seat);
        free(block);
        return NULL;
    }
    block->next = controller->tallies;
    controller->tallies = block;
    seat->id = engine;
    seat->exit = (px_exit){.signal = -1, .code = -1};
    seat->tally = &block->tally;
    px_uuid_new(seat->uuid);
    HASH_ADD(hh, controller->seats, id, sizeof(seat->id), seat);
    return seat;
}

static void order_spawn(px_controller *controller, uint32_t engine)
{
    px_error error = {0};
    char log[PATH_MAX + 32], file[PATH_MAX + 32];
    const px_seat *seat = px__seat(controller, engine);
    if (seat != NULL &&
        (controller->launcher.kind != PX_LAUNCH_LOCAL || controller->guests_first)) {
        px__nest_spawn(controller, px__seat(controller, engine));
        return;
    }
    if (seat == NULL ||
        (controller->zygote == NULL && px__zygote_start(controller, &error) != PX_OK)) {
        px_log_error("no zygote, no engine", "engine=%u cause=%s", engine, error.text);
        px__fail(controller, "launch-failed", "the engines could not be started", error.text,
                 "check that pxkernel is installed with its pxengine");
        px_orders orders = {0};
        px_exit unknown = {.signal = -1, .code = -1};
        px_roster_exited(controller->roster, px_now(), engine, unknown, &orders);
        px__carry_out(controller, &orders);
        return;
    }
    (void)snprintf(log, sizeof(log), "%s/engine-%u.log", controller->folder, engine);
    (void)snprintf(file, sizeof(file), "%s/cluster.json", controller->folder);
    px_zygote_order order = {.engine = engine,
                             .token = seat->token,
                             .log = log,
                             .cluster = file,
                             .cwd = controller->file.cwd};
    if (px_zygote_spawn(controller->zygote, &order) != PX_OK) {
        px_log_error("out of memory for an order to the zygote", "engine=%u", engine);
    }
}

void px__signal_seat(const px_seat *seat, int signum)
{
    if (seat->nest != NULL) {
        px__nest_signal(seat, signum);
    } else if (seat->pid > 0 && !seat->far && kill(seat->pid, signum) != 0) {
        px_log_info("signal not delivered", "engine=%u signal=%d cause=%s", seat->id, signum,
                    strerror(errno)); // it may be gone by now
    }
}

static void order_signal(px_controller *controller, uint32_t engine, int signum)
{
    const px_seat *seat = px__seat(controller, engine);
    if (seat != NULL) {
        px__signal_seat(seat, signum);
    }
}

static void order_shutdown(px_controller *controller, uint32_t engine)
{
    const px_seat *seat = px__seat(controller, engine);
    if (seat != NULL && seat->visitor != NULL) {
        (void)px__hub_send(seat->visitor, "shutdown_request", (px_slice){0},
                           PX_SLICE_LITERAL("{\"restart\":false}"));
    }
}

static void order_lost(px_controller *controller, uint32_t engine)
{
    px_seat *seat = px__seat(controller, engine);
    if (seat == NULL) {
        return;
    }
    if (seat->cause[0] == '\0') { // nobody told how it ended
        px__death(controller, seat, (px_exit){.signal = -1, .code = -1});
    }
    explain(controller, seat);
    px_log_info("engine ended", "engine=%u pid=%d cause=%s", engine, (int)seat->pid, seat->cause);
    px_heart_remove(controller->heart, engine);
    px__nest_left(seat);
    if (px_relay_bury(controller->relay, engine, seat->exit.signal, seat->exit.code, seat->cause) !=
        PX_OK) {
        abort(); // whoever waits for this engine would wait for ever
    }
    if (seat->visitor != NULL) {
        px_visitor *visitor = seat->visitor;
        seat->visitor = NULL;
        px__hub_close(visitor);
    }
}

static void order_changed(px_controller *controller, uint32_t engine)
{
    const px_engine *known = px_roster_find(controller->roster, engine);
    if (known != NULL && known->state == PX_ENGINE_SPAWNED) {
        if (new_seat(controller, engine) == NULL) {
            px_log_error("out of memory for an engine", "engine=%u", engine);
        }
    }
    px_seat *seat = px__seat(controller, engine);
    if (known == NULL || seat == NULL || known->state == PX_ENGINE_JOINING ||
        known->state == PX_ENGINE_GOING) {
        return; // nothing that anybody else would see
    }
    px__stats_sample(controller, seat, px_now());
    const px_story_line *last = &known->story[(known->n_story - 1) % PX_STORY_LENGTH];
    tell_engine(controller, seat,
                known->state == PX_ENGINE_SPAWNED                                    ? "spawned"
                : last->from == PX_ENGINE_JOINING && known->state == PX_ENGINE_READY ? "registered"
                : known->state == PX_ENGINE_DEAD                                     ? "dead"
                                                                                     : "state");
}

static void order_forget(px_controller *controller, uint32_t engine)
{
    px_seat *seat = px__seat(controller, engine);
    if (seat == NULL) {
        return;
    }
    tell_engine(controller, seat, "left");
    controller->done += atomic_load(&seat->tally->done);
    controller->failed += atomic_load(&seat->tally->failed);
    px_heart_remove(controller->heart, engine);
    px__nest_left(seat);
    HASH_DEL(controller->seats, seat);
    free(seat);
}

static void order_cluster(px_controller *controller)
{
    px_error error = {0};
    px_cluster_state state = px_roster_state(controller->roster);
    if (state == PX_CLUSTER_RUNNING) {
        px__fail(controller, "", "", "", "");
    }
    bool hopeless = state != PX_CLUSTER_STARTING && px_roster_usable(controller->roster) == 0;
    if (px_relay_hopeless(controller->relay, hopeless) != PX_OK) {
        abort(); // whoever waits for an engine would wait for ever
    }
    if (!controller->stopping && px_roster_wanted(controller->roster) != controller->file.n &&
        px__files_publish(controller, &error) != PX_OK) {
        px_log_warning("cluster.json is out of date", "cause=%s", error.text);
    }
    if (state == PX_CLUSTER_STARTING) {
        tell_progress(controller);
    } else {
        tell_cluster(controller);
    }
}

static void order_finished(px_controller *controller)
{
    controller->zygote_quits = true;
    bool own = controller->zygote != NULL && px_zygote_quit(controller->zygote) == PX_OK;
    px__jobs_cancel(controller);
    if (!px__nests_over(controller) || !px__jobs_over(controller)) {
        px__nests_quit(controller);
    }
    controller->finished = !own && px__nests_over(controller) && px__jobs_over(controller);
}

static void carry_out_one(px_controller *controller, px_order order)
{
    switch (order.kind) {
    case PX_ORDER_SPAWN:
        order_spawn(controller, order.engine);
        break;
    case PX_ORDER_SHUTDOWN:
        order_shutdown(controller, order.engine);
        break;
    case PX_ORDER_TERMINATE:
        order_signal(controller, order.engine, SIGTERM);
        break;
    case PX_ORDER_KILL:
        order_signal(controller, order.engine, SIGKILL);
        break;
    case PX_ORDER_LOST:
        order_lost(controller, order.engine);
        break;
    case PX_ORDER_CHANGED:
        order_changed(controller, order.engine);
        break;
    case PX_ORDER_FORGET:
        order_forget(controller, order.engine);
        break;
    case PX_ORDER_CLUSTER:
        order_cluster(controller);
        break;
    case PX_ORDER_FINISHED:
        order_finished(controller);
        break;
    }
}

static void time_passed(void *context, px_ns now)
{
    px_controller *controller = context;
    px_orders orders = {0};
    px_timer_remove(controller->roster_timer);
    controller->roster_timer = NULL;
    px_roster_tick(controller->roster, now, &orders);
    px__carry_out(controller, &orders);
}

// set_timer makes the roster's next deadline fire.
static void set_timer(px_controller *controller)
{
    px_ns due = px_roster_due(controller->roster);
    if (due == 0) {
        px_timer_remove(controller->roster_timer);
        controller->roster_timer = NULL;
    } else if (controller->roster_timer != NULL) {
        px_timer_set(controller->roster_timer, due);
    } else {
        (void)px_loop_add_timer(controller->loop, "roster", due, 0, time_passed, controller,
                                &controller->roster_timer);
    }
}

void px__carry_out(px_controller *controller, px_orders *orders)
{
    if (orders->failed) {
        px_log_error("out of memory for an order", "n=%zu", orders->n);
    }
    for (size_t i = 0; i < orders->n; i++) {
        carry_out_one(controller, orders->items[i]);
    }
    px_orders_done(orders);
    set_timer(controller);
}

// --- the zygote ----------------------------------------------------------------------------------

static void zygote_ready(void *context)
{
    px_controller *controller = context;
    controller->zygote_ready = true;
    px_log_info("zygote is ready", "pid=%d", (int)px_zygote_pid(controller->zygote));
}

static void zygote_spawned(void *context, uint32_t engine, pid_t pid)
{
    px_controller *controller = context;
    px_seat *seat = px__seat(controller, engine);
    if (seat == NULL) {
        (void)kill(pid, SIGKILL); // it left the list before it was born
        return;
    }
    const px_engine *known = px_roster_find(controller->roster, engine);
    seat->pid = pid;
    px_roster_pid(controller->roster, engine, pid);
    if (known != NULL && known->state == PX_ENGINE_LEAVING && known->stage >= 2) {
        (void)kill(pid, SIGKILL); // the order came before it had a pid
    }
}

static void engine_ended(px_controller *controller, uint32_t engine, px_exit how)
{
    px_orders orders = {0};
    px_seat *seat = px__seat(controller, engine);
    if (seat == NULL) {
        return;
    }
    px__death(controller, seat, how);
    px_roster_exited(controller->roster, px_now(), engine, how, &orders);
    px__carry_out(controller, &orders);
}

static void zygote_failed(void *context, uint32_t engine, const char *message)
{
    px_controller *controller = context;
    px_log_error("the zygote could not fork an engine", "engine=%u cause=%s", engine, message);
    px__fail(controller, "launch-failed", "an engine could not be started", message,
             "look for limits on processes or memory (ulimit -u, the cgroup)");
    engine_ended(controller, engine, (px_exit){.signal = -1, .code = -1});
}

static void zygote_exited(void *context, uint32_t engine, int signum, int code)
{
    engine_ended(context, engine, (px_exit){.signal = signum, .code = code});
}

static void zygote_gone(void *context, int signum, int code)
{
    px_controller *controller = context;
    px_orders orders = {0};
    char cause[640], words[400];
    bool was_ready = controller->zygote_ready;
    px_zygote_free(PX_STEAL(controller->zygote));
    controller->zygote_ready = false;
    if (controller->zygote_quits) {
        controller->finished = px__nests_over(controller);
        return;
    }
    (void)snprintf(controller->error.log, sizeof(controller->error.log), "%.*s/zygote.log",
                   PATH_MAX - 32, controller->folder);
    px_tail(controller->error.log, 12, words, sizeof(words));
    if (signum >= 0) {
        (void)snprintf(cause, sizeof(cause),
                       "the zygote, from which engines are forked, ended by SIG%s",
                       sigabbrev_np(signum) != NULL ? sigabbrev_np(signum) : "?");
    } else {
        (void)snprintf(cause, sizeof(cause), "the zygote ended with exit code %d: %s", code,
                       words[0] != '\0' ? words : "it said nothing");
    }
    px_log_error("zygote ended", "ready=%d cause=%s", was_ready, cause);
    px__fail(controller, was_ready ? "zygote-died" : "launch-failed",
             was_ready ? "all engines died with the process they were forked from"
                       : "Python could not be started for the engines",
             cause,
             was_ready ? "`pxcluster restart` starts new engines"
                       : "run `pxengine --help` by hand to see if it starts");
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        if (seat->cause[0] == '\0' && seat->nest == NULL) {
            seat->exit = (px_exit){.signal = was_ready ? SIGKILL : -1, .code = -1};
            (void)snprintf(seat->cause, sizeof(seat->cause), "%.500s", cause);
            if (seat->pid > 0) {
                (void)kill(-seat->pid, SIGKILL); // what the engine itself had started
            }
        }
    }
    px_roster_nursery_died(controller->roster, px_now(), &orders);
    px__carry_out(controller, &orders);
}

// zygote_environment is ours, with the numbers of threads that suit the number of engines. Its
// strings are environ's and those in own.
static char **zygote_environment(const px_controller *controller, char own[5][40])
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
                                        "VECLIB_MAXIMUM_THREADS"};
    size_t n = 0, total = 0;
    unsigned wanted = controller->roster != NULL ? px_roster_wanted(controller->roster) : 0;
    unsigned engines = controller->n > wanted ? controller->n : wanted;
    unsigned threads = px_host_cores() / (engines > 0 ? engines : 1);
    while (environ[total] != NULL) {
        total++;
    }
    char **env = calloc(total + 6, sizeof(char *));
    if (env == NULL) {
        return NULL;
    }
    for (; n < total; n++) {
        env[n] = environ[n];
    }
    for (size_t i = 0; i < 5; i++) {
        if (getenv(names[i]) == NULL) {
            (void)snprintf(own[i], 40, "%s=%u", names[i], threads > 0 ? threads : 1);
            env[n++] = own[i];
        }
    }
    return env;
}

px_err px__zygote_start(px_controller *controller, px_error *reterr)
{
    char own[5][40], path[PATH_MAX + 32];
    px_zygote_events events = {.ready = zygote_ready,
                               .spawned = zygote_spawned,
                               .failed = zygote_failed,
                               .exited = zygote_exited,
                               .gone = zygote_gone,
                               .context = controller};
    PX_AUTO_FREE char **env = zygote_environment(controller, own);
    (void)snprintf(path, sizeof(path), "%s/zygote.log", controller->folder);
    int log = px__log_open(path);
    if (env == NULL || log < 0) {
        if (log >= 0) {
            (void)close(log);
        }
        return px_error_set(reterr, PX_EIO, "cannot write %s", path);
    }
    px_zygote_config config = {.program = controller->program,
                               .folder = controller->folder,
                               .preload = controller->preload,
                               .log = log,
                               .env = env};
    px_err err = px_zygote_start(controller->loop, &config, &events, &controller->zygote, reterr);
    (void)close(log);
    return err;
}

void px__stop(px_controller *controller, const char *why)
{
    px_orders orders = {0};
    if (controller->stopping) {
        return;
    }
    px_log_info("cluster stops", "why=%s", why);
    controller->stopping = true;
    px_roster_stop(controller->roster, px_now(), &orders);
    if (controller->launcher.kind == PX_LAUNCH_LOCAL &&
        !controller->zygote_ready) { // nothing was forked yet
        px_zygote_free(PX_STEAL(controller->zygote));
        px_roster_nursery_died(controller->roster, px_now(), &orders);
    }
    px__carry_out(controller, &orders);
}
