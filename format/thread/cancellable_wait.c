#include "format/thread/cancellable_wait.h"

#include <time.h>

enum { WAIT_NS = 100 * 1000 * 1000, SECOND_NS = 1000000000 };

bool cancellable_wait(pthread_cond_t *changed, pthread_mutex_t *lock, const monitor *m)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until); /* the time of day may be set back by hours */
    until.tv_nsec += WAIT_NS;
    until.tv_sec += until.tv_nsec / SECOND_NS;
    until.tv_nsec %= SECOND_NS;
    /* Woken or not: the caller looks again. */
    (void)pthread_cond_clockwait(changed, lock, CLOCK_MONOTONIC, &until);
    return monitor_cancelled(m);
}
