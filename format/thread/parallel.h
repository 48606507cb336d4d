/* Several threads, one list of numbered tasks.
 *
 * Tasks are handed out in ascending order, each to one worker. The first failure stops the handing
 * out. Work must not depend on which worker does it: results go to places that the task number
 * decides. */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* Do task `task` as worker `worker` (0 … workers-1: index of buffers that are used by one at a
 * time). */
typedef err_code (*parallel_fn)(void *ctx, unsigned worker, uint64_t task, err *e);

/* Run tasks 0 … tasks-1 on `workers` (≥ 1) threads. Of several failures the one of the lowest task
 * is reported, and any other before ERR_CANCELLED, which is returned when the monitor asks to stop
 * and by tasks that give up because another one failed. With one worker no thread is started. */
MUST_CHECK err_code parallel_for(unsigned workers, uint64_t tasks, parallel_fn fn, void *ctx,
                                 const monitor *m, err *e);

/* Processors this process may run on, at least 1. */
unsigned parallel_processors(void);

#endif
