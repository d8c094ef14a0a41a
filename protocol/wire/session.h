// session.h (internal): what composing and verifying share.
#ifndef PX_SESSION_INTERNAL_H
#define PX_SESSION_INTERNAL_H

#include "px/session.h"
#include "px/sign.h"

#include <stdatomic.h>
#include <sys/types.h>

// px__numbers counts the messages of all clones of a session: one id is never given twice.
typedef struct px__numbers {
    atomic_size_t refs;
    atomic_uint_fast64_t next;
} px__numbers;

struct px_session {
    px_signer *signer;
    px_replay *replay; // made when first needed: a megabyte and a half, if all is used
    px__numbers *numbers;
    px_slice key; // owned; for clones
    char scheme[32];
    char id[65];
    char username[128];
    pid_t pid;
    px_buf lead; // `{"msg_id":"<session>_<pid>_`, and where `"session":…,"date":"` begins
    size_t middle;
    px_bytes *delimiter;
};

#endif
