/* A thread pool: every task of every run once, by workers that exist, whether the threads spin,
 * sleep or come late; and what they wrote can be read afterwards. */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "format/thread/thread_pool.h"
#include "tests/aid/expect.h"

enum { MAX_TASKS = 3000, MAX_THREADS = 16 };

typedef struct tally {
    unsigned runs[MAX_TASKS]; /* plain: a task belongs to one worker */
    atomic_int busy[MAX_THREADS];
    unsigned threads;
    long sleep_us; /* of odd tasks */
} tally;

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void count_task(void *ctx, unsigned worker, size_t task)
{
    tally *const t = ctx;
    ck_assert_uint_lt(worker, t->threads);
    ck_assert_int_eq(atomic_fetch_add(&t->busy[worker], 1), 0);
    t->runs[task]++;
    if (t->sleep_us && task % 2 == 1) {
        sleep_us(t->sleep_us);
    }
    atomic_fetch_sub(&t->busy[worker], 1);
}

static thread_pool *create(unsigned threads)
{
    thread_pool *t = NULL;
    err e = {0};
    expect_ok(thread_pool_create(threads, &t, &e), &e);
    ck_assert_uint_eq(thread_pool_threads(t), threads);
    return t;
}

static const unsigned sizes[] = {1, 2, 3, 8, MAX_THREADS};

static void expect_runs(const tally *t, size_t tasks, unsigned runs)
{
    for (size_t i = 0; i < MAX_TASKS; i++) {
        ck_assert_uint_eq(t->runs[i], i < tasks ? runs : 0);
    }
}

START_TEST(every_task_once)
{
    static const size_t loads[] = {0, 1, 2, 7, 100, MAX_TASKS};
    thread_pool *const pool = create(sizes[_i]);
    for (int i = 0; i < COUNT(loads); i++) {
        tally t = {.threads = sizes[_i]};
        thread_pool_run(pool, loads[i], count_task, &t);
        expect_runs(&t, loads[i], 1);
    }
    thread_pool_free(pool);
}
END_TEST

/* Runs in quick succession: threads come late, and must not take tasks of a run that is over. */
START_TEST(many_short_runs)
{
    enum { RUNS = 3000, TASKS = 5 };
    thread_pool *const pool = create(sizes[_i]);
    tally t = {.threads = sizes[_i]};
    for (int i = 0; i < RUNS; i++) {
        thread_pool_run(pool, TASKS, count_task, &t);
    }
    expect_runs(&t, TASKS, RUNS);
    thread_pool_free(pool);
}
END_TEST

/* Pauses long enough that members sleep, tasks long enough that the caller does. */
START_TEST(sleepers_wake)
{
    enum { RUNS = 20, TASKS = 9 };
    thread_pool *const pool = create(sizes[_i]);
    tally t = {.threads = sizes[_i], .sleep_us = 500};
    for (int i = 0; i < RUNS; i++) {
        sleep_us(1000);
        thread_pool_run(pool, TASKS, count_task, &t);
        expect_runs(&t, TASKS, (unsigned)i + 1);
    }
    thread_pool_free(pool);
}
END_TEST

/* A sum by halves: every run reads what other threads wrote in the run before. */
typedef struct halves {
    unsigned values[1024];
    size_t half;
} halves;

static void add_half(void *ctx, unsigned worker, size_t task)
{
    halves *const h = ctx;
    (void)worker;
    h->values[task] += h->values[task + h->half];
}

START_TEST(results_are_visible)
{
    thread_pool *const pool = create(sizes[_i]);
    halves h;
    for (unsigned i = 0; i < 1024; i++) {
        h.values[i] = i;
    }
    for (h.half = 512; h.half > 0; h.half /= 2) {
        thread_pool_run(pool, h.half, add_half, &h);
    }
    ck_assert_uint_eq(h.values[0], 1023 * 1024 / 2);
    thread_pool_free(pool);
}
END_TEST

START_TEST(unused_pool)
{
    thread_pool_free(create(sizes[_i]));
    thread_pool_free(NULL);
}
END_TEST

/* Tasks of different workers overlap: two that wait for each other end. */
static void meet(void *ctx, unsigned worker, size_t task)
{
    atomic_int *const met = ctx;
    (void)worker;
    (void)task;
    atomic_fetch_add(met, 1);
    while (atomic_load(met) < 2) {
        sleep_us(10);
    }
}

START_TEST(tasks_overlap)
{
    thread_pool *const pool = create(2);
    atomic_int met = 0;
    thread_pool_run(pool, 2, meet, &met);
    ck_assert_int_eq(met, 2);
    thread_pool_free(pool);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("thread_pool");
    tcase_add_loop_test(tc, every_task_once, 0, COUNT(sizes));
    tcase_add_loop_test(tc, many_short_runs, 0, COUNT(sizes));
    tcase_add_loop_test(tc, sleepers_wake, 0, COUNT(sizes));
    tcase_add_loop_test(tc, results_are_visible, 0, COUNT(sizes));
    tcase_add_loop_test(tc, unused_pool, 0, COUNT(sizes));
    tcase_add_test(tc, tasks_overlap);
    return run_tests("thread_pool", tc);
}
