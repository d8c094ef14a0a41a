// front.h: pxfront: a door through which stock ipyparallel clients (7 to 9) come into a cluster.
//
// Towards the cluster it is a client like any other (two links); towards ipyparallel it is a
// controller: seven ZeroMQ sockets and a connection file. One thread, one loop.
//
//   main.c    options, sockets, connection file, life
//   doors.c   what clients send: mux, task, broadcast, control
//   inside.c  what the cluster sends: replies, outputs, losses, news of engines
//   hub.c     what clients ask: engines, queues, results, history; notifications
//   db.c      queries over what was done
//   jobs.c    requests under way and done
#ifndef PX_FRONT_H
#define PX_FRONT_H

#include "px/cluster.h"
#include "px/json.h"
#include "px/link.h"
#include "px/loop.h"
#include "px/session.h"
#include "px/sign.h"
#include "px/socket.h"
#include "px/time.h"

#include <uthash.h>

typedef enum px_door {
    PX_DOOR_HUB,
    PX_DOOR_NOTIFICATION,
    PX_DOOR_CONTROL,
    PX_DOOR_MUX,
    PX_DOOR_TASK,
    PX_DOOR_IOPUB,
    PX_DOOR_BROADCAST,
    PX_DOORS
} px_door;

#define PX_EARLY 64

// px_worker is an engine as clients know it; kept after its end, for late answers.
typedef struct px_worker {
    uint32_t id;
    char uuid[64];
    bool alive;
    UT_hash_handle by_id, by_uuid;
} px_worker;

// px_gather is one coalescing broadcast: its answers wait for each other.
typedef struct px_gather {
    size_t n, n_left;
    struct px_job **jobs; // in the order of the targets; owned by the table of jobs
} px_gather;

// px_job is one request to one engine. The table owns it: while under way, and then as a record.
typedef struct px_job {
    uint64_t task; // our number on the work link
    px_door door;
    px_message *request;
    px_message *reply; // NULL while under way, and when the engine was lost
    px_worker *worker; // NULL: the scheduler has not said yet
    char *original;    // broadcast: the message's id before it was made one for each engine
    px_gather *gather; // of a coalescing broadcast
    char started[PX_STAMP_SIZE], received[PX_STAMP_SIZE];
    bool done, failed, recorded, lost;
    bool unwanted;           // aborted once, and to be aborted once more if it is still under way
    bool nobody_waits;       // resubmitted: its result is only kept
    char *resubmitted;       // the id under which it was sent once more
    px_buf header, metadata; // of the reply, as sent
    px_buf content;          // of a reply that we made; else empty
    px_buf stdout_text, stderr_text;             // what it printed
    px_buf execute_input, execute_result, error; // contents; empty when there was none
    struct px_job *prev, *next;                  // in order of submission
    UT_hash_handle by_task, by_id;
} px_job;

typedef struct px_front {
    px_loop *loop;
    px_context *context;
    px_socket *doors[PX_DOORS];
    px_source *sources[PX_DOORS];
    uint16_t ports[PX_DOORS];
    px_cluster_file file;
    px_session *session;  // composes towards both sides: they have one key
    px_session *verifier; // of what comes in at the doors, and of the control link
    px_session *reader;   // of the work link
    px_signer *signer;    // of messages whose headers were written by others
    px_link *control, *work;
    px_source *control_source, *work_source;
    px_worker *workers_by_id, *workers_by_uuid;
    px_job *jobs, *jobs_by_task, *jobs_by_id;
    size_t n_records;
    uint64_t next_task;
    char path[PATH_MAX];       // of the connection file; "" before it is written
    char early[PX_EARLY][128]; // ids that were aborted before their requests came: two sockets
    unsigned next_early;
    px_timer *abort_timer; // NULL before the first abort
    int signal_fd;
    bool lost; // the cluster is gone
} px_front;

// doors.c
void px__door_message(px_front *front, px_door door, px_message *message); // takes message
// px__door_answer finishes a job with its reply: metadata, reply or made-up content.
void px__door_answer(px_front *front, px_job *job);
// px__door_resubmit sends a request once more, as a task, and gives its new id (the old job's to
// keep); NULL without memory.
const char *px__door_resubmit(px_front *front, px_job *done);
// px__send composes outgoing behind the identities of to (may be NULL) and prefix (may be NULL).
px_err px__send(px_front *front, px_door door, const px_message *to, const char *prefix,
                const px_outgoing *outgoing);

// inside.c
px_err px__inside_open(px_front *front, px_error *reterr);
void px__inside_close(px_front *front);
// px__inside_ask sends a control request; its answer is not waited for.
px_err px__inside_ask(px_front *front, const char *msg_type, px_slice content);
// px__inside_send sends frames from the delimiter on to engines; terms (may be NULL) for a TASK.
px_err px__inside_send(px_front *front, const px_route *route, const uint32_t *engines,
                       px_bytes *terms, const px_frames *frames, size_t first);
px_worker *px__worker(const px_front *front, uint32_t id);
px_worker *px__worker_by_uuid(const px_front *front, const char *uuid);

// hub.c
void px__hub_message(px_front *front, const px_message *message);
void px__hub_notify(px_front *front, const char *msg_type, const px_worker *worker);

// db.c: db_request: records by a query. The reply's members are appended to w, its buffers to
// ret_buffers (malloc'ed, borrowed). PX_EINVAL: the query is not understood.
px_err px__db_query(px_front *front, const px_json *content, px_jsonw *w, px_bytes ***ret_buffers,
                    size_t *ret_n);

// jobs.c
px_job *px__job_new(px_front *front, px_door door); // with a task number; NULL without memory
void px__job_record(px_front *front, px_job *job);  // can be found by its message's id from now on
px_job *px__job_by_task(const px_front *front, uint64_t task);
px_job *px__job_by_id(const px_front *front, const char *msg_id);
void px__job_done(px_front *front, px_job *job); // keeps it as a record, or frees it
void px__job_forget(px_front *front, px_job *job);
void px__jobs_free(px_front *front);

#endif
