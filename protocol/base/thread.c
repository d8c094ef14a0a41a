#include "px/thread.h"

#include <errno.h>
#include <signal.h>

px_err px_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;

    // A thread inherits the mask of its maker, so every signal goes to the threads that we did not
    // make: Python's.
    (void)sigfillset(&all);
    int errnum = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (errnum != 0) {
        return px_err_from_errno(errnum);
    }
    errnum = pthread_create(&thread, NULL, body, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); // it worked a moment ago
    if (errnum != 0) {
        return errnum == EAGAIN ? PX_ENOMEM : px_err_from_errno(errnum);
    }
    (void)pthread_setname_np(thread, name); // only a name
    *ret_thread = thread;
    return PX_OK;
}
