// warm.h: what a launcher, a keeper and a kernel say to each other. The C library only: all of
// kernel/warm is linked into the launcher, before Python or ZeroMQ are in the process.
//
// The three:
//   launcher  the process that a front end starts. It asks a warm keeper for a kernel (shim.c); if
//             it gets one it stays as the shim: same pid, passes signals on, ends as the kernel
//             ends. Otherwise it becomes the kernel itself, as if nothing had been.
//   keeper    one process for a user and an environment (keeper.c). It witnesses how kernels end,
//             and, once a kernel has had nothing to do for a moment, loads Python and IPython and
//             forks kernels from then on.
//   kernel    started cold (the launcher) or warm (a fork of the keeper).
//
// Two SOCK_SEQPACKET sockets in the run folder, 0700, both named after the identity: `.keep-<hash>`
// takes what kernels tell (a px_tell, with descriptors); `.warm-<hash>` takes what launchers ask (a
// px_ask header, texts, descriptors) and exists only while Python is loaded. Both ends look at the
// other's user id.
#ifndef PX_WARM_H
#define PX_WARM_H

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PX_WARM_MAX_FDS 200    // descriptors that a launcher may hand over
#define PX_WARM_MAX_ASK 196608 // bytes of one request: arguments and environment
#define PX_WARM_SECONDS 5      // how long a keeper without kernels stays

// px_environment is what the launcher has found out about where it is installed.
typedef struct px_environment {
    const char *python;
    const char *packages;
    const char *library; // libpython
    const char *module;  // _kernel.<abi>.so
} px_environment;

// --- identity.c ----------------------------------------------------------------------------------

// px_identity is everything that must be alike for a fork to stand in for a start: program files,
// user, namespaces, control groups, security, limits that cannot be raised, and the environment
// variables that are read while a program starts.
typedef struct px_identity {
    char *text;
    size_t size; // with the final NUL
    uint64_t hash;
    char keep[108]; // paths of the two sockets
    char warm[108];
} px_identity;

// px_identity_of fills ret_identity; false when there is no safe run folder or this process is of
// a kind that is always started cold. With make, the run folder is made.
bool px_identity_of(const px_environment *environment, bool make, px_identity *ret_identity);
void px_identity_done(px_identity *identity);
// px_identity_clean removes the sockets of a keeper that was killed, if they are still its.
void px_identity_clean(const px_identity *identity);
// px_warm_seconds reads PX_WARM: how long a keeper stays without kernels; -1: warm starts are off.
int px_warm_seconds(void);
uint64_t px_warm_hash(const char *text, size_t size);
// px_warm_folder finds the run folder ($PX_RUNTIME_DIR or /tmp/pxkernel-<uid>) and checks that it
// is this user's alone. With make it is made.
bool px_warm_folder(bool make, char ret_folder[80]);
// px_warm_read reads the first size - 1 bytes of a file, with a NUL after them; how many there
// were, 0 also where it cannot be read. flags go to open(): O_NOFOLLOW refuses a link.
size_t px_warm_read(const char *path, int flags, char *text, size_t size);

// --- messages ------------------------------------------------------------------------------------

// px_tell goes from a kernel to the keeper: "I am here", "I have nothing to do".
typedef struct px_tell {
    uint32_t kind;   // PX_TELL_…
    int32_t pid;     // of the kernel
    int32_t manager; // pid of the process that manages kernels; 0: none is known
    char connection_file[PATH_MAX];
} px_tell;
enum { PX_TELL_HERE = 1, PX_TELL_IDLE };
// With PX_TELL_HERE come three descriptors: the kernel's own pidfd, its page of last words
// (px_last_words), and the reading end of the pipe behind its descriptor 2, or the page again where
// nothing is captured.

// px_ask begins a launcher's request. Behind it: the identity, n_arguments and n_variables texts,
// each with its NUL. Descriptors: the working folder, the parent's pidfd if has_parent, n_fds
// others.
typedef struct px_ask {
    uint32_t size; // of all
    uint32_t identity_size;
    uint32_t n_arguments, n_variables, n_fds;
    uint32_t umask;
    bool has_parent;
    int32_t numbers[PX_WARM_MAX_FDS]; // which descriptor each of the others is
    struct rlimit limits[RLIM_NLIMITS];
    cpu_set_t processors;
} px_ask;

// px_answer_word is all that goes back to the launcher.
typedef struct px_answer_word {
    uint32_t kind; // PX_WORD_…
    int32_t value;
} px_answer_word;
enum {
    PX_WORD_NO = 1, // start cold
    PX_WORD_READY,  // value: pid of the kernel, which waits for the launcher's PX_WORD_GO
    PX_WORD_GO,
    PX_WORD_LEAVING, // the kernel is about to end with this exit status
    PX_WORD_EXIT,    // it has ended with this exit status
    PX_WORD_SIGNAL,  // it was ended by this signal
};

// --- last words (words.c) ------------------------------------------------------------------------

// px_last_words is a page that a kernel shares with the keeper, so that it can be read when the
// kernel is gone. In its file, from PX_WORDS_FAULT on, stands what faulthandler writes.
#define PX_WORDS_FAULT 4096
#define PX_WORDS_TAIL 2048
typedef struct px_last_words {
    _Atomic uint32_t asked;   // the end was asked for, or is the kernel's own decision
    _Atomic uint64_t written; // bytes of standard error so far; the last of them are in tail
    char tail[PX_WORDS_TAIL];
} px_last_words;

// px_words_add appends text of standard error. One thread.
void px_words_add(px_last_words *words, const void *text, size_t size);

// --- notes about deaths (death.c) ----------------------------------------------------------------

// px_exit_status is how a process ended.
typedef struct px_exit_status {
    enum { PX_EXIT_UNKNOWN, PX_EXIT_CODE, PX_EXIT_SIGNAL } kind;
    int value;
} px_exit_status;

// px_oom_count is how often the system has killed something for want of memory: in this process's
// control group, and at all. -1: it does not tell.
typedef struct px_oom_count {
    long long group, host;
} px_oom_count;
px_oom_count px_oom_now(void);

// px_exit_status_of asks the system about a process that has ended, by its pidfd and pid.
px_exit_status px_exit_status_of(int pidfd, pid_t pid);

// px_death is what the keeper knows about a kernel that has ended.
typedef struct px_death {
    px_exit_status status;
    px_oom_count before;        // when it was started
    const px_last_words *words; // NULL: none
    int words_fd;               // -1: none
    const char *rest;           // what was still in the pipe of its standard error
    size_t rest_size;
} px_death;

// px_death_write leaves a note for the next kernel that is started with connection_file.
void px_death_write(const char *connection_file, const px_death *death);
// px_death_take reads and removes the note for connection_file; NULL when there is none. free() it.
char *px_death_take(const char *connection_file);
// px_death_sweep removes notes whose connection file is gone.
void px_death_sweep(void);

// --- the launcher's side (shim.c) ----------------------------------------------------------------

// px_shim_try asks for a warm kernel. When it gets one it does not return: the process ends as the
// kernel ends. When it returns nothing has changed.
void px_shim_try(const px_environment *environment, int argc, char **argv);

// --- the keeper (keeper.c, adopt.c) --------------------------------------------------------------

// px_warm_child is what a kernel that was forked by a keeper knows.
typedef struct px_warm_child {
    int link;   // to the shim: its end is the shim's end
    int parent; // pidfd of the process that started the shim; -1: none
    int argc;
    char **argv;
    const char *keep; // path of the keeper's socket
} px_warm_child;

// px_warm_hooks is the module's half: what surrounds a fork, and what the child runs.
typedef struct px_warm_hooks {
    void (*before_fork)(void);
    void (*after_fork_parent)(void);
    void (*after_fork_child)(void);
    bool (*fresh)(void); // nothing that was loaded has changed on disk
    // run is the kernel's whole life; called with the request's environment, folder, descriptors
    // and limits in place. It calls start when everything fits (false: the launcher is gone), and
    // does not return then. It returns when the kernel must be started cold after all.
    int (*run)(const px_warm_child *child, bool (*start)(const px_warm_child *));
} px_warm_hooks;

// px_keeper_main is `pxkernel --keeper`. load gets Python ready and gives the hooks; false: it
// cannot. Returns the exit status.
int px_keeper_main(const px_environment *environment, int argc, char **argv,
                   bool (*load)(px_warm_hooks *ret_hooks));

// px_ask_pack and px_ask_unpack: see px_ask. Unpacked texts point into the message.
typedef struct px_ask_texts {
    const char *identity;
    char **arguments; // NULL-terminated, allocated
    char **variables;
} px_ask_texts;
bool px_ask_unpack(const px_ask *ask, size_t size, px_ask_texts *ret_texts);

// px_adopt makes this forked process what the launcher would have become: session, folder,
// descriptors, limits, mask, environment. false: it cannot be done. n_fds descriptors of the
// message are taken.
bool px_adopt(const px_ask *ask, px_ask_texts *texts, int *fds, int n_fds, int *link,
              int *ret_parent);

// px_warm_send and px_warm_receive: one packet with descriptors. receive gives the number of bytes,
// -1 when there is none; descriptors come close-on-exec.
bool px_warm_send(int socket, const void *data, size_t size, const int *fds, int n_fds);
ssize_t px_warm_receive(int socket, void *data, size_t size, int *ret_fds, int max_fds,
                        int *ret_n_fds);
// px_warm_connect connects to a socket of the same user; -1: there is none. Never waits.
int px_warm_connect(const char *path);

#endif
