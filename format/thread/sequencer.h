/* A sequencer lets threads pass one at a time, in the order of their numbers: for results that are
 * computed in parallel and must be written, or added up, in one defined order.
 *
 *     sequencer_open(&s, m);
 *     sequencer_enter(&s, number, e)     waits until all lower numbers have left
 *     ... one thread at a time ...
 *     sequencer_leave(&s, number);
 *     sequencer_close(&s);
 *
 * Each number from 0 on enters and leaves once; entering again before leaving is fine. The thread
 * with the lowest number that has not left never waits here: with numbers handed out in ascending
 * order (format/thread/parallel.h) some thread always makes progress. */
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

/* The monitor is asked ten times a second while a thread waits. */
void sequencer_open(sequencer *s, const monitor *m);

/* ERR_CANCELLED: the monitor asks to stop, or sequencer_stop was called. */
MUST_CHECK err_code sequencer_enter(sequencer *s, uint64_t number, err *e);
void sequencer_leave(sequencer *s, uint64_t number);

/* Some number will never leave: all threads that wait, or enter later, get ERR_CANCELLED. */
void sequencer_stop(sequencer *s);

void sequencer_close(sequencer *s);

#endif
