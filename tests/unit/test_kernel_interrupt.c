// Who is interrupted, and when.
#include "io/interrupt.h"
#include "unit.h"

#include <signal.h>

static volatile sig_atomic_t n_signals;

static void count(int signum)
{
    (void)signum;
    n_signals = n_signals + 1;
}

START_TEST(test_interrupt__is_sent_again_only_to_what_it_was_sent_to)
{
    px_interrupt interrupt;
    ok(px_interrupt_init(&interrupt));
    struct sigaction action = {.sa_handler = count};
    ck_assert_int_eq(sigaction(SIGINT, &action, NULL), 0);
    ck_assert(!px_interrupt_begin(&interrupt, NULL, px_now()));
    px_interrupt_again(&interrupt);
    ck_assert_int_eq(n_signals, 0); // this request was not interrupted
    ok(px_interrupt_send(&interrupt, false));
    ck_assert_int_eq(n_signals, 1);
    px_interrupt_again(&interrupt);
    ck_assert_int_eq(n_signals, 2);
    ck_assert(px_interrupt_end(&interrupt));
    px_interrupt_again(&interrupt);
    ck_assert(!px_interrupt_begin(&interrupt, NULL, px_now()));
    px_interrupt_again(&interrupt);
    ck_assert_int_eq(n_signals, 2); // nor the next one
}
END_TEST

UNIT_MAIN("kernel_interrupt", test_interrupt__is_sent_again_only_to_what_it_was_sent_to)
