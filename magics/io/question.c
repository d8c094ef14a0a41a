// question.c: what engines ask: input(), getpass and debuggers, on the work link as STDIN.
//
// A question waits here until a thread that waits for its task, or for any task of this client, has
// time to ask a person. It goes when its slot is filled: the engine was interrupted, or died. When
// nobody can wait for the task any more nobody can answer either, and the engine is told so; the
// controller does the same for a client that has left. So no engine waits for ever.

#include "io/internal.h"

#include "px/json.h"

#include <stdlib.h>

static void question_free(px_question *question)
{
    if (question == NULL) {
        return;
    }
    px_message_free(question->message);
    px_buf_done(&question->prompt);
    px_buf_done(&question->said);
    free(question);
}

// unlink_question takes the one at `at` off the list. lock held.
static px_question *unlink_question(px_question **at)
{
    px_question *question = *at;
    *at = question->next;
    question->next = NULL;
    return question;
}

// suits tells if a question is one that ends the wait.
static bool suits(const px_question *question, const px_want *want)
{
    switch (want->asks) {
    case PX_ASKS_ALL:
        return true;
    case PX_ASKS_OWN:
        return question->task == want->task;
    case PX_ASKS_SLOT:
        return question->task == want->task && (int64_t)question->slot == want->slot;
    default:
        return false;
    }
}

bool px__asked(const px_client *client, const px_want *want)
{
    for (const px_question *at = client->questions; at != NULL; at = at->next) {
        if (suits(at, want)) {
            return true;
        }
    }
    return false;
}

void px__questions_drop(px_task *task, uint32_t slot)
{
    px_question **at = &task->client->questions;
    while (*at != NULL) {
        if ((*at)->task == task && (*at)->slot == slot) {
            question_free(unlink_question(at));
        } else {
            at = &(*at)->next;
        }
    }
}

px_question *px__questions_take_all(px_task *task)
{
    px_question *taken = NULL;
    px_question **at = &task->client->questions;
    while (*at != NULL) {
        if ((*at)->task == task) {
            px_question *question = unlink_question(at);
            question->next = taken;
            taken = question;
        } else {
            at = &(*at)->next;
        }
    }
    return taken;
}

void px__questions_refuse(px_client *client, px_question *questions)
{
    while (questions != NULL) {
        px_question *next = questions->next;
        (void)px_client_refuse(client, questions,
                               "nobody waits for this task any more, so nobody can answer");
        questions = next;
    }
}

// take_prompt reads an input_request.
static void take_prompt(px_question *question)
{
    PX_AUTO(px_json) json = NULL;
    if (px_json_parse(question->message->content, &json, NULL) == PX_OK) {
        px_buf_append_slice(&question->prompt, px_json_text(json, "prompt"));
        question->password = px_json_bool(json, "password", false);
    }
}

// call_listener says that something is asked to who listens instead of waiting. lock held.
static void call_listener(px_task *task)
{
    if (task->listens) {
        task->refs++;
        task->client->hooks->task_asks(task);
    }
}

void px_task_listen(px_task *task)
{
    const px_want want = {.task = task, .slot = PX_WANT_ALL, .asks = PX_ASKS_OWN};
    px_task_lock(task);
    task->listens = true;
    if (px__asked(task->client, &want)) {
        call_listener(task);
    }
    px_task_unlock(task);
}

void px__question_came(px_client *client, px_task *task, uint32_t slot, const px_route *route,
                       px_message *message)
{
    px_question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        px_message_free(message); // the engine can be interrupted
        return;
    }
    question->task = task;
    question->task_id = route->task;
    question->slot = slot;
    question->engine = px_route_engine(route, 0);
    question->message = message;
    take_prompt(question);
    bool wanted = false;
    (void)pthread_mutex_lock(&client->lock);
    if (task != NULL && task->slots[slot].state == PX_SLOT_PENDING && !task->abandoned) {
        px_question **at = &client->questions;
        while (*at != NULL) {
            at = &(*at)->next;
        }
        *at = question;
        wanted = true;
        px__wake_asking(client, task);
        call_listener(task);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (!wanted) {
        px__questions_refuse(client, question);
    }
}

// tell_said copies what the engine printed since the last question and nobody has shown. lock held.
static void tell_said(px_question *question)
{
    px_task *task = question->task;
    px_slot *slot = &task->slots[question->slot];
    size_t at = 0;
    for (const px_output *o = slot->outputs.first; o != NULL; o = o->next) {
        if (!o->is_stream) {
            continue;
        }
        size_t end = at + o->text.size;
        if (end > slot->told && !task->shows) {
            size_t skip = slot->told > at ? slot->told - at : 0;
            px_buf_append(&question->said, o->text.data + skip, o->text.size - skip);
        }
        at = end;
    }
    slot->told = at;
}

// choose finds the next question for a wait: of the engine that was answered last, else the oldest.
// lock held.
static px_question **choose(px_client *client, const px_want *want)
{
    px_question **oldest = NULL;
    for (px_question **at = &client->questions; *at != NULL; at = &(*at)->next) {
        if (!suits(*at, want)) {
            continue;
        }
        if ((*at)->engine == client->last_asked) {
            return at;
        }
        oldest = oldest != NULL ? oldest : at;
    }
    return oldest;
}

px_question *px_client_question(px_client *client, const px_want *want)
{
    px_question *question = NULL;
    (void)pthread_mutex_lock(&client->lock);
    px_question **at = choose(client, want);
    if (at != NULL) {
        question = unlink_question(at);
        question->task->refs++;
        client->last_asked = question->engine;
        tell_said(question);
    }
    (void)pthread_mutex_unlock(&client->lock);
    return question;
}

void px_client_unasked(px_client *client, px_question *question)
{
    px_task *task = question->task;
    (void)pthread_mutex_lock(&client->lock);
    bool open = task->slots[question->slot].state == PX_SLOT_PENDING;
    if (open) {
        question->next = client->questions;
        client->questions = question;
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (!open) {
        question_free(question);
    }
    px_task_unref(task);
}

// answer sends content as the answer. Takes question.
static px_err answer(px_client *client, px_question *question, px_slice content)
{
    const px_route route = {
        .kind = PX_ROUTE_STDIN, .client = client->id, .task = question->task_id, .n = 1};
    const px_outgoing outgoing = {
        .msg_type = "input_reply", .parent = question->message->header, .content = content};
    PX_AUTO_FRAMES frames = {0};
    px_err err = PX_ECLOSED;
    (void)pthread_mutex_lock(&client->sending);
    if (client->work != NULL) {
        err = px__compose(client, &route, &question->engine, &outgoing, &frames);
        err = err == PX_OK ? px_link_send(client->work, &frames) : err;
    }
    (void)pthread_mutex_unlock(&client->sending);
    question_free(question);
    return err;
}

px_err px_client_answer(px_client *client, px_question *question, px_slice value)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key(&w, "value");
    px_jsonw_slice(&w, value);
    px_jsonw_end_object(&w);
    px_err err = px_buf_status(&content);
    px_task *task = question->task;
    if (err == PX_OK) {
        err = answer(client, question, px_buf_slice(&content));
    } else {
        question_free(question);
    }
    px_task_unref(task);
    return err;
}

px_err px_client_refuse(px_client *client, px_question *question, const char *why)
{
    PX_AUTO_BUF content = {0};
    px_jsonw w = px_jsonw_to(&content);
    px_jsonw_object(&w);
    px_jsonw_key_string(&w, "value", "\x04");
    px_jsonw_key_string(&w, "why", why);
    px_jsonw_end_object(&w);
    px_err err = px_buf_status(&content);
    if (err != PX_OK) {
        question_free(question);
        return err;
    }
    return answer(client, question, px_buf_slice(&content));
}
