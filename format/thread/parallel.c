#include "format/thread/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

/* What the workers of one parallel_for share. `lock` guards next, failed_task and failure. */
typedef struct shared_loop {
    parallel_fn fn;
    void *ctx;
    const monitor *m;
    uint64_t tasks;
    pthread_mutex_t lock;
    uint64_t next;
    uint64_t failed_task; /* `tasks`: no failure so far */
    err failure;
} shared_loop;

typedef struct worker {
    shared_loop *loop;
    unsigned number;
    pthread_t thread;
} worker;

static bool take_task(shared_loop *loop, uint64_t *task)
{
    pthread_mutex_lock(&loop->lock);
    const bool more = loop->failed_task == loop->tasks && loop->next < loop->tasks;
    if (more) {
        *task = loop->next++;
    }
    pthread_mutex_unlock(&loop->lock);
    return more;
}

/* A task that returns ERR_CANCELLED stopped because the user asked for it or because another task
 * failed; that other failure is the one to report. */
static void note_failure(shared_loop *loop, uint64_t task, const err *why)
{
    pthread_mutex_lock(&loop->lock);
    const bool first = loop->failed_task == loop->tasks;
    const bool cancelled = why->code == ERR_CANCELLED;
    const bool kept_is_cancelled = loop->failure.code == ERR_CANCELLED;
    if (first || (cancelled == kept_is_cancelled ? task < loop->failed_task : kept_is_cancelled)) {
        loop->failed_task = task;
        loop->failure = *why;
    }
    pthread_mutex_unlock(&loop->lock);
}

static void *work(void *arg)
{
    const worker *const w = arg;
    shared_loop *const loop = w->loop;
    uint64_t task = 0;
    while (take_task(loop, &task)) {
        err e = {0};
        err_code code = OK;
        if (monitor_cancelled(loop->m)) {
            code = err_set(&e, ERR_CANCELLED, "interrupted");
        } else {
            code = loop->fn(loop->ctx, w->number, task, &e);
        }
        if (code != OK) {
            err_set(&e, code, "%s", err_description(code));
            note_failure(loop, task, &e);
        }
    }
    return NULL;
}

err_code parallel_for(unsigned workers, uint64_t tasks, parallel_fn fn, void *ctx, const monitor *m,
                      err *e)
{
    shared_loop loop = {.fn = fn,
                        .ctx = ctx,
                        .m = m,
                        .tasks = tasks,
                        .failed_task = tasks,
                        .lock = PTHREAD_MUTEX_INITIALIZER};
    if (workers > tasks) {
        workers = tasks > 0 ? (unsigned)tasks : 1;
    }
    worker *const all = calloc(workers, sizeof *all);
    if (!all) {
        return err_set(e, ERR_MEMORY, "no memory for %u threads", workers);
    }
    unsigned started = 1; /* the caller is worker 0 */
    all[0] = (worker){.loop = &loop};
    for (; started < workers; started++) {
        all[started] = (worker){.loop = &loop, .number = started};
        if (pthread_create(&all[started].thread, NULL, work, &all[started]) != 0) {
            break; /* fewer threads do the same work */
        }
    }
    work(&all[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(all[i].thread, NULL);
    }
    pthread_mutex_destroy(&loop.lock);
    free(all);
    if (loop.failed_task == tasks) {
        return OK;
    }
    err_set(e, loop.failure.code, "%s", loop.failure.text);
    if (loop.failure.hint[0]) {
        err_hint(e, "%s", loop.failure.hint);
    }
    return loop.failure.code;
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
