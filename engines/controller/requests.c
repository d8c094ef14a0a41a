// requests.c: what clients ask of the controller, and what engines say on their control connection.
//
// Every request gets its `<x>_reply` with status ok or error, at once; what it sets going (a stop,
// a new engine) shows as notifications.

#include "controller.h"

#include "px/log.h"

#include <utlist.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// px_call is one request under way.
typedef struct px_call {
    px_visitor *visitor;
    px_controller *controller;
    const px_message *message;
    const px_json *content;
    px_jsonw *w;    // inside the reply's object, after status
    px_error error; // err not PX_OK: the reply is an error with ename and this text
    const char *ename;
} px_call;

static void refuse(px_call *call, const char *ename, px_err err, const char *text)
{
    call->ename = ename;
    (void)px_error_set(&call->error, err, "%s", text);
}

// --- which engines -------------------------------------------------------------------------------

// px_choice is the engines that a request names. ids is malloc'ed.
typedef struct px_choice {
    uint32_t *ids;
    size_t n;
    bool all;
} px_choice;

static bool living(const px_controller *controller, int64_t id)
{
    const px_engine *engine =
        id >= 0 && id <= UINT32_MAX ? px_roster_find(controller->roster, (uint32_t)id) : NULL;
    return engine != NULL && engine->state < PX_ENGINE_LEAVING;
}

static bool listed(const px_controller *controller, int64_t id)
{
    return id >= 0 && id <= UINT32_MAX && px_roster_find(controller->roster, (uint32_t)id) != NULL;
}

static void no_engine(px_call *call, int64_t id, bool known)
{
    char text[256];
    size_t length = (size_t)snprintf(text, sizeof(text), "engine %lld %s; engines: ", (long long)id,
                                     known ? "is dead" : "does not exist");
    size_t n = px_roster_count(call->controller->roster), shown = 0;
    for (size_t i = 0; i < n && length < sizeof(text) - 16; i++) {
        const px_engine *engine = px_roster_at(call->controller->roster, i);
        if (living(call->controller, engine->id)) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
                                       shown++ > 0 ? ", " : "", engine->id);
        }
    }
    if (shown == 0) {
        (void)snprintf(text + length, sizeof(text) - length, "none");
    }
    refuse(call, "NoSuchEngine", PX_ENOENT, text);
}

// choose_set takes the engines of a set that are not on their way out. dead_too: also the dead.
static bool choose_set(px_call *call, const char *set, bool dead_too, px_choice *ret_choice)
{
    const px_roster *roster = call->controller->roster;
    size_t kept = 0, n = px_roster_count(roster);
    uint32_t *ids = calloc(n + 1, sizeof(*ids));
    for (size_t i = 0; ids != NULL && i < n; i++) {
        const px_engine *engine = px_roster_at(roster, i);
        bool good =
            living(call->controller, engine->id) || (dead_too && engine->state == PX_ENGINE_DEAD);
        if (good && strcmp(engine->set, set) == 0) {
            ids[kept++] = engine->id;
        }
    }
    if (ids == NULL || kept == 0) {
        char text[128];
        (void)snprintf(text, sizeof(text), "there is no engine set \"%.*s\"", PX_SET_SIZE, set);
        refuse(call, "KeyError", PX_ENOENT, ids == NULL ? "the controller is out of memory" : text);
        free(ids);
        return false;
    }
    *ret_choice = (px_choice){.ids = ids, .n = kept};
    return true;
}

// choose reads "engines": "all", one id, or a list; or "set". dead_too: the dead ones may be named
// as well.
static bool choose(px_call *call, bool dead_too, px_choice *ret_choice)
{
    const px_json *engines = px_json_get(call->content, "engines");
    const px_roster *roster = call->controller->roster;
    const char *set = px_json_string(call->content, "set", NULL);
    if (set != NULL) {
        return choose_set(call, set, dead_too, ret_choice);
    }
    bool all = engines == NULL || px_json_is_null(engines) ||
               strcmp(px_json_as_string(engines, ""), "all") == 0;
    bool one = engines != NULL && px_json_is_int(engines);
    size_t n = all ? px_roster_count(roster) : one ? 1 : px_json_length(engines);
    if (!all && !one && (engines == NULL || !px_json_is_array(engines))) {
        refuse(call, "ValueError", PX_EINVAL, "\"engines\" must be \"all\" or a list of ids");
        return false;
    }
    uint32_t *ids = calloc(n + 1, sizeof(*ids));
    size_t kept = 0;
    for (size_t i = 0; ids != NULL && i < n; i++) {
        int64_t id = all   ? px_roster_at(roster, i)->id
                     : one ? px_json_as_int(engines, -1)
                           : px_json_as_int(px_json_item(engines, i), -1);
        bool good = dead_too ? listed(call->controller, id) : living(call->controller, id);
        if (!good && !all) {
            no_engine(call, id, listed(call->controller, id));
            free(ids);
            return false;
        }
        if (good) {
            ids[kept++] = (uint32_t)id;
        }
    }
    if (ids == NULL) {
        refuse(call, "MemoryError", PX_ENOMEM, "the controller is out of memory");
        return false;
    }
    *ret_choice = (px_choice){.ids = ids, .n = kept, .all = all};
    return true;
}

// --- the requests --------------------------------------------------------------------------------

static void status_request(px_call *call)
{
    px_seat *seat, *next;
    px_ns now = px_now();
    HASH_ITER (hh, call->controller->seats, seat, next) {
        px__stats_sample(call->controller, seat, now);
    }
    px_jsonw_key(call->w, "cluster");
    px__describe_cluster(call->controller, call->w);
    px_jsonw_key(call->w, "engines");
    px__describe_engines(call->controller, call->w);
}

static void queue_request(px_call *call)
{
    px_choice choice;
    if (!choose(call, false, &choice)) {
        return;
    }
    px_jsonw_key(call->w, "engines");
    px_jsonw_object(call->w);
    for (size_t i = 0; i < choice.n; i++) {
        const px_seat *seat = px__seat(call->controller, choice.ids[i]);
        char id[16];
        unsigned tasks = atomic_load(&seat->tally->tasks);
        unsigned in_flight = atomic_load(&seat->tally->in_flight);
        unsigned direct = in_flight > tasks ? in_flight - tasks : 0;
        (void)snprintf(id, sizeof(id), "%u", seat->id);
        px_jsonw_key(call->w, id);
        px_jsonw_object(call->w);
        px_jsonw_key_int(call->w, "queue", direct);
        px_jsonw_key_int(call->w, "completed", (int64_t)atomic_load(&seat->tally->done));
        px_jsonw_key_int(call->w, "tasks", tasks);
        px_jsonw_end_object(call->w);
    }
    px_jsonw_end_object(call->w);
    px_jsonw_key_int(call->w, "unassigned", (int64_t)px_relay_waiting(call->controller->relay));
    free(choice.ids);
}

// signal_number reads "SIGUSR1", "USR1" or 10; 0 when it is none.
static int signal_number(const px_json *signum)
{
    const char *name = px_json_as_string(signum, "");
    if (signum != NULL && px_json_is_int(signum)) {
        int64_t number = px_json_as_int(signum, 0);
        return number > 0 && number < NSIG ? (int)number : 0;
    }
    name = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcmp(known, name) == 0) {
            return i;
        }
    }
    return 0;
}

static void deliver(px_controller *controller, uint32_t engine, int signum)
{
    const px_seat *seat = px__seat(controller, engine);
    if (seat == NULL) {
        return;
    }
    if (signum == SIGINT && seat->visitor != NULL) { // the engine's fence holds this way
        (void)px__hub_send(seat->visitor, "interrupt_request", (px_slice){0}, (px_slice){0});
    } else {
        px__signal_seat(seat, signum);
    }
}

static void signal_request(px_call *call)
{
    px_choice choice;
    int signum = signal_number(px_json_get(call->content, "signal"));
    if (signum == 0) {
        refuse(call, "ValueError", PX_EINVAL,
               "\"signal\" must be a name such as \"SIGINT\" or a number");
        return;
    }
    if (!choose(call, false, &choice)) {
        return;
    }
    for (size_t i = 0; i < choice.n; i++) {
        deliver(call->controller, choice.ids[i], signum);
    }
    free(choice.ids);
}

// abort_waiting takes those out that have not come to an engine.
static void abort_waiting(px_call *call, const px_json *tasks)
{
    size_t n = px_json_length(tasks);
    uint64_t *numbers = calloc(n + 1, sizeof(*numbers));
    for (size_t i = 0; numbers != NULL && i < n; i++) {
        numbers[i] = (uint64_t)px_json_as_int(px_json_item(tasks, i), 0);
    }
    if (numbers == NULL ||
        px_relay_abort(call->controller->relay, call->visitor->id, numbers, n) != PX_OK) {
        free(numbers);
        refuse(call, "MemoryError", PX_ENOMEM, "the controller is out of memory");
    }
}

// tell_engines has every engine take a task out of its queue.
static void tell_engines(px_controller *controller, px_slice content)
{
    px_seat *seat, *next;
    HASH_ITER (hh, controller->seats, seat, next) {
        if (seat->visitor != NULL) {
            (void)px__hub_send(seat->visitor, "abort_request", (px_slice){0}, content);
        }
    }
}

// abort_request is handed to every engine with the client's number: only an engine knows what it
// has begun. With "interrupt" it ends a running one, too.
static void abort_request(px_call *call)
{
    const px_json *tasks = px_json_get(call->content, "tasks");
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_int(&w, "client", call->visitor->id);
    px_jsonw_key(&w, "tasks");
    if (tasks == NULL || px_json_dump(tasks, &content) != PX_OK) {
        refuse(call, "ValueError", PX_EINVAL, "\"tasks\" must be a list of task numbers");
        return;
    }
    abort_waiting(call, tasks);
    w.need_comma = true;
    px_jsonw_key_bool(&w, "interrupt", px_json_bool(call->content, "interrupt", false));
    px_jsonw_end_object(&w);
    tell_engines(call->controller, px_buf_slice(&content));
}

void px__cancel(px_controller *controller, const px_answer *order)
{
    char content[128];
    uint64_t *task = malloc(sizeof(*task));
    if (task == NULL) {
        return; // it runs on
    }
    *task = order->task;
    if (px_relay_abort(controller->relay, order->client, task, 1) != PX_OK) {
        free(task);
    }
    (void)snprintf(content, sizeof(content), "{\"client\":%u,\"tasks\":[%llu],\"interrupt\":%s}",
                   order->client, (unsigned long long)order->task,
                   order->interrupt ? "true" : "false");
    tell_engines(controller, px_slice_str(content));
}

void px__recall(px_controller *controller, const px_news *news)
{
    char content[128];
    const px_seat *seat = px__seat(controller, news->id);
    if (seat == NULL || seat->visitor == NULL) {
        return; // it is gone, and the task goes elsewhere by that
    }
    (void)snprintf(content, sizeof(content), "{\"client\":%u,\"tasks\":[%llu]}", news->client,
                   (unsigned long long)news->task);
    (void)px__hub_send(seat->visitor, "abort_request", (px_slice){0}, px_slice_str(content));
}

static void shutdown_request(px_call *call)
{
    px_choice choice;
    px_orders orders = {0};
    if (px_json_bool(call->content, "hub", false)) {
        px__stop(call->controller, "a client asked for it");
        return;
    }
    if (!choose(call, true, &choice)) {
        return;
    }
    bool fewer = px_json_bool(call->content, "scale", false);
    if (fewer) {
        px__fail(call->controller, "", "", "", "");
        px_roster_dismiss(call->controller->roster, px_now(), choice.ids, choice.n, &orders);
    }
    for (size_t i = 0; i < choice.n && !fewer; i++) {
        px_roster_leave(call->controller->roster, px_now(), choice.ids[i], &orders);
    }
    px__carry_out(call->controller, &orders);
    free(choice.ids);
}

// add_engines is scale_request with "add" in place of "n".
static void add_engines(px_call *call, int64_t more)
{
    px_orders orders = {0};
    char text[128];
    const char *set = px_json_string(call->content, "set", PX_SET_DEFAULT);
    int64_t most = PX_MOST_ENGINES - (int64_t)px_roster_wanted(call->controller->roster);
    if (more < 1 || more > most) {
        (void)snprintf(text, sizeof(text), "\"add\" must be a number from 1 to %lld",
                       (long long)most);
        refuse(call, "ValueError", PX_EINVAL, text);
    } else if (set[0] == '\0' || strlen(set) >= PX_SET_SIZE) {
        (void)snprintf(text, sizeof(text), "the name of an engine set has 1 to %d bytes",
                       PX_SET_SIZE - 1);
        refuse(call, "ValueError", PX_EINVAL, text);
    } else {
        px__fail(call->controller, "", "", "", "");
        px_roster_add(call->controller->roster, px_now(), (uint32_t)more, set, &orders);
        px__carry_out(call->controller, &orders);
    }
}

static void scale_request(px_call *call)
{
    px_orders orders = {0};
    if (px_json_get(call->content, "add") != NULL) {
        add_engines(call, px_json_int(call->content, "add", -1));
        return;
    }
    int64_t n = px_json_int(call->content, "n", -1);
    char text[128];
    if (n < 0 || n > PX_MOST_ENGINES) {
        (void)snprintf(text, sizeof(text), "\"n\" must be a number from 0 to %d", PX_MOST_ENGINES);
        refuse(call, "ValueError", PX_EINVAL, text);
        return;
    }
    px__fail(call->controller, "", "", "", "");
    px_roster_scale(call->controller->roster, px_now(), (uint32_t)n, px__engine_busy,
                    call->controller, &orders);
    px__carry_out(call->controller, &orders);
}

static void restart_request(px_call *call)
{
    px_choice choice;
    px_orders orders = {0};
    if (!choose(call, true, &choice)) {
        return;
    }
    px__fail(call->controller, "", "", "", "");
    px_roster_restart(call->controller->roster, px_now(), choice.all ? NULL : choice.ids, choice.n,
                      &orders);
    px__carry_out(call->controller, &orders);
    free(choice.ids);
}

// --- dispatch ------------------------------------------------------------------------------------

typedef struct px_handler {
    px_msg_type type;
    const char *reply;
    void (*handle)(px_call *call);
} px_handler;

static const px_handler handlers[] = {
    {PX_MSG_STATUS_REQUEST, "status_reply", status_request},
    {PX_MSG_QUEUE_REQUEST, "queue_reply", queue_request},
    {PX_MSG_SIGNAL_REQUEST, "signal_reply", signal_request},
    {PX_MSG_ABORT_REQUEST, "abort_reply", abort_request},
    {PX_MSG_SHUTDOWN_REQUEST, "shutdown_reply", shutdown_request},
    {PX_MSG_SCALE_REQUEST, "scale_reply", scale_request},
    {PX_MSG_RESTART_REQUEST, "restart_reply", restart_request},
};

static const px_handler *find_handler(px_msg_type type)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (handlers[i].type == type) {
            return &handlers[i];
        }
    }
    return NULL;
}

static void answer_error(px_visitor *visitor, const px_message *message, const char *reply,
                         const char *ename, const char *text)
{
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "error");
    px_jsonw_key_string(&w, "ename", ename);
    px_jsonw_key_string(&w, "evalue", text);
    px_jsonw_end_object(&w);
    if (px_buf_status(&out) == PX_OK) {
        (void)px__hub_send(visitor, reply, message->header, px_buf_slice(&out));
    }
}

// ask_store hands a question about results to px-store, which answers in its own time.
static void ask_store(px_visitor *visitor, const px_message *message)
{
    if (visitor->controller->keeper != NULL &&
        px_keeper_ask(visitor->controller->keeper, visitor->id, message->msg_type, message->header,
                      message->content)) {
        return;
    }
    (void)px__hub_send(visitor, "no_results_reply", message->header,
                       PX_SLICE_LITERAL("{\"status\":\"ok\",\"error\":{\"ename\":\"KeyError\","
                                        "\"evalue\":\"this cluster keeps no results: it was "
                                        "started with --results none\"}}"));
}

void px__answered(px_controller *controller, const px_answer *answer)
{
    px_visitor *visitor;
    DL_FOREACH (controller->visitors, visitor) {
        if (visitor->role == PX_VISITOR_CLIENT && visitor->id == answer->client) {
            (void)px__hub_send(visitor, answer->type, px_buf_slice(&answer->parent),
                               px_buf_slice(&answer->content));
            return;
        }
    }
}

static void client_asks(px_visitor *visitor, const px_message *message)
{
    char reply[80], text[160];
    const px_handler *handler = find_handler(message->type);
    if (px_keeper_knows(message->msg_type)) {
        ask_store(visitor, message);
        return;
    }
    if (handler == NULL) {
        size_t length = strlen(message->msg_type);
        bool request = length > 8 && strcmp(message->msg_type + length - 8, "_request") == 0;
        if (request) {
            (void)snprintf(reply, sizeof(reply), "%.*s_reply",
                           (int)(length - 8 < 64 ? length - 8 : 64), message->msg_type);
            (void)snprintf(text, sizeof(text), "the controller does not know %.64s",
                           message->msg_type);
            answer_error(visitor, message, reply, "UnknownRequest", text);
        }
        return;
    }
    PX_AUTO(px_json) content = NULL;
    px_error error = {0};
    if (px_json_parse(message->content, &content, &error) != PX_OK) {
        answer_error(visitor, message, handler->reply, "ValueError", error.text);
        return;
    }
    PX_AUTO_BUF out = {0};
    px_jsonw w = px_jsonw_to(&out);
    px_call call = {.visitor = visitor,
                    .controller = visitor->controller,
                    .message = message,
                    .content = content,
                    .w = &w};
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "status", "ok");
    handler->handle(&call);
    px_jsonw_end_object(&w);
    if (call.error.err != PX_OK) {
        answer_error(visitor, message, handler->reply, call.ename, call.error.text);
    } else if (px_buf_status(&out) == PX_OK) {
        (void)px__hub_send(visitor, handler->reply, message->header, px_buf_slice(&out));
    }
}

void px__request(px_visitor *visitor, const px_message *message)
{
    px_controller *controller = visitor->controller;
    if (visitor->role == PX_VISITOR_CLIENT) {
        client_asks(visitor, message);
        return;
    }
    if (px_heart_heard(controller->heart, visitor->id)) {
        px_orders orders = {0};
        px_roster_heard(controller->roster, px_now(), visitor->id, &orders);
        px__carry_out(controller, &orders);
    }
}
