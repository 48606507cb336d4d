#include "tests/aid/faulty_engine.h"

#include <stdlib.h>
#include <string.h>

#include "quant/engine/engine_cpu.h"
#include "tests/aid/expect.h"

enum { THREADS = 2 };

typedef struct faulty_slot {
    engine_slot *cpu;
    const engine_job *jobs;
    size_t count;
} faulty_slot;

/* Is it the turn of call number `n` to fail? */
static bool fails(faulty_engine *f, unsigned n, unsigned wanted)
{
    if (n == wanted && f->plan.dead) {
        atomic_store(&f->gone, true);
    }
    return n == wanted || atomic_load(&f->gone);
}

static err_code refuse(const faulty_engine *f, err *e)
{
    err_set(e, f->plan.code, FAULTY_TEXT);
    err_hint(e, FAULTY_HINT);
    return f->plan.code;
}

static err_code faulty_submit(engine *base, engine_slot *slot, const engine_job *jobs, size_t count,
                              err *e)
{
    faulty_engine *const f = (faulty_engine *)base;
    faulty_slot *const s = slot->priv;
    if (fails(f, atomic_fetch_add(&f->submits, 1) + 1, f->plan.submit)) {
        return refuse(f, e);
    }
    s->jobs = jobs;
    s->count = count;
    return f->plan.idle ? OK : engine_submit(f->cpu, s->cpu, jobs, count, e);
}

static void spoil(faulty_engine *f, const faulty_slot *s, unsigned char *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const engine_job *const job = &s->jobs[i];
        const uint64_t tiles = engine_job_tiles(job);
        for (uint64_t t = 0; t < tiles; t++) {
            if (atomic_fetch_add(&f->tiles, 1) >= f->plan.spoil_from && f->plan.spoil) {
                f->plan.spoil(job, t, out + job->out_off);
            }
        }
    }
}

/* A device that fails has copied back a part, or nonsense. */
static void leave_nonsense(const faulty_slot *s, unsigned char *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const engine_job *const job = &s->jobs[i];
        memset(out + job->out_off, 0x5a, job->rows * job->cols / 2);
        job->tile_scales[0] = 0;
        job->stats[0] = (tile_stats){.nonfinite = 1};
    }
}

static err_code faulty_wait(engine *base, engine_slot *slot, err *e)
{
    faulty_engine *const f = (faulty_engine *)base;
    faulty_slot *const s = slot->priv;
    const err_code code = f->plan.idle ? OK : engine_wait(f->cpu, s->cpu, e);
    if (fails(f, atomic_fetch_add(&f->waits, 1) + 1, f->plan.wait)) {
        leave_nonsense(s, slot->out);
        s->count = 0;
        return refuse(f, e);
    }
    spoil(f, s, slot->out);
    s->count = 0;
    return code;
}

static void faulty_close(engine *base)
{
    faulty_engine *const f = (faulty_engine *)base;
    if (f->plan.closed) {
        *f->plan.closed = true;
    }
    engine_close(f->cpu);
    free(f->states);
    free(base->slots);
    free(f);
}

static const engine_ops faulty_ops = {"faulty", faulty_submit, faulty_wait, faulty_close};

faulty_engine *faulty_open(unsigned slots, size_t in_bytes, size_t out_bytes)
{
    err e = {0};
    faulty_engine *const f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    expect_ok(engine_cpu_open(THREADS, slots, in_bytes, out_bytes, &f->cpu, &e), &e);
    f->base = *f->cpu;
    f->base.ops = &faulty_ops;
    f->base.device_bytes = 12345;
    f->base.slots = calloc(slots, sizeof *f->base.slots);
    f->states = calloc(slots, sizeof *f->states);
    ck_assert(f->base.slots && f->states);
    for (unsigned i = 0; i < slots; i++) {
        engine_slot *const cpu = &f->cpu->slots[i];
        f->states[i] = (faulty_slot){.cpu = cpu};
        f->base.slots[i] = (engine_slot){.in = cpu->in, .out = cpu->out, .priv = &f->states[i]};
    }
    return f;
}
