#include "format/thread/sequencer.h"

#include "format/thread/cancellable_wait.h"

void sequencer_open(sequencer *t, const monitor *m)
{
    *t = (sequencer){.m = m};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->moved, NULL);
}

err_code sequencer_enter(sequencer *t, uint64_t number, err *e)
{
    pthread_mutex_lock(&t->lock);
    while (!t->stopped && t->next != number) {
        const bool cancelled = cancellable_wait(&t->moved, &t->lock, t->m);
        t->stopped = t->stopped || cancelled;
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
