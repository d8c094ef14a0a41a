// A log line is one write(2) of one stack buffer: no lock, no allocation, lines never mix, and a
// full disk or a closed stderr loses lines instead of stopping the process.
#include "px/log.h"

#include "px/time.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 2048

static atomic_int threshold = PX_LOG_WARNING;
static atomic_int descriptor = STDERR_FILENO;
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;
static int environment_level = -1;

static const char *const level_names[] = {"debug", "info", "warning", "error", "off"};

static void read_environment(void)
{
    const char *wanted = getenv("PX_LOG");
    for (int i = 0; wanted != NULL && i <= (int)PX_LOG_OFF; i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            environment_level = i;
            atomic_store(&threshold, i);
        }
    }
}

void px_log_setup(px_log_level level, int fd)
{
    (void)pthread_once(&environment_once, read_environment); // cannot fail
    atomic_store(&threshold, environment_level >= 0 ? environment_level : (int)level);
    atomic_store(&descriptor, fd);
}

// A line stays a line whatever the values contain.
static void flatten(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = ' ';
        }
    }
}

static size_t clip(int written, size_t room)
{
    if (written < 0) {
        return 0;
    }
    return (size_t)written < room ? (size_t)written : room - 1;
}

void px_log_write(px_log_level level, const char *event, const char *format, ...)
{
    char line[LINE_SIZE];
    char stamp[PX_STAMP_SIZE];
    char thread[16] = "?";
    va_list args;

    (void)pthread_once(&environment_once, read_environment); // cannot fail
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed) ||
        level >= PX_LOG_OFF) {
        return;
    }
    px_stamp_now(stamp);
    (void)pthread_getname_np(pthread_self(), thread, sizeof(thread)); // "?" then
    const size_t room = sizeof(line) - 1;                             // the newline's place
    size_t size = clip(snprintf(line, room, "%s %-7s %s: %s%s", stamp, level_names[level], thread,
                                event, *format == '\0' ? "" : " "),
                       room);
    va_start(args, format);
    size += clip(vsnprintf(line + size, room - size, format, args), room - size);
    va_end(args);
    flatten(line, size);
    line[size++] = '\n';
    ssize_t ignored = write(atomic_load(&descriptor), line, size);
    (void)ignored; // there is nowhere to report it
}

int px_log_once(px_log_gate *gate)
{
    unsigned long before = __atomic_fetch_add(&gate->count, 1, __ATOMIC_RELAXED);
    return before % 1000 == 0;
}
