// controller.h: px-admin: the struct that its files share. Thread px-admin only, but for what
// relay.h says of the tallies.
//
//   main.c      options, start, end                    hub.c      control connections, registration
//   orders.c    carries out what the roster orders     requests.c what clients ask for
//   describe.c  cluster and engines as JSON            stats.c    CPU and memory, for who watches
//   death.c     how an engine ended, in words          files.c    run folder, lock, cluster.json
//   nests.c     zygotes on other hosts                 ssh.c      how they are reached
#ifndef PX_ENGINES_CONTROLLER_H
#define PX_ENGINES_CONTROLLER_H

#include "../launch/batch.h"
#include "../launch/spec.h"
#include "../launch/zygote_link.h"
#include "gate.h"
#include "heart.h"
#include "keeper.h"
#include "relay.h"
#include "roster.h"

#include "px/cluster.h"
#include "px/id.h"
#include "px/json.h"
#include "px/link.h"
#include "px/loop.h"
#include "px/session.h"

#include <uthash.h>

#define PX_MOST_ENGINES 4096
#define PX_HEART_PERIOD (3 * PX_NS_PER_S)
#define PX_HEART_MISSED 3

typedef struct px_controller px_controller;

// px_seat is an engine as px-admin knows it, from the order to spawn it until it is no longer
// listed.
typedef struct px_seat {
    uint32_t id;
    char uuid[PX_UUID_SIZE];
    char token[PX_SECRET_SIZE];
    char secret[PX_SECRET_SIZE];
    char python[16]; // its version
    pid_t pid;
    struct px_nest *nest; // that forked it; NULL: our own zygote, or none yet
    bool far;             // on another host (or reached as if it were)
    char host[256];       // "" until it says so
    px_tally *tally;      // owned by the controller's list: the relay may still count
    struct px_visitor *visitor;
    px_exit exit;
    char cause[512]; // "" while it lives
    double cpu;      // percent of one core, of the last sample
    uint64_t cpu_ns, rss, sampled_ns;
    UT_hash_handle hh;
} px_seat;

// px_visitor is one control connection.
typedef struct px_visitor {
    px_controller *controller;
    px_link *link;
    px_source *source;
    enum { PX_VISITOR_NEW, PX_VISITOR_CLIENT, PX_VISITOR_ENGINE, PX_VISITOR_NEST } role;
    struct px_nest *nest;
    uint32_t id;  // client or engine
    bool watches; // wants stats
    bool tool;    // a pxcluster command: not counted as a client
    bool closed;
    px_ns opened;
    struct px_visitor *next, *prev;
} px_visitor;

typedef struct px_tally_block {
    px_tally tally;
    struct px_tally_block *next;
} px_tally_block;

struct px_controller {
    // given
    const char *name, *preload;
    const char *set;           // the name of the engine set of the first n
    const char *ip, *location; // of the door to the network; NULL: none, or as ip says
    uint16_t port;
    uint32_t lease_s;
    const char *engines; // how they are started; NULL: here
    px_launch_spec launcher;
    const char *ssh, *remote_engine; // command of ssh, path of pxengine there; NULL: the usual ones
    const char *mpi;                 // command of mpiexec; NULL: the usual one
    const char *queue, *account, *template; // of a batch system; NULL: its own
    const px_batch *batch;                  // NULL: another launcher
    bool tunnel;                            // engines come back through ssh
    const char *results; // "none", "memory", "disk", or NULL: "disk", in memory when attached
    uint32_t n;
    bool restart; // engines that die are replaced
    pid_t attach;
    int status_fd; // where the starter waits for the outcome; -1: nowhere
    // made
    char folder[PATH_MAX];
    char program[PATH_MAX]; // pxengine
    px_cluster_file file;
    int lock_fd, signal_fd, owner_fd, control_fd, work_fd;
    uint64_t oom_kills;
    px_loop *loop;
    px_mailbox news;
    px_session *session;
    px_roster *roster;
    px_heart *heart;
    px_relay *relay;
    px_keeper *keeper; // NULL: results are not kept
    px_zygote *zygote;
    struct px_nest *nests;
    bool guests_first; // engines that are ordered now are for a nest that has come
    px_timer *nest_timer, *jobs_timer;
    struct px_job *jobs;
    px_gate *gate;  // NULL: not reached over the network
    bool door_shut; // no descriptor was left for one more visitor
    bool zygote_ready, zygote_quits, stopping, finished;
    px_source *control_source;
    px_timer *roster_timer, *heart_timer, *stats_timer, *door_timer;
    px_timer *news_timer; // the cluster's progress waits to be told; NULL: it does not
    px_ns told;           // when the cluster's state was told last
    px_seat *seats;
    px_visitor *visitors, *gone; // visitors: the clients first
    px_tally_block *tallies;
    uint32_t next_client;
    size_t n_clients, n_watchers;
    uint64_t done, failed; // of engines that are no longer listed
    uint64_t last_counts;  // of the last stats message
    // why the cluster failed or is degraded; code "" when it is not
    struct {
        char code[32], message[256], cause[768], fix[256], log[PATH_MAX];
    } error;
};

// files.c: px__files_open makes the folder, takes its lock and sends our output to controller.log;
// px__files_publish writes cluster.json; px__files_remove takes everything away.
px_err px__files_open(px_controller *controller, px_error *reterr);
px_err px__files_publish(px_controller *controller, px_error *reterr);
void px__files_remove(px_controller *controller);
// px__files_results gives the path of the file of results, and makes its folder.
px_err px__files_results(const px_controller *controller, char ret_path[PATH_MAX],
                         px_error *reterr);
int px__log_open(const char *path); // to append; -1 and errno

// hub.c
void px__hub_knock(void *context, int events); // the control socket is readable
px_err px__hub_send(px_visitor *visitor, const char *msg_type, px_slice parent, px_slice content);
// px__hub_tell sends to every client.
void px__hub_tell(px_controller *controller, const char *msg_type, px_slice content);
void px__hub_close(px_visitor *visitor);
void px__hub_free_gone(px_controller *controller);

// requests.c: answers one verified message of a registered visitor.
void px__request(px_visitor *visitor, const px_message *message);

// px__answered sends px-store's answer to the client that asked, if it is still there. px__cancel
// aborts a task on behalf of the client that it belongs to.
void px__answered(px_controller *controller, const px_answer *answer);
void px__cancel(px_controller *controller, const px_answer *order);

// px__recall asks an engine to give a task back that it has not begun.
void px__recall(px_controller *controller, const px_news *news);

// orders.c
void px__carry_out(px_controller *controller, px_orders *orders); // and empties them
px_err px__zygote_start(px_controller *controller, px_error *reterr);
// px__cluster_changed tells who listens about the cluster's state.
void px__cluster_changed(px_controller *controller);
// px__signal_seat sends a signal to an engine's process, wherever it is.
void px__signal_seat(const px_seat *seat, int signum);
bool px__engine_busy(void *context, uint32_t engine);
// px__init_failed tells that engine did not do what was recorded for it; UINT32_MAX: that something
// could not be recorded.
void px__init_failed(px_controller *controller, uint32_t engine);
void px__stop(px_controller *controller, const char *why);
void px__fail(px_controller *controller, const char *code, const char *message, const char *cause,
              const char *fix);

// describe.c: append JSON. px__describe_seat: the Engine object; stats: only what changes each
// second.
void px__describe_seat(const px_controller *controller, const px_seat *seat, px_jsonw *w);
void px__describe_stats(const px_controller *controller, const px_seat *seat, px_jsonw *w);
void px__describe_engines(const px_controller *controller, px_jsonw *w); // the array
void px__describe_cluster(const px_controller *controller, px_jsonw *w); // without engines
void px__describe_error(const px_controller *controller, px_jsonw *w);

// death.c: fills seat->exit and seat->cause. signal, code: -1 when unknown.
void px__death(px_controller *controller, px_seat *seat, px_exit how);

// stats.c
void px__stats_sample(px_controller *controller, px_seat *seat, px_ns now);
void px__stats_wake(px_controller *controller); // something goes on, or somebody began to watch
void px__heart_set(px_controller *controller);  // the heart's timer as it is needed now
void px__heart_join(px_controller *controller); // an engine is new
void px__active(px_controller *controller);     // the relay said that something goes on

px_seat *px__seat(const px_controller *controller, uint32_t engine);
bool px__seat_silent(const px_controller *controller, const px_seat *seat);

#endif
