// The keeper: one process for each user and environment, as long as kernels of it live.
//
// It begins as a few pages of C: a witness. Every kernel tells it that it is here (its connection
// file, its page of last words, the pipe of its standard error), and the keeper leaves a note when
// one ends without having been asked to (death.c). The first time that a kernel has nothing to do
// for a moment, the keeper loads Python and IPython, in one thread and without a socket of
// ZeroMQ's, and answers launchers from then on: each request is a fork (adopt.c, shim.c).
//
// How long it lives: until its last kernel has ended and either the processes that manage kernels
// (JPY_PARENT_PID) have ended too or PX_WARM seconds have passed, time enough for a restart. It
// holds nothing else. If it is killed its kernels go on: their shims ask the system instead.
//
// There is one for each identity because the folder is locked while one looks for the other. A
// keeper whose files on disk have changed (a package was installed) takes its sockets away and only
// sees its kernels to their end; the next cold start makes a new one.

#include "warm/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 65536 // of a dead kernel's pipe

// life is a kernel that the keeper knows.
typedef struct life {
    struct life *next;
    pid_t pid;
    int pidfd;
    int link;  // to its shim; -1: it was started cold
    bool told; // it has said that it is here
    char connection_file[PATH_MAX];
    int page_fd, stderr_fd;
    px_last_words *words;
    px_oom_count before;
} life;

typedef struct manager {
    struct manager *next;
    pid_t pid;
    int pidfd;
    bool gone;
} manager;

typedef struct guest { // a connection from which a packet is expected
    struct guest *next;
    int fd;
    bool asks; // on the warm socket
} guest;

typedef struct keeper {
    const px_environment *environment;
    px_identity identity;
    bool (*load)(px_warm_hooks *);
    px_warm_hooks hooks;
    bool loaded, failed, retired;
    int keep_fd, warm_fd; // listening; -1: not
    int deaths;           // signalfd of SIGCHLD
    sigset_t before;
    life *lives;
    manager *managers;
    guest *guests;
    int64_t empty_since; // ms; when the last kernel ended
    int seconds;
    char *title;
    size_t title_size;
} keeper;

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

// --- the sockets ---------------------------------------------------------------------------------

// listen_at makes the socket at path, unless somebody else listens there. The folder is locked
// meanwhile, so that two keepers that start together end up as one.
static int listen_at(const char *path)
{
    char folder[80];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!px_warm_folder(true, folder)) {
        return -1;
    }
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = -1;
    if (lock >= 0 && flock(lock, LOCK_EX) == 0) {
        int other = px_warm_connect(path);
        if (other < 0) {
            (void)unlink(path); // of one that was killed
            (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
            fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
                            chmod(path, 0600) != 0 || listen(fd, 512) != 0)) {
                close_fd(&fd);
            }
        }
        close_fd(&other);
    }
    close_fd(&lock);
    return fd;
}

static void retire(keeper *k)
{
    if (k->warm_fd >= 0) {
        (void)unlink(k->identity.warm);
    }
    if (k->keep_fd >= 0) {
        (void)unlink(k->identity.keep);
    }
    close_fd(&k->warm_fd);
    close_fd(&k->keep_fd);
    k->retired = true;
}

static void accept_all(keeper *k, int listening, bool asks)
{
    for (;;) {
        struct ucred peer = {0};
        socklen_t length = sizeof(peer);
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        guest *g = calloc(1, sizeof(*g));
        if (g == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
            peer.uid != geteuid()) {
            (void)close(fd);
            free(g);
            continue;
        }
        *g = (guest){.next = k->guests, .fd = fd, .asks = asks};
        k->guests = g;
    }
}

// --- lives ---------------------------------------------------------------------------------------

static life *life_of(keeper *k, pid_t pid)
{
    life *l = k->lives;
    while (l != NULL && l->pid != pid) {
        l = l->next;
    }
    return l;
}

static life *new_life(keeper *k, pid_t pid, int pidfd, int link)
{
    life *l = calloc(1, sizeof(*l));
    if (l != NULL) {
        *l = (life){.next = k->lives,
                    .pid = pid,
                    .pidfd = pidfd,
                    .link = link,
                    .page_fd = -1,
                    .stderr_fd = -1};
        k->lives = l;
    }
    return l;
}

static size_t read_rest(int fd, char *text)
{
    size_t size = 0;
    while (fd >= 0 && size < TEXT_MAX) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (poll(&item, 1, 0) != 1 || (item.revents & POLLIN) == 0) {
            break;
        }
        ssize_t n = read(fd, text + size, TEXT_MAX - size);
        if (n <= 0) {
            break;
        }
        size += (size_t)n;
    }
    return size;
}

// bury leaves a note if one is due, tells the shim, and forgets the kernel.
static void bury(keeper *k, life *l, px_exit_status status)
{
    if (l->told && (l->words == NULL || !l->words->asked)) {
        char *rest = malloc(TEXT_MAX);
        const px_death death = {
            .status = status,
            .before = l->before,
            .words = l->words,
            .words_fd = l->page_fd,
            .rest = rest,
            .rest_size = rest != NULL ? read_rest(l->stderr_fd, rest) : 0,
        };
        px_death_write(l->connection_file, &death);
        free(rest);
    }
    if (l->link >= 0) {
        px_answer_word word = {status.kind == PX_EXIT_SIGNAL ? PX_WORD_SIGNAL : PX_WORD_EXIT,
                               status.value};
        (void)px_warm_send(l->link, &word, sizeof(word), NULL, 0); // the shim may be gone
    }
    for (life **at = &k->lives; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    if (l->words != NULL) {
        (void)munmap(l->words, PX_WORDS_FAULT);
    }
    close_fd(&l->link);
    close_fd(&l->pidfd);
    close_fd(&l->page_fd);
    close_fd(&l->stderr_fd);
    free(l);
    if (k->lives == NULL) {
        k->empty_since = now_ms();
    }
}

// bury_children takes every fork of ours that has ended.
static void bury_children(keeper *k)
{
    struct signalfd_siginfo ignored;
    while (read(k->deaths, &ignored, sizeof(ignored)) > 0) {
    }
    for (;;) {
        siginfo_t end = {0};
        if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG) != 0 || end.si_pid == 0) {
            return;
        }
        life *l = life_of(k, end.si_pid);
        if (l != NULL) {
            bury(k, l,
                 (px_exit_status){end.si_code == CLD_EXITED ? PX_EXIT_CODE : PX_EXIT_SIGNAL,
                                  end.si_status});
        }
    }
}

// shim_gone: who started the kernel has ended it. All of its group, as when a front end kills one.
static void shim_gone(life *l)
{
    (void)kill(-l->pid, SIGKILL);
    (void)kill(l->pid, SIGKILL);
    close_fd(&l->link);
}

static void note_manager(keeper *k, pid_t pid)
{
    manager *m = k->managers;
    while (m != NULL && m->pid != pid) {
        m = m->next;
    }
    int fd = m == NULL && pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    m = fd >= 0 ? calloc(1, sizeof(*m)) : NULL;
    if (m == NULL) {
        close_fd(&fd);
        return;
    }
    *m = (manager){.next = k->managers, .pid = pid, .pidfd = fd};
    k->managers = m;
}

// --- what kernels tell ---------------------------------------------------------------------------

static void here(keeper *k, const px_tell *tell, int *fds, int n_fds)
{
    life *l = life_of(k, tell->pid);
    if (n_fds < 3) {
        return;
    }
    if (l == NULL) {
        l = new_life(k, tell->pid, fds[0], -1);
        fds[0] = l != NULL ? -1 : fds[0];
    }
    if (l == NULL || l->told) {
        return;
    }
    l->told = true;
    (void)snprintf(l->connection_file, sizeof(l->connection_file), "%s", tell->connection_file);
    l->page_fd = fds[1];
    l->stderr_fd = fds[2];
    fds[1] = fds[2] = -1;
    l->before = px_oom_now();
    void *page = mmap(NULL, PX_WORDS_FAULT, PROT_READ, MAP_SHARED, l->page_fd, 0);
    l->words = page != MAP_FAILED ? page : NULL;
    note_manager(k, tell->manager);
}

static void load(keeper *k)
{
    if (k->loaded || k->failed || k->retired || k->load == NULL) {
        return;
    }
    k->loaded = k->load(&k->hooks);
    k->failed = !k->loaded;
    if (k->loaded) {
        k->warm_fd = listen_at(k->identity.warm);
    }
}

static void take_tell(keeper *k, px_tell *tell, ssize_t size, int *fds, int n_fds)
{
    tell->connection_file[sizeof(tell->connection_file) - 1] = '\0';
    if (size == sizeof(*tell) && tell->kind == PX_TELL_HERE) {
        here(k, tell, fds, n_fds);
    } else if (size == sizeof(*tell) && tell->kind == PX_TELL_IDLE) {
        load(k);
    }
    for (int i = 0; i < n_fds; i++) {
        close_fd(&fds[i]);
    }
}

// hear_tell reads what a kernel says; false: there is nothing more from it.
static bool hear_tell(keeper *k, int from)
{
    px_tell tell = {0};
    int fds[3];
    int n_fds = 0;
    ssize_t size = px_warm_receive(from, &tell, sizeof(tell), fds, 3, &n_fds);
    if (size > 0 || n_fds > 0) {
        take_tell(k, &tell, size, fds, n_fds);
    }
    return size > 0 || (size < 0 && errno == EAGAIN);
}

// --- what launchers ask --------------------------------------------------------------------------

static void say_no(int link)
{
    px_answer_word word = {.kind = PX_WORD_NO};
    (void)px_warm_send(link, &word, sizeof(word), NULL, 0); // it may have gone on without us
}

// start tells the launcher which process is its kernel, and waits for its GO. In the child.
static bool start(const px_warm_child *child)
{
    px_answer_word word = {.kind = PX_WORD_READY, .value = getpid()};
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct pollfd item = {.fd = child->link, .events = POLLIN};
    bool good = self >= 0 && px_warm_send(child->link, &word, sizeof(word), &self, 1) &&
                poll(&item, 1, -1) == 1 &&
                px_warm_receive(child->link, &word, sizeof(word), NULL, 0, NULL) == sizeof(word) &&
                word.kind == PX_WORD_GO;
    close_fd(&self);
    return good;
}

// write_title makes ps show what it would for a cold start.
static void write_title(keeper *k, char *const *arguments)
{
    size_t at = 0;
    memset(k->title, 0, k->title_size);
    for (int i = 0; arguments[i] != NULL; i++) {
        size_t length = strlen(arguments[i]) + 1;
        if (length > k->title_size - at) {
            break;
        }
        memcpy(k->title + at, arguments[i], length);
        at += length;
    }
}

_Noreturn static void live(keeper *k, px_ask *ask, px_ask_texts *texts, int *fds, int n_fds,
                           int link)
{
    int parent = -1;
    k->hooks.after_fork_child();
    (void)sigprocmask(SIG_SETMASK, &k->before, NULL);
    if (!px_adopt(ask, texts, fds, n_fds, &link, &parent)) {
        say_no(link);
        _exit(1);
    }
    write_title(k, texts->arguments);
    const px_warm_child child = {
        .link = link,
        .parent = parent,
        .argc = (int)ask->n_arguments,
        .argv = texts->arguments,
        .keep = k->identity.keep,
    };
    int status = k->hooks.run(&child, start);
    say_no(link); // it never became a kernel
    _exit(status);
}

static void fork_kernel(keeper *k, px_ask *ask, px_ask_texts *texts, int *fds, int n_fds, int link)
{
    k->hooks.before_fork();
    pid_t pid = fork();
    if (pid == 0) {
        live(k, ask, texts, fds, n_fds, link);
    }
    k->hooks.after_fork_parent();
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid < 0 || new_life(k, pid, pidfd, link) == NULL) {
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
        }
        say_no(link);
        (void)close(link);
    }
}

// hear_ask serves one launcher; false: the connection is not ours any more.
static bool hear_ask(keeper *k, int from)
{
    static _Alignas(16) char packet[PX_WARM_MAX_ASK];
    int fds[PX_WARM_MAX_FDS + 2];
    int n_fds = 0;
    px_ask_texts texts;
    ssize_t size = px_warm_receive(from, packet, sizeof(packet), fds, PX_WARM_MAX_FDS + 2, &n_fds);
    if (size < 0 && errno == EAGAIN) {
        return true;
    }
    px_ask *ask = (px_ask *)(void *)packet;
    if (size > 0 && px_ask_unpack(ask, (size_t)size, &texts)) {
        bool same = strcmp(texts.identity, k->identity.text) == 0;
        bool fresh = same && k->loaded && k->hooks.fresh();
        if (fresh) {
            fork_kernel(k, ask, &texts, fds, n_fds, from);
        } else {
            say_no(from);
            (void)close(from);
        }
        if (same && !fresh) {
            retire(k);
        }
        free((void *)texts.arguments);
        free((void *)texts.variables);
    } else {
        (void)close(from);
    }
    for (int i = 0; i < n_fds; i++) {
        close_fd(&fds[i]);
    }
    return false;
}

// --- the loop ------------------------------------------------------------------------------------

static bool managed(const keeper *k)
{
    bool any = false;
    for (const manager *m = k->managers; m != NULL; m = m->next) {
        if (!m->gone) {
            return true;
        }
        any = true;
    }
    return !any; // nobody is known: the time decides
}

// wait_ms is how long the keeper may sleep: -1 for ever, 0 when it is to end.
static int wait_ms(const keeper *k)
{
    if (k->lives != NULL) {
        return -1;
    }
    int64_t left = managed(k) ? k->empty_since + k->seconds * (int64_t)1000 - now_ms() : 0;
    return left > 0 ? (int)left : 0;
}

static size_t count(const keeper *k)
{
    size_t n = 3;
    for (const life *l = k->lives; l != NULL; l = l->next) {
        n++;
    }
    for (const manager *m = k->managers; m != NULL; m = m->next) {
        n++;
    }
    for (const guest *g = k->guests; g != NULL; g = g->next) {
        n++;
    }
    return n;
}

static size_t gather(const keeper *k, struct pollfd *items)
{
    size_t n = 0;
    items[n++] = (struct pollfd){.fd = k->deaths, .events = POLLIN};
    items[n++] = (struct pollfd){.fd = k->keep_fd, .events = POLLIN};
    items[n++] = (struct pollfd){.fd = k->warm_fd, .events = POLLIN};
    for (const life *l = k->lives; l != NULL; l = l->next) {
        // A fork of ours ends by SIGCHLD; what is watched is its shim, as long as that lives.
        items[n++] = l->link < 0 ? (struct pollfd){.fd = l->pidfd, .events = POLLIN}
                                 : (struct pollfd){.fd = l->link, .events = POLLRDHUP};
    }
    for (const manager *m = k->managers; m != NULL; m = m->next) {
        items[n++] = (struct pollfd){.fd = m->gone ? -1 : m->pidfd, .events = POLLIN};
    }
    for (const guest *g = k->guests; g != NULL; g = g->next) {
        items[n++] = (struct pollfd){.fd = g->fd, .events = POLLIN};
    }
    return n;
}

static void look_at_lives(keeper *k, const struct pollfd **item)
{
    life *next;
    for (life *l = k->lives; l != NULL; l = next) {
        next = l->next;
        short events = (*item)++->revents;
        if (events == 0) {
            continue;
        }
        if (l->link >= 0) {
            shim_gone(l);
        } else {
            bury(k, l, px_exit_status_of(l->pidfd, l->pid));
        }
    }
}

static void look_at_guests(keeper *k, const struct pollfd **item)
{
    guest **at = &k->guests;
    while (*at != NULL) {
        guest *g = *at;
        short events = (*item)++->revents;
        bool stays = true;
        if (events != 0 && g->asks) {
            stays = hear_ask(k, g->fd); // the connection is the kernel's, or closed
        } else if (events != 0) {
            stays = hear_tell(k, g->fd);
            if (!stays) {
                (void)close(g->fd);
            }
        }
        if (stays) {
            at = &g->next;
        } else {
            *at = g->next;
            free(g);
        }
    }
}

// one_round waits for something and serves it; false: the keeper ends.
static bool one_round(keeper *k)
{
    struct pollfd *items = calloc(count(k), sizeof(*items));
    if (items == NULL) {
        return false;
    }
    size_t n = gather(k, items);
    int found = poll(items, n, wait_ms(k));
    const struct pollfd *item = items + 3;
    if (found > 0) {
        // In the order of gather; each list grows only after it was looked at.
        look_at_lives(k, &item);
        for (manager *m = k->managers; m != NULL; m = m->next) {
            m->gone = item++->revents != 0 || m->gone;
        }
        look_at_guests(k, &item);
        if (items[0].revents != 0) {
            bury_children(k);
        }
        if (items[1].revents != 0) {
            accept_all(k, k->keep_fd, false);
        }
        if (items[2].revents != 0) {
            accept_all(k, k->warm_fd, true);
        }
    }
    free(items);
    return found != 0 || wait_ms(k) != 0;
}

// --- begin and end -------------------------------------------------------------------------------

static size_t area(int argc, char **argv)
{
    char *end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; i++) {
        end = argv[i] + strlen(argv[i]) + 1;
    }
    return (size_t)(end - argv[0]);
}

static bool begin(keeper *k, int argc, char **argv)
{
    static char name[PATH_MAX];
    char *const shown[] = {name, (char *)(uintptr_t) "--keeper", NULL};
    sigset_t deaths;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
        !px_identity_of(k->environment, true, &k->identity)) {
        return false;
    }
    (void)close(null);
    (void)setsid(); // its own already: the one who started us has seen to it
    (void)!chdir("/");
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; // some for each kernel; a kernel gets its launcher's limit
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)snprintf(name, sizeof(name), "%s", argv[0]);
    k->title = argv[0];
    k->title_size = area(argc, argv);
    write_title(k, shown);
    (void)sigemptyset(&deaths);
    (void)sigaddset(&deaths, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &deaths, &k->before);
    k->deaths = signalfd(-1, &deaths, SFD_CLOEXEC | SFD_NONBLOCK);
    return k->deaths >= 0;
}

// hand_on gives what we were told to the keeper that was there first.
static void hand_on(const keeper *k, int from)
{
    px_tell tell = {0};
    int fds[3];
    int n_fds = 0;
    int other = px_warm_connect(k->identity.keep);
    if (px_warm_receive(from, &tell, sizeof(tell), fds, 3, &n_fds) == sizeof(tell) && other >= 0) {
        (void)px_warm_send(other, &tell, sizeof(tell), fds, n_fds); // it may end just now
    }
    close_fd(&other);
}

int px_keeper_main(const px_environment *environment, int argc, char **argv,
                   bool (*load_python)(px_warm_hooks *ret_hooks))
{
    keeper k = {.environment = environment,
                .load = load_python,
                .keep_fd = -1,
                .warm_fd = -1,
                .seconds = px_warm_seconds(),
                .empty_since = now_ms()};
    int first = argc > 2 ? fcntl(3, F_DUPFD_CLOEXEC, 4) : -1; // what the first kernel tells
    if (k.seconds < 0 || !begin(&k, argc, argv)) {
        return 1;
    }
    (void)close(3);
    k.keep_fd = listen_at(k.identity.keep);
    if (k.keep_fd < 0) {
        if (first >= 0) {
            hand_on(&k, first);
        }
        return 0;
    }
    px_death_sweep();
    while (first >= 0 && hear_tell(&k, first) && k.lives == NULL) {
        struct pollfd item = {.fd = first, .events = POLLIN};
        (void)poll(&item, 1, 1000);
    }
    close_fd(&first);
    while (one_round(&k)) {
    }
    retire(&k);
    px_death_sweep();
    return 0;
}
