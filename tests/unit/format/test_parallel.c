/* Tasks on several threads: each once, ascending, and of several failures always the same one. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "format/thread/parallel.h"
#include "tests/aid/expect.h"

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- every task once ------------------------------------------- */

enum { MAX_TASKS = 5000, MAX_WORKERS = 32 };

typedef struct tally {
    atomic_int runs[MAX_TASKS];
    atomic_int busy[MAX_WORKERS]; /* a worker's buffers are used by one task at a time */
    unsigned workers;
} tally;

static err_code count_task(void *ctx, unsigned worker, uint64_t task, err *e)
{
    tally *const t = ctx;
    (void)e;
    ck_assert_uint_lt(worker, t->workers);
    ck_assert_int_eq(atomic_fetch_add(&t->busy[worker], 1), 0);
    if (task % 7 == 0) {
        sched_yield();
    }
    atomic_fetch_add(&t->runs[task], 1);
    atomic_fetch_sub(&t->busy[worker], 1);
    return OK;
}

static const struct {
    unsigned workers;
    uint64_t tasks;
} loads[] = {{1, 0},   {4, 0},         {1, 1},          {8, 1}, {3, 2},
             {1, 100}, {2, MAX_TASKS}, {32, MAX_TASKS}, {7, 6}};

START_TEST(every_task_once)
{
    tally *const t = calloc(1, sizeof *t);
    err e = {0};
    t->workers = loads[_i].workers;
    expect_ok(parallel_for(loads[_i].workers, loads[_i].tasks, count_task, t, NULL, &e), &e);
    for (uint64_t i = 0; i < MAX_TASKS; i++) {
        ck_assert_int_eq(t->runs[i], i < loads[_i].tasks);
    }
    ck_assert_int_eq(e.code, OK);
    free(t);
}
END_TEST

/* ---- order, threads -------------------------------------------- */

typedef struct trace {
    uint64_t next;
    pthread_t caller;
} trace;

static err_code expect_next(void *ctx, unsigned worker, uint64_t task, err *e)
{
    trace *const t = ctx;
    (void)e;
    ck_assert_uint_eq(worker, 0);
    ck_assert_uint_eq(task, t->next++);
    ck_assert(pthread_equal(t->caller, pthread_self()));
    return OK;
}

START_TEST(one_worker_is_the_caller)
{
    trace t = {.caller = pthread_self()};
    expect_ok(parallel_for(1, 100, expect_next, &t, NULL, NULL), (err *)NULL);
    ck_assert_uint_eq(t.next, 100);
}
END_TEST

static err_code check_ascending(void *ctx, unsigned worker, uint64_t task, err *e)
{
    uint64_t *const last = ctx; /* by worker */
    (void)e;
    ck_assert(last[worker] == UINT64_MAX || last[worker] < task);
    last[worker] = task;
    return OK;
}

START_TEST(each_worker_sees_ascending_tasks)
{
    uint64_t last[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    expect_ok(parallel_for(4, 1000, check_ascending, last, NULL, NULL), (err *)NULL);
}
END_TEST

/* Tasks that wait for each other: there really are several threads. */
static err_code meet(void *ctx, unsigned worker, uint64_t task, err *e)
{
    (void)worker, (void)task, (void)e;
    const int seen = pthread_barrier_wait(ctx);
    return seen == 0 || seen == PTHREAD_BARRIER_SERIAL_THREAD ? OK : ERR_INTERNAL;
}

START_TEST(workers_run_at_the_same_time)
{
    pthread_barrier_t together;
    pthread_barrier_init(&together, NULL, 4);
    expect_ok(parallel_for(4, 8, meet, &together, NULL, NULL), (err *)NULL);
    pthread_barrier_destroy(&together);
}
END_TEST

/* ---- failures -------------------------------------------------- */

typedef struct failures {
    pthread_barrier_t together;
    atomic_int ran;
} failures;

/* Four tasks begin together; 3 fails first, then 1, then 2. */
static err_code fail_downwards(void *ctx, unsigned worker, uint64_t task, err *e)
{
    static const long delays[] = {0, 20, 40, 0};
    failures *const f = ctx;
    (void)worker;
    atomic_fetch_add(&f->ran, 1);
    pthread_barrier_wait(&f->together);
    sleep_ms(delays[task]);
    if (task == 0) {
        return OK;
    }
    err_set(e, task == 1 ? ERR_IO : ERR_INPUT, "task %d", (int)task);
    err_hint(e, "hint %d", (int)task);
    return task == 1 ? ERR_IO : ERR_INPUT;
}

START_TEST(lowest_failure_is_reported)
{
    failures f = {.ran = 0};
    err e = {0};
    pthread_barrier_init(&f.together, NULL, 4);
    const err_code code = parallel_for(4, 4, fail_downwards, &f, NULL, &e);
    ck_assert_str_eq(e.hint, "hint 1");
    expect_error(code, ERR_IO, &e, "task 1");
    pthread_barrier_destroy(&f.together);
}
END_TEST

/* Task 3 fails while 0 still runs; no task is handed out after that. */
static err_code fail_at_three(void *ctx, unsigned worker, uint64_t task, err *e)
{
    atomic_int *const ran = ctx;
    (void)worker;
    atomic_fetch_add(ran, 1);
    return task == 3 ? err_set(e, ERR_GPU, "three") : OK;
}

START_TEST(failure_stops_the_rest)
{
    err e = {0};
    atomic_int ran = 0;
    expect_error(parallel_for(1, 1000, fail_at_three, &ran, NULL, &e), ERR_GPU, &e, "three");
    ck_assert_int_eq(ran, 4);
    for (int round = 0; round < 50; round++) {
        expect_error(parallel_for(3, 1000, fail_at_three, &ran, NULL, &e), ERR_GPU, &e, "three");
    }
    ck_assert_int_lt(ran, 50 * 1000);
}
END_TEST

static err_code fail_silently(void *ctx, unsigned worker, uint64_t task, err *e)
{
    (void)ctx, (void)worker, (void)task, (void)e;
    return ERR_DAMAGED;
}

START_TEST(failure_without_text_gets_one)
{
    err e = {0};
    expect_error(parallel_for(2, 9, fail_silently, NULL, NULL, &e), ERR_DAMAGED, &e,
                 err_description(ERR_DAMAGED));
    ck_assert_int_eq(parallel_for(2, 9, fail_silently, NULL, NULL, NULL), ERR_DAMAGED);
}
END_TEST

/* 2 fails and wakes 1, which then returns ERR_CANCELLED: the cause is reported, not the
 * consequence. */
static err_code give_up_after(void *ctx, unsigned worker, uint64_t task, err *e)
{
    failures *const f = ctx;
    (void)worker;
    pthread_barrier_wait(&f->together);
    sleep_ms(task == 2 ? 0 : 30);
    return task == 2   ? err_set(e, ERR_IO, "the cause")
           : task == 1 ? err_set(e, ERR_CANCELLED, "a consequence")
                       : OK;
}

static err_code give_up_before(void *ctx, unsigned worker, uint64_t task, err *e)
{
    failures *const f = ctx;
    (void)worker;
    pthread_barrier_wait(&f->together);
    sleep_ms(task == 2 ? 30 : 0);
    return task == 2   ? err_set(e, ERR_IO, "the cause")
           : task == 1 ? err_set(e, ERR_CANCELLED, "a consequence")
                       : OK;
}

START_TEST(failure_goes_before_giving_up)
{
    static const parallel_fn orders[] = {give_up_after, give_up_before};
    for (int i = 0; i < COUNT(orders); i++) {
        failures f = {.ran = 0};
        err e = {0};
        pthread_barrier_init(&f.together, NULL, 3);
        expect_error(parallel_for(3, 3, orders[i], &f, NULL, &e), ERR_IO, &e, "the cause");
        pthread_barrier_destroy(&f.together);
    }
}
END_TEST

/* ---- cancellation ---------------------------------------------- */

typedef struct stopper {
    atomic_int asked, limit, ran;
} stopper;

static bool stop_after(void *ctx)
{
    stopper *const s = ctx;
    return atomic_fetch_add(&s->asked, 1) >= s->limit;
}

static err_code count_run(void *ctx, unsigned worker, uint64_t task, err *e)
{
    (void)worker, (void)task, (void)e;
    atomic_fetch_add(&((stopper *)ctx)->ran, 1);
    return OK;
}

START_TEST(cancelled_at_once)
{
    stopper s = {.limit = 0};
    err e = {0};
    const monitor m = {.cancelled = stop_after, .ctx = &s};
    expect_error(parallel_for(4, 100, count_run, &s, &m, &e), ERR_CANCELLED, &e, "interrupted");
    ck_assert_int_eq(s.ran, 0);
}
END_TEST

START_TEST(cancelled_on_the_way)
{
    for (unsigned workers = 1; workers <= 5; workers += 2) {
        stopper s = {.limit = 10};
        err e = {0};
        const monitor m = {.cancelled = stop_after, .ctx = &s};
        expect_error(parallel_for(workers, 100, count_run, &s, &m, &e), ERR_CANCELLED, &e,
                     "interrupted");
        ck_assert_int_eq(s.ran, 10);
    }
}
END_TEST

START_TEST(no_tasks_are_not_cancelled)
{
    stopper s = {.limit = 0};
    const monitor m = {.cancelled = stop_after, .ctx = &s};
    expect_ok(parallel_for(4, 0, count_run, &s, &m, NULL), (err *)NULL);
}
END_TEST

START_TEST(processors_follow_the_affinity)
{
    cpu_set_t all;
    cpu_set_t one;
    ck_assert_uint_ge(parallel_processors(), 1);
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    ck_assert_uint_eq(parallel_processors(), (unsigned)CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
        }
    }
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(parallel_processors(), 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parallel");
    tcase_add_loop_test(tc, every_task_once, 0, COUNT(loads));
    tcase_add_test(tc, one_worker_is_the_caller);
    tcase_add_test(tc, each_worker_sees_ascending_tasks);
    tcase_add_test(tc, workers_run_at_the_same_time);
    tcase_add_test(tc, lowest_failure_is_reported);
    tcase_add_test(tc, failure_stops_the_rest);
    tcase_add_test(tc, failure_without_text_gets_one);
    tcase_add_test(tc, failure_goes_before_giving_up);
    tcase_add_test(tc, cancelled_at_once);
    tcase_add_test(tc, cancelled_on_the_way);
    tcase_add_test(tc, no_tasks_are_not_cancelled);
    tcase_add_test(tc, processors_follow_the_affinity);
    return run_tests("parallel", tc);
}
