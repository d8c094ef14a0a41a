// session.h: compose and verify a Jupyter message (messaging spec 5.5, "The Wire Protocol" and
// "General Message Format").
//
//   [identity…] <IDS|MSG> hmac header parent_header metadata content [buffer…]
//
// Bytes stay bytes: a received message keeps its frames and only the header is parsed. One session
// per thread that composes or verifies: it holds a signer and a counter; px_session_clone gives
// another thread its own with the same session id and key.
#ifndef PX_SESSION_H
#define PX_SESSION_H

#include "px/buf.h"
#include "px/err.h"
#include "px/frames.h"
#include "px/own.h"
#include "px/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PX_DELIMITER "<IDS|MSG>"
#define PX_PROTOCOL_VERSION "5.4" // header.version that we send

typedef struct px_session px_session;

// px_session_new: id NULL makes a new one; username NULL takes $USER or "username".
px_err px_session_new(px_slice key, const char *scheme, const char *id, const char *username,
                      px_session **ret_session, px_error *reterr);
px_err px_session_clone(const px_session *session, px_session **ret_session);
// px_session_clone_trusting gives a clone that neither signs nor checks, for a link whose two ends
// have registered: each has shown there that it has the key, and nobody else can write to it.
px_err px_session_clone_trusting(const px_session *session, px_session **ret_session);
void px_session_free(px_session *session);
const char *px_session_id(const px_session *session);
PX_DEFINE_AUTO(px_session, px_session_free)

// px_message is a verified message. It owns its frames; every slice and the parsed header live as
// long as it does. Any one thread at a time.
typedef struct px_message {
    px_frames frames;
    size_t delimiter; // index of <IDS|MSG>: the frames before are identities
    px_slice header, parent, metadata, content;
    size_t first_buffer; // index of the first buffer frame, n_buffers of them
    size_t n_buffers;
    px_msg_type type; // PX_MSG_UNKNOWN when the catalogue does not know it
    char *msg_type, *msg_id, *session,
        *subshell_id; // owned copies; subshell_id NULL when absent or null
} px_message;

// px_session_verify takes frames (empties it) on success. Checks delimiter, frame count, signature,
// replay (when replay is true), the header's JSON and that msg_id and msg_type are strings, and
// that parent, metadata and content are JSON objects as far as their first and last byte tell.
// Errors: PX_EFORMAT, PX_ESIGNATURE, PX_EREPLAY, PX_EJSON, each with a sentence in reterr; frames
// then stay the caller's.
px_err px_session_verify(px_session *session, px_frames *frames, bool check_replay,
                         px_message **ret_message, px_error *reterr);
void px_message_free(px_message *message);
PX_DEFINE_AUTO(px_message, px_message_free)

// px_outgoing describes a message to compose. parent empty: {}. metadata empty: {}. content empty:
// {}. All JSON objects already.
typedef struct px_outgoing {
    const char *msg_type;
    px_slice parent, metadata, content;
    const char *msg_id;       // NULL: the next of this session
    const char *date;         // as px_stamp_now writes it; NULL: now
    px_bytes *const *buffers; // borrowed; referenced by the message
    size_t n_buffers;
} px_outgoing;

// px_session_compose appends delimiter, signature and the four frames and buffers to frames, after
// what is there (identities, topic or route).
px_err px_session_compose(px_session *session, const px_outgoing *outgoing, px_frames *frames);
// px_session_next_id writes `<session>_<pid>_<n>`.
#define PX_MSG_ID_SIZE 72
void px_session_next_id(px_session *session, char ret_id[PX_MSG_ID_SIZE]);
// px_session_forked gives the child of a fork an id of its own.
void px_session_forked(px_session *session);

#endif
