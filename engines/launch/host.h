// host.h: what is known of this machine: cores that we may use, free memory, processes. Any thread.
#ifndef PX_ENGINES_HOST_H
#define PX_ENGINES_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// px_host_cores is how many cores affinity and the cgroup's quota leave us, at least 1.
unsigned px_host_cores(void);
// px_host_free_bytes is memory to be had without swapping, the cgroup's limit considered.
uint64_t px_host_free_bytes(void);
// px_host_boot_id writes the kernel's id of this boot ("" when unknown).
void px_host_boot_id(char *ret_text, size_t size);
// px_host_oom_kills counts what the kernel killed for lack of memory in our cgroup (or machine).
uint64_t px_host_oom_kills(void);

// px_process is one reading of /proc/<pid>.
typedef struct px_process {
    char state;      // R, S, T, …
    uint64_t cpu_ns; // user and system time so far
    uint64_t rss;    // bytes
} px_process;
// px_process_read is false when there is no such process.
bool px_process_read(pid_t pid, px_process *ret_process);

// px_text_read reads at most size - 1 bytes of a small file; false when it cannot be read.
bool px_text_read(const char *path, char *ret_text, size_t size);
// px_tail copies the last lines (at most n of them, not empty) of a text file; "" when there is
// none.
void px_tail(const char *path, unsigned n, char *ret_text, size_t size);

#endif
