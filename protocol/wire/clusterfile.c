// cluster.json: what a client needs to find and talk to a controller. It holds the key, so it is
// 0600 in a folder that is 0700.
#include "fields.h"

#include "px/cluster.h"
#include "px/connection.h"
#include "px/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE ((size_t)1 << 17)
#define FILE_VERSION 2 // 2: messages on work links are not signed

static px_err read_texts(const px__fields *fields, px_cluster_file *file)
{
    const struct {
        const char *key;
        char *target;
        size_t size;
    } texts[] = {
        {"id", file->id, sizeof(file->id)},
        {"host", file->host, sizeof(file->host)},
        {"boot_id", file->boot_id, sizeof(file->boot_id)},
        {"started", file->started, sizeof(file->started)},
        {"launcher", file->launcher, sizeof(file->launcher)},
        {"key", file->key, sizeof(file->key)},
        {"signature_scheme", file->signature_scheme, sizeof(file->signature_scheme)},
        {"control", file->control, sizeof(file->control)},
        {"work", file->work, sizeof(file->work)},
        {"cwd", file->cwd, sizeof(file->cwd)},
        {"python", file->python, sizeof(file->python)},
        {"addresses", file->addresses, sizeof(file->addresses)},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        PX_TRY(px__field_text(fields, texts[i].key, texts[i].target, texts[i].size));
    }
    return PX_OK;
}

static px_err read_fields(const px__fields *fields, px_cluster_file *file)
{
    int64_t version = 0;
    int64_t pid = 0;
    int64_t n = 0;
    int64_t attached_to = 0;
    int64_t port = 0;
    int64_t lease = PX_LEASE_S;

    PX_TRY(px__field_int(fields, "version", 0, INT32_MAX, &version));
    PX_TRY(px__field_int(fields, "pid", 1, INT32_MAX, &pid));
    if (version != FILE_VERSION) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s was written by another version of pxkernel (form %lld, this one "
                            "reads %d); end that cluster with `kill %lld`, which ends its engines "
                            "too, and start it again",
                            fields->path, (long long)version, FILE_VERSION, (long long)pid);
    }
    PX_TRY(px__field_int(fields, "n", 0, PX_ROUTE_MAX_ENGINES, &n));
    PX_TRY(px__field_int(fields, "attached_to", 0, INT32_MAX, &attached_to));
    PX_TRY(px__field_int(fields, "port", 0, UINT16_MAX, &port));
    PX_TRY(px__field_int(fields, "lease", 1, INT32_MAX, &lease));
    PX_TRY(read_texts(fields, file));
    file->port = (uint16_t)port;
    file->lease_s = (uint32_t)lease;
    file->pid = (pid_t)pid;
    file->n = (uint32_t)n;
    file->attached_to = (pid_t)attached_to;
    if (!px_cluster_name_valid(file->id) || file->pid == 0 || file->control[0] != '/' ||
        file->work[0] != '/') {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s lacks a good \"id\", \"pid\", \"control\" or \"work\"",
                            fields->path);
    }
    return PX_OK;
}

px_err px_cluster_file_parse(px_slice text, const char *path, px_cluster_file *ret_file,
                             px_error *reterr)
{
    PX_AUTO(px_json) json = NULL;
    PX_AUTO_FREE px_cluster_file *file = calloc(1, sizeof(*file)); // large for a stack
    px_error cause;

    if (file == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    px_err err = px_json_parse(text, &json, &cause);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "%s is not JSON: %.200s", path, cause.text);
    }
    if (!px_json_is_object(json)) {
        return px_error_set(reterr, PX_EINVAL, "%s must hold a JSON object", path);
    }
    const px__fields fields = {.object = json, .path = path, .reterr = reterr};
    memcpy(file->signature_scheme, "hmac-sha256", sizeof("hmac-sha256"));
    PX_TRY(read_fields(&fields, file));
    *ret_file = *file;
    return PX_OK;
}

px_err px_cluster_file_load(const char *path, px_cluster_file *ret_file, px_error *reterr)
{
    PX_AUTO_FREE char *text = NULL;
    size_t size = 0;

    PX_TRY(px_file_read(path, MAX_FILE, &text, &size, reterr));
    return px_cluster_file_parse(px_slice_of(text, size), path, ret_file, reterr);
}

static px_err file_path(const char *name, char path[PATH_MAX], px_error *reterr)
{
    PX_TRY(px_cluster_folder(name, path, reterr));
    size_t length = strlen(path);
    int added = snprintf(path + length, PATH_MAX - length, "/cluster.json");
    if (added < 0 || (size_t)added >= PATH_MAX - length) {
        return px_error_set(reterr, PX_EINVAL, "the path of the cluster's folder is too long");
    }
    return PX_OK;
}

px_err px_cluster_file_read(const char *name, px_cluster_file *ret_file, px_error *reterr)
{
    char path[PATH_MAX];

    PX_TRY(file_path(name, path, reterr));
    px_err err = px_cluster_file_load(path, ret_file, reterr);
    if (err == PX_ENOENT) {
        return px_error_set(reterr, err,
                            "no cluster \"%s\" is running; start one with `pxcluster start %s` or "
                            "in JupyterLab's Cluster tab",
                            name, strcmp(name, PX_CLUSTER_DEFAULT) == 0 ? "" : name);
    }
    return err;
}

// same_host compares the kernel's id of this boot with the controller's. Containers of one host
// have the same one and do not see each other's files, so the sockets must be there as well.
static bool same_host(const px_cluster_file *file)
{
    PX_AUTO_FREE char *boot = NULL;
    size_t size = 0;
    if (file->boot_id[0] == '\0' ||
        px_file_read("/proc/sys/kernel/random/boot_id", 256, &boot, &size, NULL) != PX_OK) {
        return true;
    }
    size_t length = strlen(file->boot_id);
    return size >= length && memcmp(boot, file->boot_id, length) == 0;
}

bool px_cluster_near(const px_cluster_file *file)
{
    const char *wanted = getenv("PX_LINK");
    if (file->port == 0) {
        return true;
    }
    if (wanted != NULL && strcmp(wanted, "tcp") == 0) {
        return false;
    }
    return same_host(file) && access(file->control, F_OK) == 0;
}

void px_cluster_file_json(const px_cluster_file *file, bool with_key, px_jsonw *w)
{
    px_jsonw_object(w);
    px_jsonw_key_int(w, "version", FILE_VERSION);
    px_jsonw_key_string(w, "id", file->id);
    px_jsonw_key_int(w, "pid", file->pid);
    px_jsonw_key_string(w, "host", file->host);
    px_jsonw_key_string(w, "boot_id", file->boot_id);
    px_jsonw_key_string(w, "started", file->started);
    px_jsonw_key_int(w, "n", file->n);
    px_jsonw_key_string(w, "launcher", file->launcher);
    if (with_key) {
        px_jsonw_key_string(w, "key", file->key);
        px_jsonw_key_string(w, "signature_scheme", file->signature_scheme);
    }
    px_jsonw_key_string(w, "control", file->control);
    px_jsonw_key_string(w, "work", file->work);
    px_jsonw_key_string(w, "cwd", file->cwd);
    px_jsonw_key_string(w, "python", file->python);
    px_jsonw_key(w, "attached_to");
    if (file->attached_to != 0) {
        px_jsonw_int(w, file->attached_to);
    } else {
        px_jsonw_null(w);
    }
    if (file->port != 0) {
        px_jsonw_key_int(w, "port", file->port);
        px_jsonw_key_string(w, "addresses", file->addresses);
        px_jsonw_key_int(w, "lease", file->lease_s);
    }
    px_jsonw_end_object(w);
}

px_err px_cluster_file_write(const px_cluster_file *file, px_error *reterr)
{
    char path[PATH_MAX];
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);

    PX_TRY(file_path(file->id, path, reterr));
    px_cluster_file_json(file, true, &w);
    px_buf_append(&out, "\n", 1);
    if (px_buf_status(&out) != PX_OK) {
        return px_error_set(reterr, PX_ENOMEM, "out of memory");
    }
    return px_file_replace(path, out.data, out.size, 0600, reterr);
}
