/* A pool of threads that stay alive between loops, for many short parallel loops.
 *
 *     thread_pool *t;
 *     thread_pool_create(threads, &t, e);
 *     thread_pool_run(t, tasks, fn, ctx);      returns when all tasks are done
 *     thread_pool_free(t);
 *
 * Tasks are handed out in ascending order, each to one thread; the calling thread also works, as
 * worker 0. Between two runs the other threads spin for some 30 us and then sleep, so that runs in
 * quick succession start within a microsecond. A run does not wait for a thread that is still asleep
 * when the rest have done the work. Tasks cannot fail; for tasks that can, and for loops so long
 * that starting threads does not matter, use format/thread/parallel.h.
 *
 * Hand-written because OpenMP waits at its barrier for every thread, even for one that the system
 * does not run at the moment, keeps one set of threads for the whole process, and ends the process
 * where a thread cannot be started.
 *
 * Only one thread at a time may call thread_pool_run on a pool, and no task may do so on its own
 * pool. */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

#include "format/base/err.h"

typedef struct thread_pool thread_pool;

/* Do task `task` as worker `worker` (0 ... threads-1). No two tasks run as the same worker at the
 * same time, so that it can be the index of a buffer. */
typedef void (*thread_pool_fn)(void *ctx, unsigned worker, size_t task);

/* `threads` >= 1, including the calling one. ERR_MEMORY if one cannot be started. */
MUST_CHECK err_code thread_pool_create(unsigned threads, thread_pool **out, err *e);

unsigned thread_pool_threads(const thread_pool *t);

/* Run tasks 0 ... tasks-1. What tasks wrote may be read when it returns. */
void thread_pool_run(thread_pool *t, size_t tasks, thread_pool_fn fn, void *ctx);

void thread_pool_free(thread_pool *t); /* NULL is fine */

#endif
