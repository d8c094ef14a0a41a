// A reply is looked up and posted under one lock, so a question that is closed gets nothing more.

#include "io/questions.h"

#include "io/member.h"

#include <stdio.h>

px_err px_questions_init(px_questions *questions)
{
    questions->first = NULL;
    return pthread_mutex_init(&questions->lock, NULL) == 0 ? PX_OK : PX_ENOMEM;
}

px_err px_question_open(px_questions *questions, px_question *question)
{
    PX_TRY(px_mailbox_init(&question->answer));
    question->next = NULL;
    question->answered = false;
    question->asker = pthread_self();
    (void)pthread_mutex_lock(&questions->lock);
    px_question **at = &questions->first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = question;
    (void)pthread_mutex_unlock(&questions->lock);
    return PX_OK;
}

px_request *px_question_take(px_question *question)
{
    px_letter *letter = px_mailbox_take_one(&question->answer);
    bool answer = letter != NULL && letter != &question->interrupt;
    return answer ? PX_CONTAINER(letter, px_request, letter) : NULL;
}

void px_question_close(px_questions *questions, px_question *question)
{
    (void)pthread_mutex_lock(&questions->lock);
    px_question **at = &questions->first;
    while (*at != question) {
        at = &(*at)->next;
    }
    *at = question->next;
    (void)pthread_mutex_unlock(&questions->lock);
    px_request_free(px_question_take(question));
    px_mailbox_done(&question->answer);
}

// may_answer tells if reply can be the answer to question, whatever it names.
static bool may_answer(const px_question *question, const px_request *reply)
{
    return !question->answered && px_parent_asked(question->parent, reply->parent);
}

static px_question *named(const px_questions *questions, const px_request *reply)
{
    for (px_question *at = questions->first; at != NULL; at = at->next) {
        char value[PX_MSG_ID_SIZE + 2];
        (void)snprintf(value, sizeof(value), "\"%s\"", at->msg_id);
        if (px_member_is(reply->message->parent, "msg_id", value)) {
            return may_answer(at, reply) ? at : NULL;
        }
    }
    return NULL;
}

static bool same_client(const px_parent *one, const px_parent *other)
{
    return px_frames_count(&one->idents) > 0 && px_frames_count(&other->idents) > 0 &&
           px_slice_equal(px_frames_get(&one->idents, 0), px_frames_get(&other->idents, 0));
}

// oldest is the question that a client is answering which names none: its own before another's.
static px_question *oldest(const px_questions *questions, const px_request *reply)
{
    px_question *any = NULL;
    for (px_question *at = questions->first; at != NULL; at = at->next) {
        if (may_answer(at, reply) && same_client(at->parent, reply->parent)) {
            return at;
        }
        if (any == NULL && may_answer(at, reply)) {
            any = at;
        }
    }
    return any;
}

void px_questions_answer(px_questions *questions, px_request *reply)
{
    (void)pthread_mutex_lock(&questions->lock);
    px_question *question = named(questions, reply);
    // One that names another question is late: that one was interrupted, or has its answer.
    if (question == NULL &&
        !px_member_is(reply->message->parent, "msg_type", "\"input_request\"")) {
        question = oldest(questions, reply);
    }
    if (question != NULL) {
        question->answered = true;
        px_mailbox_post(&question->answer, &reply->letter);
    }
    (void)pthread_mutex_unlock(&questions->lock);
    if (question == NULL) {
        px_request_free(reply);
    }
}

void px_questions_interrupt(px_questions *questions, px_question_match *match, const void *context)
{
    (void)pthread_mutex_lock(&questions->lock);
    for (px_question *at = questions->first; at != NULL; at = at->next) {
        if (!at->answered && match(context, at)) {
            at->answered = true;
            px_mailbox_post(&at->answer, &at->interrupt);
        }
    }
    (void)pthread_mutex_unlock(&questions->lock);
}
