// Connection files: written by jupyter_client, read by us, and written by us where the kernel chose
// the ports. Whoever wrote the file may have put members there that we do not know, so writing
// merges.
#include "px/connection.h"

#include "fields.h"

#include "px/id.h"
#include "px/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE ((size_t)1 << 20)

px_err px__field_text(const px__fields *fields, const char *key, char *target, size_t size)
{
    const px_json *value = px_json_get(fields->object, key);
    if (value == NULL || px_json_is_null(value)) {
        return PX_OK;
    }
    const char *text = px_json_as_string(value, NULL);
    if (text == NULL) {
        return px_error_set(fields->reterr, PX_EINVAL, "%s: \"%s\" must be a string", fields->path,
                            key);
    }
    size_t length = strlen(text);
    if (length >= size) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: \"%s\" has %zu bytes, at most %zu are allowed", fields->path, key,
                            length, size - 1);
    }
    memcpy(target, text, length + 1);
    return PX_OK;
}

px_err px__field_int(const px__fields *fields, const char *key, int64_t low, int64_t high,
                     int64_t *target)
{
    const px_json *value = px_json_get(fields->object, key);
    if (value == NULL || px_json_is_null(value)) {
        return PX_OK;
    }
    int64_t number = px_json_as_int(value, INT64_MIN);
    if (!px_json_is_int(value) || number < low || number > high) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: \"%s\" must be a whole number from %lld to %lld", fields->path,
                            key, (long long)low, (long long)high);
    }
    *target = number;
    return PX_OK;
}

static px_err read_port(const px__fields *fields, const char *key, uint16_t *target)
{
    int64_t port = 0;

    // Zero and below mean: the kernel chooses.
    PX_TRY(px__field_int(fields, key, INT32_MIN, UINT16_MAX, &port));
    *target = port > 0 ? (uint16_t)port : 0;
    return PX_OK;
}

static px_err read_curve(const px__fields *fields, px_connection *connection)
{
    px_curve_keys *keys = &connection->curve;

    PX_TRY(px__field_text(fields, "curve_publickey", keys->publickey, sizeof(keys->publickey)));
    PX_TRY(px__field_text(fields, "curve_secretkey", keys->secretkey, sizeof(keys->secretkey)));
    if (keys->publickey[0] == '\0' && keys->secretkey[0] == '\0') {
        return PX_OK;
    }
    if (keys->publickey[0] == '\0' || keys->secretkey[0] == '\0') {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: curve_publickey and curve_secretkey come together or not at all",
                            fields->path);
    }
    if (!px_curve_valid(keys)) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: curve_publickey and curve_secretkey must be 40 characters of Z85",
                            fields->path);
    }
    connection->has_curve = true;
    return PX_OK;
}

// read_registration reads what only a registration file has. The kernel binds where it registers,
// unless the file says otherwise.
static px_err read_registration(const px__fields *fields, px_connection *c)
{
    PX_TRY(read_port(fields, "registration_port", &c->registration_port));
    if (c->registration_port == 0) {
        return PX_OK;
    }
    PX_TRY(px__field_text(fields, "kernel_id", c->kernel_id, sizeof(c->kernel_id)));
    if (c->kernel_id[0] == '\0' || strchr(c->kernel_id, '/') != NULL) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: \"kernel_id\" must be given with registration_port, without a /",
                            fields->path);
    }
    memcpy(c->registration_ip, c->ip, sizeof(c->registration_ip));
    PX_TRY(
        px__field_text(fields, "registration_ip", c->registration_ip, sizeof(c->registration_ip)));
    if (px_json_get(fields->object, "ip") == NULL) {
        memcpy(c->ip, c->registration_ip, sizeof(c->ip));
    }
    return PX_OK;
}

static px_err read_fields(const px__fields *fields, px_connection *c)
{
    PX_TRY(px__field_text(fields, "transport", c->transport, sizeof(c->transport)));
    if (strcmp(c->transport, "tcp") != 0 && strcmp(c->transport, "ipc") != 0) {
        return px_error_set(fields->reterr, PX_EINVAL,
                            "%s: transport \"%s\" is not known; use \"tcp\" or \"ipc\"",
                            fields->path, c->transport);
    }
    PX_TRY(px__field_text(fields, "ip", c->ip, sizeof(c->ip)));
    if (strcmp(c->ip, "*") == 0) {
        memcpy(c->ip, "0.0.0.0", sizeof("0.0.0.0"));
    }
    PX_TRY(read_port(fields, "shell_port", &c->shell_port));
    PX_TRY(read_port(fields, "iopub_port", &c->iopub_port));
    PX_TRY(read_port(fields, "stdin_port", &c->stdin_port));
    PX_TRY(read_port(fields, "control_port", &c->control_port));
    PX_TRY(read_port(fields, "hb_port", &c->hb_port));
    PX_TRY(px__field_text(fields, "key", c->key, sizeof(c->key)));
    PX_TRY(px__field_text(fields, "signature_scheme", c->signature_scheme,
                          sizeof(c->signature_scheme)));
    PX_TRY(px__field_text(fields, "kernel_name", c->kernel_name, sizeof(c->kernel_name)));
    PX_TRY(
        px__field_text(fields, "jupyter_session", c->jupyter_session, sizeof(c->jupyter_session)));
    PX_TRY(read_registration(fields, c));
    return read_curve(fields, c);
}

static void set_basics(px_connection *c)
{
    *c = (px_connection){.transport = "tcp", .ip = "127.0.0.1", .signature_scheme = "hmac-sha256"};
}

px_err px_connection_parse(const char *text, size_t size, const char *path,
                           px_connection *ret_connection, px_error *reterr)
{
    PX_AUTO(px_json) json = NULL;
    px_error cause;
    px_connection connection;

    px_err err = px_json_parse(px_slice_of(text, size), &json, &cause);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "%s is not JSON: %.200s", path, cause.text);
    }
    if (!px_json_is_object(json)) {
        return px_error_set(reterr, PX_EINVAL, "%s must hold a JSON object", path);
    }
    const px__fields fields = {.object = json, .path = path, .reterr = reterr};
    set_basics(&connection);
    PX_TRY(read_fields(&fields, &connection));
    *ret_connection = connection;
    return PX_OK;
}

px_err px_connection_read(const char *path, px_connection *ret_connection, px_error *reterr)
{
    PX_AUTO_FREE char *text = NULL;
    size_t size = 0;

    PX_TRY(px_file_read(path, MAX_FILE, &text, &size, reterr));
    return px_connection_parse(text, size, path, ret_connection, reterr);
}

px_err px_connection_defaults(px_connection *ret_connection)
{
    char key[33];

    PX_TRY(px_random_hex(key, 16));
    set_basics(ret_connection);
    memcpy(ret_connection->key, key, sizeof(key));
    return PX_OK;
}

static const char *const ours[] = {
    "transport",        "ip",           "shell_port",      "iopub_port",
    "stdin_port",       "control_port", "hb_port",         "key",
    "signature_scheme", "kernel_name",  "jupyter_session", "curve_publickey",
    "curve_secretkey"};

// Copies a member that we know nothing about.
static void keep_member(void *context, const char *key, const px_json *value)
{
    px_jsonw *w = context;

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(key, ours[i]) == 0) {
            return;
        }
    }
    px_jsonw_key(w, key);
    if (px_json_dump(value, w->out) == PX_OK) { // else the buffer remembers
        w->need_comma = true;
    }
}

static void write_fields(px_jsonw *w, const px_connection *c)
{
    px_jsonw_key_string(w, "transport", c->transport);
    px_jsonw_key_string(w, "ip", c->ip);
    px_jsonw_key_int(w, "shell_port", c->shell_port);
    px_jsonw_key_int(w, "iopub_port", c->iopub_port);
    px_jsonw_key_int(w, "stdin_port", c->stdin_port);
    px_jsonw_key_int(w, "control_port", c->control_port);
    px_jsonw_key_int(w, "hb_port", c->hb_port);
    px_jsonw_key_string(w, "key", c->key);
    px_jsonw_key_string(w, "signature_scheme", c->signature_scheme);
    px_jsonw_key_string(w, "kernel_name", c->kernel_name);
    if (c->jupyter_session[0] != '\0') {
        px_jsonw_key_string(w, "jupyter_session", c->jupyter_session);
    }
    if (c->has_curve) {
        px_jsonw_key_string(w, "curve_publickey", c->curve.publickey);
        px_jsonw_key_string(w, "curve_secretkey", c->curve.secretkey);
    }
}

px_err px_connection_write(const char *path, const px_connection *connection, px_error *reterr)
{
    PX_AUTO_FREE char *text = NULL;
    PX_AUTO(px_json) before = NULL;
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    size_t size = 0;

    px_err err = px_file_read(path, MAX_FILE, &text, &size, reterr);
    if (err == PX_OK) {
        // What is not JSON is replaced: it was not read by anybody either.
        err = px_json_parse(px_slice_of(text, size), &before, NULL);
        err = err == PX_EJSON ? PX_OK : err;
    }
    if (err != PX_OK && err != PX_ENOENT) {
        return err;
    }
    px_jsonw_object(&w);
    write_fields(&w, connection);
    if (before != NULL) {
        px_json_each(before, keep_member, &w);
    }
    px_jsonw_end_object(&w);
    px_buf_append(&out, "\n", 1);
    err = px_buf_status(&out);
    if (err != PX_OK) {
        return px_error_set(reterr, err, "out of memory");
    }
    return px_file_replace(path, out.data, out.size, 0600, reterr);
}
