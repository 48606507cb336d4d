/* Wait for a condition that may never come true, because the job is cancelled.
 *
 *     pthread_mutex_lock(&lock);
 *     while (!stopped && !ready)
 *         stopped = cancellable_wait(&changed, &lock, m);
 *     pthread_mutex_unlock(&lock);
 *
 * A cancelled job leaves things undone, and whoever waits for them would wait for ever: the monitor
 * is asked at least ten times a second. */
#ifndef CANCELLABLE_WAIT_H
#define CANCELLABLE_WAIT_H

#include <pthread.h>
#include <stdbool.h>

#include "format/base/monitor.h"

/* Wait until `changed` is signalled, but no longer than 100 ms; the caller holds `lock` and looks
 * again. True: the monitor asks to stop. */
bool cancellable_wait(pthread_cond_t *changed, pthread_mutex_t *lock, const monitor *m);

#endif
