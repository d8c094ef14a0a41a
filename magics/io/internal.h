// internal.h: what the files of the client's core share. client.h has the rules for locks.
#ifndef PX_MAGICS_INTERNAL_H
#define PX_MAGICS_INTERNAL_H

#include "io/client.h"

#include "px/json.h"
#include "px/log.h"
#include "px/sign.h"

#include <pthread.h>
#include <stdatomic.h>

// px_waiter is one thread that waits. Guarded by client->lock.
typedef struct px_waiter {
    struct px_waiter *next;
    int fd;         // eventfd
    bool signalled; // … has been written and not yet read
    px_want want;
} px_waiter;

struct px_client {
    atomic_uint refs;
    px_client *registry_next; // every client of the process, for fork()
    px_cluster_file file;
    uint32_t id;
    const px_client_hooks *hooks;

    pthread_mutex_t reading;
    px_session *reader; // reads outputs
    px_task *held;      // tasks whose first outputs are kept back, with a reference
    px_link *work;      // NULL once closed; closed under reading and sending

    pthread_mutex_t sending;
    px_session *composer; // of registrations and control messages, which are signed
    px_session *writer;   // of requests
    px_link *control;     // received from by px-client alone
    uint64_t last_task;
    atomic_bool keeps; // requests were kept back on the work link; push is set

    pthread_mutex_t lock;
    px_pending pending;
    size_t n_open; // tasks with open slots
    px_engines engines;
    px_lending lending;
    px_buf cluster;
    uint64_t changed;
    uint64_t n_filled; // slots
    uint64_t n_lost;   // slots, but those of balanced tasks
    px_ask *asks;
    px_question *questions; // of open slots, oldest first; their tasks are not referenced
    uint32_t last_asked;    // the engine whose question was taken last
    px_waiter *waiters;
    px_waiter *idle_waiters;
    px_waiter *leader; // the waiter that plays the reader; NULL: px-client does
    bool closed;
    bool far;      // the controller is on another host: nothing is shared with engines
    bool closing;  // px_client_close has begun
    bool forked;   // this process is a child of the one that registered
    bool stopping; // the controller said that the cluster is being stopped
    px_buf reason;
    int work_poll; // an epoll descriptor over the work link, muted while a waiter leads; -1: closed

    // px-client's own
    px_loop *loop;
    pthread_t thread;
    px_session *verifier;
    int kick; // eventfd: look at everything again
    int push; // timerfd, set by who keeps requests back: they leave now
    px_source *control_source, *work_source, *kick_source, *work_write;
    px_timer *hold_timer;
    px_timer *idle_timer; // segments that nobody wanted for a while are freed
    px_log_gate bad_messages;
};

// px__client_new makes an unregistered client; px__client_free undoes it (links closed).
px_err px__client_new(const px_client_options *options, px_client **ret_client, px_error *reterr);
void px__client_free(px_client *client);
// px__close closes *fd, if it is one, and makes it -1.
void px__close(int *fd);
// px__client_start starts px-client.
px_err px__client_start(px_client *client, px_error *reterr);
// px__client_end fills all open slots with reason and ends all waits. Any thread, no locks held.
void px__client_end(px_client *client, const char *reason);
// px__client_kick makes px-client look at its links again. Any thread.
void px__client_kick(px_client *client);

// px__register connects and registers both links.
px_err px__register(px_client *client, const px_client_options *options, px_error *reterr);

// px__compose appends route and message to frames. sending held.
px_err px__compose(px_client *client, const px_route *route, const uint32_t *engines,
                   const px_outgoing *outgoing, px_frames *frames);
// px__lend_pack puts large buffers into segments, lent ones as far as possible: those are in
// ret_loan, which stays NULL without any. targets NULL: the controller chooses. No locks.
px_err px__lend_pack(px_client *client, const px_targets *targets, px_frames *buffers,
                     px_bulk *ret_bulk, px_loan **ret_loan);
// px__lend_enter takes a loan when its request is about to be sent; px__lend_cancel when it is not
// (NULL does nothing). No locks but sending.
void px__lend_enter(px_client *client, px_task *task, px_loan *loan);
void px__lend_cancel(px_client *client, px_loan *loan);
// px__lend_over: an engine does not map what a task (0: any) lent it; px__lend_settle: a task is
// done. No locks but reading.
void px__lend_over(px_client *client, uint64_t task, uint32_t engine);
void px__lend_settle(px_task *task);
// px__push sends requests that were kept back. No locks but reading.
void px__push(px_client *client);

// px__read_work receives and serves at most budget messages; self is the waiter that reads, or
// NULL. reading held. PX_EAGAIN: nothing more is there; PX_OK: there may be; else the link's end.
px_err px__read_work(px_client *client, const px_waiter *self, size_t budget);
// px__read_control serves one verified control message. px-client.
void px__read_control(px_client *client, px_message *message);
// px__link_ended says in words why a link ended.
void px__link_ended(px_client *client, px_err err, px_buf *ret_reason);

// px__fill marks a slot as filled (its reply is in place) and puts the task on done when it was the
// last. lock held.
void px__fill(px_task *task, uint32_t slot, px_slot_state state, px_task **done);
// px__fill_lost fills a slot with an EngineError of ours. lock held.
void px__fill_lost(px_task *task, uint32_t slot, const char *evalue, px_task **done);
// px__fill_told does the same with the rest of what the controller told (signal, cause, …).
void px__fill_told(px_task *task, uint32_t slot, const char *evalue, const px_json *told,
                   px_task **done);
// px__settle calls hooks for what px__fill put on done and drops the table's references. No locks.
void px__settle(px_task *done);
// px__task_find gives a new reference, or NULL. No locks.
px_task *px__task_find(px_client *client, uint64_t id);
// px__task_queue_live remembers an output for px_task_take. lock held.
void px__task_queue_live(px_task *task, uint32_t slot, px_output *output, bool is_stderr,
                         px_slice text);

// px__question_came takes message, an input_request; task NULL: nobody knows it. No locks but
// reading.
void px__question_came(px_client *client, px_task *task, uint32_t slot, const px_route *route,
                       px_message *message);
// px__asked tells if there is a question for a wait; px__questions_drop forgets those of a slot;
// px__questions_take_all unlinks those of a task. lock held.
bool px__asked(const px_client *client, const px_want *want);
void px__questions_drop(px_task *task, uint32_t slot);
px_question *px__questions_take_all(px_task *task);
// px__questions_refuse tells their engines that nobody answers, and frees the list. No locks but
// reading.
void px__questions_refuse(px_client *client, px_question *questions);

// px__show hands an output to the notebook. reading held.
void px__show(px_task *task, uint32_t engine, const px_message *message);
void px__show_text(px_task *task, uint32_t engine, bool is_stderr, px_slice text);

// px__hold tells if a task's output is to be kept back for now; px__hold_end shows what was kept,
// engine by engine; px__hold_expire does so where the time is over, and px__hold_due tells when
// that will be next (0: never). reading held.
bool px__hold(px_task *task);
void px__hold_end(px_task *task);
void px__hold_expire(px_client *client, px_ns now);
px_ns px__hold_due(const px_client *client);

// px__wake wakes the waiters that have what they want; task NULL: those that wait for something
// else than a task. lock held.
void px__wake(px_client *client, const px_task *task, const px_waiter *self);
void px__wake_all(px_client *client);
// px__wake_asking wakes the waiters that may ask a question of task. lock held.
void px__wake_asking(px_client *client, const px_task *task);
void px__waiters_free(px_client *client);
// px__mute keeps px-client from reading the work link, or lets it again. lock held.
void px__mute(px_client *client, bool mute);

// px__registry_add and px__registry_remove keep the list of clients for fork().
void px__registry_add(px_client *client);
void px__registry_remove(px_client *client);

// px__eventfd_write and px__eventfd_read never block.
void px__eventfd_write(int fd);
void px__eventfd_read(int fd);

#endif
