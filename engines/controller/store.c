// store.c: see store.h.
//
// Settings. WAL with synchronous=NORMAL: a crash of the machine may cost the last transactions,
// never the file. The exclusive lock keeps WAL's index in our own memory, so the file may lie on a
// file system without shared memory. Statements are prepared once.

#include "store.h"

#include "px/log.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PRUNE_EVERY 1000 // rows

enum { PUT, FIND, EACH, REMOVE, REMOVE_ENGINE, CLEAR, RESUBMITTED, COUNT, OLDEST, OLD, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [PUT] = "INSERT OR REPLACE INTO task (msg_id, kept, bytes, engine, record, request, outputs, "
            "reply, lost) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [FIND] = "SELECT msg_id, engine, record, request, outputs, reply, lost FROM task "
             "WHERE msg_id = ?1",
    [EACH] = "SELECT msg_id, engine, record FROM task ORDER BY id",
    [REMOVE] = "DELETE FROM task WHERE msg_id = ?1",
    [REMOVE_ENGINE] = "DELETE FROM task WHERE engine = ?1",
    [CLEAR] = "DELETE FROM task",
    [RESUBMITTED] = "UPDATE task SET record = json_set(record, '$.resubmitted', ?2) "
                    "WHERE msg_id = ?1",
    [COUNT] = "SELECT count(*), coalesce(sum(bytes), 0) FROM task",
    [OLDEST] = "DELETE FROM task WHERE id IN (SELECT id FROM task ORDER BY id LIMIT ?1)",
    [OLD] = "DELETE FROM task WHERE kept < ?1"};

static const char schema[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "PRAGMA secure_delete = FAST; " // what is purged is gone
    "CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY, msg_id TEXT UNIQUE NOT NULL,"
    " kept INTEGER NOT NULL, bytes INTEGER NOT NULL, engine INTEGER, record TEXT NOT NULL,"
    " request BLOB, outputs BLOB, reply BLOB, lost TEXT);"
    "PRAGMA user_version = 1;";

struct px_store {
    char *path;
    px_store_limits limits;
    sqlite3 *db; // NULL before the first row
    sqlite3_stmt *statements[STATEMENTS];
    int since_prune;
};

static px_err failed(const px_store *store, const char *what, px_error *reterr)
{
    int code = store->db != NULL ? sqlite3_errcode(store->db) : SQLITE_NOMEM;
    px_err err = code == SQLITE_BUSY || code == SQLITE_LOCKED ? PX_EEXIST
                 : code == SQLITE_PERM || code == SQLITE_READONLY || code == SQLITE_CANTOPEN
                     ? PX_EPERM
                 : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? PX_EFORMAT
                 : code == SQLITE_NOMEM                            ? PX_ENOMEM
                                                                   : PX_EIO;
    return px_error_set(reterr, err, "%s: %s: %s%s", store->path, what,
                        store->db != NULL ? sqlite3_errmsg(store->db) : "out of memory",
                        err == PX_EEXIST ? " (another controller uses it)" : "");
}

// --- opening -------------------------------------------------------------------------------------

static void shut(px_store *store)
{
    for (int i = 0; i < STATEMENTS; i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    (void)sqlite3_close(store->db);
    store->db = NULL;
}

static px_err open_file(px_store *store, px_error *reterr)
{
    mode_t before = umask(077); // SQLite makes the files beside it with the mode of the first
    int code = sqlite3_open_v2(store->path, &store->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_NOFOLLOW,
                               NULL);
    (void)umask(before);
    code = code == SQLITE_OK ? sqlite3_exec(store->db, schema, NULL, NULL, NULL) : code;
    for (int i = 0; code == SQLITE_OK && i < STATEMENTS; i++) {
        code = sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                  &store->statements[i], NULL);
    }
    if (code != SQLITE_OK) {
        px_err err = failed(store, "cannot be opened", reterr);
        shut(store);
        return err;
    }
    return PX_OK;
}

// set_aside renames a file that is no database any more.
static void set_aside(const px_store *store)
{
    char *aside = NULL;
    if (asprintf(&aside, "%s.damaged", store->path) >= 0) {
        (void)rename(store->path, aside); // if not, opening fails again and says why
        px_log_warning("the file of results was damaged and has been set aside", "path=%s", aside);
        free(aside);
    }
}

static px_err open_or_replace(px_store *store, px_error *reterr)
{
    px_err err = open_file(store, reterr);
    if (err == PX_EFORMAT) {
        set_aside(store);
        err = open_file(store, reterr);
    }
    return err;
}

px_err px_store_new(const char *path, const px_store_limits *limits, px_store **ret_store,
                    px_error *reterr)
{
    px_store *store = calloc(1, sizeof(*store));
    if (store == NULL || (store->path = strdup(path)) == NULL) {
        free(store);
        return px_error_set(reterr, PX_ENOMEM, "no memory for the results of tasks");
    }
    store->limits = *limits;
    px_err err = access(path, F_OK) == 0 ? open_or_replace(store, reterr) : PX_OK;
    if (err != PX_OK) {
        px_store_free(store);
        return err;
    }
    *ret_store = store;
    return PX_OK;
}

void px_store_free(px_store *store)
{
    if (store != NULL) {
        shut(store);
        free(store->path);
        free(store);
    }
}

// --- statements ----------------------------------------------------------------------------------

static void bind_text(sqlite3_stmt *statement, int at, px_slice text)
{
    (void)sqlite3_bind_text(statement, at, (const char *)text.data, (int)text.size, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *statement, int at, px_slice bytes)
{
    if (bytes.size > 0) {
        (void)sqlite3_bind_blob64(statement, at, bytes.data, bytes.size, SQLITE_STATIC);
    }
}

// run steps a statement that gives no rows, and lets go of what was bound.
static px_err run(px_store *store, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    px_err err = code == SQLITE_DONE ? PX_OK : failed(store, "cannot be written", NULL);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return err;
}

px_err px_store_begin(px_store *store, px_error *reterr)
{
    if (store->db == NULL) {
        PX_TRY(open_or_replace(store, reterr));
    }
    return sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK
               ? PX_OK
               : failed(store, "cannot be written", reterr);
}

px_err px_store_put(px_store *store, const px_row *row)
{
    sqlite3_stmt *put = store->statements[PUT];
    size_t bytes = row->record.size + row->request.size + row->outputs.size + row->reply.size;
    bind_text(put, 1, row->msg_id);
    (void)sqlite3_bind_int64(put, 2, (sqlite3_int64)time(NULL));
    (void)sqlite3_bind_int64(put, 3, (sqlite3_int64)bytes);
    (void)sqlite3_bind_int64(put, 4, row->engine);
    bind_text(put, 5, row->record);
    bind_blob(put, 6, row->request);
    bind_blob(put, 7, row->outputs);
    bind_blob(put, 8, row->reply);
    if (row->lost.size > 0) {
        bind_text(put, 9, row->lost);
    }
    store->since_prune++;
    return run(store, put);
}

static px_err run_with(px_store *store, int which, int64_t number)
{
    (void)sqlite3_bind_int64(store->statements[which], 1, number);
    return run(store, store->statements[which]);
}

// prune drops the oldest rows until the limits hold.
static px_err prune(px_store *store)
{
    store->since_prune = 0;
    PX_TRY(run_with(store, OLD, (int64_t)time(NULL) - store->limits.seconds));
    for (;;) {
        sqlite3_stmt *count = store->statements[COUNT];
        int code = sqlite3_step(count);
        int64_t rows = sqlite3_column_int64(count, 0);
        int64_t bytes = sqlite3_column_int64(count, 1);
        (void)sqlite3_reset(count);
        if (code != SQLITE_ROW) {
            return failed(store, "cannot be read", NULL);
        }
        int64_t over = rows > store->limits.rows     ? rows - store->limits.rows
                       : bytes > store->limits.bytes ? rows / 10 + 1
                                                     : 0;
        if (over == 0 || rows == 0) {
            return PX_OK;
        }
        PX_TRY(run_with(store, OLDEST, over));
    }
}

px_err px_store_commit(px_store *store, px_error *reterr)
{
    px_err err = store->since_prune >= PRUNE_EVERY ? prune(store) : PX_OK;
    if (err == PX_OK && sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
        return PX_OK;
    }
    err = failed(store, "cannot be written", reterr);
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); // or it is rolled back already
    return err;
}

static px_slice column(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at);
    return px_slice_of(data, (size_t)sqlite3_column_bytes(statement, at));
}

px_err px_store_find(px_store *store, const char *msg_id, px_store_visit *visit, void *context)
{
    if (store->db == NULL) {
        return PX_ENOENT;
    }
    sqlite3_stmt *find = store->statements[FIND];
    bind_text(find, 1, px_slice_str(msg_id));
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        const px_row row = {.msg_id = column(find, 0),
                            .engine = (uint32_t)sqlite3_column_int64(find, 1),
                            .record = column(find, 2),
                            .request = column(find, 3),
                            .outputs = column(find, 4),
                            .reply = column(find, 5),
                            .lost = column(find, 6)};
        visit(context, &row);
    }
    px_err err = code == SQLITE_ROW    ? PX_OK
                 : code == SQLITE_DONE ? PX_ENOENT
                                       : failed(store, "cannot be read", NULL);
    (void)sqlite3_reset(find);
    (void)sqlite3_clear_bindings(find);
    return err;
}

px_err px_store_each(px_store *store, px_store_visit *visit, void *context)
{
    if (store->db == NULL) {
        return PX_OK;
    }
    sqlite3_stmt *each = store->statements[EACH];
    int code;
    while ((code = sqlite3_step(each)) == SQLITE_ROW) {
        const px_row row = {.msg_id = column(each, 0),
                            .engine = (uint32_t)sqlite3_column_int64(each, 1),
                            .record = column(each, 2)};
        visit(context, &row);
    }
    px_err err = code == SQLITE_DONE ? PX_OK : failed(store, "cannot be read", NULL);
    (void)sqlite3_reset(each);
    return err;
}

px_err px_store_remove(px_store *store, const char *msg_id)
{
    if (store->db == NULL) {
        return PX_OK;
    }
    bind_text(store->statements[REMOVE], 1, px_slice_str(msg_id));
    return run(store, store->statements[REMOVE]);
}

px_err px_store_remove_engine(px_store *store, uint32_t engine)
{
    return store->db != NULL ? run_with(store, REMOVE_ENGINE, engine) : PX_OK;
}

px_err px_store_clear(px_store *store)
{
    return store->db != NULL ? run(store, store->statements[CLEAR]) : PX_OK;
}

px_err px_store_resubmitted(px_store *store, const char *msg_id, const char *again)
{
    if (store->db == NULL) {
        return PX_OK;
    }
    bind_text(store->statements[RESUBMITTED], 1, px_slice_str(msg_id));
    bind_text(store->statements[RESUBMITTED], 2, px_slice_str(again));
    return run(store, store->statements[RESUBMITTED]);
}
