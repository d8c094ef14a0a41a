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

// last_words appends the end of the engine's log.
static void last_words(const px_controller *controller, px_seat *seat)
{
    char path[PATH_MAX + 32], words[256];
    (void)snprintf(path, sizeof(path), "%s/engine-%u.log", controller->folder, seat->id);
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
    } else {
        (void)snprintf(seat->cause, sizeof(seat->cause), "its connection ended");
    }
}
