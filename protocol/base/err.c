#include "px/err.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

const char *px_err_text(px_err err)
{
    switch (err) {
#define PX_ERR_TEXT(name, text)                                                                    \
    case name:                                                                                     \
        return text;
        PX_ERRORS(PX_ERR_TEXT)
#undef PX_ERR_TEXT
    }
    return "unknown error";
}

px_err px_err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return PX_OK;
    case ENOMEM:
    case ENOBUFS:
        return PX_ENOMEM;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
        return PX_EINVAL;
    case EAGAIN:
        return PX_EAGAIN;
    case EINTR:
        return PX_EINTR;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
        return PX_ECLOSED;
    case ECONNREFUSED:
        return PX_EREFUSED;
    case EADDRINUSE:
        return PX_EADDRINUSE;
    case EEXIST:
    case ENOTEMPTY:
        return PX_EEXIST;
    case ENOENT:
    case ESRCH:
        return PX_ENOENT;
    case EPERM:
    case EACCES:
        return PX_EPERM;
    case ETIMEDOUT:
        return PX_ETIMEOUT;
    case EMSGSIZE:
    case EFBIG:
    case EOVERFLOW:
        return PX_ETOOBIG;
    case EIO:
    case ENOSPC:
        return PX_EIO;
    default:
        return PX_ESYS;
    }
}

px_err px_error_set(px_error *reterr, px_err err, const char *format, ...)
{
    if (reterr != NULL) {
        va_list args;
        reterr->err = err;
        va_start(args, format);
        (void)vsnprintf(reterr->text, sizeof(reterr->text), format, args); // cut when too long
        va_end(args);
    }
    return err;
}
