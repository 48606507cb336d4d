/* A team of threads that stays, for many short parallel loops.
 *
 *     team *t;
 *     team_create(threads, &t, e);
 *     team_run(t, tasks, fn, ctx);      returns when all tasks are done
 *     team_free(t);
 *
 * Tasks are handed out in ascending order, each to one thread; the calling thread works too, as
 * worker 0. Between two runs the others look out for work for some 30 us and then sleep, so that
 * runs in quick succession start within a microsecond. A run does not wait for a thread that sleeps
 * on while the rest do the work. Tasks cannot fail; where they can, use format/thread/parallel.h.
 *
 * One thread at a time runs a team, and no task runs its own. */
#ifndef TEAM_H
#define TEAM_H

#include <stddef.h>

#include "format/base/err.h"

typedef struct team team;

/* Do task `task` as worker `worker` (0 ... threads-1: index of buffers that are used by one at a
 * time). */
typedef void (*team_fn)(void *ctx, unsigned worker, size_t task);

/* `threads` >= 1, the calling one included. ERR_MEMORY if one cannot be started. */
MUST_CHECK err_code team_create(unsigned threads, team **out, err *e);

unsigned team_threads(const team *t);

/* What tasks wrote may be read afterwards. */
void team_run(team *t, size_t tasks, team_fn fn, void *ctx);

void team_free(team *t); /* NULL is fine */

#endif
