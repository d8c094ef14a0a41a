// nests.c: zygotes on other hosts: which of them forks an engine, what becomes of one that ends.
//
// An engine that is ordered while no nest has room for it stays ordered: a batch system may take
// hours. When a nest comes, or gets ready, it is given what waits.
//
// A nest that ends takes its engines with it (they watch it, and their own leases). Its host is
// tried again with the next order, after the hosts that work.

#include "nests.h"

#include "../launch/host.h"
#include "jobs.h"

#include "px/log.h"

#include <utlist.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BEAT_NS (3 * PX_NS_PER_S)
#define QUIT_NS (2 * PX_NS_PER_S)
#define QUIT_JOBS_NS (10 * PX_NS_PER_S) // a batch system takes its time
#define TRIES 3                         // of guessed ports

static void give_waiting(px_controller *controller);

static bool exists(const px_nest *nest)
{
    return nest->zygote != NULL || nest->visitor != NULL;
}

static px_err tell(const px_nest *nest, px_slice order)
{
    if (nest->zygote != NULL) {
        return px_zygote_tell(nest->zygote, order);
    }
    return nest->visitor != NULL ? px__hub_send(nest->visitor, "nest_order", (px_slice){0}, order)
                                 : PX_ECLOSED;
}

// --- what a zygote says --------------------------------------------------------------------------

static void is_ready(void *context)
{
    px_nest *nest = context;
    nest->ready = true;
    nest->failed = false;
    nest->tries = 0;
    px_log_info("nest is ready", "host=%s", nest->name);
    give_waiting(nest->controller);
}

static void has_spawned(void *context, uint32_t engine, pid_t pid)
{
    px_nest *nest = context;
    px_seat *seat = px__seat(nest->controller, engine);
    if (seat == NULL || seat->nest != nest) {
        px_log_info("an engine came up that nobody wants any more", "engine=%u", engine);
        px_seat nobody = {.id = engine, .nest = nest};
        px__nest_signal(&nobody, SIGKILL);
        return;
    }
    seat->pid = pid;
    px_roster_pid(nest->controller->roster, engine, pid);
}

static void engine_ended(px_nest *nest, uint32_t engine, px_exit how)
{
    px_controller *controller = nest->controller;
    px_orders orders = {0};
    px_seat *seat = px__seat(controller, engine);
    if (seat == NULL || seat->nest != nest) {
        return;
    }
    px__death(controller, seat, how);
    px_roster_exited(controller->roster, px_now(), engine, how, &orders);
    px__carry_out(controller, &orders);
}

static void has_failed(void *context, uint32_t engine, const char *message)
{
    px_nest *nest = context;
    char text[512];
    (void)snprintf(text, sizeof(text), "host %s: %s", nest->name, message);
    px_log_error("an engine could not be forked", "engine=%u cause=%s", engine, text);
    px__fail(nest->controller, "launch-failed", "an engine could not be started", text,
             "look for limits on processes or memory there (ulimit -u, the cgroup)");
    engine_ended(nest, engine, (px_exit){.signal = -1, .code = -1});
}

static void has_exited(void *context, uint32_t engine, int signum, int code)
{
    engine_ended(context, engine, (px_exit){.signal = signum, .code = code});
}

// cure says what to do about an ssh that ended.
static const char *cure(const char *said, int code)
{
    if (strstr(said, "Permission denied") != NULL) {
        return "make `ssh HOST true` work without a password: a key in an agent, or in --ssh \"ssh "
               "-i KEY\"";
    }
    if (strstr(said, "Host key verification failed") != NULL) {
        return "connect once by hand with `ssh HOST`, and accept its key";
    }
    if (code == 127 || strstr(said, "not found") != NULL || strstr(said, "No such file") != NULL) {
        return "install pxkernel on that host, or say where its pxengine is with --remote-engine";
    }
    return "try `ssh HOST pxengine --version` by hand";
}

// explain makes the cluster's error of the end of an ssh.
static void explain(px_nest *nest, int signum, int code)
{
    px_controller *controller = nest->controller;
    char said[400], cause[640], message[400];
    (void)snprintf(controller->error.log, sizeof(controller->error.log), "%.*s/ssh-%s.log",
                   PATH_MAX - 280, controller->folder, nest->host->target);
    px_tail(controller->error.log, 6, said, sizeof(said));
    if (signum >= 0) {
        (void)snprintf(cause, sizeof(cause), "ssh ended by signal %d: %s", signum, said);
    } else {
        (void)snprintf(cause, sizeof(cause), "ssh ended with exit code %d: %s", code,
                       said[0] != '\0' ? said : "it said nothing");
    }
    (void)snprintf(message, sizeof(message),
                   nest->ready ? "the connection to host %s ended, and its engines with it"
                               : "no engines on host %s",
                   nest->name);
    px_log_error("nest ended", "host=%s ready=%d cause=%s", nest->name, nest->ready, cause);
    px__fail(controller, nest->ready ? "nest-died" : "launch-failed", message, cause,
             cure(said, code));
}

// bury ends every engine of a nest that is gone.
static void bury(px_nest *nest)
{
    px_controller *controller = nest->controller;
    px_orders orders = {0};
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        if (seat->nest != nest) {
            continue;
        }
        if (seat->cause[0] == '\0') {
            seat->exit = (px_exit){.signal = -1, .code = -1};
            (void)snprintf(seat->cause, sizeof(seat->cause),
                           "the connection to its host %.200s ended", nest->name);
        }
        px_roster_exited(controller->roster, px_now(), seat->id,
                         (px_exit){.signal = -1, .code = -1}, &orders);
    }
    nest->used = 0;
    px__carry_out(controller, &orders);
}

static px_err start(px_nest *nest, px_error *reterr);

// again: the port that was guessed for the way back is taken over there.
static bool again(px_nest *nest)
{
    char said[400], path[PATH_MAX + 320];
    px_error error = {0};
    (void)snprintf(path, sizeof(path), "%s/ssh-%s.log", nest->controller->folder,
                   nest->host->target);
    px_tail(path, 3, said, sizeof(said));
    if (nest->ready || nest->controller->stopping || ++nest->tries > TRIES ||
        strstr(said, "remote port forwarding failed") == NULL) {
        return false;
    }
    if (start(nest, &error) != PX_OK) {
        return false;
    }
    give_waiting(nest->controller); // those it had are ordered anew
    return true;
}

static void is_gone(void *context, int signum, int code)
{
    px_nest *nest = context;
    px_controller *controller = nest->controller;
    px_zygote_free(PX_STEAL(nest->zygote));
    if (controller->stopping) {
        nest->ready = false;
        if (controller->zygote_quits && px__nests_over(controller) && px__jobs_over(controller)) {
            controller->finished = true;
        }
        return;
    }
    if (again(nest)) {
        return;
    }
    explain(nest, signum, code);
    nest->ready = false;
    nest->failed = true;
    bury(nest);
}

static px_zygote_events events_of(px_nest *nest)
{
    return (px_zygote_events){.ready = is_ready,
                              .spawned = has_spawned,
                              .failed = has_failed,
                              .exited = has_exited,
                              .gone = is_gone,
                              .context = nest};
}

// --- placing -------------------------------------------------------------------------------------

static void beat(void *context, px_ns now)
{
    px_controller *controller = context;
    px_nest *nest;
    (void)now;
    DL_FOREACH (controller->nests, nest) {
        if (nest->zygote != NULL) {
            (void)px_zygote_tell(nest->zygote, PX_SLICE_LITERAL("{\"op\":\"beat\"}"));
        }
    }
}

static px_err start(px_nest *nest, px_error *reterr)
{
    px_controller *controller = nest->controller;
    const px_zygote_events events = events_of(nest);
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        if (seat->nest == nest) {
            seat->nest = NULL; // what was ordered from the one before is ordered again
        }
    }
    nest->used = 0;
    nest->ready = false;
    px_err err = px__ssh_start(nest, &events, reterr);
    if (err == PX_OK && controller->nest_timer == NULL) {
        err = px_loop_add_timer(controller->loop, "nests", px_now() + BEAT_NS, BEAT_NS, beat,
                                controller, &controller->nest_timer);
    }
    return err;
}

// better tells if a has the better claim to the next engine: one that works, then more room.
static bool better(const px_nest *a, const px_nest *b)
{
    if (b == NULL || a->failed != b->failed) {
        return b == NULL || b->failed;
    }
    if (a->capacity != 0 && b->capacity != 0) { // in proportion
        return (uint64_t)a->used * b->capacity < (uint64_t)b->used * a->capacity;
    }
    return a->used < b->used;
}

// place finds a nest with room; NULL when there is none.
static px_nest *place(px_controller *controller)
{
    px_nest *best = NULL, *nest;
    DL_FOREACH (controller->nests, nest) {
        bool room = nest->capacity == 0 || nest->used < nest->capacity;
        if (room && (exists(nest) || nest->host != NULL) && better(nest, best)) {
            best = nest;
        }
    }
    return best;
}

static px_nest *any_ssh(px_controller *controller)
{
    px_nest *best = NULL, *nest; // more engines than the hosts were said to take
    DL_FOREACH (controller->nests, nest) {
        if (nest->host != NULL && better(nest, best)) {
            best = nest;
        }
    }
    return best;
}

static void could_not(px_controller *controller, px_seat *seat, const char *why)
{
    px_orders orders = {0};
    px_log_error("no nest, no engine", "engine=%u cause=%s", seat->id, why);
    px__fail(controller, "launch-failed", "the engines could not be started", why,
             "check that ssh is installed");
    px_roster_exited(controller->roster, px_now(), seat->id, (px_exit){.signal = -1, .code = -1},
                     &orders);
    px__carry_out(controller, &orders);
}

void px__nest_spawn(px_controller *controller, px_seat *seat)
{
    px_error error = {0};
    px_nest *nest = place(controller);
    nest = nest != NULL ? nest : any_ssh(controller);
    if (nest == NULL) {
        px__jobs_need(controller); // it waits for one to come
        return;
    }
    if (!exists(nest) && start(nest, &error) != PX_OK) {
        could_not(controller, seat, error.text);
        return;
    }
    seat->nest = nest;
    nest->used++;
    PX_AUTO_BUF order = {0};
    px_zygote_write_order(
        &(px_zygote_order){.engine = seat->id, .token = seat->token, .cwd = controller->file.cwd},
        &order);
    if (px_buf_status(&order) != PX_OK || tell(nest, px_buf_slice(&order)) != PX_OK) {
        px_log_error("out of memory for an order to a nest", "engine=%u", seat->id);
    }
}

// give_waiting orders what no nest had room for.
static void give_waiting(px_controller *controller)
{
    for (size_t i = 0; i < px_roster_count(controller->roster); i++) {
        const px_engine *engine = px_roster_at(controller->roster, i);
        px_seat *seat = px__seat(controller, engine->id);
        if (engine->state == PX_ENGINE_SPAWNED && seat != NULL && seat->nest == NULL) {
            px__nest_spawn(controller, seat);
        }
    }
}

void px__nest_signal(const px_seat *seat, int signum)
{
    PX_AUTO_BUF order = {0};
    px_jsonw w = px_jsonw_to(&order);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "op", "signal");
    px_jsonw_key_int(&w, "engine", seat->id);
    px_jsonw_key_int(&w, "signal", signum);
    px_jsonw_end_object(&w);
    if (px_buf_status(&order) == PX_OK) {
        (void)tell(seat->nest, px_buf_slice(&order)); // a nest that is gone took it along
    }
}

void px__nest_left(px_seat *seat)
{
    px_nest *nest = seat->nest;
    seat->nest = NULL;
    if (nest == NULL) {
        return;
    }
    nest->used -= nest->used > 0;
    if (nest->visitor == NULL || nest->controller->stopping) {
        return;
    }
    give_waiting(nest->controller);
    if (nest->used == 0 && nest->controller->launcher.kind != PX_LAUNCH_LOCAL) {
        (void)tell(nest, PX_SLICE_LITERAL("{\"op\":\"quit\"}")); // others want its place
    }
}

// --- nests that come -----------------------------------------------------------------------------

static px_nest *add_nest(px_controller *controller)
{
    px_nest *nest = calloc(1, sizeof(*nest));
    if (nest != NULL) {
        nest->controller = controller;
        DL_APPEND(controller->nests, nest);
    }
    return nest;
}

px_err px__nest_came(px_visitor *visitor, const px_json *content)
{
    px_controller *controller = visitor->controller;
    int64_t n = px_json_int(content, "n", 1);
    px_nest *nest = add_nest(controller);
    if (nest == NULL) {
        return PX_ENOMEM;
    }
    nest->visitor = visitor;
    nest->capacity = n > 0 && n <= PX_MOST_ENGINES ? (uint32_t)n : 1;
    (void)snprintf(nest->name, sizeof(nest->name), "%s", px_json_string(content, "host", "?"));
    visitor->role = PX_VISITOR_NEST;
    visitor->nest = nest;
    return PX_OK;
}

void px__nest_says(px_visitor *visitor, px_slice line)
{
    px_nest *nest = visitor->nest;
    px_controller *controller = nest->controller;
    const px_zygote_events events = events_of(nest);
    bool was_ready = nest->ready;
    px_zygote_understand(&events, line);
    if (!was_ready && nest->ready && !visitor->closed && nest->used < nest->capacity &&
        controller->launcher.kind == PX_LAUNCH_LOCAL && px__jobs_waiting(controller) == 0) {
        // Nobody has ordered these: whoever started it wants more engines.
        px_orders orders = {0};
        uint32_t wanted = px_roster_wanted(controller->roster) + nest->capacity - nest->used;
        controller->guests_first = true;
        px_roster_scale(controller->roster, px_now(), wanted, px__engine_busy, controller, &orders);
        px__carry_out(controller, &orders);
        controller->guests_first = false;
    }
}

void px__nest_went(px_visitor *visitor)
{
    px_nest *nest = visitor->nest;
    px_controller *controller = nest->controller;
    visitor->nest = NULL;
    nest->visitor = NULL;
    nest->failed = true;
    bury(nest);
    DL_DELETE(controller->nests, nest);
    free(nest);
    if (controller->zygote_quits && px__nests_over(controller) && px__jobs_over(controller) &&
        controller->zygote == NULL) {
        controller->finished = true;
    }
}

// --- life ----------------------------------------------------------------------------------------

px_err px__nests_open(px_controller *controller, px_error *reterr)
{
    const px_launch_spec *spec = &controller->launcher;
    for (size_t i = 0; i < spec->n_hosts; i++) {
        px_nest *nest = add_nest(controller);
        if (nest == NULL) {
            return px_error_set(reterr, PX_ENOMEM, "out of memory");
        }
        nest->host = &spec->hosts[i];
        nest->capacity = spec->hosts[i].n;
        (void)snprintf(nest->name, sizeof(nest->name), "%s", spec->hosts[i].target);
    }
    return PX_OK;
}

void px__nests_start(px_controller *controller)
{
    px_nest *nest;
    DL_FOREACH (controller->nests, nest) {
        px_error error = {0};
        if (nest->host != NULL && start(nest, &error) != PX_OK) {
            px_log_error("ssh could not be started", "host=%s cause=%s", nest->name, error.text);
        }
    }
}

static void give_up(void *context, px_ns now)
{
    px_controller *controller = context;
    (void)now;
    controller->finished = true; // what is cut off ends by its lease
}

void px__nests_quit(px_controller *controller)
{
    px_nest *nest;
    DL_FOREACH (controller->nests, nest) {
        if (nest->zygote != NULL && !nest->ready) { // it imports, or asks the name server
            px_zygote_free(PX_STEAL(nest->zygote));
        } else {
            (void)tell(nest, PX_SLICE_LITERAL("{\"op\":\"quit\"}"));
        }
    }
    px_timer_remove(controller->nest_timer);
    controller->nest_timer = NULL;
    px_ns patience = controller->jobs != NULL ? QUIT_JOBS_NS : QUIT_NS;
    (void)px_loop_add_timer(controller->loop, "nests quit", px_now() + patience, 0, give_up,
                            controller, &controller->nest_timer);
}

bool px__nests_over(const px_controller *controller)
{
    const px_nest *nest;
    DL_FOREACH (controller->nests, nest) {
        if (exists(nest)) {
            return false;
        }
    }
    return true;
}

void px__nests_free(px_controller *controller)
{
    px_nest *nest, *next;
    px_timer_remove(controller->nest_timer);
    DL_FOREACH_SAFE (controller->nests, nest, next) {
        px_zygote_free(nest->zygote);
        free(nest);
    }
    controller->nests = NULL;
}
