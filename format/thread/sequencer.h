/* One after another, in the order of their numbers: what several threads made side by side goes
 * through a turnstile where only one order will do.
 *
 *     turnstile_enter(t, number, e)      waits until all lower numbers have left
 *     ... alone ...
 *     turnstile_leave(t, number);
 *
 * Each number from 0 on enters and leaves, once; entering again before leaving is fine. Whoever has
 * the lowest number that has not left never waits here: with numbers handed out in ascending order
 * (format/thread/parallel.h) somebody always gets on. */
#ifndef TURNSTILE_H
#define TURNSTILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct turnstile {
    const monitor *m;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    uint64_t next; /* the lowest number that has not left */
    bool stopped;
} turnstile;

/* The monitor is asked while somebody waits. */
void turnstile_open(turnstile *t, const monitor *m);

/* ERR_CANCELLED: the monitor asks to stop, or turnstile_stop was called. */
MUST_CHECK err_code turnstile_enter(turnstile *t, uint64_t number, err *e);
void turnstile_leave(turnstile *t, uint64_t number);

/* A number will never leave: whoever waits gives up. */
void turnstile_stop(turnstile *t);

void turnstile_close(turnstile *t);

#endif
