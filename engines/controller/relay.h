// relay.h: the thread px-relay: forwards requests, replies and outputs between clients and engines.
//
// It reads the route frame of a message and nothing else; bodies are shared by reference. It tracks
// what every engine owes, so that an engine's end is told to those who wait (LOST) at once.
//
// All functions may be called from any thread but are meant for px-admin; they post letters and
// return.
#ifndef PX_ENGINES_RELAY_H
#define PX_ENGINES_RELAY_H

#include "px/err.h"
#include "px/frames.h"
#include "px/mailbox.h"
#include "px/session.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct px_relay px_relay;

#define PX_SECRET_SIZE 33 // 16 random bytes in hex, and the end

// px_tally is what the relay counts for an engine, read by whoever likes. It must outlive the
// relay.
typedef struct px_tally {
    atomic_uint in_flight;       // requests and tasks not answered
    atomic_uint tasks;           // tasks among them
    atomic_uint_fast64_t done;   // replies
    atomic_uint_fast64_t failed; // of them with an error, or lost
} px_tally;

// What the relay, and px-store, tell the admin's mailbox. The letter is the reader's to free, but
// for ACTIVE.
enum {
    PX_NEWS_ENGINE_UP = 1,
    PX_NEWS_ENGINE_GONE,
    PX_NEWS_CLIENT_GONE,
    PX_NEWS_RECALL,      // ask engine id for a task of client
    PX_NEWS_INIT_FAILED, // of engine id; UINT32_MAX: one is not kept
    PX_NEWS_ACTIVE,
    PX_NEWS_ANSWER, // a px_answer of px-store (keeper.h)
    PX_NEWS_ABORT   // a px_answer: abort this task of this client
};
typedef struct px_news {
    px_letter letter; // kind: one of the above
    uint32_t id;
    uint32_t client;
    uint64_t task;
} px_news;

typedef struct px_relay_config {
    int listener;              // of work.sock; stays the caller's
    const px_session *session; // cloned
    px_mailbox *news;
    size_t
        high_water; // bytes queued for one peer from which its sources are not read; 0: the default
    struct px_keeper *keeper; // gets what passes, and outlives the relay; NULL: nothing is kept
} px_relay_config;

px_err px_relay_start(const px_relay_config *config, px_relay **ret_relay);
// px_relay_stop ends the thread and every connection.
void px_relay_stop(px_relay *relay);

// px_relay_expect lets a peer in whose work connection names secret. tally: engines only.
px_err px_relay_expect_client(px_relay *relay, uint32_t client, const char *secret);
px_err px_relay_expect_engine(px_relay *relay, uint32_t engine, const char *secret,
                              px_tally *tally);
// px_relay_forget_client ends its work connection; replies still on their way are dropped.
px_err px_relay_forget_client(px_relay *relay, uint32_t client);
// px_relay_bury takes what a dead engine has still written, then answers all it owes with LOST.
// cause is a sentence about its end; signal and code -1 when unknown.
px_err px_relay_bury(px_relay *relay, uint32_t engine, int signal, int code, const char *cause);
// px_relay_abort takes tasks out that no engine has yet (takes the array, on success).
px_err px_relay_abort(px_relay *relay, uint32_t client, uint64_t *tasks, size_t n);
// px_relay_hopeless: no engine lives and none is coming, so tasks need not wait for one; or not so.
px_err px_relay_hopeless(px_relay *relay, bool hopeless);
// px_relay_deliver sends a message to a client on behalf of px-store; takes frames (empties it). A
// client that has left is no error.
px_err px_relay_deliver(px_relay *relay, uint32_t client, px_frames *frames);
// px_relay_release tells an engine (UINT32_MAX: all) that the segments of its reply to a task
// (0: to all) of a client will not be mapped any more; returned: nobody maps them now.
px_err px_relay_release(px_relay *relay, uint32_t engine, uint32_t client, uint64_t task,
                        bool returned);
// px_relay_waiting is how many tasks no engine has.
size_t px_relay_waiting(px_relay *relay);
// px_relay_watch asks for one PX_NEWS_ACTIVE when the next request or reply passes.
void px_relay_watch(px_relay *relay);

#endif
