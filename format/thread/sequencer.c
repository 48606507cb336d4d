#include "format/thread/sequencer.h"

#include <time.h>

void sequencer_open(sequencer *t, const monitor *m)
{
    *t = (sequencer){.m = m};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->moved, NULL);
}

/* Under the lock. A cancelled job leaves numbers out, so nobody may wait for them for ever. */
static void wait_a_moment(sequencer *t)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&t->moved, &t->lock, &until); /* the caller looks again */
    t->stopped = t->stopped || monitor_cancelled(t->m);
}

err_code sequencer_enter(sequencer *t, uint64_t number, err *e)
{
    pthread_mutex_lock(&t->lock);
    while (!t->stopped && t->next != number) {
        wait_a_moment(t);
    }
    const bool stopped = t->stopped;
    pthread_mutex_unlock(&t->lock);
    return stopped ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

void sequencer_leave(sequencer *t, uint64_t number)
{
    pthread_mutex_lock(&t->lock);
    t->next = number + 1;
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}

void sequencer_stop(sequencer *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopped = true;
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}

void sequencer_close(sequencer *t)
{
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->moved);
}
