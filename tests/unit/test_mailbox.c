#include "unit.h"

#include "px/mailbox.h"
#include "px/own.h"
#include "px/thread.h"

#include <poll.h>
#include <stdlib.h>

#define N_THREADS 4
#define N_EACH 20000

typedef struct note {
    px_letter letter;
    int number;
} note;

typedef struct poster {
    px_mailbox *box;
    note *notes;
    int kind;
} poster;

static bool readable(const px_mailbox *box)
{
    struct pollfd item = {.fd = px_mailbox_fd(box), .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

START_TEST(test_mailbox__flag_stands_while_letters_wait)
{
    px_mailbox box;
    note notes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};

    ok(px_mailbox_init(&box));
    ck_assert(!readable(&box));
    ck_assert_ptr_null(px_mailbox_take(&box));
    for (int i = 0; i < 3; i++) {
        px_mailbox_post(&box, &notes[i].letter);
    }
    ck_assert(readable(&box));
    ck_assert_ptr_eq(px_mailbox_take_one(&box), &notes[0].letter);
    ck_assert(readable(&box));
    ck_assert_ptr_eq(px_mailbox_take_one(&box), &notes[1].letter);
    px_mailbox_post(&box, &notes[0].letter);
    px_letter *rest = px_mailbox_take(&box);
    ck_assert_ptr_eq(rest, &notes[2].letter);
    ck_assert_ptr_eq(rest->next, &notes[0].letter);
    ck_assert_ptr_null(rest->next->next);
    ck_assert(!readable(&box));
    ck_assert_ptr_null(px_mailbox_take_one(&box));
    px_mailbox_done(&box);
}
END_TEST

static void *post_all(void *arg)
{
    poster *p = arg;

    for (int i = 0; i < N_EACH; i++) {
        p->notes[i] = (note){.letter.kind = p->kind, .number = i};
        px_mailbox_post(p->box, &p->notes[i].letter);
    }
    return NULL;
}

START_TEST(test_mailbox__four_threads_keep_their_order)
{
    px_mailbox box;
    poster posters[N_THREADS];
    pthread_t threads[N_THREADS];
    int next[N_THREADS] = {0};
    int n_left = N_THREADS * N_EACH;
    bool whole = true; // take all, or one

    ok(px_mailbox_init(&box));
    for (int t = 0; t < N_THREADS; t++) {
        posters[t] = (poster){.box = &box, .kind = t};
        posters[t].notes = calloc(N_EACH, sizeof(note));
        ck_assert_ptr_nonnull(posters[t].notes);
        ok(px_thread_start(&threads[t], "poster", post_all, &posters[t]));
    }
    while (n_left > 0) {
        unit_wait(px_mailbox_fd(&box), POLLIN);
        px_letter *letter = whole ? px_mailbox_take(&box) : px_mailbox_take_one(&box);
        ck_assert_ptr_nonnull(letter);
        for (; letter != NULL; letter = letter->next) {
            ck_assert_int_eq(PX_CONTAINER(letter, note, letter)->number, next[letter->kind]++);
            n_left--;
        }
        whole = !whole;
    }
    for (int t = 0; t < N_THREADS; t++) {
        ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
        free(posters[t].notes);
    }
    ck_assert(!readable(&box));
    px_mailbox_done(&box);
}
END_TEST

UNIT_MAIN("mailbox", test_mailbox__flag_stands_while_letters_wait,
          test_mailbox__four_threads_keep_their_order)
