// cluster.h: what the processes of a cluster say to each other: the route frame, the run folder,
// the cluster file.
#ifndef PX_CLUSTER_H
#define PX_CLUSTER_H

#include "px/buf.h"
#include "px/err.h"
#include "px/far.h"
#include "px/frames.h"
#include "px/json.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The route frame, first of every message on a link, little endian; 24 bytes and 4 for each engine:
//   u8 version, u8 kind, u16 flags, u32 client, u64 task, u32 n, u32 0, n × u32 engine id
#define PX_ROUTE_VERSION 1
#define PX_ROUTE_SIZE 24
#define PX_ROUTE_MAX_ENGINES 65536
// Flags. FAILED on a REPLY: its content has status "error", so that the controller can count
// without reading it.
#define PX_ROUTE_FAILED 1
// PX_ROUTE_SEGMENTS says that large buffers stand as segment descriptors and the last frame lists
// which (bulk.h). The controller hands flags on as they are.
#define PX_ROUTE_SEGMENTS 2
// PX_ROUTE_TERMS on a TASK: the second frame says how it wants to be scheduled (terms.h).
#define PX_ROUTE_TERMS 4
// PX_ROUTE_LENT on a REQUEST: the engine sends a RELEASE when it has unmapped the segments, so that
// they can be filled again. On a REPLY: so does its client, with the same flag.
#define PX_ROUTE_LENT 8
// PX_ROUTE_INIT on a REQUEST: the controller keeps it, and engines that join later run it first.
#define PX_ROUTE_INIT 16
// PX_ROUTE_FAR on a REQUEST or TASK: its client is on another host, so the reply has no segments.
#define PX_ROUTE_FAR 32

typedef enum px_route_kind {
    PX_ROUTE_REQUEST = 1, // client to engines; the controller fans out, each engine receives n = 1
    PX_ROUTE_REPLY = 2,   // engine to client
    PX_ROUTE_OUTPUT = 3,  // engine to client: a message of the iopub kind
    PX_ROUTE_HUB = 4,     // to or from the controller itself
    PX_ROUTE_LOST = 5,    // controller to client: the engine is gone with this task
    PX_ROUTE_STDIN = 6,   // engine to client: input_request; client to engine: input_reply
    PX_ROUTE_RELEASE = 7, // client to engine, route frame only: the segments of the reply to
                          // (client, task) are mapped, close them; task 0: all of that client.
                          // LENT: nobody maps them any more, fill them again. Engine to client:
                          // what the request lent is not mapped any more
    PX_ROUTE_TASK = 8, // client to controller: a request for one of the engines named, of all when
                       // n = 0; the chosen engine receives a REQUEST
    PX_ROUTE_FETCH = 9 // client to controller: what became, or becomes, of the request that the
                       // content names; answered as if it were this task
} px_route_kind;

typedef struct px_route {
    uint8_t kind;
    uint16_t flags;
    uint32_t client; // set by the controller
    uint64_t task;   // the client's own number
    uint32_t n;
    // n × 4 bytes inside the frame that it was read from; read with px_route_engine
    const uint8_t *engines;
} px_route;

// px_route_decode checks every length; the result borrows from frame.
px_err px_route_decode(px_slice frame, px_route *ret_route);
uint32_t px_route_engine(const px_route *route, uint32_t index);
// px_route_encode makes the frame for engines (n of them).
px_err px_route_encode(const px_route *route, const uint32_t *engines, px_bytes **ret_frame);
// px_route_push appends it to a message; on failure the message is as before.
px_err px_route_push(px_frames *frames, const px_route *route, const uint32_t *engines);

// The run folder. px_cluster_root: $PX_RUNTIME_DIR or /tmp/pxkernel-<uid>, made 0700 when absent;
// PX_EPERM with a sentence when it is not ours or open to others.
#define PX_CLUSTER_DEFAULT "default"
px_err px_cluster_root(char ret_path[PATH_MAX], px_error *reterr);
bool px_cluster_name_valid(const char *name); // [A-Za-z0-9._-]{1,64}, not starting with a dot
px_err px_cluster_folder(const char *name, char ret_path[PATH_MAX], px_error *reterr);

// px_cluster_file is cluster.json.
typedef struct px_cluster_file {
    char id[65];
    pid_t pid; // the controller
    char host[256];
    char boot_id[40];
    char started[32];
    uint32_t n; // engines asked for
    char launcher[16];
    char key[129];
    char signature_scheme[32];
    char control[PATH_MAX];
    char work[PATH_MAX];
    char cwd[PATH_MAX];
    char python[PATH_MAX];
    pid_t attached_to; // 0: detached
    // How it is reached over the network: port 0 when it is not (px/far.h).
    uint16_t port;
    uint32_t lease_s;
    char addresses[PX_FAR_ADDRESSES];
} px_cluster_file;

#define PX_LEASE_S 75 // unless --lease says otherwise
// px_cluster_near tells if the controller's sockets are to be had from here: on the same host,
// unless PX_LINK=tcp in the environment asks for the network.
bool px_cluster_near(const px_cluster_file *file);

// px_cluster_file_read by cluster name, px_cluster_file_load by path. PX_ENOENT: no such cluster.
px_err px_cluster_file_read(const char *name, px_cluster_file *ret_file, px_error *reterr);
px_err px_cluster_file_load(const char *path, px_cluster_file *ret_file, px_error *reterr);
px_err px_cluster_file_parse(px_slice text, const char *path, px_cluster_file *ret_file,
                             px_error *reterr);
// px_cluster_file_json appends what px_cluster_file_write writes; without the key for who is only
// told about the cluster.
void px_cluster_file_json(const px_cluster_file *file, bool with_key, px_jsonw *w);
px_err px_cluster_file_write(const px_cluster_file *file, px_error *reterr);
// px_cluster_alive tells if a controller holds the folder's lock. px_cluster_sweep removes the
// folder of a controller that is gone (only when the lock is free); true when it removed one.
bool px_cluster_alive(const char *folder);
// px_cluster_lock makes the folder (0700) if need be and takes its lock, for the controller's life:
// close ret_fd to let go. PX_EEXIST when another controller holds it.
px_err px_cluster_lock(const char *folder, int *ret_fd, px_error *reterr);
bool px_cluster_sweep(const char *folder);

#endif
