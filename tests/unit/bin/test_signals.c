/* Which signal ends the run, if several arrive. */
#include <check.h>
#include <signal.h>

#include "bin/cli/signals.h"
#include "tests/aid/expect.h"

START_TEST(the_first_one_counts)
{
    signals_install();
    ck_assert_int_eq(signals_pending(), 0);
    raise(SIGTERM);
    raise(SIGHUP);
    raise(SIGINT);
    ck_assert_int_eq(signals_pending(), SIGTERM);
}
END_TEST

/* After Ctrl-C a job may finish what it is doing; any other signal ends it. */
START_TEST(another_one_counts_after_an_interrupt)
{
    signals_install();
    raise(SIGINT);
    ck_assert_int_eq(signals_pending(), SIGINT);
    raise(SIGTERM);
    ck_assert_int_eq(signals_pending(), SIGTERM);
    raise(SIGINT);
    ck_assert_int_eq(signals_pending(), SIGTERM);
}
END_TEST

START_TEST(a_second_interrupt_ends_at_once)
{
    signals_install();
    raise(SIGINT);
    raise(SIGINT);
    ck_abort_msg("still here");
}
END_TEST

START_TEST(nothing_counts_after_the_result)
{
    signals_install();
    raise(SIGINT);
    signals_forget();
    raise(SIGTERM);
    raise(SIGINT);
    ck_assert_int_eq(signals_pending(), 0);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("signals");
    tcase_add_test(t, the_first_one_counts);
    tcase_add_test(t, another_one_counts_after_an_interrupt);
    tcase_add_exit_test(t, a_second_interrupt_ends_at_once, 128 + SIGINT);
    tcase_add_test(t, nothing_counts_after_the_result);
    return run_tests("signals", t);
}
