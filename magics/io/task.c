// task.c: the life of one request in the client.
//
// A task is in the table from submit until its last reference goes, so that outputs which come
// after the reply (a thread on the engine that prints on) still find it. The table itself holds a
// reference while slots are open: a caller may drop a task and still have it carried out, and its
// segments stay open until every engine has mapped them.

#include "io/internal.h"

#include "px/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

px_task *px_task_ref(px_task *task)
{
    (void)pthread_mutex_lock(&task->client->lock);
    task->refs++;
    (void)pthread_mutex_unlock(&task->client->lock);
    return task;
}

px_task *px__task_find(px_client *client, uint64_t id)
{
    (void)pthread_mutex_lock(&client->lock);
    px_pending_entry *entry = px_pending_find(&client->pending, id);
    px_task *task = entry != NULL ? PX_CONTAINER(entry, px_task, entry) : NULL;
    if (task != NULL) {
        task->refs++;
    }
    (void)pthread_mutex_unlock(&client->lock);
    return task;
}

void px_live_free(px_live *live)
{
    if (live != NULL) {
        px_buf_done(&live->text);
        free(live);
    }
}

static void task_free(px_task *task)
{
    px_client *client = task->client;
    for (uint32_t i = 0; task->slots != NULL && i < task->targets.n; i++) {
        px_frames_done(&task->slots[i].reply);
        px_buf_done(&task->slots[i].substitute);
        px_outputs_done(&task->slots[i].outputs);
    }
    while (task->live_first != NULL) {
        px_live *next = task->live_first->next;
        px_live_free(task->live_first);
        task->live_first = next;
    }
    px_bulk_done(&task->bulk);
    if (task->parent != NULL) {
        task->api->parent_unref(task->parent);
    }
    if (task->done_fd >= 0) {
        (void)close(task->done_fd);
    }
    free(task->label);
    free(task);
    px_client_unref(client);
}

void px_task_unref(px_task *task)
{
    px_client *client = task->client;
    px_question *deserted = NULL;
    (void)pthread_mutex_lock(&client->lock);
    bool last = --task->refs == 0;
    if (last && task->indexed) {
        (void)px_pending_remove(&client->pending, &task->entry);
    }
    if (task->refs <= 1 && client->questions != NULL) { // only the table knows it
        deserted = px__questions_take_all(task);
    }
    if (deserted != NULL) {
        (void)px_client_ref(client); // the table may let go of the task meanwhile
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (deserted != NULL) {
        px__questions_refuse(client, deserted);
        px_client_unref(client);
    }
    if (last) {
        task_free(task);
    }
}

static double unix_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / (double)PX_NS_PER_S;
}

void px__fill(px_task *task, uint32_t slot, px_slot_state state, px_task **done)
{
    task->slots[slot].received = unix_time();
    if (task->client->questions != NULL) {
        px__questions_drop(task, slot);
    }
    task->n_done++;
    task->client->n_filled++;
    if (task->n_done == task->targets.n) {
        task->client->n_open--;
        if (task->done_fd >= 0) {
            px__eventfd_write(task->done_fd);
        }
        task->next_done = *done;
        *done = task;
    }
    atomic_store_explicit(&task->slots[slot].state, state, memory_order_release);
}

// copy_told copies a member of the controller's content that we do not write ourselves.
static void copy_told(void *context, const char *key, const px_json *value)
{
    static const char *const ours[] = {"status",    "ename",  "evalue",
                                       "traceback", "engine", "engine_info"};
    px_jsonw *w = context;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(key, ours[i]) == 0) {
            return;
        }
    }
    PX_AUTO_BUF text = {0};
    if (px_json_dump(value, &text) == PX_OK) {
        px_jsonw_key(w, key);
        px_jsonw_raw(w, px_buf_slice(&text));
    }
}

static void write_engine(px_jsonw *w, const char *key, uint32_t engine)
{
    if (engine == PX_NO_ENGINE) {
        px_jsonw_key_string(w, key, NULL);
    } else {
        px_jsonw_key_int(w, key, engine);
    }
}

void px__fill_told(px_task *task, uint32_t slot, const char *evalue, const px_json *told,
                   px_task **done)
{
    if (!task->balanced) {
        task->lost = true;
        task->client->n_lost++;
    }
    PX_AUTO_BUF sentence = {0};
    px_buf_append_str(&sentence, evalue);
    if (task->label != NULL) {
        px_buf_printf(&sentence, ", while it ran %s", task->label);
    }
    uint32_t engine = task->targets.engines[slot];
    px_jsonw w = px_jsonw_to(&task->slots[slot].substitute);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(
        &w, "ename", told != NULL ? px_json_string(told, "ename", "EngineError") : "EngineError");
    px_jsonw_key(&w, "evalue");
    px_jsonw_slice(&w, px_buf_slice(&sentence));
    px_jsonw_key(&w, "traceback");
    px_jsonw_array(&w);
    px_jsonw_end_array(&w);
    write_engine(&w, "engine", engine);
    px_jsonw_key(&w, "engine_info");
    px_jsonw_object(&w);
    write_engine(&w, "engine_id", engine);
    px_jsonw_end_object(&w);
    if (told != NULL) {
        px_json_each(told, copy_told, &w);
    }
    px_jsonw_end_object(&w);
    px__fill(task, slot, PX_SLOT_ERROR, done);
}

void px__fill_lost(px_task *task, uint32_t slot, const char *evalue, px_task **done)
{
    px__fill_told(task, slot, evalue, NULL, done);
}

void px__settle(px_task *done)
{
    while (done != NULL) {
        px_task *task = done;
        done = task->next_done;
        task->next_done = NULL;
        if (task->client->forked) {
            continue; // no thread to call anyone, and no time to free
        }
        px_bulk_done(&task->bulk);
        px__lend_settle(task);
        if (task->notify) {
            task->client->hooks->task_done(task);
        } else {
            px_task_unref(task);
        }
    }
}

void px_task_abandon(px_task *task)
{
    px_client *client = task->client;
    px_task *done = NULL;
    (void)pthread_mutex_lock(&client->lock);
    task->abandoned = true;
    px_question *deserted = px__questions_take_all(task);
    if (task->indexed) {
        (void)px_pending_remove(&client->pending, &task->entry);
        task->indexed = false;
    }
    for (uint32_t i = 0; i < task->targets.n; i++) {
        if (task->slots[i].state == PX_SLOT_PENDING) {
            px__fill_lost(task, i, "the task was abandoned by its client", &done);
            task->slots[i].state = PX_SLOT_ABORTED;
        }
    }
    px__wake(client, task, NULL);
    (void)pthread_mutex_unlock(&client->lock);
    px__questions_refuse(client, deserted);
    px__settle(done);
}

static px_slot_state read_status(px_slice content)
{
    static const char quick[] = "{\"status\": \"ok\"";
    static const char quicker[] = "{\"status\":\"ok\"";
    if ((content.size >= sizeof quick && memcmp(content.data, quick, sizeof quick - 1) == 0) ||
        (content.size >= sizeof quicker &&
         memcmp(content.data, quicker, sizeof quicker - 1) == 0)) {
        return PX_SLOT_OK;
    }
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(content, &json, NULL) != PX_OK) {
        return PX_SLOT_ERROR;
    }
    const char *status = px_json_string(json, "status", "ok");
    if (strcmp(status, "ok") == 0) {
        return PX_SLOT_OK;
    }
    bool aborted = strcmp(status, "aborted") == 0 || strcmp(status, "abort") == 0;
    return aborted ? PX_SLOT_ABORTED : PX_SLOT_ERROR;
}

px_slot_state px_task_status(px_task *task, uint32_t slot)
{
    px_slot *at = &task->slots[slot];
    px_slot_state state = atomic_load_explicit(&at->state, memory_order_acquire);
    if (state != PX_SLOT_FILLED) {
        return state;
    }
    // A filled slot's reply stays as it is until the task is freed: all who read it find the same.
    state = read_status(px_frames_get(&at->reply, PX_AT_CONTENT));
    atomic_store_explicit(&at->state, state, memory_order_release);
    return state;
}

px_err px_task_done_fd(px_task *task, int *ret_fd)
{
    px_err err = PX_OK;
    px_task_lock(task);
    if (task->done_fd < 0) {
        bool done = task->n_done == task->targets.n;
        task->done_fd = eventfd(done ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (task->done_fd < 0) {
            err = PX_ESYS;
        }
    }
    *ret_fd = task->done_fd;
    px_task_unlock(task);
    return err;
}

bool px_task_notify(px_task *task, void *owner)
{
    px_task_lock(task);
    bool open = task->n_done < task->targets.n;
    if (open) {
        task->notify = true;
        task->owner = owner;
    }
    px_task_unlock(task);
    return open;
}

void px__task_queue_live(px_task *task, uint32_t slot, px_output *output, bool is_stderr,
                         px_slice text)
{
    px_live *live = task->live_last;
    bool joins = live != NULL && output == NULL && live->output == NULL && live->slot == slot &&
                 live->is_stderr == is_stderr;
    if (!joins) {
        live = calloc(1, sizeof *live);
        if (live == NULL) {
            return; // it is still in the slot's outputs
        }
        live->slot = slot;
        live->output = output;
        live->is_stderr = is_stderr;
        if (task->live_last == NULL) {
            task->live_first = live;
        } else {
            task->live_last->next = live;
        }
        task->live_last = live;
    }
    px_buf_append_slice(&live->text, text);
}

px_live *px_task_take(px_task *task)
{
    px_task_lock(task);
    px_live *live = task->live_first;
    if (live != NULL) {
        task->live_first = live->next;
        if (task->live_first == NULL) {
            task->live_last = NULL;
        }
        live->next = NULL;
    }
    px_task_unlock(task);
    return live;
}

void px_task_lock(px_task *task)
{
    (void)pthread_mutex_lock(&task->client->lock);
}

void px_task_unlock(px_task *task)
{
    (void)pthread_mutex_unlock(&task->client->lock);
}
