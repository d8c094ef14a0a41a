// usage_reply: what the kernel and its host use, from /proc (proc(5)), with the keys of ipykernel.
// Percentages of CPU are since the last question, so the first answer has none for the host.

#include "io/io.h"

#include "px/connection.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct reading {
    px_ns at;
    double kernel_cpu_s;
    uint64_t host_busy;
    uint64_t host_all;
} reading;

static pthread_mutex_t usage_lock = PTHREAD_MUTEX_INITIALIZER;
static reading last; // under usage_lock

static double own_cpu_s(void)
{
    struct timespec spent;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) != 0) {
        return 0;
    }
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

// own_memory is the proportional share, or the resident size where that is not to be had. Bytes.
static uint64_t own_memory(void)
{
    static const struct {
        const char *path, *line;
    } sources[] = {{"/proc/self/smaps_rollup", "Pss: %" SCNu64},
                   {"/proc/self/status", "VmRSS: %" SCNu64}};
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(sources[i].path, "re");
        char line[256];
        uint64_t kib = 0;
        while (file != NULL && kib == 0 && fgets(line, sizeof(line), file) != NULL) {
            // NOLINTNEXTLINE(cert-err34-c): the system's own numbers
            (void)sscanf(line, i == 0 ? "Pss: %" SCNu64 : "VmRSS: %" SCNu64, &kib);
        }
        if (file != NULL) {
            (void)fclose(file);
        }
        if (kib != 0) {
            return kib * 1024;
        }
    }
    return 0;
}

static void read_host_cpu(reading *now)
{
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return;
    }
    uint64_t n[8] = {0};
    // NOLINTNEXTLINE(cert-err34-c): the system's own numbers
    int got = fscanf(file,
                     "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                     " %" SCNu64 " %" SCNu64,
                     &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]);
    (void)fclose(file);
    for (int i = 0; i < got; i++) {
        now->host_all += n[i];
    }
    now->host_busy = now->host_all - n[3] - n[4]; // but for idle and iowait
}

typedef struct host_memory {
    uint64_t total, available, free, active, inactive, buffers, cached, shared, slab;
} host_memory;

static host_memory read_host_memory(void)
{
    host_memory memory = {0};
    const struct {
        const char *name;
        uint64_t *value;
    } fields[] = {{"MemTotal:", &memory.total},    {"MemAvailable:", &memory.available},
                  {"MemFree:", &memory.free},      {"Active:", &memory.active},
                  {"Inactive:", &memory.inactive}, {"Buffers:", &memory.buffers},
                  {"Cached:", &memory.cached},     {"Shmem:", &memory.shared},
                  {"SReclaimable:", &memory.slab}};
    FILE *file = fopen("/proc/meminfo", "re");
    char name[64];
    uint64_t kib;
    // NOLINTNEXTLINE(cert-err34-c): the system's own numbers
    while (file != NULL && fscanf(file, "%63s %" SCNu64 "%*[^\n]", name, &kib) == 2) {
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
            if (strcmp(name, fields[i].name) == 0) {
                *fields[i].value = kib * 1024;
            }
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return memory;
}

static void write_memory(px_jsonw *w)
{
    host_memory memory = read_host_memory();
    uint64_t cached = memory.cached + memory.slab;
    uint64_t used = memory.total - memory.free - cached - memory.buffers;
    if (used > memory.total) {
        used = memory.total - memory.free;
    }
    px_jsonw_object(w);
    px_jsonw_key_int(w, "total", (int64_t)memory.total);
    px_jsonw_key_int(w, "available", (int64_t)memory.available);
    px_jsonw_key(w, "percent");
    double taken = (double)(memory.total - memory.available);
    px_jsonw_real(w,
                  memory.total > 0 ? (double)(int)(taken / (double)memory.total * 1000) / 10 : 0);
    px_jsonw_key_int(w, "used", (int64_t)used);
    px_jsonw_key_int(w, "free", (int64_t)memory.free);
    px_jsonw_key_int(w, "active", (int64_t)memory.active);
    px_jsonw_key_int(w, "inactive", (int64_t)memory.inactive);
    px_jsonw_key_int(w, "buffers", (int64_t)memory.buffers);
    px_jsonw_key_int(w, "cached", (int64_t)cached);
    px_jsonw_key_int(w, "shared", (int64_t)memory.shared);
    px_jsonw_end_object(w);
}

void px_usage(px_buf *out)
{
    char hostname[256] = "";
    (void)gethostname(hostname, sizeof(hostname) - 1);
    reading now = {.at = px_now(), .kernel_cpu_s = own_cpu_s()};
    read_host_cpu(&now);
    (void)pthread_mutex_lock(&usage_lock);
    reading before = last;
    last = now;
    (void)pthread_mutex_unlock(&usage_lock);

    px_jsonw w = px_jsonw_to(out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "hostname", hostname);
    px_jsonw_key_int(&w, "pid", getpid());
    px_jsonw_key(&w, "kernel_cpu");
    double seconds = (double)(now.at - before.at) / 1e9;
    px_jsonw_real(&w,
                  before.at == 0 ? 0 : (now.kernel_cpu_s - before.kernel_cpu_s) / seconds * 100);
    px_jsonw_key_int(&w, "kernel_memory", (int64_t)own_memory());
    if (before.at != 0 && now.host_all > before.host_all) {
        px_jsonw_key(&w, "host_cpu_percent");
        px_jsonw_real(&w, (double)(now.host_busy - before.host_busy) * 100 /
                              (double)(now.host_all - before.host_all));
    }
    px_jsonw_key_int(&w, "cpu_count", sysconf(_SC_NPROCESSORS_ONLN));
    px_jsonw_key(&w, "host_virtual_memory");
    write_memory(&w);
    px_jsonw_end_object(&w);
}
