/* A sequencer: in whatever order threads arrive, they leave in the order of their numbers. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "format/thread/parallel.h"
#include "format/thread/sequencer.h"
#include "tests/aid/expect.h"

enum { TASKS = 2000 };

typedef struct site {
    sequencer turns;
    uint64_t next; /* without a lock: the sequencer must suffice */
    uint64_t fails;
    unsigned again;
} site;

static err_code pass(void *ctx, unsigned worker, uint64_t task, err *e)
{
    site *const s = ctx;
    (void)worker;
    if (task == s->fails) {
        sequencer_stop(&s->turns);
        return err_set(e, ERR_INPUT, "task %d", (int)task);
    }
    err_code code = OK;
    for (unsigned i = 0; i <= s->again && code == OK; i++) {
        code = sequencer_enter(&s->turns, task, e);
    }
    if (code == OK) {
        ck_assert_uint_eq(s->next++, task);
        sequencer_leave(&s->turns, task);
    }
    return code;
}

START_TEST(one_after_another)
{
    site s = {.fails = TASKS, .again = (unsigned)_i % 2};
    err e = {0};
    sequencer_open(&s.turns, NULL);
    expect_ok(parallel_for(1 + 3 * (unsigned)_i, TASKS, pass, &s, NULL, &e), &e);
    ck_assert_uint_eq(s.next, TASKS);
    sequencer_close(&s.turns);
}
END_TEST

START_TEST(failure_lets_nobody_wait)
{
    site s = {.fails = 100};
    err e = {0};
    sequencer_open(&s.turns, NULL);
    expect_error(parallel_for(8, TASKS, pass, &s, NULL, &e), ERR_INPUT, &e, "task 100");
    ck_assert_uint_le(s.next, 100);
    sequencer_close(&s.turns);
}
END_TEST

static bool is_set(void *ctx)
{
    return *(atomic_bool *)ctx;
}

static void *enter_second(void *arg)
{
    site *const s = arg;
    err e = {0};
    ck_assert_int_eq(sequencer_enter(&s->turns, 1, &e), ERR_CANCELLED);
    return NULL;
}

START_TEST(monitor_is_asked)
{
    atomic_bool stop = false;
    const monitor m = {.cancelled = is_set, .ctx = &stop};
    site s = {0};
    pthread_t thread;
    sequencer_open(&s.turns, &m);
    ck_assert_int_eq(pthread_create(&thread, NULL, enter_second, &s), 0);
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
    stop = true;
    pthread_join(thread, NULL);
    sequencer_close(&s.turns);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("sequencer");
    tcase_add_loop_test(tc, one_after_another, 0, 4);
    tcase_add_test(tc, failure_lets_nobody_wait);
    tcase_add_test(tc, monitor_is_asked);
    return run_tests("sequencer", tc);
}
