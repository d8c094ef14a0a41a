// interp.h: Python inside this executable: initialising is one step, running a kernel in it
// another, so that the zygote can do the first once and the second in each forked child.
#ifndef PX_KERNEL_INTERP_H
#define PX_KERNEL_INTERP_H

#include "kernel.h"

#include "px/err.h"

// px_interp_init initialises Python as launch->python would be: sys.executable, sys.prefix,
// sys.path, sys.argv (argc, argv) as in the environment. The calling thread becomes Python's main
// thread and holds the GIL.
px_err px_interp_init(const px_launch *launch, int argc, char **argv, px_error *reterr);

// px_interp_run imports pxkernel.boot and calls its main() for px_kernel_current; returns the exit
// status (main()'s result, or 1 with a traceback on stderr). GIL held.
int px_interp_run(void);

// px_interp_version writes Python's version, such as 3.11.7. Before px_interp_init too, no GIL.
void px_interp_version(char *ret_version, size_t size);
// px_interp_running tells if Python is initialised. No GIL.
bool px_interp_running(void);
// px_interp_finish finalises Python; the status that the process shall end with. GIL held.
int px_interp_finish(int status);

// px_module_fill (module.c) gives pxkernel._kernel the attributes of px_kernel_current; -1 with an
// exception. GIL held.
int px_module_fill(void);

// px_interp_end_quickly has px_interp_finish leave modules as they are, for a process that was
// forked with them: taking them apart would copy every page that it shares with its parent, 30 ms
// for an engine. What was made since the fork is let go of, and files are flushed.
void px_interp_end_quickly(void);

#endif
