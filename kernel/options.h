// options.h: the command line and the connection file, before anything runs.
#ifndef PX_KERNEL_OPTIONS_H
#define PX_KERNEL_OPTIONS_H

#include "kernel.h"

#include "px/err.h"
#include "px/log.h"

typedef enum px_mode { PX_MODE_KERNEL, PX_MODE_ENGINE, PX_MODE_ZYGOTE, PX_MODE_DONE } px_mode;

typedef struct px_options {
    px_mode mode;           // PX_MODE_DONE: all was said (--help, --version), exit 0
    const char *connection; // -f
    const char *transport, *ip;
    long long ports[5];                         // shell, iopub, stdin, control, hb; 0: not given
    const char *cluster, *cluster_file, *token; // engine
    long long engine_id;
    bool no_capture;
    bool no_warm;
    px_log_level log_level;
    int n_rest; // what C does not know, for Python
    char **rest;
} px_options;

// px_options_read reads argv; rest points into argv's strings and is allocated once. reterr says
// what is wrong.
px_err px_options_read(int argc, char **argv, px_options *ret_options, px_error *reterr);
// px_options_config makes the configuration: finds and reads the connection file, chooses what it
// leaves open.
px_err px_options_config(const px_options *options, px_config *ret_config, px_error *reterr);

// px_options_doors makes that of the sockets that `engine` binds for front ends (io/doors.h), on ip
// (NULL: loopback), with a key of their own.
px_err px_options_doors(const px_config *engine, const char *ip, px_config *ret_config,
                        px_error *reterr);

#endif
