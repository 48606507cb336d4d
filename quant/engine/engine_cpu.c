/* One queue of submitted slots, one lock, N workers. A worker takes a few tiles of the first slot
 * in the queue at a time, whatever job and row of tiles they belong to, so a thousand small experts
 * keep all workers as busy as one wide matrix does. Where a result goes depends only on its tile, so
 * the results do not depend on the number of workers.
 *
 * A slot leaves the queue when its last tiles are handed out, which is before they are finished; it
 * is finished when, in addition, no worker has any of its tiles (`running`). All of this happens
 * under the lock, which also makes the results of all workers visible to the thread in cpu_wait. */
#include "quant/engine/engine_cpu.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "format/base/cpu_level.h"
#include "format/base/num.h"
#include "quant/engine/tile_kernel.h"

/* Tiles handed out at a time: 512 KiB of BF16, about 0.1 ms of work for about 0.2 us of locking. */
enum { UNIT_TILES = 16 };

#define PAGE_BYTES      ((size_t)4096)
#define HUGE_PAGE_BYTES ((size_t)2 * MIB)

/* The state of a slot; the engine's lock guards it. */
typedef struct slot_work {
    engine_slot *slot;
    const engine_job *jobs;
    size_t job_count;
    size_t job;              /* the job of the next tile to hand out; job_count: none is left */
    uint64_t tile;           /* the next tile in that job */
    unsigned running;        /* units that workers are computing */
    struct slot_work *after; /* next in the queue */
    pthread_cond_t finished;
} slot_work;

typedef struct cpu_engine cpu_engine;

typedef struct worker {
    cpu_engine *engine;
    pthread_t thread;
    tile_scratch *scratch;
} worker;

struct cpu_engine {
    engine base; /* first, so that the engine * converts to a cpu_engine * */
    const tile_kernel *kernel;
    slot_work *works;
    worker *workers;
    unsigned worker_count; /* running threads */
    pthread_mutex_t lock;
    pthread_cond_t more;     /* signalled when the queue is no longer empty, and at closing */
    slot_work *first, *last; /* the queue: slots with tiles to hand out */
    bool closing;
};

/* Some tiles of one job. */
typedef struct unit {
    slot_work *work;
    const engine_job *job;
    uint64_t first, count;
} unit;

static bool slot_finished(const slot_work *w)
{
    return w->job == w->job_count && w->running == 0;
}

/* Take the next unit of the first slot in the queue, which must not be empty. Call under the lock. */
static unit take_unit(cpu_engine *g)
{
    slot_work *w = g->first;
    const engine_job *job = &w->jobs[w->job];
    const uint64_t left = engine_job_tiles(job) - w->tile;
    const unit u = {w, job, w->tile, num_min(left, UNIT_TILES)};
    w->running++;
    w->tile += u.count;
    if (u.count == left) {
        w->tile = 0;
        w->job++;
        if (w->job == w->job_count) {
            g->first = w->after;
        }
    }
    return u;
}

static void *worker_main(void *arg)
{
    worker *me = arg;
    cpu_engine *g = me->engine;
    pthread_mutex_lock(&g->lock);
    for (;;) {
        while (!g->first && !g->closing) {
            pthread_cond_wait(&g->more, &g->lock);
        }
        if (!g->first) {
            break;
        }
        const unit u = take_unit(g);
        const engine_slot *slot = u.work->slot;
        pthread_mutex_unlock(&g->lock);
        g->kernel->quantize(u.job, slot->in, slot->out, u.first, u.count, me->scratch);
        pthread_mutex_lock(&g->lock);
        u.work->running--;
        if (slot_finished(u.work)) {
            pthread_cond_signal(&u.work->finished);
        }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* Assert what callers guarantee about their jobs. */
static void check_job(const engine *g, const engine_job *job)
{
    const size_t element = dtype_bits(job->source) / 8;
    const uint64_t elements = job->rows * job->cols;
    assert(job->source == DTYPE_BF16 || job->source == DTYPE_F16 || job->source == DTYPE_F32);
    assert(job->block.rows == TILE && job->block.cols == TILE && job->block.code == DTYPE_F8_E4M3);
    assert(elements > 0 && job->in_off % element == 0);
    assert(job->in_off + elements * element <= g->in_bytes);
    assert(job->out_off + elements <= g->out_bytes);
    (void)g, (void)element, (void)elements; /* in builds without assertions */
}

static err_code cpu_submit(engine *base, engine_slot *slot, const engine_job *jobs, size_t count,
                           err *e)
{
    (void)e;
    cpu_engine *g = (cpu_engine *)base;
    slot_work *w = slot->priv;
    for (size_t i = 0; i < count; i++) {
        check_job(base, &jobs[i]);
    }
    if (count == 0) {
        return OK;
    }
    pthread_mutex_lock(&g->lock);
    assert(slot_finished(w));
    w->jobs = jobs;
    w->job_count = count;
    w->job = 0;
    w->after = NULL;
    if (g->first) {
        g->last->after = w;
    } else {
        g->first = w;
    }
    g->last = w;
    pthread_cond_broadcast(&g->more);
    pthread_mutex_unlock(&g->lock);
    return OK;
}

static err_code cpu_wait(engine *base, engine_slot *slot, err *e)
{
    (void)e;
    cpu_engine *g = (cpu_engine *)base;
    slot_work *w = slot->priv;
    pthread_mutex_lock(&g->lock);
    while (!slot_finished(w)) {
        pthread_cond_wait(&w->finished, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return OK;
}

/* Also closes an engine that was opened only in part. */
static void cpu_close(engine *base)
{
    cpu_engine *g = (cpu_engine *)base;
    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_broadcast(&g->more);
    pthread_mutex_unlock(&g->lock);
    for (unsigned i = 0; i < g->worker_count; i++) {
        pthread_join(g->workers[i].thread, NULL);
        free(g->workers[i].scratch);
    }
    for (unsigned i = 0; i < base->slot_count; i++) {
        free(base->slots[i].in);
        free(base->slots[i].out);
        pthread_cond_destroy(&g->works[i].finished);
    }
    pthread_cond_destroy(&g->more);
    pthread_mutex_destroy(&g->lock);
    free(g->workers);
    free(g->works);
    free(base->slots);
    free(g);
}

/* A buffer for a slot; NULL without memory. For large buffers huge pages are requested, whose
 * addresses are cheaper to translate; without them everything works too. */
static unsigned char *buffer_new(size_t bytes)
{
    void *buffer = NULL;
    const bool huge = bytes >= HUGE_PAGE_BYTES;
    if (posix_memalign(&buffer, huge ? HUGE_PAGE_BYTES : PAGE_BYTES, bytes ? bytes : 1) != 0) {
        return NULL;
    }
    if (huge) {
        (void)madvise(buffer, bytes, MADV_HUGEPAGE); /* only advice */
    }
    return buffer;
}

static err_code open_slots(cpu_engine *g, err *e)
{
    for (unsigned i = 0; i < g->base.slot_count; i++) {
        engine_slot *slot = &g->base.slots[i];
        g->works[i] = (slot_work){.slot = slot, .finished = PTHREAD_COND_INITIALIZER};
        slot->priv = &g->works[i];
    }
    for (unsigned i = 0; i < g->base.slot_count; i++) {
        engine_slot *slot = &g->base.slots[i];
        slot->in = buffer_new(g->base.in_bytes);
        slot->out = buffer_new(g->base.out_bytes);
        if (!slot->in || !slot->out) {
            return err_set(e, ERR_MEMORY, "CPU engine: no memory for %u buffers of %zu + %zu bytes",
                           g->base.slot_count, g->base.in_bytes, g->base.out_bytes);
        }
    }
    return OK;
}

static err_code open_workers(cpu_engine *g, unsigned threads, err *e)
{
    for (unsigned i = 0; i < threads; i++) {
        worker *w = &g->workers[i];
        w->engine = g;
        void *scratch = NULL;
        if (posix_memalign(&scratch, PAGE_BYTES, sizeof *w->scratch) != 0) {
            return err_set(e, ERR_MEMORY, "CPU engine: no memory for %u threads", threads);
        }
        w->scratch = scratch;
        const int failure = pthread_create(&w->thread, NULL, worker_main, w);
        if (failure) {
            free(scratch);
            return err_set_errno(e, ERR_MEMORY, failure, "CPU engine: cannot start thread %u of %u",
                                 i + 1, threads);
        }
        g->worker_count++;
    }
    return OK;
}

static const engine_ops cpu_ops = {"cpu", cpu_submit, cpu_wait, cpu_close};

/* An engine without buffers and threads; NULL without memory. */
static cpu_engine *engine_new(unsigned threads, unsigned slots)
{
    cpu_engine *g = malloc(sizeof *g);
    engine_slot *slot_list = calloc(slots, sizeof *slot_list);
    slot_work *works = calloc(slots, sizeof *works);
    worker *workers = calloc(threads, sizeof *workers);
    if (!g || !slot_list || !works || !workers) {
        free(g);
        free(slot_list);
        free(works);
        free(workers);
        return NULL;
    }
    *g = (cpu_engine){.base = {.ops = &cpu_ops, .slots = slot_list, .slot_count = slots},
                      .works = works,
                      .workers = workers,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .more = PTHREAD_COND_INITIALIZER};
    return g;
}

err_code engine_cpu_open(unsigned threads, unsigned slots, size_t in_bytes, size_t out_bytes,
                         engine **out, err *e)
{
    cpu_level level;
    err_code code = OK;
    TRY(cpu_level_choose(&level, e));
    cpu_engine *g = engine_new(threads, slots);
    if (!g) {
        return err_set(e, ERR_MEMORY, "CPU engine: no memory for %u slots", slots);
    }
    g->kernel = tile_kernel_at(level);
    g->base.in_bytes = in_bytes;
    g->base.out_bytes = out_bytes;
    TRY_OUT(open_slots(g, e));
    TRY_OUT(open_workers(g, threads, e));
    *out = &g->base;
    return OK;
out:
    engine_close(&g->base);
    return code;
}
