// cli.h: what the commands of pxcluster share. One thread, blocking.
#ifndef PX_ENGINES_CLI_H
#define PX_ENGINES_CLI_H

#include "px/cluster.h"
#include "px/json.h"
#include "px/link.h"
#include "px/session.h"

#include <stdbool.h>

// Exit codes; the Cluster tab's server turns them into HTTP status codes.
enum {
    PX_EXIT_OK = 0,
    PX_EXIT_OTHER = 1,
    PX_EXIT_USAGE = 2,
    PX_EXIT_NO_CLUSTER = 3,
    PX_EXIT_EXISTS = 4,
    PX_EXIT_NO_LAUNCHER = 5,
    PX_EXIT_FAILED = 6,
    PX_EXIT_TIMEOUT = 7
};

// px_cli is a command line, read.
typedef struct px_cli {
    const char *command;
    const char *name; // of the cluster; "default" unless given
    bool name_given, json, all, no_wait, until_stdin_closes, restart;
    long long n;      // -1: not given
    long long engine; // -1: not given
    long long add;    // engines; 0: not given
    long long tail;   // lines
    long long timeout_ms;
    long long attach;                                   // 0: not given
    const char *cwd, *preload, *signal, *engines, *set; // NULL: not given
    char *for_controller[24]; // options and values that are the controller's
    size_t n_for_controller;
} px_cli;

// px_problem is what went wrong. NULL members are left out. Strings are borrowed.
typedef struct px_problem {
    int exit_code;
    const char *code; // for programs, such as "no-cluster"
    const char *message, *cause, *fix, *log;
} px_problem;

// px_cli_fail prints it (JSON on stdout, or text on stderr) and gives the exit code. It always says
// what to do: a general step where `fix` is missing.
int px_cli_fail(const px_cli *cli, const px_problem *problem);
// px_cli_print writes a finished buffer and a newline to stdout.
void px_cli_print(const px_buf *out);

// px_talk is a connection to a controller, registered as a client. Freed with px_talk_close.
typedef struct px_talk px_talk;
// px_talk_open registers; timeout in ms for all that is asked through it.
px_err px_talk_open(const px_cluster_file *file, int timeout_ms, px_talk **ret_talk,
                    px_error *reterr);
// px_talk_begin does not wait for the answer to the registration, which px_talk_next gives. watch:
// to be sent stats as well.
px_err px_talk_begin(const px_cluster_file *file, bool watch, px_talk **ret_talk, px_error *reterr);
void px_talk_close(px_talk *talk);
PX_DEFINE_AUTO(px_talk, px_talk_close)
px_link *px_talk_link(px_talk *talk);
// px_talk_send sends a request without waiting. content: a JSON object.
px_err px_talk_send(px_talk *talk, const char *msg_type, px_slice content);
// px_talk_next gives the next message, waiting at most timeout_ms (-1: as long as it takes).
// PX_ETIMEOUT, PX_ECLOSED.
px_err px_talk_next(px_talk *talk, int timeout_ms, px_message **ret_message, px_error *reterr);
// px_talk_ask sends a request and gives its reply's content; PX_EINVAL with the controller's words
// when it answers with an error. Notifications in between are dropped.
px_err px_talk_ask(px_talk *talk, const char *msg_type, px_slice content, px_json **ret_content,
                   px_error *reterr);

// px_find reads the file of the cluster that the command names. Prints the problem when there is
// none and gives its exit code, PX_EXIT_OK when found.
int px_find(const px_cli *cli, px_cluster_file *ret_file);
// px_reach is px_find and px_talk_open.
int px_reach(const px_cli *cli, px_cluster_file *ret_file, px_talk **ret_talk);
// px_each_cluster calls visit with the name of each cluster that lives, in order of the names, and
// removes the folders of those that do not. ret_swept (may be NULL) counts these.
px_err px_each_cluster(void (*visit)(void *context, const char *name), void *context,
                       size_t *ret_swept, px_error *reterr);
// px_running writes the names of all clusters that live, comma separated ("none").
void px_running(char *ret_text, size_t size);

// px_show: one Cluster with its engines, as JSON. From a status_reply's content.
void px_show_json(const px_json *status, px_jsonw *w);
void px_show_text(const px_json *status);
// px_show_lost describes a cluster whose controller does not answer, from its file.
void px_show_lost(const px_cluster_file *file, px_jsonw *w);
void px_show_host(px_jsonw *w);

// px_print_status prints the cluster as it is; gives the exit code.
int px_print_status(const px_cli *cli, px_talk *talk);
// px_wait_running waits until the cluster is what it should be and prints it; shows progress on a
// terminal. Gives the exit code.
int px_wait_running(const px_cli *cli, px_talk *talk);

// The commands; each gives the exit code.
int px_command_start(const px_cli *given);
int px_command_join(const px_cli *given);
int px_command_stop(const px_cli *cli);
int px_command_list(const px_cli *cli);
int px_command_status(const px_cli *cli);
int px_command_scale(const px_cli *cli);
int px_command_restart(const px_cli *cli);
int px_command_signal(const px_cli *cli); // and interrupt
int px_command_logs(const px_cli *cli);
int px_command_events(const px_cli *cli);
int px_command_clean(const px_cli *cli);
int px_command_launchers(const px_cli *cli);

// px_stop_cluster ends one cluster and waits until nothing of it is left; for stop and for start,
// which replaces a cluster that failed.
px_err px_stop_cluster(const px_cluster_file *file, int timeout_ms, px_error *reterr);

#endif
