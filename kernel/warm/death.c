// How a kernel ended, in a sentence, for whoever starts the next one with its connection file.
//
// A front end only sees that the process is gone. The keeper sees more: the signal or exit code,
// whether the system has just killed for want of memory, what stood last on standard error, what
// faulthandler wrote. It leaves a note `.died-<hash of the connection file>` in the run folder:
// first line the connection file, then the text. The next start takes it; one whose connection file
// is gone has no reader any more and is swept away.

#include "warm/warm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTE_MAX 16384
#define PREFIX ".died-"

// --- how it ended --------------------------------------------------------------------------------

// Linux 6.15 tells by a pidfd how a process ended, also when somebody else has waited for it.
struct pidfd_answer {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
    uint32_t room[16];
};
#define ASK_PIDFD(size) _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, size)
#define PIDFD_SAYS_EXIT (UINT64_C(1) << 3)

static px_exit_status of_wait(int status)
{
    if (WIFSIGNALED(status)) {
        return (px_exit_status){PX_EXIT_SIGNAL, WTERMSIG(status)};
    }
    return (px_exit_status){PX_EXIT_CODE, WEXITSTATUS(status)};
}

// from_zombie reads the last field of /proc/<pid>/stat: the wait status, as long as nobody waited.
static px_exit_status from_zombie(pid_t pid)
{
    char path[64];
    char text[1024] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    (void)px_warm_read(path, 0, text, sizeof(text));
    const char *name_end = strrchr(text, ')');
    const char *last = name_end != NULL ? strrchr(name_end, ' ') : NULL;
    int status = 0;
    // NOLINTNEXTLINE(cert-err34-c): the system's own number
    if (last == NULL || strncmp(name_end, ") Z", 3) != 0 || sscanf(last, "%d", &status) != 1) {
        return (px_exit_status){PX_EXIT_UNKNOWN, 0};
    }
    return of_wait(status);
}

static px_exit_status from_pidfd(int pidfd)
{
    struct pidfd_answer answer = {.mask = PIDFD_SAYS_EXIT};
    if (ioctl(pidfd, ASK_PIDFD(64), &answer) == 0 && (answer.mask & PIDFD_SAYS_EXIT) != 0) {
        return of_wait(answer.exit_code);
    }
    return (px_exit_status){PX_EXIT_UNKNOWN, 0};
}

px_exit_status px_exit_status_of(int pidfd, pid_t pid)
{
    px_exit_status status = from_pidfd(pidfd);
    if (status.kind == PX_EXIT_UNKNOWN) {
        status = from_zombie(pid);
    }
    // The pidfd tells once somebody has waited, the zombie until then; that may be just between.
    return status.kind == PX_EXIT_UNKNOWN ? from_pidfd(pidfd) : status;
}

// --- memory --------------------------------------------------------------------------------------

// number_after finds "<name> <number>" at the beginning of a line; -1: not there.
static long long number_after(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        long long number = 0;
        // NOLINTNEXTLINE(cert-err34-c): the system's own number
        if (strncmp(line, name, length) == 0 && sscanf(line + length, " %lld", &number) == 1) {
            return number;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return -1;
}

static long long oom_of_group(void)
{
    char groups[8192];
    char text[8192];
    char path[PATH_MAX];
    (void)px_warm_read("/proc/self/cgroup", O_NOFOLLOW, groups, sizeof(groups));
    for (char *line = groups; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        char *memory = strstr(line, ":memory:");
        long long count = -1;
        if (memory != NULL) {
            (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s/memory.oom_control",
                           memory + 8);
        } else if (strncmp(line, "0::", 3) == 0) {
            (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", line + 3);
        }
        if ((memory != NULL || strncmp(line, "0::", 3) == 0) &&
            px_warm_read(path, O_NOFOLLOW, text, sizeof(text)) > 0) {
            count = number_after(text, "oom_kill ");
        }
        if (count >= 0) {
            return count;
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return -1;
}

px_oom_count px_oom_now(void)
{
    char text[32768];
    (void)px_warm_read("/proc/vmstat", O_NOFOLLOW, text, sizeof(text));
    return (px_oom_count){.group = oom_of_group(), .host = number_after(text, "oom_kill ")};
}

// --- writing -------------------------------------------------------------------------------------

typedef struct note {
    char text[NOTE_MAX];
    size_t size;
} note;

[[gnu::format(printf, 2, 3)]] static void put(note *n, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(n->text + n->size, NOTE_MAX - n->size, format, arguments);
    va_end(arguments);
    if (added > 0) {
        n->size += (size_t)added < NOTE_MAX - n->size ? (size_t)added : NOTE_MAX - n->size - 1;
    }
}

static bool note_path(const char *connection_file, char ret_path[128])
{
    char folder[80];
    if (connection_file[0] == '\0' || !px_warm_folder(false, folder)) {
        return false;
    }
    (void)snprintf(ret_path, 128, "%s/" PREFIX "%016llx", folder,
                   (unsigned long long)px_warm_hash(connection_file, strlen(connection_file)));
    return true;
}

static void put_cause(note *n, px_exit_status status, px_oom_count before)
{
    px_oom_count now = px_oom_now();
    put(n, "The kernel that ran before this one ended without being asked to: ");
    if (status.kind == PX_EXIT_CODE) {
        put(n, "its process left with exit code %d (os._exit, or a library that ends the process).",
            status.value);
    } else if (status.kind == PX_EXIT_UNKNOWN) {
        put(n, "it was killed, or its code ended the process; the system does not tell which.");
    } else {
        const char *name = sigabbrev_np(status.value);
        const char *words = sigdescr_np(status.value);
        put(n, "killed by SIG%s (%s).", name != NULL ? name : "?", words != NULL ? words : "?");
    }
    bool killed =
        status.kind != PX_EXIT_CODE && (status.kind == PX_EXIT_UNKNOWN || status.value == SIGKILL);
    if (killed && now.group > before.group && before.group >= 0) {
        put(n, " It was out of memory: the limit of its control group was reached.");
    } else if (killed && now.host > before.host && before.host >= 0) {
        put(n, " It was out of memory: the system killed a process because there was none left.");
    } else if (killed && status.kind == PX_EXIT_SIGNAL) {
        put(n, " Somebody sent that signal; the system has not reported a lack of memory.");
    }
    put(n, " Its variables are lost.\n");
}

// put_lines writes the last lines of text, indented, whole ones only.
static void put_lines(note *n, const char *title, const char *text, size_t size)
{
    enum { LINES = 12 };
    size_t end = size;
    size_t begin = size;
    int lines = 0;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\0')) {
        end--;
    }
    for (begin = end; begin > 0 && lines < LINES; begin--) {
        lines += text[begin - 1] == '\n';
        if (lines == LINES) {
            break;
        }
    }
    if (end == begin) {
        return;
    }
    put(n, "%s\n", title);
    while (begin < end) {
        const char *stop = memchr(text + begin, '\n', end - begin);
        size_t length = stop != NULL ? (size_t)(stop - text) - begin : end - begin;
        put(n, "    %.*s\n", (int)(length < 400 ? length : 400), text + begin);
        begin += length + 1;
    }
}

// put_stderr joins what the kernel has read of its standard error and what it could not any more.
static void put_stderr(note *n, const px_last_words *words, const char *rest, size_t rest_size)
{
    char text[PX_WORDS_TAIL * 2];
    size_t size = 0;
    uint64_t written = words != NULL ? atomic_load(&words->written) : 0;
    uint64_t from = written > PX_WORDS_TAIL ? written - PX_WORDS_TAIL : 0;
    for (uint64_t at = from; at < written; at++) {
        text[size++] = words->tail[at % PX_WORDS_TAIL];
    }
    size_t skip = rest_size > PX_WORDS_TAIL ? rest_size - PX_WORDS_TAIL : 0;
    if (rest_size > 0) {
        memcpy(text + size, rest + skip, rest_size - skip);
        size += rest_size - skip;
    }
    put_lines(n, "The last lines of its standard error:", text, size);
}

static void put_fault(note *n, int words_fd)
{
    char text[4096];
    ssize_t size = words_fd >= 0 ? pread(words_fd, text, sizeof(text), PX_WORDS_FAULT) : 0;
    if (size > 0) {

        put(n, "What Python was doing:\n");
        size_t at = 0;
        for (int line = 0; line < 20 && at < (size_t)size; line++) {
            const char *stop = memchr(text + at, '\n', (size_t)size - at);
            size_t length = stop != NULL ? (size_t)(stop - text) - at : (size_t)size - at;
            put(n, "    %.*s\n", (int)length, text + at);
            at += length + 1;
        }
    }
}

void px_death_write(const char *connection_file, const px_death *death)
{
    char path[128];
    char fresh[136];
    note *n = calloc(1, sizeof(*n));
    if (n == NULL || access(connection_file, F_OK) != 0 || !note_path(connection_file, path)) {
        free(n);
        return;
    }
    put(n, "%s\n", connection_file);
    put_cause(n, death->status, death->before);
    put_fault(n, death->words_fd);
    put_stderr(n, death->words, death->rest, death->rest_size);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool whole = write(fd, n->text, n->size) == (ssize_t)n->size;
        (void)close(fd);
        if (!whole || rename(fresh, path) != 0) {
            (void)unlink(fresh);
        }
    }
    free(n);
}

// --- reading -------------------------------------------------------------------------------------

// read_note gives a note's text and the connection file it is for; NULL: it is none.
static char *read_note(const char *path, char ret_file[PATH_MAX])
{
    char *text = malloc(NOTE_MAX);
    if (text == NULL) {
        return NULL;
    }
    size_t size = px_warm_read(path, O_NOFOLLOW, text, NOTE_MAX);
    char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    if (end == NULL || end - text >= PATH_MAX) {
        free(text);
        return NULL;
    }
    *end = '\0';
    (void)snprintf(ret_file, PATH_MAX, "%s", text);
    memmove(text, end + 1, strlen(end + 1) + 1);
    return text;
}

char *px_death_take(const char *connection_file)
{
    char path[128];
    char file[PATH_MAX];
    if (!note_path(connection_file, path)) {
        return NULL;
    }
    char *text = read_note(path, file);
    if (text == NULL || strcmp(file, connection_file) != 0) {
        free(text);
        return NULL;
    }
    (void)unlink(path);
    return text;
}

void px_death_sweep(void)
{
    char folder[80];
    char path[400];
    char file[PATH_MAX];
    DIR *entries = px_warm_folder(false, folder) ? opendir(folder) : NULL;
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) != 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        char *text = read_note(path, file);
        if (text == NULL || access(file, F_OK) != 0) {
            (void)unlink(path);
        }
        free(text);
    }
    if (entries != NULL) {
        (void)closedir(entries);
    }
}
