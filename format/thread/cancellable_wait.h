/* Waits for a condition that may never become true, because the job may be cancelled.
 *
 *     pthread_mutex_lock(&lock);
 *     while (!stopped && !ready)
 *         stopped = cancellable_wait(&changed, &lock, m);
 *     pthread_mutex_unlock(&lock);
 *
 * A cancelled job leaves work undone, and a thread that waits for that work would never wake up: so
 * the monitor is asked at least ten times a second. */
#ifndef CANCELLABLE_WAIT_H
#define CANCELLABLE_WAIT_H

#include <pthread.h>
#include <stdbool.h>

#include "format/base/monitor.h"

/* Wait until `changed` is signaled, but no longer than 100 ms. The caller holds `lock`, and checks
 * its condition again afterwards. True: the monitor asks to stop. */
bool cancellable_wait(pthread_cond_t *changed, pthread_mutex_t *lock, const monitor *m);

#endif
