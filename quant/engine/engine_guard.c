/* Only the thread of a slot uses the slot's state; all that slots share is two atomics. */
#include "quant/engine/engine_guard.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu_level.h"
#include "format/tensor/float_bits.h"
#include "quant/engine/tile_kernel.h"

/* A copy of a tile as a matrix of its own, and the results of the CPU for it. The copy is necessary
 * because the kernel writes results where a job says, and there the results of the other engine have
 * to stay for the comparison. */
typedef struct tile_copy {
    tile_scratch scratch;
    unsigned char in[BLOCK_MAX_ROWS * BLOCK_MAX_COLS * sizeof(float)];
    unsigned char codes[BLOCK_MAX_ROWS * BLOCK_MAX_COLS];
    float scale;
    tile_stats stats;
} tile_copy;

typedef struct guarded_slot {
    engine_slot *inner;
    tile_copy *copy;
    const engine_job *jobs;
    size_t job_count; /* 0: nothing was submitted */
    uint64_t tiles;   /* seen so far: the number of the next tile */
    uint64_t step;    /* odd and different for each slot, so that slots choose independently */
    bool on_cpu;      /* the other engine failed for this slot */
    err failure;      /* its error; set once, before `guard.failure` points to its text */
} guarded_slot;

typedef struct guard {
    engine base;    /* first, so that the engine * converts to a guard * */
    engine_ops ops; /* with the name of the other engine */
    engine *inner;
    engine_guard_options options;
    const tile_kernel *kernel;
    guarded_slot *states;
    tile_copy *copies;
    _Atomic(const char *) failure; /* the text of the first slot's failure; NULL: none */
    atomic_uint_fast64_t checked;
} guard;

/* ---- compare one tile ------------------------------------------ */

typedef struct tile_check {
    const engine_job *job;
    const engine_slot *slot;
    uint64_t index;      /* of the tile in the job */
    uint64_t row, col;   /* its first element */
    uint64_t rows, cols; /* its size */
    tile_copy *copy;
} tile_check;

static tile_check check_at(const engine_slot *slot, const engine_job *job, uint64_t index)
{
    const guarded_slot *const w = slot->priv;
    const block_format b = job->block;
    const uint64_t across = block_across(b, job->cols);
    const uint64_t row = index / across * b.rows;
    const uint64_t col = index % across * b.cols;
    return (tile_check){.job = job,
                        .slot = slot,
                        .index = index,
                        .row = row,
                        .col = col,
                        .rows = num_min(job->rows - row, b.rows),
                        .cols = num_min(job->cols - col, b.cols),
                        .copy = w->copy};
}

static void requantize(const tile_check *c, const tile_kernel *kernel)
{
    const engine_job *const job = c->job;
    const size_t element = dtype_bits(job->source) / 8;
    const unsigned char *const in = c->slot->in + job->in_off;
    for (uint64_t i = 0; i < c->rows; i++) {
        memcpy(c->copy->in + i * c->cols * element,
               in + ((c->row + i) * job->cols + c->col) * element, c->cols * element);
    }
    const engine_job alone = {.source = job->source,
                              .block = job->block,
                              .dialect = job->dialect,
                              .rows = c->rows,
                              .cols = c->cols,
                              .tile_scales = &c->copy->scale,
                              .stats = &c->copy->stats};
    kernel->quantize(&alone, c->copy->in, c->copy->codes, 0, 1, &c->copy->scratch);
}

/* A difference as text, for the message. */
typedef struct difference {
    char what[64], found[24], expected[24];
} difference;

static bool count_differs(const char *what, uint32_t found, uint32_t expected, difference *d)
{
    if (found == expected) {
        return false;
    }
    snprintf(d->what, sizeof d->what, "%s", what);
    snprintf(d->found, sizeof d->found, "%" PRIu32, found);
    snprintf(d->expected, sizeof d->expected, "%" PRIu32, expected);
    return true;
}

/* Nine digits distinguish any two floats except NaNs, and the CPU's value is never a NaN. */
static bool float_differs(const char *what, float found, float expected, difference *d)
{
    if (float_bits(found) == float_bits(expected)) {
        return false;
    }
    snprintf(d->what, sizeof d->what, "%s", what);
    snprintf(d->found, sizeof d->found, "%.9g", (double)found);
    snprintf(d->expected, sizeof d->expected, "%.9g", (double)expected);
    return true;
}

static bool codes_differ(const tile_check *c, difference *d)
{
    const unsigned char *const out = c->slot->out + c->job->out_off;
    for (uint64_t i = 0; i < c->rows; i++) {
        const unsigned char *const found = out + (c->row + i) * c->job->cols + c->col;
        const unsigned char *const expected = c->copy->codes + i * c->cols;
        if (memcmp(found, expected, c->cols) == 0) {
            continue;
        }
        uint64_t j = 0;
        while (found[j] == expected[j]) {
            j++;
        }
        snprintf(d->what, sizeof d->what, "code at %" PRIu64 ", %" PRIu64, c->row + i, c->col + j);
        snprintf(d->found, sizeof d->found, "0x%02x", found[j]);
        snprintf(d->expected, sizeof d->expected, "0x%02x", expected[j]);
        return true;
    }
    return false;
}

static bool stats_differ(const tile_stats *found, const tile_stats *expected, difference *d)
{
    _Static_assert(sizeof(tile_stats) == 8 * sizeof(uint32_t), "eight members are compared");
    return float_differs("amax", found->amax, expected->amax, d) ||
           float_differs("sum_y2", found->sum_y2, expected->sum_y2, d) ||
           float_differs("sum_d2", found->sum_d2, expected->sum_d2, d) ||
           count_differs("saturated", found->saturated, expected->saturated, d) ||
           count_differs("zero", found->zero, expected->zero, d) ||
           count_differs("flushed", found->flushed, expected->flushed, d) ||
           count_differs("nonfinite", found->nonfinite, expected->nonfinite, d) ||
           count_differs("first_nonfinite", found->first_nonfinite, expected->first_nonfinite, d);
}

/* Causes come before their consequences. */
static bool tile_differs(const tile_check *c, difference *d)
{
    const tile_stats *const found = &c->job->stats[c->index];
    const tile_stats *const expected = &c->copy->stats;
    if (found->nonfinite > 0 || expected->nonfinite > 0) {
        return count_differs("nonfinite", found->nonfinite, expected->nonfinite, d) ||
               count_differs("first_nonfinite", found->first_nonfinite, expected->first_nonfinite,
                             d);
    }
    return float_differs("scale", c->job->tile_scales[c->index], c->copy->scale, d) ||
           codes_differ(c, d) || stats_differ(found, expected, d);
}

static err_code refuse(const guard *g, const tile_check *c, const difference *d, err *e)
{
    err_set(e, ERR_GPU,
            "%s engine: tile %" PRIu64 ", %" PRIu64 " of a %" PRIu64 "x%" PRIu64 " matrix of %s"
            ": %s is %s, the CPU says %s",
            g->ops.name, c->row / c->job->block.rows, c->col / c->job->block.cols, c->job->rows,
            c->job->cols, dtype_name(c->job->source), d->what, d->found, d->expected);
    err_hint(e, "this device computes wrong results, and earlier ones may be wrong too");
    return ERR_GPU;
}

/* ---- which tiles ----------------------------------------------- */

/* The finalizer of SplitMix64: every bit of z influences every bit of the result; 0 stays 0. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A tile is chosen if its number in [0, 1) is less than `share`. For the first tile of a slot that
 * number is 0, so even a short job is checked. */
static bool next_is_chosen(guarded_slot *w, double share)
{
    const uint64_t random = mix(w->tiles++ * w->step);
    return (double)(random >> 11) * 0x1p-53 < share;
}

static err_code check_some(guard *g, const engine_slot *slot, err *e)
{
    guarded_slot *const w = slot->priv;
    for (size_t i = 0; i < w->job_count; i++) {
        const uint64_t tiles = engine_job_tiles(&w->jobs[i]);
        for (uint64_t t = 0; t < tiles; t++) {
            if (!next_is_chosen(w, g->options.check_share)) {
                continue;
            }
            const tile_check c = check_at(slot, &w->jobs[i], t);
            difference d;
            requantize(&c, g->kernel);
            atomic_fetch_add_explicit(&g->checked, 1, memory_order_relaxed);
            if (tile_differs(&c, &d)) {
                return refuse(g, &c, &d, e);
            }
        }
    }
    return OK;
}

/* ---- take over ------------------------------------------------- */

static void quantize_all(const guard *g, const engine_slot *slot)
{
    const guarded_slot *const w = slot->priv;
    for (size_t i = 0; i < w->job_count; i++) {
        const engine_job *const job = &w->jobs[i];
        g->kernel->quantize(job, slot->in, slot->out, 0, engine_job_tiles(job), &w->copy->scratch);
    }
}

/* Handle the result of the other engine: an error that is taken over becomes OK, any other goes to
 * the caller. */
static err_code settle(guard *g, guarded_slot *w, err_code code, const err *found, err *e)
{
    if (code == OK) {
        return OK;
    }
    if (code != ERR_GPU || !g->options.take_over) {
        if (e && e->code == OK) {
            *e = *found;
        }
        return code;
    }
    w->on_cpu = true;
    w->failure = *found;
    const char *none = NULL;
    atomic_compare_exchange_strong(&g->failure, &none, w->failure.text);
    return OK;
}

/* ---- the engine ------------------------------------------------ */

static err_code guard_submit(engine *base, engine_slot *slot, const engine_job *jobs, size_t count,
                             err *e)
{
    guard *const g = (guard *)base;
    guarded_slot *const w = slot->priv;
    err_code code = OK;
    if (!w->on_cpu) {
        err found = {0};
        code = engine_submit(g->inner, w->inner, jobs, count, &found);
        code = settle(g, w, code, &found, e);
    }
    w->jobs = jobs;
    w->job_count = code == OK ? count : 0;
    return code;
}

static err_code guard_wait(engine *base, engine_slot *slot, err *e)
{
    guard *const g = (guard *)base;
    guarded_slot *const w = slot->priv;
    err_code code = OK;
    if (!w->on_cpu) {
        err found = {0};
        code = engine_wait(g->inner, w->inner, &found);
        code = settle(g, w, code, &found, e);
    }
    if (code == OK && w->on_cpu) {
        quantize_all(g, slot);
    } else if (code == OK) {
        code = check_some(g, slot, e);
    }
    w->job_count = 0;
    return code;
}

/* Free the guard without the other engine; NULL is fine. */
static void guard_free(guard *g)
{
    if (g) {
        free(g->copies);
        free(g->states);
        free(g->base.slots);
        free(g);
    }
}

static void guard_close(engine *base)
{
    guard *const g = (guard *)base;
    engine_close(g->inner);
    guard_free(g);
}

/* An empty guard with all its memory; NULL without memory. */
static guard *guard_new(unsigned slots)
{
    guard *const g = calloc(1, sizeof *g);
    if (!g) {
        return NULL;
    }
    g->base.slots = calloc(slots, sizeof *g->base.slots);
    g->states = calloc(slots, sizeof *g->states);
    g->copies = aligned_alloc(_Alignof(tile_copy), slots * sizeof *g->copies);
    if (!g->base.slots || !g->states || !g->copies) {
        guard_free(g);
        return NULL;
    }
    atomic_init(&g->failure, NULL);
    atomic_init(&g->checked, 0);
    return g;
}

static void present_slots(guard *g, const engine *inner)
{
    engine *const base = &g->base;
    base->slot_count = inner->slot_count;
    base->in_bytes = inner->in_bytes;
    base->out_bytes = inner->out_bytes;
    base->device_bytes = inner->device_bytes;
    for (unsigned i = 0; i < inner->slot_count; i++) {
        engine_slot *const slot = &inner->slots[i];
        g->states[i] = (guarded_slot){.inner = slot, .copy = &g->copies[i], .step = 2 * i + 1};
        base->slots[i] = (engine_slot){.in = slot->in, .out = slot->out, .priv = &g->states[i]};
    }
}

err_code engine_guard_open(engine *inner, const engine_guard_options *o, engine **out, err *e)
{
    assert(o->check_share >= 0 && o->check_share <= 1);
    cpu_level level;
    TRY(cpu_level_choose(&level, e));
    guard *const g = guard_new(inner->slot_count);
    if (!g) {
        return err_set(e, ERR_MEMORY, "%s engine: no memory to check %u slots", inner->ops->name,
                       inner->slot_count);
    }
    g->ops = (engine_ops){inner->ops->name, guard_submit, guard_wait, guard_close};
    g->base.ops = &g->ops;
    g->inner = inner;
    g->options = *o;
    g->kernel = tile_kernel_at(level);
    present_slots(g, inner);
    *out = &g->base;
    return OK;
}

const char *engine_guard_failure(const engine *base)
{
    return atomic_load(&((const guard *)base)->failure);
}

uint64_t engine_guard_checked(const engine *base)
{
    return atomic_load(&((const guard *)base)->checked);
}
