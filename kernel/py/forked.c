// What a forked child of the kernel may do (os.fork, multiprocessing): compute, and write to
// descriptors 1 and 2. libzmq would accept its sends without an error and lose them, and px-io does
// not exist there, so every way to them asks px_py_is_child first.

#include "py/python.h"

#include <pthread.h>

static void in_child(void)
{
    if (px_kernel_current != NULL) {
        atomic_store(&px_kernel_current->is_child, true);
    }
}

bool px_py_is_child(void)
{
    px_kernel *kernel = px_kernel_current;
    return kernel != NULL && atomic_load_explicit(&kernel->is_child, memory_order_relaxed);
}

void px_py_forked_init(px_kernel *kernel)
{
    (void)kernel;
    px_must(pthread_atfork(NULL, NULL, in_child) == 0 ? PX_OK : PX_ENOMEM);
}
