// client.h: a registered client of one cluster, without Python.
//
// Threads. Any number of callers submit, wait and ask; one thread of our own, px-client, owns the
// loop. Who reads the work link is a role (client->reading): px-client plays it until somebody
// waits, then the waiting thread plays it itself, so that a reply wakes the thread that wants it
// and no other (wait.c).
//
// Locks, in the order in which they may be taken:
//   reading    who holds it receives from the work link and shows outputs
//   sending    who holds it composes and sends, on either link; links are closed under it
//   lock       tables, tasks, waiters; never held across a system call that could block
// None of these is ever held while waiting for the GIL, and the GIL may be held while taking any of
// them but `reading`.
//
// Ownership. px_client and px_task are counted; a task refers to its client. A client that is
// closed stays in memory until its last task is gone.
#ifndef PX_MAGICS_CLIENT_H
#define PX_MAGICS_CLIENT_H

#include "io/engines.h"
#include "io/lend.h"
#include "io/output.h"
#include "io/pending.h"

#include "px/bulk.h"
#include "px/cluster.h"
#include "px/err.h"
#include "px/kernel_api.h"
#include "px/link.h"
#include "px/loop.h"
#include "px/session.h"
#include "px/terms.h"
#include "px/time.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct px_client px_client;
typedef struct px_task px_task;

// Frames of a message on a link.
enum {
    PX_AT_ROUTE,
    PX_AT_DELIMITER,
    PX_AT_SIGNATURE,
    PX_AT_HEADER,
    PX_AT_PARENT,
    PX_AT_METADATA,
    PX_AT_CONTENT,
    PX_AT_BUFFERS
};

// px_slot is what one engine made of a request.
typedef struct px_slot {
    _Atomic px_slot_state state; // set last, under the lock; may be read without it
    double received;             // Unix time, when the reply came
    px_frames reply;             // the reply with its route; empty when it was made by us
    px_buf substitute; // the content that we made, when the engine or the controller was lost
    px_outputs outputs;
    size_t told; // bytes of text in outputs that were shown with a question
} px_slot;

// px_live is an output that nobody has taken yet, for callers that show outputs themselves.
typedef struct px_live {
    struct px_live *next;
    uint32_t slot;
    px_output *output; // a shown object; NULL for text
    bool is_stderr;
    px_buf text;
} px_live;

// px_task is one request. Fields before `n_done` are fixed once it is sent; the others are guarded
// by client->lock, `speaker` by client->reading.
struct px_task {
    px_pending_entry entry;
    px_client *client;
    char msg_id[PX_MSG_ID_SIZE];
    char *label; // NULL when it has none
    double submitted;
    px_targets targets;
    bool fetched;             // the result of another's request, whose msg_id this has
    bool balanced;            // one slot, whose engine is own_engine:
    uint32_t own_engine;      // guarded; that of the last message, at first PX_NO_ENGINE
    bool shows;               // outputs are shown as they come
    bool prefix;              // … with `[stdout:k] `
    const px_kernel_api *api; // NULL: outputs are queued in `live`
    px_parent *parent;
    px_speaker speaker; // under reading, as the next four (hold.c)
    bool began;         // an output came
    bool held;          // outputs are kept back until hold_until
    px_ns hold_until;
    struct px_task *held_next;
    unsigned refs;
    uint32_t n_done;
    bool indexed; // in client->pending
    bool abandoned;
    bool lends;   // segments that are lent belong to it
    bool shown;   // something went to the notebook
    bool lost;    // an engine of several died, or left, and owes its part for ever
    bool notify;  // call client->hooks.task_done when done
    bool listens; // call client->hooks.task_asks when an engine asks something
    int done_fd;  // eventfd, readable when done; -1: nobody asked
    px_bulk bulk; // segments that targets have yet to map
    px_live *live_first, *live_last;
    struct px_task *next_done; // while it is carried out of the lock
    void *owner;               // the caller's, for task_done
    px_letter letter;          // the caller's, for task_done
    px_slot *slots;            // one for each target
};

// px_client_hooks: task_done is called once for a task with `notify`, by whichever thread filled
// its last slot, without locks and without the GIL; the reference it gets is the callee's.
// task_asks is called for a task with `listens` when an engine asks something, before task_done, by
// whichever thread reads, with the lock: it must not call back. Its reference is the callee's too.
typedef struct px_client_hooks {
    void (*task_done)(px_task *task);
    void (*task_asks)(px_task *task);
} px_client_hooks;

// px_interrupted is asked when a signal ended a wait: true gives up with PX_EINTR. It may take the
// GIL.
typedef bool px_interrupted(void *context);

typedef struct px_client_options {
    const char *name;   // of the cluster
    const char *python; // version, for the controller's books
    px_ns timeout;
    const px_client_hooks *hooks; // outlives the client
    px_interrupted *interrupted;
    void *interrupted_context;
} px_client_options;

// px_client_open connects and registers both links and starts px-client. PX_ENOENT: no such
// cluster; PX_ETIMEOUT; PX_EPERM; PX_EINTR when interrupted said so.
px_err px_client_open(const px_client_options *options, px_client **ret_client, px_error *reterr);
// px_client_close ends the connection: open slots are filled with reason, waits end, the thread is
// joined. Twice does nothing. Not from px-client or a hook; without the GIL.
void px_client_close(px_client *client, const char *reason);
// px_client_close_all closes every client of the process (at its exit).
void px_client_close_all(const char *reason);
void px_client_unref(px_client *client);
px_client *px_client_ref(px_client *client);

uint32_t px_client_id(const px_client *client);
const char *px_client_session(const px_client *client);
const px_cluster_file *px_client_file(const px_client *client);
// px_client_closed writes why the connection ended ("" while it lives) and tells if it has.
bool px_client_closed(px_client *client, px_buf *ret_reason);
// px_client_cluster, px_client_engines append JSON: the Cluster object; the list of Engine objects.
void px_client_cluster(px_client *client, px_buf *out);
void px_client_engines(px_client *client, px_buf *out);
// px_client_engine_ids appends the ids of living engines, sorted, as uint32_t.
void px_client_engine_ids(px_client *client, px_buf *out);
uint64_t px_client_changed(px_client *client);
// px_client_filled counts the slots that have been filled, of all tasks.
uint64_t px_client_filled(px_client *client);
// px_client_lost counts the slots that were lost with their engines, of all tasks but balanced
// ones.
uint64_t px_client_lost(px_client *client);

// PX_NO_ENGINE stands for the engine of a balanced task that no engine has answered yet.
#define PX_NO_ENGINE UINT32_MAX

// px_submission is one request to send. Everything is borrowed for the call; buffers are
// referenced.
typedef struct px_submission {
    const char *msg_type;
    const uint32_t *targets;
    uint32_t n_targets;
    px_slice content;
    px_slice metadata;
    px_bytes *const *buffers;
    size_t n_buffers;
    const char *label; // NULL or "": none
    bool init; // engines that join later run it too; nothing of it goes through shared memory
    bool shows;
    bool prefix;
    const px_kernel_api *api;
    px_parent *parent; // a reference is taken over when the call succeeds
    // balanced: the controller chooses one engine, of targets or (none named) of all. terms may be
    // NULL; tasks are its n_after + n_follow numbers.
    bool balanced;
    const char *fetch; // msg_id of another's request whose result is wanted, NULL: none is;
                       // balanced, without targets, content {"msg_id": …}
    const px_terms *terms;
    const uint64_t *tasks;
} px_submission;

// px_client_submit sends it, from the calling thread. The task has one reference, the caller's; it
// goes on when that is dropped. PX_EINVAL (no target, one named twice), PX_ECLOSED, PX_ENOMEM.
px_err px_client_submit(px_client *client, const px_submission *submission, px_task **ret_task,
                        px_error *reterr);

// px_ask is a control request that waits for its reply; a member of the caller's frame. {0} first.
typedef struct px_ask {
    struct px_ask *next;
    char msg_id[PX_MSG_ID_SIZE];
    bool answered;
    px_buf content; // of the reply; free with px_buf_done
} px_ask;

// px_client_ask sends a request on the control link and enters ask; wait for it with
// px_client_wait, then call px_client_ask_done, whatever came of it. PX_ECLOSED, PX_ENOMEM.
px_err px_client_ask(px_client *client, const char *msg_type, px_slice content, px_ask *ask,
                     px_error *reterr);
void px_client_ask_done(px_client *client, px_ask *ask);

// px_asks says which questions of engines a wait may be ended by.
// SLOT: of the slot that is waited for; OWN: of the task; ALL: of the connection.
typedef enum px_asks { PX_ASKS_NONE, PX_ASKS_SLOT, PX_ASKS_OWN, PX_ASKS_ALL } px_asks;

// px_want is what a wait waits for: a task, else the answer to ask, else a slot filled, or engines
// or cluster changed, after `seen`. The end of the connection fulfils all of them.
typedef struct px_want {
    px_task *task;
    const px_ask *ask;
    int32_t slot; // ≥ 0: this slot; -1: all; PX_WANT_ANY: more than `seen` slots, or output to take
    uint64_t seen;
    px_asks asks; // end the wait also for questions
    bool filled;  // without task: that more than `seen` slots of the connection have been filled
    bool losses;  // with PX_WANT_WHOLE: or that more than `seen` slots of the connection were lost
} px_want;
#define PX_WANT_ALL (-1)
#define PX_WANT_ANY (-2)
#define PX_WANT_WHOLE (-3) // all, or a sign that not all can come: the task is lost

bool px_client_has(px_client *client, const px_want *want);
// px_client_wait waits until px_client_has, reading the work link itself if nobody else does.
// deadline 0: for ever. PX_ETIMEOUT; PX_EINTR when a signal came to this thread, or wake_fd (-1:
// none) became readable, which is left to the caller. Without the GIL.
px_err px_client_wait(px_client *client, const px_want *want, px_ns deadline, int wake_fd);

// px_question is an input_request of an engine. Who has taken it has a reference to its task.
typedef struct px_question {
    struct px_question *next;
    px_task *task; // NULL: nobody knows it any more
    uint64_t task_id;
    uint32_t slot;
    uint32_t engine;
    bool password;
    px_buf prompt;
    px_buf said;         // what the engine printed since the last question, if nobody has shown it
    px_message *message; // its header is the answer's parent
} px_question;

// px_client_question takes a question that want (with `asks`) may be ended by; NULL: there is none.
// It is given back by one of: px_client_answer, px_client_refuse (the engine's input() raises
// EOFError with why; the reference to the task stays the caller's), px_client_unasked (it is asked
// again by whoever waits next).
px_question *px_client_question(px_client *client, const px_want *want);
px_err px_client_answer(px_client *client, px_question *question, px_slice value);
px_err px_client_refuse(px_client *client, px_question *question, const char *why);
void px_client_unasked(px_client *client, px_question *question);

px_task *px_task_ref(px_task *task);
// px_task_unref: the last reference of a task that is done frees it.
void px_task_unref(px_task *task);
// px_task_abandon forgets it: what still comes is dropped, its slots stay as they are.
void px_task_abandon(px_task *task);
// px_task_status looks at the reply of a slot that is filled. lock held: no.
px_slot_state px_task_status(px_task *task, uint32_t slot);
// px_task_done_fd gives the eventfd that becomes readable when the task is done; owned by the task.
px_err px_task_done_fd(px_task *task, int *ret_fd);
// px_task_notify arms task_done with owner; false when the task is done already (nothing is armed).
bool px_task_notify(px_task *task, void *owner);
// px_task_listen arms task_asks, for a task that task_done is armed for; it is called at once when
// something was asked already.
void px_task_listen(px_task *task);
// px_task_take removes the oldest output that nobody has taken; free it with px_live_free.
px_live *px_task_take(px_task *task);
void px_live_free(px_live *live);
// px_task_lock guards slots and outputs while they are read.
void px_task_lock(px_task *task);
void px_task_unlock(px_task *task);

#endif
