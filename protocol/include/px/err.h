// err.h: errors are values. px_err says what kind of failure, px_error carries the sentence for a
// person.
//
// Three levels: a bug is an assertion; a failure is a px_err; a fatal condition at start-up is one
// line on stderr and exit status 1, from main only. Any thread.
#ifndef PX_ERR_H
#define PX_ERR_H

#include <stdarg.h>

// PX_ERRORS lists every error once: name, text.
#define PX_ERRORS(X)                                                                               \
    X(PX_OK, "no error")                                                                           \
    X(PX_ENOMEM, "out of memory")                                                                  \
    X(PX_EINVAL, "invalid argument")                                                               \
    X(PX_EFORMAT, "malformed message")                                                             \
    X(PX_EJSON, "invalid JSON")                                                                    \
    X(PX_ESIGNATURE, "signature does not match")                                                   \
    X(PX_EREPLAY, "message was seen before")                                                       \
    X(PX_ETOOBIG, "message is too large")                                                          \
    X(PX_EAGAIN, "would block")                                                                    \
    X(PX_ETIMEOUT, "timed out")                                                                    \
    X(PX_EINTR, "interrupted")                                                                     \
    X(PX_ECLOSED, "connection is closed")                                                          \
    X(PX_EREFUSED, "connection refused")                                                           \
    X(PX_EADDRINUSE, "address already in use")                                                     \
    X(PX_EEXIST, "exists already")                                                                 \
    X(PX_ENOENT, "not found")                                                                      \
    X(PX_EPERM, "not permitted")                                                                   \
    X(PX_EIO, "input/output error")                                                                \
    X(PX_ESYS, "system call failed")                                                               \
    X(PX_EZMQ, "ZeroMQ failed")                                                                    \
    X(PX_ECRYPTO, "cryptography library failed")

typedef enum [[nodiscard]] px_err{
#define PX_ERR_NAME(name, text) name,
    PX_ERRORS(PX_ERR_NAME)
#undef PX_ERR_NAME
} px_err;

// px_err_text returns the text of err, static storage.
const char *px_err_text(px_err err);

// px_err_from_errno maps an errno value to the nearest px_err; PX_ESYS when none fits.
px_err px_err_from_errno(int errnum);

// px_error is the message for a person: what failed, why, and what to do. Owned by the caller, no
// clean-up.
typedef struct px_error {
    px_err err;
    char text[512];
} px_error;

// px_error_set formats into reterr (which may be NULL) and returns err, so that `return
// px_error_set(…)` reads well.
[[gnu::format(printf, 3, 4)]] px_err px_error_set(px_error *reterr, px_err err, const char *format,
                                                  ...);

// PX_TRY returns from the calling function when call fails.
#define PX_TRY(call)                                                                               \
    do {                                                                                           \
        px_err px_try_err = (call);                                                                \
        if (px_try_err != PX_OK) {                                                                 \
            return px_try_err;                                                                     \
        }                                                                                          \
    } while (0)

#endif
