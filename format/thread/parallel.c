#include "format/thread/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

/* `lock` guards next, failed_task and failure. */
typedef struct crew {
    parallel_fn fn;
    void *ctx;
    const monitor *m;
    uint64_t tasks;
    pthread_mutex_t lock;
    uint64_t next;
    uint64_t failed_task; /* tasks: none yet */
    err failure;
} crew;

typedef struct worker {
    crew *crew;
    unsigned number;
    pthread_t thread;
} worker;

static bool take_task(crew *c, uint64_t *task)
{
    pthread_mutex_lock(&c->lock);
    const bool more = c->failed_task == c->tasks && c->next < c->tasks;
    if (more) {
        *task = c->next++;
    }
    pthread_mutex_unlock(&c->lock);
    return more;
}

/* A task that gave up did so because of the user or of another task's failure, which then counts.
 */
static void note_failure(crew *c, uint64_t task, const err *why)
{
    pthread_mutex_lock(&c->lock);
    const bool first = c->failed_task == c->tasks;
    const bool gave_up = why->code == ERR_CANCELLED;
    const bool others_gave_up = c->failure.code == ERR_CANCELLED;
    if (first || (gave_up == others_gave_up ? task < c->failed_task : others_gave_up)) {
        c->failed_task = task;
        c->failure = *why;
    }
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *arg)
{
    const worker *const w = arg;
    crew *const c = w->crew;
    uint64_t task = 0;
    while (take_task(c, &task)) {
        err e = {0};
        err_code code = OK;
        if (monitor_cancelled(c->m)) {
            code = err_set(&e, ERR_CANCELLED, "interrupted");
        } else {
            code = c->fn(c->ctx, w->number, task, &e);
        }
        if (code != OK) {
            err_set(&e, code, "%s", err_description(code));
            note_failure(c, task, &e);
        }
    }
    return NULL;
}

err_code parallel_for(unsigned workers, uint64_t tasks, parallel_fn fn, void *ctx, const monitor *m,
                      err *e)
{
    crew c = {.fn = fn, .ctx = ctx, .m = m, .tasks = tasks, .failed_task = tasks};
    if (workers > tasks) {
        workers = tasks > 0 ? (unsigned)tasks : 1;
    }
    worker *const crew_members = calloc(workers, sizeof *crew_members);
    if (!crew_members) {
        return err_set(e, ERR_MEMORY, "no memory for %u threads", workers);
    }
    pthread_mutex_init(&c.lock, NULL);
    unsigned started = 1; /* the caller is worker 0 */
    crew_members[0] = (worker){.crew = &c};
    for (; started < workers; started++) {
        crew_members[started] = (worker){.crew = &c, .number = started};
        if (pthread_create(&crew_members[started].thread, NULL, work, &crew_members[started]) !=
            0) {
            break; /* fewer threads do the same work */
        }
    }
    work(&crew_members[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(crew_members[i].thread, NULL);
    }
    pthread_mutex_destroy(&c.lock);
    free(crew_members);
    if (c.failed_task == tasks) {
        return OK;
    }
    err_set(e, c.failure.code, "%s", c.failure.text);
    if (c.failure.hint[0]) {
        err_hint(e, "%s", c.failure.hint);
    }
    return c.failure.code;
}

unsigned parallel_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    const int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
