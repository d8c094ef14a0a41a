// sign.h: HMAC-SHA256 over the four JSON frames of a message (messaging spec, "The Wire Protocol"),
// with a keyed context that is reused, and constant-time comparison. One signer per thread.
#ifndef PX_SIGN_H
#define PX_SIGN_H

#include "px/buf.h"
#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PX_SIGNATURE_SIZE 65 // 64 lower-case hex digits and the end

typedef struct px_signer px_signer;

// px_signer_new: an empty key means that nothing is signed or checked. scheme: "hmac-sha256"
// (others OpenSSL knows: hmac-sha1, …).
px_err px_signer_new(px_slice key, const char *scheme, px_signer **ret_signer, px_error *reterr);
void px_signer_free(px_signer *signer);
bool px_signer_keyed(const px_signer *signer);
// px_signer_size is how many digits px_sign writes.
size_t px_signer_size(const px_signer *signer);
// px_sign writes the hex signature of parts in order, or "" without a key.
px_err px_sign(px_signer *signer, const px_slice *parts, size_t n_parts,
               char ret_signature[PX_SIGNATURE_SIZE * 2]);
// px_sign_check: PX_ESIGNATURE unless given equals the signature, compared in constant time.
px_err px_sign_check(px_signer *signer, const px_slice *parts, size_t n_parts, px_slice given);

// px_replay remembers the last 65,536 signatures; px_replay_seen records one and tells whether it
// was there already.
typedef struct px_replay px_replay;
px_err px_replay_new(px_replay **ret_replay);
void px_replay_free(px_replay *replay);
bool px_replay_seen(px_replay *replay, px_slice signature);

#endif
