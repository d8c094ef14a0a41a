// describe.c: the cluster and its engines as the JSON that clients, pxcluster and the Cluster tab
// read.

#include "jobs.h"

#include <stdio.h>

static void exit_of(const px_seat *seat, px_jsonw *w)
{
    px_jsonw_key(w, "exit");
    if (seat->cause[0] == '\0') {
        px_jsonw_null(w);
        return;
    }
    px_jsonw_object(w);
    px_jsonw_key(w, "signal");
    if (seat->exit.signal >= 0) {
        px_jsonw_int(w, seat->exit.signal);
    } else {
        px_jsonw_null(w);
    }
    px_jsonw_key(w, "code");
    if (seat->exit.code >= 0) {
        px_jsonw_int(w, seat->exit.code);
    } else {
        px_jsonw_null(w);
    }
    px_jsonw_key_string(w, "cause", seat->cause);
    px_jsonw_end_object(w);
}

static const char *state_of(const px_controller *controller, const px_seat *seat)
{
    const px_engine *engine = px_roster_find(controller->roster, seat->id);
    if (engine == NULL) {
        return "dead";
    }
    if (engine->state == PX_ENGINE_READY && atomic_load(&seat->tally->in_flight) > 0) {
        return "busy";
    }
    return px_engine_state_name(engine);
}

// numbers_of writes what changes while an engine works.
static void numbers_of(const px_controller *controller, const px_seat *seat, px_jsonw *w)
{
    unsigned in_flight = atomic_load(&seat->tally->in_flight);
    px_jsonw_key_string(w, "state", state_of(controller, seat));
    px_jsonw_key(w, "cpu");
    px_jsonw_real(w, seat->cpu);
    px_jsonw_key_int(w, "rss", (int64_t)seat->rss);
    px_jsonw_key_int(w, "running", in_flight > 0 ? 1 : 0);
    px_jsonw_key_int(w, "queued", in_flight > 0 ? (int64_t)in_flight - 1 : 0);
    px_jsonw_key_int(w, "done", (int64_t)atomic_load(&seat->tally->done));
    px_jsonw_key_int(w, "failed", (int64_t)atomic_load(&seat->tally->failed));
}

void px__describe_seat(const px_controller *controller, const px_seat *seat, px_jsonw *w)
{
    px_jsonw_object(w);
    px_jsonw_key_int(w, "id", seat->id);
    px_jsonw_key_string(w, "uuid", seat->uuid);
    px_jsonw_key_string(w, "host", seat->host[0] != '\0' ? seat->host : controller->file.host);
    px_jsonw_key_int(w, "pid", seat->pid);
    px_jsonw_key_string(w, "python", seat->python[0] != '\0' ? seat->python : NULL);
    numbers_of(controller, seat, w);
    exit_of(seat, w);
    const px_engine *engine = px_roster_find(controller->roster, seat->id);
    if (engine != NULL) {
        px_jsonw_key_string(w, "set", engine->set);
    }
    if (engine != NULL && engine->replaces >= 0) {
        px_jsonw_key_int(w, "replaces", engine->replaces);
    }
    px_jsonw_end_object(w);
}

void px__describe_stats(const px_controller *controller, const px_seat *seat, px_jsonw *w)
{
    px_jsonw_object(w);
    px_jsonw_key_int(w, "id", seat->id);
    numbers_of(controller, seat, w);
    px_jsonw_end_object(w);
}

void px__describe_engines(const px_controller *controller, px_jsonw *w)
{
    px_jsonw_array(w);
    for (size_t i = 0; i < px_roster_count(controller->roster); i++) {
        const px_seat *seat = px__seat(controller, px_roster_at(controller->roster, i)->id);
        if (seat != NULL) {
            px__describe_seat(controller, seat, w);
        }
    }
    px_jsonw_end_array(w);
}

void px__describe_error(const px_controller *controller, px_jsonw *w)
{
    if (controller->error.code[0] == '\0') {
        px_jsonw_null(w);
        return;
    }
    px_jsonw_object(w);
    px_jsonw_key_string(w, "code", controller->error.code);
    px_jsonw_key_string(w, "message", controller->error.message);
    px_jsonw_key_string(w, "cause", controller->error.cause);
    px_jsonw_key(w, "fix");
    px_jsonw_array(w);
    if (controller->error.fix[0] != '\0') {
        px_jsonw_string(w, controller->error.fix);
    }
    px_jsonw_end_array(w);
    px_jsonw_key_string(w, "log", controller->error.log[0] != '\0' ? controller->error.log : NULL);
    px_jsonw_end_object(w);
}

void px__describe_cluster(const px_controller *controller, px_jsonw *w)
{
    uint64_t done = controller->done, failed = controller->failed, busy = 0;
    uint64_t queued = px_relay_waiting(controller->relay);
    const px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        unsigned in_flight = atomic_load(&seat->tally->in_flight);
        busy += in_flight > 0;
        queued += in_flight > 0 ? in_flight - 1 : 0;
        done += atomic_load(&seat->tally->done);
        failed += atomic_load(&seat->tally->failed);
    }
    char path[PATH_MAX + 32], pending[512];
    (void)snprintf(path, sizeof(path), "%s/cluster.json", controller->folder);
    px_jsonw_object(w);
    px_jsonw_key_string(w, "id", controller->name);
    px_jsonw_key_string(w, "launcher", controller->file.launcher);
    px_jsonw_key_string(w, "state", px_cluster_state_name(px_roster_state(controller->roster)));
    px_jsonw_key_int(w, "n", px_roster_wanted(controller->roster));
    px_jsonw_key_int(w, "ready", (int64_t)px_roster_usable(controller->roster));
    px_jsonw_key_bool(w, "restart", controller->restart);
    px_jsonw_key_string(w, "since", controller->file.started);
    px_jsonw_key_int(w, "pid", controller->file.pid);
    px_jsonw_key_string(w, "host", controller->file.host);
    px_jsonw_key_int(w, "clients", (int64_t)controller->n_clients);
    px_jsonw_key_int(w, "busy", (int64_t)busy);
    px_jsonw_key_int(w, "queued", (int64_t)queued);
    px_jsonw_key_int(w, "done", (int64_t)done);
    px_jsonw_key_int(w, "failed", (int64_t)failed);
    px_jsonw_key(w, "error");
    px__describe_error(controller, w);
    px__jobs_words(controller, pending, sizeof(pending));
    px_jsonw_key_string(w, "pending", pending[0] != '\0' ? pending : NULL);
    px_jsonw_key_string(w, "file", path);
    px_jsonw_key(w, "attached_to");
    if (controller->attach != 0) {
        px_jsonw_int(w, controller->attach);
    } else {
        px_jsonw_null(w);
    }
    px_jsonw_end_object(w);
}
