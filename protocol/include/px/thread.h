// thread.h: threads as capabilities. PX_ON(px_io) on a declaration says which thread may call it;
// clang's thread-safety analysis rejects a call from the wrong side. Under gcc the macros are
// empty.
#ifndef PX_THREAD_H
#define PX_THREAD_H

#include "px/err.h"

#include <pthread.h>

#if defined(__clang__)
#define PX_CAPABILITY(name) __attribute__((capability(name)))
#define PX_ON(thread) __attribute__((requires_capability(thread)))
#define PX_BECOMES(thread) __attribute__((assert_capability(thread)))
#else
#define PX_CAPABILITY(name)
#define PX_ON(thread)
#define PX_BECOMES(thread)
#endif

// px_thread_start starts a thread named name (at most 15 characters) with every signal blocked.
px_err px_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *arg);

#endif
