// death.c: how an engine ended, in a sentence for its user.
//
// The zygote knows signal or exit code; the kernel's count of out-of-memory kills tells apart the
// two who send SIGKILL; the last lines of the engine's log say the rest, when it did not end by a
// signal.

#include "../launch/host.h"
#include "controller.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char *meaning(int signum)
{
    switch (signum) {
    case SIGSEGV:
    case SIGBUS:
        return "it crashed: invalid memory access in C code";
    case SIGFPE:
    case SIGILL:
        return "it crashed: invalid instruction or arithmetic in C code";
    case SIGABRT:
        return "it aborted itself: a C library found something wrong";
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGQUIT:
        return "somebody asked it to end";
    case SIGXCPU:
        return "it used up its limit of CPU time";
    default:
        return "killed";
    }
}

static void by_signal(px_controller *controller, px_seat *seat, int signum)
{
    const char *name = sigabbrev_np(signum);
    uint64_t oom_kills = signum == SIGKILL ? px_host_oom_kills() : 0;
    const char *what = meaning(signum);
    if (signum == SIGKILL && oom_kills > controller->oom_kills) {
        controller->oom_kills = oom_kills;
        what = "out of memory: the system killed it";
    }
    (void)snprintf(seat->cause, sizeof(seat->cause), "its process (%d) ended by SIG%s (%s)",
                   (int)seat->pid, name != NULL ? name : "?", what);
}

// is_caller tells if a file's name holds one of the folders of what calls the user's code.
static bool is_caller(const char *file, size_t size)
{
    static const char *const callers[] = {"/pxkernel/", "/pxparallel/", "/asyncio/", "/IPython/"};
    for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
        if (memmem(file, size, callers[i], strlen(callers[i])) != NULL) {
            return true;
        }
    }
    return false;
}

// frame_of reads a line of a stack as Python's faulthandler writes it, `  File "x.py", line 3 in
// f`, into words; false when it is none, or one of those that call the user's code.
static bool frame_of(const char *line, char *ret_words, size_t size)
{
    static const char head[] = "  File \"", number[] = "\", line ";
    const char *file = line + sizeof(head) - 1;
    const char *last = line + strcspn(line, "\n");
    if (last <= file || strncmp(line, head, sizeof(head) - 1) != 0) {
        return false;
    }
    const char *end = memchr(file, '"', (size_t)(last - file));
    const char *name = end != NULL ? memmem(end, (size_t)(last - end), " in ", 4) : NULL;
    if (name == NULL || strncmp(end, number, sizeof(number) - 1) != 0 ||
        is_caller(file, (size_t)(end - file))) {
        return false;
    }
    const char *digits = end + sizeof(number) - 1;
    name += 4;
    (void)snprintf(ret_words, size, "%.*s (%.*s line %.*s)", (int)(last - name), name,
                   (int)(end - file), file, (int)(name - 4 - digits), digits);
    return true;
}

// crash_site appends the innermost functions of Python that a crashed engine was in; false when its
// log has no stack.
static bool crash_site(const char *path, px_seat *seat)
{
    static const char head[] = "(most recent call first):\n";
    char text[4096], words[256];
    px_tail(path, 64, text, sizeof(text));
    const char *at = NULL;
    for (const char *next = text; (next = strstr(next, head)) != NULL;) {
        next += sizeof(head) - 1;
        at = next;
    }
    int n = 0;
    while (at != NULL && n < 3 && frame_of(at, words, sizeof(words))) {
        size_t length = strlen(seat->cause);
        (void)snprintf(seat->cause + length, sizeof(seat->cause) - length, "%s%s",
                       n++ == 0 ? "; it was in " : ", called by ", words);
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return n > 0;
}

// last_words appends where it crashed, or else the end of the engine's log.
static void last_words(const px_controller *controller, px_seat *seat)
{
    char path[PATH_MAX + 32], words[256];
    (void)snprintf(path, sizeof(path), "%s/engine-%u.log", controller->folder, seat->id);
    if (seat->exit.signal >= 0 && crash_site(path, seat)) {
        return;
    }
    px_tail(path, 4, words, sizeof(words));
    if (words[0] != '\0') {
        size_t length = strlen(seat->cause);
        (void)snprintf(seat->cause + length, sizeof(seat->cause) - length,
                       "; its log ends with: %s", words);
    }
}

void px__death(px_controller *controller, px_seat *seat, px_exit how)
{
    seat->exit = how;
    const px_engine *engine = px_roster_find(controller->roster, seat->id);
    if (engine != NULL && engine->asked) {
        (void)snprintf(seat->cause, sizeof(seat->cause), "it was stopped");
    } else if (engine != NULL && engine->timed_out) {
        (void)snprintf(seat->cause, sizeof(seat->cause), "it did not register in time");
        last_words(controller, seat);
    } else if (how.signal >= 0) {
        by_signal(controller, seat, how.signal);
        if (how.signal != SIGKILL) {
            last_words(controller, seat);
        }
    } else if (how.code >= 0) {
        (void)snprintf(seat->cause, sizeof(seat->cause), "its process (%d) ended with exit code %d",
                       (int)seat->pid, how.code);
        last_words(controller, seat);
    } else if (seat->far) {
        (void)snprintf(seat->cause, sizeof(seat->cause),
                       "no connection to it on host %s any more: its process, its host or the "
                       "network between is down",
                       seat->host);
    } else {
        (void)snprintf(seat->cause, sizeof(seat->cause), "its connection ended");
    }
}
