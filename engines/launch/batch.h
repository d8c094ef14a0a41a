// batch.h: batch systems: the script that asks for n engines, and the words for submitting, asking
// and taking back.
#ifndef PX_ENGINES_BATCH_H
#define PX_ENGINES_BATCH_H

#include "px/buf.h"
#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PX_JOB_ID_SIZE 64
#define PX_BATCH_WORDS 12

typedef struct px_batch px_batch;

// px_batch_find: "slurm", "pbs", "sge", "lsf", "htcondor"; NULL for others.
const px_batch *px_batch_find(const char *name);

// px_batch_job is what a script is made of. Borrowed.
typedef struct px_batch_job {
    const char *name;            // of the cluster
    uint32_t n;                  // engines, one process each
    const char *queue, *account; // NULL: the system's own choice
    const char *command;         // what each process runs, for /bin/sh; it reads file from stdin
    const char *file;            // what stands in cluster.json
    const char *template; // a script of the user's with {name} {n} {queue} {account} {command};
                          // NULL: ours
} px_batch_job;
void px_batch_script(const px_batch *batch, const px_batch_job *job, px_buf *out);

// Command lines, with script or id in its place; text is storage for the words.
void px_batch_submit(const px_batch *batch, const char *script, char *argv[PX_BATCH_WORDS],
                     const char **ret_stdin);
void px_batch_query(const px_batch *batch, const char *id, char *argv[PX_BATCH_WORDS]);
void px_batch_cancel(const px_batch *batch, const char *id, char *argv[PX_BATCH_WORDS]);
// px_batch_read_id finds the job's id in what submitting said; false when there is none.
bool px_batch_read_id(const px_batch *batch, const char *said, char ret_id[PX_JOB_ID_SIZE]);

#endif
