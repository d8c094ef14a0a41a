// host.c: files under /proc and /sys/fs/cgroup, read once a call. What cannot be read counts as no
// limit.

#include "host.h"

#include "px/id.h"
#include "px/time.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool px_text_read(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, ret_text, size - 1);
    (void)close(fd);
    ret_text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

// number_after reads the number that follows key in text; 0 when there is none.
static uint64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    uint64_t number = 0;
    if (at == NULL) {
        return 0;
    }
    at += strlen(key);
    at += strspn(at, " \t");
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
    }
    return number;
}

// cgroup_file makes the path of a file of our cgroup (version 2).
static bool cgroup_file(const char *name, char *ret_path, size_t size)
{
    char text[PATH_MAX];
    if (!px_text_read("/proc/self/cgroup", text, sizeof(text))) {
        return false;
    }
    char *line = strstr(text, "0::");
    if (line == NULL) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return snprintf(ret_path, size, "/sys/fs/cgroup%s/%s", line + 3, name) < (int)size;
}

unsigned px_host_cores(void)
{
    cpu_set_t set;
    unsigned cores = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        cores = (unsigned)CPU_COUNT(&set);
    } else {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        cores = n > 0 ? (unsigned)n : 1;
    }
    char path[PATH_MAX], text[64];
    if (cgroup_file("cpu.max", path, sizeof(path)) && px_text_read(path, text, sizeof(text)) &&
        text[0] != 'm') {
        uint64_t quota = number_after(text, "");
        uint64_t period = number_after(text + strcspn(text, " "), " ");
        uint64_t allowed = period > 0 ? (quota + period - 1) / period : cores;
        cores = allowed > 0 && allowed < cores ? (unsigned)allowed : cores;
    }
    return cores > 0 ? cores : 1;
}

uint64_t px_host_free_bytes(void)
{
    char text[4096], path[PATH_MAX], limit[64], used[64];
    uint64_t available = UINT64_MAX;
    if (px_text_read("/proc/meminfo", text, sizeof(text))) {
        available = number_after(text, "MemAvailable:") * 1024;
    }
    if (cgroup_file("memory.max", path, sizeof(path)) && px_text_read(path, limit, sizeof(limit)) &&
        limit[0] != 'm' && cgroup_file("memory.current", path, sizeof(path)) &&
        px_text_read(path, used, sizeof(used))) {
        uint64_t allowed = number_after(limit, ""), taken = number_after(used, "");
        uint64_t rest = allowed > taken ? allowed - taken : 0;
        available = rest < available ? rest : available;
    }
    return available;
}

void px_host_boot_id(char *ret_text, size_t size)
{
    if (!px_text_read("/proc/sys/kernel/random/boot_id", ret_text, size)) {
        ret_text[0] = '\0';
    }
    ret_text[strcspn(ret_text, "\n")] = '\0';
}

uint64_t px_host_oom_kills(void)
{
    char path[PATH_MAX], text[16384];
    if (cgroup_file("memory.events", path, sizeof(path)) &&
        px_text_read(path, text, sizeof(text))) {
        return number_after(text, "oom_kill ");
    }
    return px_text_read("/proc/vmstat", text, sizeof(text)) ? number_after(text, "\noom_kill ") : 0;
}

bool px_process_read(pid_t pid, px_process *ret_process)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid <= 0 || !px_text_read(path, text, sizeof(text))) {
        return false;
    }
    const char *at = strrchr(text, ')'); // the name may hold anything
    if (at == NULL || at[1] != ' ') {
        return false;
    }
    ret_process->state = at[2];
    uint64_t fields[25] = {0}; // from field 3 (state) on
    at += 2;
    for (size_t i = 0; i < 25 && at != NULL; i++) {
        fields[i] = number_after(at, "");
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    ret_process->cpu_ns = (fields[11] + fields[12]) * (PX_NS_PER_S / ticks);
    ret_process->rss = fields[21] * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

void px_tail(const char *path, unsigned n, char *ret_text, size_t size)
{
    char text[8192];
    ret_text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0) {
        return;
    }
    off_t from = fstat(fd, &status) == 0 ? status.st_size - (off_t)sizeof(text) + 1 : 0;
    ssize_t got = pread(fd, text, sizeof(text) - 1, from > 0 ? from : 0);
    (void)close(fd);
    size_t end = got > 0 ? (size_t)got : 0;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == ' ')) {
        end--;
    }
    size_t start = end;
    for (unsigned lines = 0; start > 0 && end - start < size - 1; start--) {
        if (text[start - 1] == '\n' && ++lines == n) {
            break;
        }
    }
    size_t length = end - start < size - 1 ? end - start : size - 1;
    memcpy(ret_text, text + start, length);
    ret_text[length] = '\0';
}
