/* A loop over numbered tasks on several threads, whose tasks may fail.
 *
 *     static err_code one(void *ctx, unsigned worker, uint64_t task, err *e);
 *     parallel_for(threads, count, one, &ctx, m, e);           returns when all have ended
 *
 * Tasks are handed out in ascending order, each to one worker; after the first failure no more are
 * handed out. Results must not depend on which worker ran a task: they go to places that the task
 * number determines.
 *
 * The threads live for one call, and starting each takes tens of microseconds: this is for long
 * tasks, which read, write and may fail. For many short loops over arithmetic there is
 * format/thread/thread_pool.h.
 *
 * Hand-written because an OpenMP loop cannot end at the first failure and return the one of the
 * lowest task, and OpenMP ends the process where a thread cannot be started. */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* Do task `task` as worker `worker` (0 … workers-1). No two tasks run as the same worker at the same
 * time, so that it can be the index of a buffer. */
typedef err_code (*parallel_fn)(void *ctx, unsigned worker, uint64_t task, err *e);

/* Run tasks 0 … tasks-1 on `workers` (≥ 1) threads, one of which is the caller's; with one worker no
 * thread is started. Of several failures that of the lowest task is returned, but ERR_CANCELLED only
 * if there is no other: it means that the monitor asks to stop, or that a task stopped because
 * another one failed. ERR_MEMORY. */
MUST_CHECK err_code parallel_for(unsigned workers, uint64_t tasks, parallel_fn fn, void *ctx,
                                 const monitor *m, err *e);

/* The number of processors that this process may run on, at least 1. */
unsigned parallel_processors(void);

#endif
