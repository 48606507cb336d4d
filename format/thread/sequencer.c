#include "format/thread/sequencer.h"

#include "format/thread/cancellable_wait.h"

void sequencer_open(sequencer *s, const monitor *m)
{
    *s = (sequencer){.m = m, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
}

err_code sequencer_enter(sequencer *s, uint64_t number, err *e)
{
    pthread_mutex_lock(&s->lock);
    while (!s->stopped && s->next != number) {
        const bool cancelled = cancellable_wait(&s->moved, &s->lock, s->m);
        s->stopped = s->stopped || cancelled;
    }
    const bool stopped = s->stopped;
    pthread_mutex_unlock(&s->lock);
    return stopped ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

void sequencer_leave(sequencer *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    s->next = number + 1;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

void sequencer_stop(sequencer *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

void sequencer_close(sequencer *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->moved);
}
