/* A pool of threads that stays, for many short parallel loops.
 *
 *     thread_pool *t;
 *     thread_pool_create(threads, &t, e);
 *     thread_pool_run(t, tasks, fn, ctx);      returns when all tasks are done
 *     thread_pool_free(t);
 *
 * Tasks are handed out in ascending order, each to one thread; the calling thread works too, as
 * worker 0. Between two runs the others look out for work for some 30 us and then sleep, so that
 * runs in quick succession start within a microsecond. A run does not wait for a thread that sleeps
 * on while the rest do the work. Tasks cannot fail; where they can, use format/thread/parallel.h.
 *
 * One thread at a time runs a pool, and no task runs its own. */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

#include "format/base/err.h"

typedef struct thread_pool thread_pool;

/* Do task `task` as worker `worker` (0 ... threads-1: index of buffers that are used by one at a
 * time). */
typedef void (*thread_pool_fn)(void *ctx, unsigned worker, size_t task);

/* `threads` >= 1, the calling one included. ERR_MEMORY if one cannot be started. */
MUST_CHECK err_code thread_pool_create(unsigned threads, thread_pool **out, err *e);

unsigned thread_pool_threads(const thread_pool *t);

/* What tasks wrote may be read afterwards. */
void thread_pool_run(thread_pool *t, size_t tasks, thread_pool_fn fn, void *ctx);

void thread_pool_free(thread_pool *t); /* NULL is fine */

#endif
