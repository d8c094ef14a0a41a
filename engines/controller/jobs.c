// jobs.c: submits, asks, takes back.
//
// As many engines are asked for as wait and are in no job yet. Every few seconds the system is
// asked about its jobs while engines wait; a job that the system does not know any more has ended,
// and what still waits for it is given up with the system's last words. Jobs are taken back when
// the cluster stops. Should the controller be killed, what is still in the queue finds nobody to
// join, and ends at once.

#include "jobs.h"

#include "../launch/host.h"
#include "nests.h"

#include "px/connection.h"
#include "px/log.h"

#include <utlist.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOON_NS (20 * PX_NS_PER_MS) // orders come in crowds
#define ASK_NS (3 * PX_NS_PER_S)
#define MPI_WORDS 40

static void set_timer(px_controller *controller, px_ns after);

static bool is_mpi(const px_controller *controller)
{
    return controller->launcher.kind == PX_LAUNCH_MPI;
}

size_t px__jobs_waiting(const px_controller *controller)
{
    size_t n = 0;
    for (size_t i = 0; i < px_roster_count(controller->roster); i++) {
        const px_engine *engine = px_roster_at(controller->roster, i);
        const px_seat *seat = px__seat(controller, engine->id);
        n += engine->state == PX_ENGINE_SPAWNED && seat != NULL && seat->nest == NULL;
    }
    return n;
}

// promised is how many engines are still to come of the jobs that live.
static size_t promised(const px_controller *controller)
{
    size_t asked = 0, came = 0;
    const px_job *job;
    const px_nest *nest;
    DL_FOREACH (controller->jobs, job) {
        asked += job->stage == PX_JOB_SUBMITTING || job->stage == PX_JOB_LIVES ? job->n : 0;
    }
    DL_FOREACH (controller->nests, nest) {
        came += nest->visitor != NULL ? nest->capacity : 0;
    }
    return asked > came ? asked - came : 0;
}

void px__jobs_words(const px_controller *controller, char *ret_text, size_t size)
{
    size_t n = px__jobs_waiting(controller);
    ret_text[0] = '\0';
    if (n == 0 || controller->launcher.kind == PX_LAUNCH_LOCAL) {
        return;
    }
    int length = snprintf(ret_text, size, "%zu pending", n);
    const px_job *job;
    DL_FOREACH (controller->jobs, job) {
        if (job->stage == PX_JOB_LIVES && length > 0 && (size_t)length < size) {
            length += snprintf(ret_text + length, size - (size_t)length, "; job %s: %s", job->id,
                               job->state[0] != '\0' ? job->state : "submitted");
        }
    }
}

// give_up ends what waits and will not come.
static void give_up(px_controller *controller, const char *message, const char *said,
                    const char *fix)
{
    px_orders orders = {0};
    px__fail(controller, "launch-failed", message, said, fix);
    px_log_error("no engines from the launcher", "what=%s said=%s", message, said);
    for (size_t i = px_roster_count(controller->roster); i > 0; i--) {
        const px_engine *engine = px_roster_at(controller->roster, i - 1);
        px_seat *seat = px__seat(controller, engine->id);
        if (engine->state == PX_ENGINE_SPAWNED && seat != NULL && seat->nest == NULL) {
            (void)snprintf(seat->cause, sizeof(seat->cause), "%s: %.300s", message, said);
            px_roster_exited(controller->roster, px_now(), engine->id,
                             (px_exit){.signal = -1, .code = -1}, &orders);
        }
    }
    px__carry_out(controller, &orders);
}

static void job_over(px_job *job)
{
    px_controller *controller = job->controller;
    job->stage = PX_JOB_OVER;
    if (controller->zygote_quits && px__nests_over(controller) && px__jobs_over(controller)) {
        controller->finished = true;
    }
}

// --- asking --------------------------------------------------------------------------------------

static void query_ended(void *context, int code, const char *said)
{
    px_job *job = context;
    px_controller *controller = job->controller;
    char message[200], last[sizeof(job->state)];
    px_run_free(PX_STEAL(job->run));
    if (job->stage != PX_JOB_LIVES) {
        return;
    }
    const char *line = strrchr(said, '\n');
    (void)snprintf(last, sizeof(last), "%.*s", (int)sizeof(last) - 1,
                   line != NULL ? line + 1 : said);
    if (code == 0 && said[0] != '\0') {
        bool changed = strcmp(last, job->state) != 0;
        memcpy(job->state, last, sizeof(job->state));
        if (changed) {
            px_log_info("job", "id=%s state=%s", job->id, job->state);
            px__cluster_changed(controller);
        }
        return;
    }
    (void)snprintf(message, sizeof(message), "job %s has left the queue (it was: %.60s)", job->id,
                   job->state[0] != '\0' ? job->state : "submitted");
    job_over(job);
    if (!controller->stopping && px__jobs_waiting(controller) > promised(controller)) {
        give_up(controller, message,
                said[0] != '\0' ? said : "the system does not know it any more",
                "look into the system's own log of the job; `pxcluster restart` submits again");
    }
}

static void ask(px_job *job)
{
    char *argv[PX_BATCH_WORDS];
    px_error error = {0};
    px_batch_query(job->controller->batch, job->id, argv);
    if (px_run_start(job->controller->loop, &(const px_run_what){argv, NULL, query_ended, job},
                     &job->run, &error) != PX_OK) {
        (void)snprintf(job->state, sizeof(job->state), "%.150s", error.text);
    }
}

// --- submitting ----------------------------------------------------------------------------------

static void submitted(void *context, int code, const char *said)
{
    px_job *job = context;
    px_controller *controller = job->controller;
    char message[128];
    px_run_free(PX_STEAL(job->run));
    if (code == 0 && px_batch_read_id(controller->batch, said, job->id)) {
        px_log_info("job submitted", "id=%s engines=%u", job->id, job->n);
        job->stage = PX_JOB_LIVES;
        if (controller->stopping) {
            px__jobs_cancel(controller);
        } else {
            px__cluster_changed(controller);
            set_timer(controller, ASK_NS / 10);
        }
        return;
    }
    job_over(job);
    if (!controller->stopping) {
        (void)snprintf(message, sizeof(message), "%s did not take the job (exit code %d)",
                       controller->launcher.name, code);
        give_up(controller, message, said[0] != '\0' ? said : "it said nothing",
                "the script is job.sh in the run folder; --queue, --account and --template change "
                "it");
    }
}

static void mpi_ended(void *context, int code, const char *said)
{
    px_job *job = context;
    px_controller *controller = job->controller;
    char message[128];
    px_run_free(PX_STEAL(job->run));
    job_over(job);
    if (!controller->stopping && px__jobs_waiting(controller) > 0) {
        (void)snprintf(message, sizeof(message), "mpiexec ended with exit code %d", code);
        give_up(controller, message, said[0] != '\0' ? said : "it said nothing",
                "try it by hand: mpiexec -n 2 hostname; --mpi \"mpiexec …\" changes it");
    }
}

// find_cluster_program writes the path of pxcluster, which stands beside us.
static void find_cluster_program(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    (void)snprintf(slash != NULL ? slash : path, 16, "/pxcluster");
}

static px_err submit_mpi(px_job *job, px_error *reterr)
{
    px_controller *controller = job->controller;
    char own[1024], count[16], program[PATH_MAX], file[PATH_MAX + 32];
    char *argv[MPI_WORDS];
    size_t n = 0;
    (void)snprintf(own, sizeof(own), "%s", controller->mpi != NULL ? controller->mpi : "mpiexec");
    char *rest = own;
    for (char *word; n < MPI_WORDS - 16 && (word = strsep(&rest, " ")) != NULL;) {
        if (*word != '\0') {
            argv[n++] = word;
        }
    }
    find_cluster_program(program);
    (void)snprintf(count, sizeof(count), "%u", job->n);
    (void)snprintf(file, sizeof(file), "%s/cluster.json", controller->folder);
    char *more[] = {"-n", count, program, "join", file, "-n", "1"};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        argv[n++] = more[i];
    }
    if (controller->preload != NULL) {
        argv[n++] = "--preload";
        argv[n++] = (char *)controller->preload;
    }
    argv[n] = NULL;
    job->stage = PX_JOB_LIVES;
    (void)snprintf(job->id, sizeof(job->id), "mpiexec");
    (void)snprintf(job->state, sizeof(job->state), "running");
    return px_run_start(controller->loop, &(const px_run_what){argv, NULL, mpi_ended, job},
                        &job->run, reterr);
}

static px_err write_script(const px_job *job, const char *path, px_error *reterr)
{
    px_controller *controller = job->controller;
    char program[PATH_MAX];
    PX_AUTO_BUF file = {0};
    PX_AUTO_BUF command = {0};
    PX_AUTO_BUF script = {0};
    PX_AUTO_FREE char *template = NULL;
    size_t size = 0;
    px_jsonw w = px_jsonw_to(&file);
    px_cluster_file_json(&controller->file, true, &w);
    px_buf_append(&file, "", 1);
    find_cluster_program(program);
    px_buf_printf(&command, "px=$(command -v pxcluster) || px=\"%s\"; exec \"$px\" join - -n 1",
                  program);
    if (controller->preload != NULL) {
        px_buf_printf(&command, " --preload \"%s\"", controller->preload);
    }
    px_buf_append(&command, "", 1);
    PX_TRY(px_buf_status(&file));
    PX_TRY(px_buf_status(&command));
    if (controller->template != NULL) {
        PX_TRY(px_file_read(controller->template, 1 << 16, &template, &size, reterr));
    }
    const px_batch_job words = {.name = controller->name,
                                .n = job->n,
                                .queue = controller->queue,
                                .account = controller->account,
                                .command = (const char *)command.data,
                                .file = (const char *)file.data,
                                .template = template};
    px_batch_script(controller->batch, &words, &script);
    PX_TRY(px_buf_status(&script));
    return px_file_replace(path, script.data, script.size, 0600, reterr); // it holds the key
}

static px_err submit_batch(px_job *job, px_error *reterr)
{
    px_controller *controller = job->controller;
    char path[PATH_MAX + 32];
    char *argv[PX_BATCH_WORDS];
    const char *input = NULL;
    (void)snprintf(path, sizeof(path), "%s/job.sh", controller->folder);
    PX_TRY(write_script(job, path, reterr));
    px_batch_submit(controller->batch, path, argv, &input);
    return px_run_start(controller->loop, &(const px_run_what){argv, input, submitted, job},
                        &job->run, reterr);
}

static void submit(px_controller *controller, size_t n)
{
    px_error error = {0};
    px_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return; // the timer comes again
    }
    job->controller = controller;
    job->n = (uint32_t)n;
    DL_APPEND(controller->jobs, job);
    px_err err = is_mpi(controller) ? submit_mpi(job, &error) : submit_batch(job, &error);
    if (err != PX_OK) {
        job->stage = PX_JOB_OVER;
        give_up(controller, "the engines could not be started",
                error.text[0] != '\0' ? error.text : px_err_text(err),
                "check that the launcher's programs are installed and on the PATH");
    }
}

static void time_passed(void *context, px_ns now)
{
    px_controller *controller = context;
    (void)now;
    px_timer_remove(controller->jobs_timer);
    controller->jobs_timer = NULL;
    size_t n = px__jobs_waiting(controller);
    size_t coming = promised(controller);
    if (controller->stopping || n == 0) {
        return;
    }
    if (n > coming) {
        submit(controller, n - coming);
    }
    px_job *job, *next;
    DL_FOREACH_SAFE (controller->jobs, job, next) {
        if (job->stage == PX_JOB_LIVES && job->run == NULL && !is_mpi(controller)) {
            ask(job);
        }
    }
    if (!is_mpi(controller)) {
        set_timer(controller, ASK_NS);
    }
}

static void set_timer(px_controller *controller, px_ns after)
{
    px_ns due = px_now() + after;
    if (controller->jobs_timer != NULL) {
        px_timer_set(controller->jobs_timer, due);
    } else {
        (void)px_loop_add_timer(controller->loop, "jobs", due, 0, time_passed, controller,
                                &controller->jobs_timer);
    }
}

void px__jobs_need(px_controller *controller)
{
    if (controller->launcher.kind == PX_LAUNCH_MPI ||
        controller->launcher.kind == PX_LAUNCH_BATCH) {
        set_timer(controller, SOON_NS);
    }
}

// --- the end -------------------------------------------------------------------------------------

static void cancelled(void *context, int code, const char *said)
{
    px_job *job = context;
    px_run_free(PX_STEAL(job->run));
    if (code != 0) {
        px_log_warning("job not taken back", "id=%s said=%s", job->id, said);
    }
    job_over(job);
}

void px__jobs_cancel(px_controller *controller)
{
    px_job *job, *next;
    DL_FOREACH_SAFE (controller->jobs, job, next) {
        char *argv[PX_BATCH_WORDS];
        px_error error = {0};
        if (job->stage != PX_JOB_LIVES) {
            continue; // one that is being submitted is taken back when its id is known
        }
        job->stage = PX_JOB_ENDING;
        if (is_mpi(controller)) {
            px_run_signal(job->run, SIGTERM);
            continue;
        }
        px_run_free(PX_STEAL(job->run)); // a question
        px_batch_cancel(controller->batch, job->id, argv);
        if (px_run_start(controller->loop, &(const px_run_what){argv, NULL, cancelled, job},
                         &job->run, &error) != PX_OK) {
            px_log_warning("job not taken back", "id=%s cause=%s", job->id, error.text);
            job_over(job);
        }
    }
}

bool px__jobs_over(const px_controller *controller)
{
    const px_job *job;
    DL_FOREACH (controller->jobs, job) {
        if (job->stage != PX_JOB_OVER) {
            return false;
        }
    }
    return true;
}

void px__jobs_free(px_controller *controller)
{
    px_job *job, *next;
    px_timer_remove(controller->jobs_timer);
    DL_FOREACH_SAFE (controller->jobs, job, next) {
        px_run_free(job->run);
        free(job);
    }
    controller->jobs = NULL;
}
