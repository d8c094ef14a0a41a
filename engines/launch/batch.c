// batch.c: five batch systems, told apart by a table.
//
// Each engine is a process of its own, wherever the system puts it: srun starts n tasks of one job,
// the others know arrays of jobs. The cluster's file travels inside the script, which the system
// keeps as it keeps every user's script; no folder has to be shared.

#include "batch.h"

#include <stdio.h>
#include <string.h>

struct px_batch {
    const char *name;
    const char *submit[4]; // the script's path comes last, or is stdin
    bool script_is_stdin;
    const char *query[8]; // "%" stands for the id
    const char *cancel[4];
    const char *mark; // where the id begins in what submitting says; "": at once
    const char *head; // lines of the script; {…} as in a template
    const char *queue_line, *account_line, *array_line;
    const char *run; // what runs the command
};

static const px_batch systems[] = {
    {.name = "slurm",
     .submit = {"sbatch", "--parsable"},
     .query = {"squeue", "-h", "-j", "%", "-o", "%T (%r)"},
     .cancel = {"scancel", "%"},
     .mark = "",
     .head = "#SBATCH --job-name=px-{name}\n#SBATCH --ntasks={n}\n#SBATCH --output=/dev/null\n",
     .queue_line = "#SBATCH --partition={queue}\n",
     .account_line = "#SBATCH --account={account}\n",
     .array_line = "",
     .run = "srun --kill-on-bad-exit=0 --input=all /bin/sh -c '{command}'"},
    {.name = "pbs",
     .submit = {"qsub"},
     .query = {"qstat", "%"},
     .cancel = {"qdel", "%"},
     .mark = "",
     .head = "#PBS -N px-{name}\n#PBS -o /dev/null\n#PBS -e /dev/null\n",
     .queue_line = "#PBS -q {queue}\n",
     .account_line = "#PBS -A {account}\n",
     .array_line = "#PBS -J 1-{n}\n",
     .run = "/bin/sh -c '{command}'"},
    {.name = "sge",
     .submit = {"qsub", "-terse"},
     .query = {"qstat", "-j", "%"},
     .cancel = {"qdel", "%"},
     .mark = "",
     .head = "#$ -S /bin/sh\n#$ -N px-{name}\n#$ -o /dev/null\n#$ -e /dev/null\n",
     .queue_line = "#$ -q {queue}\n",
     .account_line = "#$ -A {account}\n",
     .array_line = "#$ -t 1-{n}\n",
     .run = "/bin/sh -c '{command}'"},
    {.name = "lsf",
     .submit = {"bsub"},
     .script_is_stdin = true,
     .query = {"bjobs", "-noheader", "-o", "stat pend_reason", "%"},
     .cancel = {"bkill", "%"},
     .mark = "Job <",
     .head = "#BSUB -J px-{name}[1-{n}]\n#BSUB -o /dev/null\n",
     .queue_line = "#BSUB -q {queue}\n",
     .account_line = "#BSUB -P {account}\n",
     .array_line = "",
     .run = "/bin/sh -c '{command}'"},
    {.name = "htcondor",
     .submit = {"condor_submit"},
     .query = {"condor_q", "%", "-af", "JobStatus", "HoldReason"},
     .cancel = {"condor_rm", "%"},
     .mark = "submitted to cluster ",
     .head = NULL, // a description, and no script: see condor()
     .run = "/bin/sh -c '{command}'"},
};

const px_batch *px_batch_find(const char *name)
{
    for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++) {
        if (strcmp(systems[i].name, name) == 0) {
            return &systems[i];
        }
    }
    return NULL;
}

// --- scripts -------------------------------------------------------------------------------------

static void put_word(px_buf *out, const px_batch_job *job, const char *word, size_t size)
{
    const struct {
        const char *word, *value;
    } words[] = {{"{name}", job->name},
                 {"{queue}", job->queue},
                 {"{account}", job->account},
                 {"{command}", job->command}};
    if (size == 3 && strncmp(word, "{n}", 3) == 0) {
        px_buf_printf(out, "%u", job->n);
        return;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (size == strlen(words[i].word) && strncmp(word, words[i].word, size) == 0) {
            px_buf_append_str(out, words[i].value != NULL ? words[i].value : "");
            return;
        }
    }
    px_buf_append(out, word, size); // the shell's own
}

static void fill(px_buf *out, const px_batch_job *job, const char *text)
{
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        px_buf_append(out, text, plain);
        text += plain;
        if (*text == '{') {
            size_t size = strcspn(text, "}");
            size += text[size] == '}';
            put_word(out, job, text, size);
            text += size;
        }
    }
}

static void here(px_buf *out, const px_batch_job *job)
{
    px_buf_printf(out, " <<'PX_CLUSTER_FILE'\n%s\nPX_CLUSTER_FILE\n", job->file);
}

// condor writes a description whose job is a shell that gets everything as one argument.
static void condor(const px_batch_job *job, px_buf *out)
{
    PX_AUTO_BUF command = {0};
    fill(&command, job, "printf %s \"$0\" | /bin/sh -c '{command}'");
    px_buf_append(&command, "", 1);
    px_buf_append_str(out, "universe = vanilla\nexecutable = /bin/sh\ngetenv = True\n");
    px_buf_append_str(out, "transfer_executable = False\narguments = \"-c '");
    for (const char *at = (const char *)command.data; at != NULL && *at != '\0'; at++) {
        px_buf_append_str(out, *at == '\'' ? "''" : *at == '"' ? "\"\"" : (char[]){*at, '\0'});
    }
    px_buf_append_str(out, "' '");
    for (const char *at = job->file; *at != '\0'; at++) {
        px_buf_append_str(out, *at == '"' ? "\"\"" : (char[]){*at, '\0'});
    }
    px_buf_append_str(out, "'\"\n");
    if (job->account != NULL) {
        px_buf_printf(out, "accounting_group = %s\n", job->account);
    }
    px_buf_printf(out, "queue %u\n", job->n);
}

void px_batch_script(const px_batch *batch, const px_batch_job *job, px_buf *out)
{
    if (job->template != NULL) {
        fill(out, job, job->template);
        here(out, job);
        return;
    }
    if (batch->head == NULL) {
        condor(job, out);
        return;
    }
    px_buf_append_str(out, "#!/bin/sh\n");
    fill(out, job, batch->head);
    fill(out, job, job->queue != NULL ? batch->queue_line : "");
    fill(out, job, job->account != NULL ? batch->account_line : "");
    fill(out, job, job->n > 1 ? batch->array_line : ""); // an array of one is none
    fill(out, job, batch->run);
    here(out, job);
}

// --- commands ------------------------------------------------------------------------------------

static void words(const char *const *from, const char *id, char *argv[PX_BATCH_WORDS])
{
    size_t n = 0;
    for (; from[n] != NULL && n + 1 < PX_BATCH_WORDS; n++) {
        argv[n] = (char *)(strcmp(from[n], "%") == 0 ? id : from[n]);
    }
    argv[n] = NULL;
}

void px_batch_submit(const px_batch *batch, const char *script, char *argv[PX_BATCH_WORDS],
                     const char **ret_stdin)
{
    size_t n = 0;
    for (; n < 4 && batch->submit[n] != NULL; n++) {
        argv[n] = (char *)batch->submit[n];
    }
    if (!batch->script_is_stdin) {
        argv[n++] = (char *)script;
    }
    argv[n] = NULL;
    *ret_stdin = batch->script_is_stdin ? script : NULL;
}

void px_batch_query(const px_batch *batch, const char *id, char *argv[PX_BATCH_WORDS])
{
    words(batch->query, id, argv);
}

void px_batch_cancel(const px_batch *batch, const char *id, char *argv[PX_BATCH_WORDS])
{
    words(batch->cancel, id, argv);
}

bool px_batch_read_id(const px_batch *batch, const char *said, char ret_id[PX_JOB_ID_SIZE])
{
    const char *at = strstr(said, batch->mark);
    if (at == NULL) {
        return false;
    }
    if (batch->mark[0] == '\0') { // warnings may come first: the last line is the answer
        const char *last = strrchr(said, '\n');
        at = last != NULL ? last + 1 : said;
    }
    at += strlen(batch->mark);
    size_t size = strcspn(at, ";>. \n");
    // "123[].server" is a PBS array and "123.1-4:1" one of SGE: the number, and [] where it stands.
    if (size == 0 || size >= PX_JOB_ID_SIZE || at[0] < '0' || at[0] > '9') {
        return false;
    }
    memcpy(ret_id, at, size);
    ret_id[size] = '\0';
    return true;
}
