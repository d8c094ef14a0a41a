// keeper.c: the thread, what passes, what is written and what is let go.
//
// Without a file, results that reached their client are kept as far as 16 MiB and 10,000 of them
// go, large ones (which lie in memory that their client shares) as far as 128 MiB go, those that
// nobody has yet as far as 1 GiB goes. With a file, what is done is written about a second later,
// many in a transaction, at a low priority; what comes faster than that is kept or let go by
// the same limits. A large result that reached its client is written only when that client leaves:
// until then the client has it.

#include "keeping.h"
#include "pack.h"
#include "relay.h"

#include "px/bulk.h"
#include "px/cluster.h"
#include "px/log.h"
#include "px/own.h"
#include "px/thread.h"

#include <utlist.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BACKLOG_MOST ((size_t)20 << 20)  // of what passed and was not looked at
#define BACKLOG_COPIES ((size_t)8 << 20) // from here on without results that their client has
#define DELIVERED_BYTES ((size_t)16 << 20)
#define DELIVERED_MOST 10000
#define KEPT_BYTES ((size_t)1 << 30)
#define KEPT_MOST 1000000
#define LARGE_BYTES ((size_t)16 << 20)
#define RESULT_MOST ((size_t)8 << 20) // a delivered result of more is not kept
#define FLUSH_AFTER PX_NS_PER_S
#define FLUSH_ROWS 1000
#define RETRY_AFTER (60 * PX_NS_PER_S)
#define LOW_PRIORITY 10 // as much as it takes to keep up with a flood

static const px_store_limits limits = {
    .rows = 1000000, .bytes = INT64_C(1) << 30, .seconds = 14 * 24 * 3600};

void px_answer_free(px_answer *answer)
{
    px_buf_done(&answer->parent);
    px_buf_done(&answer->content);
    free(answer);
}

// --- posting -------------------------------------------------------------------------------------

static void post(px_keeper *keeper, px_kept *kept, const px_passed *passed)
{
    if (kept == NULL) {
        return; // no memory: it is not kept
    }
    kept->client = passed->client;
    kept->engine = passed->engine;
    kept->task = passed->task;
    kept->delivered = passed->delivered;
    kept->failed = passed->failed;
    px_intake_post(&keeper->intake, kept,
                   passed->urgent ||
                       atomic_load_explicit(&keeper->n_followed, memory_order_relaxed) > 0);
}

// may_be_left_out tells if a message need not be kept, as px-store does not get on: a small result
// that its client has, unless somebody else waits for it; at last requests too.
static bool may_be_left_out(px_keeper *keeper, const px_passed *passed)
{
    size_t backlog = atomic_load_explicit(&keeper->intake.bytes, memory_order_relaxed);
    if (backlog < BACKLOG_COPIES) {
        return false;
    }
    return passed->kind == PX_KEPT_REQUEST
               ? backlog >= BACKLOG_MOST
               : passed->delivered && !passed->urgent &&
                     atomic_load_explicit(&keeper->n_followed, memory_order_relaxed) == 0;
}

void px_keeper_pass(px_keeper *keeper, const px_passed *passed, const px_frames *frames)
{
    if (!may_be_left_out(keeper, passed)) {
        post(keeper, px_kept_message(&keeper->intake, passed->kind, frames), passed);
    } else if (passed->kind == PX_KEPT_REPLY) { // without frames: its request is to be forgotten
        post(keeper, px_kept_message(&keeper->intake, passed->kind, NULL), passed);
    }
}

void px_keeper_lost(px_keeper *keeper, const px_passed *passed, px_slice content)
{
    post(keeper, px_kept_new(PX_KEPT_LOST, &content, 1), passed);
}

bool px_keeper_ask(px_keeper *keeper, uint32_t client, const char *msg_type, px_slice parent,
                   px_slice content)
{
    const px_slice frames[] = {px_slice_of(msg_type, strlen(msg_type) + 1), parent, content};
    px_kept *kept = px_kept_new(PX_KEPT_ASK, frames, 3);
    post(keeper, kept, &(px_passed){.client = client, .urgent = true});
    return kept != NULL;
}

// --- what passed ---------------------------------------------------------------------------------

// lighten drops the buffers of a reply: route, delimiter to content stay.
static px_kept *lighten(px_kept *kept, px_record *record)
{
    px_slice head[7];
    record->dropped = true;
    for (size_t i = 0; i < 7; i++) {
        head[i] = px_kept_frame(kept, i);
    }
    px_kept *light = px_kept_new(PX_KEPT_REPLY, head, 7);
    if (light != NULL) {
        light->engine = kept->engine;
        light->delivered = kept->delivered;
        light->failed = kept->failed;
    }
    return light;
}

static px_result result_of(const px_kept *kept)
{
    return (px_result){.task = kept->task, .client = kept->client, .engine = kept->engine};
}

// map_segments puts what a reply's segments hold in their place.
static px_err map_segments(px_keeper *keeper, px_kept *kept, bool lent)
{
    px_frames *frames = px_kept_own(kept);
    if (frames == NULL) {
        return PX_ENOMEM;
    }
    PX_TRY(px_bulk_unpack(frames, 7, NULL));
    kept->size = px_frames_bytes(frames);
    const px_result result = result_of(kept);
    return lent ? px_mapped_hold(keeper->mapped, &result, frames, 7, !kept->delivered) : PX_OK;
}

// came_back is a reply. Segments are mapped before the engine hears that it may close them: what
// says so to it comes through here, behind this.
static void came_back(px_keeper *keeper, px_kept *kept)
{
    px_route route;
    px_record *record = px_records_find(&keeper->records, kept->client, kept->task, kept->engine);
    bool wanted = record != NULL && !record->done;
    if (px_kept_count(kept) == 0) { // left out
        if (wanted && record->followers == NULL) {
            px_records_forget(&keeper->records, record);
        }
        return;
    }
    bool known = px_route_decode(px_kept_frame(kept, 0), &route) == PX_OK;
    bool segments = known && (route.flags & PX_ROUTE_SEGMENTS) != 0;
    bool lent = known && (route.flags & PX_ROUTE_LENT) != 0;
    bool whole = wanted && (!segments || map_segments(keeper, kept, lent) == PX_OK);
    if (segments && !kept->delivered) {
        (void)px_relay_release(keeper->relay, kept->engine, kept->client, kept->task,
                               lent && !whole);
    }
    if (!wanted) {
        return;
    }
    bool light = !whole || (kept->delivered && kept->size > RESULT_MOST);
    px_kept *end = light ? lighten(kept, record) : px_kept_ref(kept);
    if (end != NULL) {
        px_records_done(&keeper->records, record, end);
        px__follow_end(keeper, record);
        px_kept_unref(end);
    }
}

// was_returned is a client's word that it does not map a result any more.
static void was_returned(px_keeper *keeper, const px_kept *kept)
{
    const px_result result = result_of(kept);
    px_mapped_returned(keeper->mapped, &result);
}

static void was_lost(px_keeper *keeper, px_kept *kept)
{
    px_record *record = px_records_find(&keeper->records, kept->client, kept->task, kept->engine);
    if (record != NULL && !record->done) {
        px_records_done(&keeper->records, record, kept);
        px__follow_end(keeper, record);
    }
}

static void was_put_out(px_keeper *keeper, const px_kept *kept)
{
    px_record *record = px_records_find(&keeper->records, kept->client, kept->task, kept->engine);
    if (record != NULL) {
        px__follow_output(keeper, record, kept);
        px_records_output(&keeper->records, record, kept);
    }
}

static void serve(px_keeper *keeper, px_kept *kept)
{
    switch (kept->kind) {
    case PX_KEPT_REQUEST:
        (void)px_records_request(&keeper->records, kept); // malformed: the engine refuses it too
        break;
    case PX_KEPT_REPLY:
        came_back(keeper, kept);
        break;
    case PX_KEPT_OUTPUT:
        was_put_out(keeper, kept);
        break;
    case PX_KEPT_LOST:
        was_lost(keeper, kept);
        break;
    case PX_KEPT_RELEASE:
        (void)px_relay_release(keeper->relay, kept->engine, kept->client, kept->task, false);
        break;
    case PX_KEPT_RETURN:
        was_returned(keeper, kept);
        break;
    case PX_KEPT_FETCH:
        px__fetch(keeper, kept);
        break;
    case PX_KEPT_CLIENT_GONE:
        px_records_client_gone(&keeper->records, kept->client);
        (void)px_relay_release(keeper->relay, PX_NOWHERE, kept->client, 0, false);
        break;
    case PX_KEPT_ASK:
        px__answer(keeper, kept);
        break;
    }
}

// --- the file ------------------------------------------------------------------------------------

static bool to_be_written(const px_record *record)
{
    return !record->foreign && record->msg_id != NULL;
}

static px_err write_one(px_keeper *keeper, const px_record *record)
{
    PX_AUTO_BUF json = {0};
    PX_AUTO_BUF request = {0};
    PX_AUTO_BUF reply = {0};
    px_record_json(record, &json);
    bool replied = px_record_replied(record);
    px_record_pack(record, &request, &reply);
    PX_TRY(px_buf_status(&json));
    PX_TRY(px_buf_status(&request));
    PX_TRY(px_buf_status(&reply));
    const px_row row = {.msg_id = px_slice_str(record->msg_id),
                        .record = px_buf_slice(&json),
                        .request = px_buf_slice(&request),
                        .outputs = px_buf_slice(&record->outputs),
                        .reply = px_buf_slice(&reply),
                        .lost =
                            replied ? (px_slice){0} : px_kept_frame(record->end, PX_LOST_CONTENT),
                        .engine = record->ran};
    return px_store_put(keeper->store, &row);
}

// choose takes the first records of a list that are to be written.
static size_t choose(px_record_list *list, px_record **chosen, size_t n)
{
    px_record *record;
    DL_FOREACH (list->head, record) {
        if (n == FLUSH_ROWS) {
            break;
        }
        if (to_be_written(record)) {
            chosen[n++] = record;
        }
    }
    return n;
}

static void file_failed(px_keeper *keeper, const px_error *error)
{
    px_log_warning("results stay in memory for now: the file cannot be written", "cause=\"%s\"",
                   error->text);
    keeper->retry = px_now() + RETRY_AFTER;
}

// write_some writes a transaction's worth; false when nothing is left, or the file fails.
static bool write_some(px_keeper *keeper)
{
    px_error error = {0};
    px_record *chosen[FLUSH_ROWS];
    px_records_name(&keeper->records);
    size_t n = choose(&keeper->records.kept, chosen, 0);
    n = choose(&keeper->records.delivered, chosen, n);
    if (n == 0) {
        return false;
    }
    px_err err = px_store_begin(keeper->store, &error);
    for (size_t i = 0; err == PX_OK && i < n; i++) {
        err = write_one(keeper, chosen[i]);
    }
    if (err == PX_OK) {
        err = px_store_commit(keeper->store, &error);
    } else {
        (void)px_store_commit(keeper->store, NULL); // what was written is good
    }
    if (err != PX_OK) {
        file_failed(keeper, &error);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        px_records_forget(&keeper->records, chosen[i]);
    }
    return n == FLUSH_ROWS;
}

// --- limits --------------------------------------------------------------------------------------

static void let_go(px_records *records, px_record_list *list, size_t bytes, size_t most)
{
    while (list->bytes > bytes || list->n > most) {
        px_records_forget(records, list->head);
    }
}

// tend writes what is due and lets go what is too much.
static void tend(px_keeper *keeper, bool all)
{
    px_records *records = &keeper->records;
    px_ns now = px_now();
    bool any = records->kept.n > 0 || records->delivered.n > 0;
    if (keeper->store != NULL && any && keeper->flush_due == 0) {
        keeper->flush_due = now + FLUSH_AFTER;
    }
    bool due = keeper->flush_due != 0 && keeper->flush_due <= now && keeper->retry <= now;
    if (keeper->store != NULL && (due || all)) {
        bool more = write_some(keeper);
        while (more && all) {
            more = write_some(keeper);
        }
        keeper->flush_due = more ? now : 0;
    }
    let_go(records, &records->delivered, DELIVERED_BYTES, DELIVERED_MOST);
    let_go(records, &records->large, LARGE_BYTES, DELIVERED_MOST);
    let_go(records, &records->kept, KEPT_BYTES, KEPT_MOST);
}

static int timeout_ms(const px_keeper *keeper)
{
    px_ns now = px_now();
    px_ns due = keeper->flush_due > keeper->retry ? keeper->flush_due : keeper->retry;
    if (keeper->store == NULL || keeper->flush_due == 0) {
        return -1;
    }
    return due <= now ? 0 : (int)((due - now) / PX_NS_PER_MS) + 1;
}

// --- life ----------------------------------------------------------------------------------------

static void take_all(px_keeper *keeper)
{
    for (px_kept *kept = px_intake_take(&keeper->intake), *next; kept != NULL; kept = next) {
        next = kept->next;
        serve(keeper, kept);
        px_kept_unref(kept);
    }
}

// yield_to_all has the thread wait until nobody else wants the processor (batch: it interrupts
// nobody when it wakes), and with a file to write until nobody wants it much.
static void yield_to_all(bool writes)
{
    const struct sched_param none = {0};
    (void)sched_setscheduler(0, SCHED_BATCH, &none); // 0 is this thread alone, as Linux has it
    if (writes) {
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOW_PRIORITY);
    }
}

static void *work(void *context)
{
    px_keeper *keeper = context;
    yield_to_all(keeper->store != NULL);
    while (!atomic_load(&keeper->stopping)) {
        px_intake_wait(&keeper->intake, timeout_ms(keeper));
        take_all(keeper);
        tend(keeper, false);
    }
    take_all(keeper);
    tend(keeper, true);
    return NULL;
}

px_err px_keeper_new(const px_keeper_config *config, px_keeper **ret_keeper, px_error *reterr)
{
    px_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL) {
        return px_error_set(reterr, PX_ENOMEM, "no memory for the results of tasks");
    }
    keeper->answers = config->answers;
    keeper->cluster = strdup(config->cluster);
    keeper->mapped = px_mapped_new();
    atomic_init(&keeper->stopping, false);
    px_err err = px_intake_init(&keeper->intake);
    bool lacks = keeper->cluster == NULL || keeper->mapped == NULL;
    err = err == PX_OK && lacks ? PX_ENOMEM : err;
    err = err == PX_OK ? px_session_clone_trusting(config->session, &keeper->session) : err;
    if (err != PX_OK) {
        px_keeper_free(keeper);
        return px_error_set(reterr, err, "results of tasks cannot be kept: %s", px_err_text(err));
    }
    px_error error = {0};
    if (config->path != NULL &&
        px_store_new(config->path, &limits, &keeper->store, &error) != PX_OK) {
        px_log_warning("results are kept in memory, until the cluster ends", "cause=\"%s\"",
                       error.text);
    }
    *ret_keeper = keeper;
    return PX_OK;
}

px_err px_keeper_start(px_keeper *keeper, px_relay *relay)
{
    keeper->relay = relay;
    px_mapped_open(keeper->mapped, relay);
    PX_TRY(px_thread_start(&keeper->thread, "px-store", work, keeper));
    keeper->started = true;
    return PX_OK;
}

void px_keeper_stop(px_keeper *keeper)
{
    if (keeper == NULL || !keeper->started) {
        return;
    }
    px_kept *kept = px_kept_new(PX_KEPT_CLIENT_GONE, NULL, 0); // of nobody: it only wakes
    if (kept == NULL) {
        abort(); // out of memory at the very end
    }
    kept->client = PX_NOWHERE;
    atomic_store(&keeper->stopping, true);
    px_intake_post(&keeper->intake, kept, true);
    (void)pthread_join(keeper->thread, NULL);
    px_mapped_close(keeper->mapped);
    keeper->started = false;
}

void px_keeper_free(px_keeper *keeper)
{
    if (keeper != NULL) {
        px_records_free(&keeper->records);
        px_intake_done(&keeper->intake);
        px_mapped_free(keeper->mapped);
        px_store_free(keeper->store);
        px_session_free(keeper->session);
        free(keeper->cluster);
        free(keeper);
    }
}
