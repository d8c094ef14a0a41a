// questions.h: what input() has asked front ends, and the way of each answer to who asked.
//
// Several shells and threads may wait at once. An answer goes to the question that its parent
// header names (the input_request's msg_id). Front ends that name none ask their user for one thing
// after the other, so theirs is for the oldest question that was put to them.
#ifndef PX_KERNEL_QUESTIONS_H
#define PX_KERNEL_QUESTIONS_H

#include "io/request.h"

#include "px/err.h"
#include "px/mailbox.h"
#include "px/session.h"

#include <pthread.h>
#include <stdbool.h>

// px_question is one that waits; it lives where its asker waits, on the asker's stack.
typedef struct px_question {
    struct px_question *next;
    const px_parent *parent;     // borrowed: whose client is asked
    char msg_id[PX_MSG_ID_SIZE]; // of the input_request
    bool answered;               // under the lock of the list
    px_mailbox answer;           // px_request, one, or `interrupt`; its asker reads
    pthread_t asker;
    px_letter interrupt;
} px_question;

// px_questions is the list of them, the oldest first. Any thread.
typedef struct px_questions {
    pthread_mutex_t lock;
    px_question *first;
} px_questions;

px_err px_questions_init(px_questions *questions);

// px_question_open adds a question of this thread with msg_id and parent set, before its message is
// sent.
px_err px_question_open(px_questions *questions, px_question *question);
// px_question_take gives the answer, once `answer` is readable; NULL: the asker is interrupted.
px_request *px_question_take(px_question *question);
// px_question_close takes it off again; an answer that nobody took is dropped.
void px_question_close(px_questions *questions, px_question *question);

// px_questions_answer gives an input_reply to the question that it answers, and drops it when there
// is none. Takes reply.
void px_questions_answer(px_questions *questions, px_request *reply);

// px_questions_interrupt ends the waits for which match is true; no answer is taken for them any
// more. match is called under the lock. For the main thread, whose waits a signal ends, not needed.
typedef bool px_question_match(const void *context, const px_question *question);
void px_questions_interrupt(px_questions *questions, px_question_match *match, const void *context);

#endif
