// connection.h: a kernel's connection file (jupyter_client, "Connection files"): read, write 0600,
// rename into place.
#ifndef PX_CONNECTION_H
#define PX_CONNECTION_H

#include "px/curve.h"
#include "px/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct px_connection {
    char transport[8]; // "tcp" or "ipc"
    char ip[256];      // tcp: address; ipc: path prefix
    uint16_t shell_port, iopub_port, stdin_port, control_port, hb_port; // 0: the kernel picks
    char key[256];
    char signature_scheme[32];
    char kernel_name[128];
    char jupyter_session[1024];
    bool has_curve;
    px_curve_keys curve;
    // Of a registration file (JEP 66), which stands in for a connection file; port 0: it is none.
    char kernel_id[128];
    char registration_ip[256];
    uint16_t registration_port;
} px_connection;

// px_connection_read: reterr names file, key and what is wrong with it. PX_ENOENT when the file
// does not exist.
px_err px_connection_read(const char *path, px_connection *ret_connection, px_error *reterr);
// px_connection_parse reads the JSON text; path is only for messages.
px_err px_connection_parse(const char *text, size_t size, const char *path,
                           px_connection *ret_connection, px_error *reterr);
// px_connection_defaults: tcp, 127.0.0.1, ports 0, a fresh key, hmac-sha256.
px_err px_connection_defaults(px_connection *ret_connection);
// px_connection_write merges our values into the file (unknown keys survive), mode 0600, through a
// temporary file and rename.
px_err px_connection_write(const char *path, const px_connection *connection, px_error *reterr);
// px_file_replace writes size bytes to path atomically with mode.
px_err px_file_replace(const char *path, const void *data, size_t size, unsigned mode,
                       px_error *reterr);
// px_file_read reads a whole file of at most limit bytes; free() the result.
px_err px_file_read(const char *path, size_t limit, char **ret_text, size_t *ret_size,
                    px_error *reterr);

#endif
