// keeper.h: the thread px-store: keeps what becomes of requests, for clients that come later.
//
// The relay hands it every request, output and reply that passes, without waiting (intake.h).
// px-store remembers them (records.h), writes those that are done to a file if there is one
// (store.h), and answers: whole results on the work link, to a client that fetches them (FETCH),
// questions about them on control links (answers.c). It lags; it never delays.
#ifndef PX_ENGINES_KEEPER_H
#define PX_ENGINES_KEEPER_H

#include "intake.h"

#include "px/err.h"
#include "px/mailbox.h"
#include "px/session.h"

typedef struct px_keeper px_keeper;
struct px_relay;

typedef struct px_keeper_config {
    const char *path;          // of the file; NULL: memory alone
    const char *cluster;       // its name, for sentences
    const px_session *session; // cloned
    px_mailbox *answers;       // receives px_answer letters
} px_keeper_config;

// px_answer is the reply to a px_keeper_ask, or a request of a client's that is to be aborted. The
// letter is the reader's, to be freed with px_answer_free.
typedef struct px_answer {
    px_letter letter; // kind: PX_NEWS_ANSWER or PX_NEWS_ABORT (relay.h)
    uint32_t client;
    uint64_t task;  // ABORT, as the next
    bool interrupt; // also if it runs
    char type[64];  // of the reply
    px_buf parent, content;
} px_answer;
void px_answer_free(px_answer *answer);

// px_keeper_new makes it; the relay may post from then on. When the file cannot be used it is said
// in the log, and results are kept in memory.
px_err px_keeper_new(const px_keeper_config *config, px_keeper **ret_keeper, px_error *reterr);
// px_keeper_start starts the thread, which gives clients what they fetch through the relay.
px_err px_keeper_start(px_keeper *keeper, struct px_relay *relay);
// px_keeper_stop writes what is not written yet and ends the thread; the relay may still post.
void px_keeper_stop(px_keeper *keeper);
void px_keeper_free(px_keeper *keeper);

// px_keeper_pass hands on what passed, unless px-store is so far behind that it is better left out:
// then what has reached its client is not kept. frames may be NULL. Thread px-relay.
typedef struct px_passed {
    px_kept_kind kind;
    uint32_t client, engine;
    uint64_t task;
    bool delivered, failed, urgent;
} px_passed;
void px_keeper_pass(px_keeper *keeper, const px_passed *passed, const px_frames *frames);
// px_keeper_lost notes a request that gets no reply. Copies content.
void px_keeper_lost(px_keeper *keeper, const px_passed *passed, px_slice content);
// px_keeper_ask answers a client's question with a letter. Thread px-admin. False without memory.
bool px_keeper_ask(px_keeper *keeper, uint32_t client, const char *msg_type, px_slice parent,
                   px_slice content);
// px_keeper_knows tells if a msg_type is one of those questions.
bool px_keeper_knows(const char *msg_type);

#endif
