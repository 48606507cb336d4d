/* The threads synchronize by one number, the gate: which run it is, whether its tasks may be taken,
 * and how many threads are inside. A thread enters an open gate by adding 1; the caller closes the
 * gate when no task is left, and waits until no thread is inside. So a thread that comes late finds
 * the gate closed, and no thread waits for it. What the caller writes for a run is written while the
 * gate is closed and no thread is inside.
 *
 * A thread that is about to sleep announces it first and then looks at the gate once more; a thread
 * that changes the gate looks for sleepers afterwards. With sequentially consistent atomics one of
 * the two sees the other, so no wake-up is lost. */
#include "format/thread/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* The gate: bits 0 ... 31 count the threads inside, bit 32 says open, the bits above number the run.
 */
#define GATE_OPEN ((uint64_t)1 << 32)
#define GATE_RUN  ((uint64_t)1 << 33)

/* How often a thread looks at the gate before it sleeps: 20 to 50 us with the pause instruction of
 * current processors. */
enum { LOOKS = 1000, CACHE_LINE = 64 };

typedef struct member {
    thread_pool *pool;
    unsigned number;
    pthread_t thread;
} member;

struct thread_pool {
    _Alignas(CACHE_LINE) _Atomic uint64_t gate;
    _Alignas(CACHE_LINE) atomic_size_t next; /* the next task to hand out */
    _Alignas(CACHE_LINE) size_t tasks;
    thread_pool_fn fn;
    void *ctx;
    bool closing; /* written before the last opening */
    unsigned threads, started;
    member *members;
    atomic_uint sleepers;       /* members that sleep or are about to */
    atomic_bool caller_sleeps;  /* the caller sleeps or is about to */
    pthread_mutex_t lock;       /* only for the two conditions; guards no data */
    pthread_cond_t work, empty; /* the gate was opened; it is closed and no thread is inside */
};

static void pause_briefly(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static uint64_t gate_inside(uint64_t gate)
{
    return gate & (GATE_OPEN - 1);
}

/* Is the gate open for a run that this member has not been in? */
static bool gate_offers(uint64_t gate, uint64_t seen)
{
    return (gate & GATE_OPEN) && gate / GATE_RUN != seen;
}

static void do_tasks(thread_pool *t, unsigned worker)
{
    for (;;) {
        const size_t task = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (task >= t->tasks) {
            return;
        }
        t->fn(t->ctx, worker, task);
    }
}

static void wait_for_work(thread_pool *t, uint64_t seen)
{
    for (int i = 0; i < LOOKS; i++) {
        if (gate_offers(atomic_load_explicit(&t->gate, memory_order_relaxed), seen)) {
            return;
        }
        pause_briefly();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->sleepers, 1);
    while (!gate_offers(atomic_load(&t->gate), seen)) {
        pthread_cond_wait(&t->work, &t->lock);
    }
    atomic_fetch_sub(&t->sleepers, 1);
    pthread_mutex_unlock(&t->lock);
}

/* False: the gate was closed in the meantime. */
static bool enter(thread_pool *t, uint64_t *seen)
{
    uint64_t gate = atomic_load(&t->gate);
    while (gate_offers(gate, *seen)) {
        if (atomic_compare_exchange_weak(&t->gate, &gate, gate + 1)) {
            *seen = gate / GATE_RUN;
            return true;
        }
    }
    return false;
}

static void leave(thread_pool *t)
{
    const uint64_t gate = atomic_fetch_sub(&t->gate, 1) - 1;
    const bool last = gate_inside(gate) == 0 && !(gate & GATE_OPEN);
    if (last && atomic_load(&t->caller_sleeps)) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_signal(&t->empty);
        pthread_mutex_unlock(&t->lock);
    }
}

static void *member_main(void *arg)
{
    const member *const me = arg;
    thread_pool *const t = me->pool;
    uint64_t seen = 0;
    for (bool closing = false; !closing;) {
        wait_for_work(t, seen);
        if (enter(t, &seen)) {
            do_tasks(t, me->number);
            closing = t->closing;
            leave(t);
        }
    }
    return NULL;
}

static void open_gate(thread_pool *t)
{
    const uint64_t run = atomic_load_explicit(&t->gate, memory_order_relaxed) / GATE_RUN;
    atomic_store(&t->gate, (run + 1) * GATE_RUN | GATE_OPEN);
    if (atomic_load(&t->sleepers) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
    }
}

static void close_gate(thread_pool *t)
{
    uint64_t gate = atomic_fetch_and(&t->gate, ~GATE_OPEN);
    for (int i = 0; i < LOOKS && gate_inside(gate) > 0; i++) {
        pause_briefly();
        gate = atomic_load(&t->gate);
    }
    if (gate_inside(gate) == 0) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->caller_sleeps, true);
    while (gate_inside(atomic_load(&t->gate)) > 0) {
        pthread_cond_wait(&t->empty, &t->lock);
    }
    atomic_store(&t->caller_sleeps, false);
    pthread_mutex_unlock(&t->lock);
}

void thread_pool_run(thread_pool *t, size_t tasks, thread_pool_fn fn, void *ctx)
{
    if (tasks <= 1 || t->threads == 1) {
        for (size_t task = 0; task < tasks; task++) {
            fn(ctx, 0, task);
        }
        return;
    }
    t->tasks = tasks;
    t->fn = fn;
    t->ctx = ctx;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    open_gate(t);
    do_tasks(t, 0);
    close_gate(t);
}

unsigned thread_pool_threads(const thread_pool *t)
{
    return t->threads;
}

static err_code start_members(thread_pool *t, err *e)
{
    for (; t->started + 1 < t->threads; t->started++) {
        member *const m = &t->members[t->started];
        *m = (member){.pool = t, .number = t->started + 1};
        const int failure = pthread_create(&m->thread, NULL, member_main, m);
        if (failure) {
            return err_set_errno(e, ERR_MEMORY, failure, "cannot start thread %u of %u",
                                 m->number + 1, t->threads);
        }
    }
    return OK;
}

err_code thread_pool_create(unsigned threads, thread_pool **out, err *e)
{
    thread_pool *t = aligned_alloc(CACHE_LINE, sizeof *t);
    member *const members = calloc(threads, sizeof *members);
    if (!t || !members) {
        free(t);
        free(members);
        return err_set(e, ERR_MEMORY, "no memory for %u threads", threads);
    }
    *t = (thread_pool){.threads = threads,
                       .members = members,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .work = PTHREAD_COND_INITIALIZER,
                       .empty = PTHREAD_COND_INITIALIZER};
    err_code code = OK;
    TRY_OUT(start_members(t, e));
    *out = t;
    t = NULL;
out:
    thread_pool_free(t);
    return code;
}

void thread_pool_free(thread_pool *t)
{
    if (!t) {
        return;
    }
    /* The last run stays open until every member has seen it. */
    t->closing = true;
    t->tasks = 0;
    open_gate(t);
    for (unsigned i = 0; i < t->started; i++) {
        pthread_join(t->members[i].thread, NULL);
    }
    pthread_cond_destroy(&t->empty);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    free(t->members);
    free(t);
}
