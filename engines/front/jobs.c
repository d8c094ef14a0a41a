// jobs.c: requests under way, by task number and by message id, and the last thousand that are
// done: what get_result, history and result_status of a client ask for.

#include "front.h"

#include <utlist.h>

#include <stdlib.h>

#define RECORDS_KEPT 1024

px_job *px__job_new(px_front *front, px_door door)
{
    px_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->door = door;
    job->task = ++front->next_task;
    px_stamp_now(job->started);
    HASH_ADD(by_task, front->jobs_by_task, task, sizeof(job->task), job);
    DL_APPEND(front->jobs, job);
    return job;
}

void px__job_record(px_front *front, px_job *job)
{
    px_job *before = px__job_by_id(front, job->request->msg_id);
    if (before != NULL) {
        HASH_DELETE(by_id, front->jobs_by_id, before);
        before->recorded = false;
    }
    job->recorded = true;
    HASH_ADD_KEYPTR(by_id, front->jobs_by_id, job->request->msg_id, strlen(job->request->msg_id),
                    job);
}

px_job *px__job_by_task(const px_front *front, uint64_t task)
{
    px_job *job;
    HASH_FIND(by_task, front->jobs_by_task, &task, sizeof(task), job);
    return job;
}

px_job *px__job_by_id(const px_front *front, const char *msg_id)
{
    px_job *job;
    HASH_FIND(by_id, front->jobs_by_id, msg_id, strlen(msg_id), job);
    return job;
}

static void free_gather(px_gather *gather)
{
    for (size_t i = 0; gather != NULL && i < gather->n; i++) {
        if (gather->jobs[i] != NULL) {
            gather->jobs[i]->gather = NULL;
        }
    }
    if (gather != NULL) {
        free(gather->jobs);
        free(gather);
    }
}

void px__job_forget(px_front *front, px_job *job)
{
    HASH_DELETE(by_task, front->jobs_by_task, job);
    if (job->recorded) {
        HASH_DELETE(by_id, front->jobs_by_id, job);
        front->n_records -= job->done ? 1 : 0;
    }
    DL_DELETE(front->jobs, job);
    free_gather(job->gather);
    px_message_free(job->request);
    px_message_free(job->reply);
    free(job->original);
    free(job->resubmitted);
    px_buf *const texts[] = {&job->header,         &job->metadata,    &job->content,
                             &job->stdout_text,    &job->stderr_text, &job->execute_input,
                             &job->execute_result, &job->error};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        px_buf_done(texts[i]);
    }
    free(job);
}

// drop_oldest makes room for one more record.
static void drop_oldest(px_front *front)
{
    px_job *job, *next;
    DL_FOREACH_SAFE (front->jobs, job, next) {
        if (job->done && job->recorded && front->n_records > RECORDS_KEPT) {
            px__job_forget(front, job);
        } else if (front->n_records <= RECORDS_KEPT) {
            return;
        }
    }
}

void px__job_done(px_front *front, px_job *job)
{
    job->done = true;
    if (!job->recorded) {
        px__job_forget(front, job);
        return;
    }
    front->n_records++;
    drop_oldest(front);
}

void px__jobs_free(px_front *front)
{
    while (front->jobs != NULL) {
        px__job_forget(front, front->jobs);
    }
}
