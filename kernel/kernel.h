// kernel.h: the one struct that both halves of a kernel see, and the ways to start one.
//
// A kernel is two threads that meet in two queues. px-io (kernel/io) owns every socket and never
// touches Python; px-main (kernel/py) owns Python and never touches a socket. `inbox` carries
// requests from px-io to px-main, `outbox` carries everything that a cell causes back, in one total
// order.
//
// An engine is the same kernel with another transport (io/transport.h): it connects to a controller
// instead of binding five sockets.
#ifndef PX_KERNEL_H
#define PX_KERNEL_H

#include "io/capture.h"
#include "io/interrupt.h"
#include "io/known.h"
#include "io/member.h"
#include "io/need.h"
#include "io/outbox.h"
#include "io/questions.h"
#include "io/stuck.h"
#include "io/subshell.h"
#include "io/waiting.h"
#include "io/witness.h"
#include "nursery.h"

#include "px/cluster.h"
#include "px/connection.h"
#include "px/id.h"
#include "px/log.h"
#include "px/mailbox.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// PX_EXPORT marks the few symbols of the module that the launcher looks up.
#define PX_EXPORT __attribute__((visibility("default")))

typedef struct px_io px_io;

// px_launch is what the launcher found out; the strings stay valid as long as the process.
typedef struct px_launch {
    const char *python;        // the environment's interpreter: sys.executable
    const char *site_packages; // the folder that pxkernel/ is in
    int argc;
    char **argv;                       // as the process was started
    const px_environment *environment; // NULL: no launcher, so no warm starts
    px_warm_hooks *hooks;              // a keeper's launcher wants these and no kernel
} px_launch;

// px_config is fixed before px-io starts; both threads read it.
typedef struct px_config {
    bool engine;
    bool capture_fds;
    bool no_warm;           // --no-warm
    bool write_connection;  // ports were chosen by us: write them back
    bool remove_connection; // the file was made by us: remove it at exit
    char connection_file[PATH_MAX];
    px_connection connection; // kernel mode: as bound once px-io is ready
    px_cluster_file cluster;  // engine mode
    int64_t engine_id;        // -1 in kernel mode
    char token[256];
    char ident[PX_UUID_SIZE]; // of this kernel: topics, "engine" in reply metadata
    char session_id[64];
    char implementation_version[64]; // IPython's
    char python_version[32];         // such as 3.11.7
    px_log_level log_level;
    int n_arguments; // command-line arguments that C did not consume
    char **arguments;
} px_config;

typedef struct px_kernel {
    px_config config;
    px_mailbox inbox;       // px-io to px-main: px_request and notices (io/request.h)
    px_questions questions; // of input(); their answers come from px-io
    px_outbox outbox;       // anyone to px-io
    px_capture capture;
    px_interrupt interrupt;
    px_stuck stuck;                           // an interrupt that does not act
    px_known known;                           // answers without Python
    px_waiting waiting;                       // the requests in inbox
    atomic_bool blocked;                      // px-main runs something that takes none of them
    px_subshells subshells;                   // more shells, each with an inbox of its own
    px_mailbox side;                          // px-io to px-side: px_request (io/side.c)
    void *(*_Atomic side_body)(void *kernel); // the thread that serves it; NULL: nobody does
    px_io *io;
    px_witness witness;
    char *note;           // how the kernel before this one ended; NULL: nothing to tell
    atomic_bool ready;    // Python serves
    atomic_bool exiting;  // a shutdown was requested
    atomic_bool restart;  // … in order to restart
    atomic_bool is_child; // this process is a forked child of the kernel: no socket, no queue
} px_kernel;

// px_kernel_current is the kernel of this process; NULL before it starts.
extern px_kernel *px_kernel_current;

// --- what px-main asks of px-io (io/io.c); any thread ---

// px_io_post hands a chain of entries (no streams) over. It is sent from this thread when the
// transport allows that and px-io is not at it, else px-io is woken. Takes chain; NULL is allowed.
void px_io_post(px_io *io, px_out *chain);
// px_io_post_soon does so without waking px-io for it, where that sends: the next post wakes it, or
// px_io_wake.
void px_io_post_soon(px_io *io, px_out *chain);
void px_io_wake(px_io *io);
// px_io_next_id makes an id for a message that is told apart by it.
void px_io_next_id(px_io *io, char ret_id[PX_MSG_ID_SIZE]);
// px_io_wants_statuses tells if busy and idle of a request are to be published.
bool px_io_wants_statuses(const px_io *io, const px_parent *parent);
// px_io_set_kernel_info replaces the content of kernel_info_reply. Takes content.
void px_io_set_kernel_info(px_io *io, px_bytes *content);
// px_io_set_output_limit: so many bytes of text does a cell show (io/flood.h); 0: all of it, -1: as
// usual.
void px_io_set_output_limit(px_io *io, long long most);
void px_io_output_limits(px_io *io, size_t *ret_most, size_t *ret_burst, size_t *ret_tail);
// px_io_spill writes text to a file of output, on the calling thread. missing: bytes of it that are
// not shown. Appends a sentence that says so, and the content of a display_data message.
void px_io_spill(px_io *io, px_slice text, uint64_t missing, px_buf *sentence, px_buf *note);
// px_doors_open binds sockets as wish (px_options_doors) says, and writes the connection file,
// 0600. px-main only; waits for px-io. Takes wish, which is malloc'ed. PX_EINVAL in a kernel.
px_err px_doors_open(px_kernel *kernel, px_config *wish, px_error *reterr);
// px_doors_config has file, ports and key; NULL: nothing is bound. px-main only.
const px_config *px_doors_config(const px_kernel *kernel);
// px_usage (io/usage.c) appends the content of usage_reply.
void px_usage(px_buf *out);

// --- starting and ending ---

// px_kernel_main is what the launcher calls: parses the command line, starts px-io, then Python,
// runs until the end and returns the exit status. argv[0]'s name decides between kernel and engine.
PX_EXPORT int px_kernel_main(const px_launch *launch);

// px_kernel_run_hosted does the same inside a Python that runs already (`python -m pxkernel`). GIL
// held.
int px_kernel_run_hosted(int argc, char **argv);

// px_engine_run is an engine's whole life inside a process that has Python initialised: for the
// zygote's forked child (after PyOS_AfterFork_Child) and for a lone engine. GIL held on entry and
// on return; returns the exit status. The caller ends the process with px_kernel_exit.
int px_engine_run(const px_engine_args *args);

// px_kernel_run_forked is a kernel's whole life in a fork of a keeper. GIL held. Does not return
// once start was called and gave true; else the launcher starts cold.
int px_kernel_run_forked(const px_launch *launch, const px_warm_child *child,
                         bool (*start)(const px_warm_child *));

// px_kernel_exit finalises Python (with a deadline), then leaves with status. GIL held. Does not
// return.
_Noreturn void px_kernel_exit(int status);

// px_zygote_main (zygote.c) is `pxengine --zygote`: one thread, Python initialised by
// px_interp_init, no px-io.
int px_zygote_main(const px_launch *launch);

// px_warm_load (py/warm.c) gets Python ready in a keeper; false: it cannot.
bool px_warm_load(const px_launch *launch, px_warm_hooks *ret_hooks);
// px_warm_renew makes Python's state that of a kernel just started; rest are the arguments that C
// does not know. False: only a cold start gives what is wanted. GIL held.
bool px_warm_renew(const px_warm_child *child, int n_rest, char **rest);

#endif
