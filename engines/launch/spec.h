// spec.h: the words after --engines: how, and where, engines are started.
//
//   local                         forked here
//   ssh:HOST[=N][,HOST[=N]…]      on other hosts, by their sshd; HOST may be user@host:port
//   mpi                           by one mpiexec
//   slurm pbs sge lsf htcondor    by a batch system
#ifndef PX_ENGINES_SPEC_H
#define PX_ENGINES_SPEC_H

#include "px/err.h"

#include <stddef.h>
#include <stdint.h>

typedef enum px_launch_kind {
    PX_LAUNCH_LOCAL,
    PX_LAUNCH_SSH,
    PX_LAUNCH_MPI,
    PX_LAUNCH_BATCH // by template: slurm and its kin
} px_launch_kind;

#define PX_MOST_HOSTS 512

// px_launch_host is one host of an ssh list. n 0: as many as come to it.
typedef struct px_launch_host {
    char target[256]; // user@host
    char port[8];     // "" when it is ssh's own choice
    uint32_t n;
} px_launch_host;

typedef struct px_launch_spec {
    px_launch_kind kind;
    char name[16]; // "local", "ssh", "slurm", …
    px_launch_host *hosts;
    size_t n_hosts;
} px_launch_spec;

// px_launch_parse reads text; PX_EINVAL with a sentence. px_launch_done frees.
px_err px_launch_parse(const char *text, px_launch_spec *ret_spec, px_error *reterr);
void px_launch_done(px_launch_spec *spec);
// px_launch_total is how many engines an ssh list asks for (0: it does not say).
uint32_t px_launch_total(const px_launch_spec *spec);

#endif
