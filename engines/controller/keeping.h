// keeping.h: what the files of px-store share: keeper.c (thread, what passes, the file), fetch.c
// (results for clients that ask), answers.c (questions about them). Thread px-store only.
#ifndef PX_ENGINES_KEEPING_H
#define PX_ENGINES_KEEPING_H

#include "keeper.h"
#include "mapped.h"
#include "records.h"
#include "store.h"

#include "px/sign.h"
#include "px/time.h"

#include <pthread.h>

struct px_keeper {
    px_intake intake;
    px_records records;
    px_mapped *mapped;
    px_store *store; // NULL: memory alone
    px_session *session;
    px_mailbox *answers;
    struct px_relay *relay;
    pthread_t thread;
    char *cluster;
    atomic_bool stopping;
    atomic_size_t n_followed; // somebody waits for what comes
    bool started;
    px_ns flush_due; // 0: nothing is to be written
    px_ns retry;     // the file failed: not before this
};

// fetch.c
void px__fetch(px_keeper *keeper, const px_kept *kept);
// px__follow_output, px__follow_end give those who follow a record what came.
void px__follow_output(px_keeper *keeper, const px_record *record, const px_kept *kept);
void px__follow_end(px_keeper *keeper, px_record *record);

// answers.c
void px__answer(px_keeper *keeper, const px_kept *kept);

#endif
