/* One after another, in the order of their numbers: what several threads made side by side goes
 * through a sequencer where only one order will do.
 *
 *     sequencer_enter(t, number, e)      waits until all lower numbers have left
 *     ... alone ...
 *     sequencer_leave(t, number);
 *
 * Each number from 0 on enters and leaves, once; entering again before leaving is fine. Whoever has
 * the lowest number that has not left never waits here: with numbers handed out in ascending order
 * (format/thread/parallel.h) somebody always gets on. */
#ifndef SEQUENCER_H
#define SEQUENCER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct sequencer {
    const monitor *m;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    uint64_t next; /* the lowest number that has not left */
    bool stopped;
} sequencer;

/* The monitor is asked while somebody waits. */
void sequencer_open(sequencer *t, const monitor *m);

/* ERR_CANCELLED: the monitor asks to stop, or sequencer_stop was called. */
MUST_CHECK err_code sequencer_enter(sequencer *t, uint64_t number, err *e);
void sequencer_leave(sequencer *t, uint64_t number);

/* A number will never leave: whoever waits gives up. */
void sequencer_stop(sequencer *t);

void sequencer_close(sequencer *t);

#endif
