/* Waiting that a cancelled job ends: woken by a signal, by time, and asked to stop. */
#include <check.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "format/thread/cancellable_wait.h"
#include "tests/aid/expect.h"

/* The time of day is an hour ahead whenever somebody asks, and right for who waits until then: as
 * if it were set back in between. */
int clock_gettime(clockid_t id, struct timespec *to)
{
    const long result = syscall(SYS_clock_gettime, id, to);
    to->tv_sec += id == CLOCK_REALTIME ? 3600 : 0;
    return (int)result;
}

static bool always(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

typedef struct room {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready;
} room;

static room opened(void)
{
    room r = {.ready = false};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.changed, NULL);
    return r;
}

/* Nobody signals: it comes back all the same, with the answer of the monitor. */
START_TEST(time_ends_it)
{
    int asked = 0;
    const monitor m = {.cancelled = always, .ctx = &asked};
    room r = opened();
    pthread_mutex_lock(&r.lock);
    ck_assert(!cancellable_wait(&r.changed, &r.lock, NULL));
    ck_assert(cancellable_wait(&r.changed, &r.lock, &m));
    ck_assert_int_eq(asked, 1);
    ck_assert_int_ne(pthread_mutex_trylock(&r.lock), 0); /* it is ours again */
    pthread_mutex_unlock(&r.lock);
}
END_TEST

static void *make_ready(void *ctx)
{
    room *const r = ctx;
    pthread_mutex_lock(&r->lock);
    r->ready = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

START_TEST(another_thread_gets_the_lock)
{
    room r = opened();
    pthread_t other;
    pthread_mutex_lock(&r.lock);
    ck_assert_int_eq(pthread_create(&other, NULL, make_ready, &r), 0);
    while (!r.ready) {
        ck_assert(!cancellable_wait(&r.changed, &r.lock, NULL));
    }
    pthread_mutex_unlock(&r.lock);
    pthread_join(other, NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cancellable_wait");
    tcase_add_test(tc, time_ends_it);
    tcase_add_test(tc, another_thread_gets_the_lock);
    return run_tests("cancellable_wait", tc);
}
