// jobs.h: engines from a batch system or from mpiexec: jobs are submitted for what is ordered and
// has no nest; what they start joins by itself (`pxcluster join`). Thread px-admin.
#ifndef PX_ENGINES_JOBS_H
#define PX_ENGINES_JOBS_H

#include "../launch/batch.h"
#include "../launch/run.h"
#include "controller.h"

// px_job is one submission.
typedef struct px_job {
    px_controller *controller;
    char id[PX_JOB_ID_SIZE]; // "" until the system has said it
    uint32_t n;
    char state[200]; // in the system's words
    px_run *run;     // what is asked of the system now; mpi: mpiexec itself
    enum { PX_JOB_SUBMITTING, PX_JOB_LIVES, PX_JOB_ENDING, PX_JOB_OVER } stage;
    struct px_job *next, *prev;
} px_job;

// px__jobs_need: an engine is ordered and waits. px__jobs_waiting counts them all.
void px__jobs_need(px_controller *controller);
size_t px__jobs_waiting(const px_controller *controller);
// px__jobs_words says in short why engines are not there yet; "" when none waits.
void px__jobs_words(const px_controller *controller, char *ret_text, size_t size);
// px__jobs_cancel takes all back; px__jobs_over tells when that is done.
void px__jobs_cancel(px_controller *controller);
bool px__jobs_over(const px_controller *controller);
void px__jobs_free(px_controller *controller);

#endif
