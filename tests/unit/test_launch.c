// launch: what stands behind --engines, the scripts and words of the batch systems, and children.
#include "launch/batch.h"
#include "launch/child.h"
#include "launch/spec.h"
#include "unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(kinds_are_read)
{
    px_launch_spec spec = {0};
    ok(px_launch_parse("Local", &spec, NULL));
    ck_assert_int_eq(spec.kind, PX_LAUNCH_LOCAL);
    ok(px_launch_parse("slurm", &spec, NULL));
    ck_assert_int_eq(spec.kind, PX_LAUNCH_BATCH);
    ck_assert_str_eq(spec.name, "slurm");
    ok(px_launch_parse("MPI", &spec, NULL));
    ck_assert_int_eq(spec.kind, PX_LAUNCH_MPI);
}
END_TEST

START_TEST(hosts_are_read)
{
    px_launch_spec spec = {0};
    ok(px_launch_parse("ssh:big=8,me@small:2222=2,other", &spec, NULL));
    ck_assert_uint_eq(spec.n_hosts, 3);
    ck_assert_str_eq(spec.hosts[0].target, "big");
    ck_assert_uint_eq(spec.hosts[0].n, 8);
    ck_assert_str_eq(spec.hosts[1].target, "me@small");
    ck_assert_str_eq(spec.hosts[1].port, "2222");
    ck_assert_uint_eq(spec.hosts[2].n, 0);
    ck_assert_uint_eq(px_launch_total(&spec), 11);
    px_launch_done(&spec);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    static const struct {
        const char *text, *says;
    } cases[] = {{"telepathy", "there are local, ssh"},
                 {"", "no launcher"},
                 {"ssh", "needs hosts"},
                 {"ssh:", "needs hosts"},
                 {"ssh:a,,b", "empty"},
                 {"ssh:a=0", "from 1 to 4096"},
                 {"ssh:a=x", "from 1 to 4096"},
                 {"ssh:a:99999", "no port"},
                 {"ssh:-oProxyCommand=1", "no host"},
                 {"ssh:=3", "no host"},
                 {"slurm:here", "takes no hosts"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        px_launch_spec spec = {0};
        px_error error = {0};
        fails_with(PX_EINVAL, px_launch_parse(cases[i].text, &spec, &error));
        ck_assert_msg(strstr(error.text, cases[i].says) != NULL, "%s: %s", cases[i].text,
                      error.text);
        ck_assert_ptr_null(spec.hosts);
    }
}
END_TEST

static void has(const px_buf *script, const char *text)
{
    ck_assert_msg(memmem(script->data, script->size, text, strlen(text)) != NULL, "no %s in\n%.*s",
                  text, (int)script->size, (const char *)script->data);
}

static void lacks(const px_buf *script, const char *text)
{
    ck_assert_ptr_null(memmem(script->data, script->size, text, strlen(text)));
}

START_TEST(scripts_ask_for_n_processes)
{
    static const struct {
        const char *name, *one, *many, *queue;
    } cases[] = {{"slurm", "#SBATCH --ntasks=1", "#SBATCH --ntasks=3", "--partition=fast"},
                 {"pbs", "#PBS -N px-unit", "#PBS -J 1-3", "#PBS -q fast"},
                 {"sge", "#$ -N px-unit", "#$ -t 1-3", "#$ -q fast"},
                 {"lsf", "px-unit[1-1]", "px-unit[1-3]", "#BSUB -q fast"},
                 {"htcondor", "queue 1", "queue 3", "universe"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const px_batch *batch = px_batch_find(cases[i].name);
        PX_AUTO_BUF one = {0};
        PX_AUTO_BUF many = {0};
        ck_assert_ptr_nonnull(batch);
        px_batch_job job = {.name = "unit", .n = 1, .command = "join", .file = "{\"a\":1}"};
        px_batch_script(batch, &job, &one);
        job.n = 3;
        job.queue = "fast";
        px_batch_script(batch, &job, &many);
        ok(px_buf_status(&many));
        has(&one, cases[i].one);
        has(&many, cases[i].many);
        has(&many, cases[i].queue);
        lacks(&one, "fast");
        lacks(&one, "-J 1-1");
        has(&one, "join");
    }
    ck_assert_ptr_null(px_batch_find("local"));
}
END_TEST

START_TEST(a_template_is_filled_in)
{
    PX_AUTO_BUF script = {0};
    const px_batch_job job = {.name = "unit",
                              .n = 2,
                              .queue = "q",
                              .command = "join",
                              .file = "{}",
                              .template = "#!/bin/sh\n# {name} {n} {queue} {account}.\n"
                                          "X=${HOME} srun {command}"};
    px_batch_script(px_batch_find("slurm"), &job, &script);
    expect_text(px_buf_slice(&script), "#!/bin/sh\n# unit 2 q .\nX=${HOME} srun join "
                                       "<<'PX_CLUSTER_FILE'\n{}\nPX_CLUSTER_FILE\n");
}
END_TEST

START_TEST(ids_are_found)
{
    static const struct {
        const char *name, *said, *id;
    } cases[] = {{"slurm", "123", "123"},
                 {"slurm", "sbatch: warning: something\n77;cluster", "77"},
                 {"pbs", "1234[].server.name", "1234[]"},
                 {"pbs", "1234.server", "1234"},
                 {"sge", "55.1-4:1", "55"},
                 {"lsf", "Job <9> is submitted to queue <normal>.", "9"},
                 {"htcondor", "Submitting job(s)..\n2 job(s) submitted to cluster 37.", "37"}};
    char id[PX_JOB_ID_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert(px_batch_read_id(px_batch_find(cases[i].name), cases[i].said, id));
        ck_assert_str_eq(id, cases[i].id);
    }
    ck_assert(!px_batch_read_id(px_batch_find("slurm"), "", id));
    ck_assert(!px_batch_read_id(px_batch_find("slurm"), "no such partition", id));
    ck_assert(!px_batch_read_id(px_batch_find("lsf"), "no", id));
}
END_TEST

START_TEST(words_name_the_job)
{
    char *argv[PX_BATCH_WORDS];
    const char *input = NULL;
    px_batch_submit(px_batch_find("slurm"), "/x/job.sh", argv, &input);
    ck_assert_str_eq(argv[2], "/x/job.sh");
    ck_assert_ptr_null(input);
    px_batch_submit(px_batch_find("lsf"), "/x/job.sh", argv, &input);
    ck_assert_ptr_null(argv[1]);
    ck_assert_str_eq(input, "/x/job.sh");
    px_batch_cancel(px_batch_find("slurm"), "7", argv);
    ck_assert_str_eq(argv[1], "7");
    px_batch_query(px_batch_find("htcondor"), "7", argv);
    ck_assert_str_eq(argv[1], "7");
}
END_TEST

START_TEST(a_child_has_the_two_ends_of_its_line)
{
    char *argv[] = {"cat", NULL};
    char said[8] = "";
    int status = 0;
    px_child_line line;
    ok(px_child_line_start(&(px_child){.argv = argv, .err = -1}, &line, NULL));
    ck_assert_int_eq(write(line.to, "ciao", 4), 4);
    ck_assert_int_eq(read(line.from, said, sizeof(said)), 4);
    ck_assert_str_eq(said, "ciao");
    (void)close(line.to);
    ck_assert_int_eq(read(line.from, said, sizeof(said)), 0);
    ck_assert_int_eq(waitpid(line.pid, &status, 0), line.pid);
    ck_assert(WIFEXITED(status));
    (void)close(line.from);
}
END_TEST

START_TEST(a_child_blocks_and_ignores_no_signal)
{
    char *argv[] = {"sh", "-c", "grep -q 'SigBlk:.0000000000000000' /proc/self/status", NULL};
    const px_child child = {.argv = argv, .in = -1, .out = -1, .err = -1};
    sigset_t all;
    pid_t pid = 0;
    int status = 0;
    (void)sigfillset(&all);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &all, NULL), 0);
    ck_assert_int_eq(px_child_start(&child, &pid), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_named)
{
    char *argv[] = {"/no/such/program", NULL};
    px_child_line line;
    px_error error = {0};
    ck_assert_int_eq(px_child_line_start(&(px_child){.argv = argv, .err = -1}, &line, &error),
                     PX_ENOENT);
    ck_assert_str_eq(error.text, "cannot start /no/such/program: No such file or directory");
}
END_TEST

UNIT_MAIN("launch", kinds_are_read, hosts_are_read, what_is_wrong_is_said,
          scripts_ask_for_n_processes, a_template_is_filled_in, ids_are_found, words_name_the_job,
          a_child_has_the_two_ends_of_its_line, a_child_blocks_and_ignores_no_signal,
          a_program_that_is_not_there_is_named)
