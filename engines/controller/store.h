// store.h: records of done tasks in an SQLite file, so that they outlive clients and the cluster.
// Thread px-store only; the one place that knows SQLite.
//
// The file is 0600 and belongs to one controller at a time (exclusive lock). It is made when the
// first row is written. What it holds is bounded by count, bytes and age; the oldest rows go.
#ifndef PX_ENGINES_STORE_H
#define PX_ENGINES_STORE_H

#include "px/buf.h"
#include "px/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct px_store px_store;

// px_row is one record. Slices are borrowed, also in what px_store_each and px_store_find give.
typedef struct px_row {
    px_slice msg_id;
    px_slice record;  // JSON
    px_slice request; // packed (pack.h): the request from its delimiter on
    px_slice outputs; // packed, each with its route
    px_slice reply;   // packed, with its route; empty when there is none
    px_slice lost;    // content of a loss
    uint32_t engine;
} px_row;

typedef struct px_store_limits {
    int64_t rows, bytes, seconds;
} px_store_limits;

// px_store_new remembers where the file is to be; an existing one is opened at once. PX_EPERM,
// PX_EIO, PX_EEXIST (another controller has it), each with a sentence. A damaged file is renamed to
// `….damaged` and a new one begun.
px_err px_store_new(const char *path, const px_store_limits *limits, px_store **ret_store,
                    px_error *reterr);
void px_store_free(px_store *store);
// px_store_begin and px_store_commit enclose puts: one transaction.
px_err px_store_begin(px_store *store, px_error *reterr);
px_err px_store_put(px_store *store, const px_row *row); // replaces one of the same id
// px_store_commit also drops what is over the limits.
px_err px_store_commit(px_store *store, px_error *reterr);
// px_store_find calls visit with the row of that id; PX_ENOENT.
typedef void px_store_visit(void *context, const px_row *row);
px_err px_store_find(px_store *store, const char *msg_id, px_store_visit *visit, void *context);
// px_store_each visits every row, oldest first; of their columns only msg_id, record and engine.
px_err px_store_each(px_store *store, px_store_visit *visit, void *context);
px_err px_store_remove(px_store *store, const char *msg_id); // that is not there: no error
px_err px_store_remove_engine(px_store *store, uint32_t engine);
px_err px_store_clear(px_store *store);
// px_store_resubmitted notes in a record under which id it was repeated.
px_err px_store_resubmitted(px_store *store, const char *msg_id, const char *again);

#endif
