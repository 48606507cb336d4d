/* The end of a forward pass: logits, for as many tokens at a time as memory allows, and the
 * measures of each position. */
#include <inttypes.h>
#include <stdlib.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "verify/forward/forward_job.h"

/* Buffers of logits: 0 is the base of comparisons, 1 + f is variant f. */
enum { PLACES_MAX = 3 };

typedef struct logits_work {
    forward_job *job;
    const softmax_kernel *kernel;
    size_t vocab;
    float *device[PLACES_MAX]; /* memory of the ops, [block, vocab]; NULL: not computed */
    float *host[PLACES_MAX];   /* [block, vocab], within `memory`; NULL: not used */
    float *memory;
    size_t block, first, count; /* tokens of a block at most; the tokens of the current block */
} logits_work;

/* Is there something to compare with: logits of the source, or of the reference? */
static bool has_base(const forward_job *j)
{
    return j->b.run.track_count > 0 || j->reference_logits;
}

/* ---- memory ---------------------------------------------------- */

err_code forward_logits_block(const forward_job *j, size_t *block, err *e)
{
    const uint64_t places = j->report->variant_count + (has_base(j) ? 1 : 0);
    const uint64_t each = /* twice: for the ops and on the host */
        2 * places * j->a.run.config.vocab * sizeof(float);
    const uint64_t fit = j->options->memory / each;
    const size_t tokens = run_tokens(&j->a.run);
    if (fit == 0) {
        return err_set(e, ERR_MEMORY,
                       "%s: logits of one token take %" PRIu64 " bytes, --memory allows %" PRIu64,
                       j->a.run.store->path, each, j->options->memory);
    }
    *block = num_min(num_min(fit, RUN_BLOCK), tokens);
    return OK;
}

static err_code allocate(logits_work *w, err *e)
{
    const forward_job *const j = w->job;
    ops *const o = j->a.run.ops;
    const unsigned first = has_base(j) ? 0 : 1;
    const size_t floats = w->block * w->vocab;
    bool complete = true;
    w->memory = malloc((j->report->variant_count + 1 - first) * floats * sizeof(float));
    for (unsigned i = first; i <= j->report->variant_count; i++) {
        const bool computed = i > 0 || j->b.run.track_count > 0;
        w->host[i] = w->memory ? w->memory + (i - first) * floats : NULL;
        w->device[i] = computed ? o->alloc(o, floats) : NULL;
        complete = complete && (!computed || w->device[i]);
    }
    return complete && w->memory
               ? OK
               : err_set(e, ERR_MEMORY, "no memory for logits of %zu tokens", w->block);
}

static void release(logits_work *w)
{
    ops *const o = w->job->a.run.ops;
    for (unsigned i = 0; i < PLACES_MAX; i++) {
        o->release(o, w->device[i]);
    }
    free(w->memory);
}

/* ---- one block ------------------------------------------------- */

static mat block_mat(const logits_work *w, unsigned place)
{
    return (mat){w->device[place], w->count, w->vocab, w->vocab};
}

static err_code check_finite(const logits_work *w, const model_side *s, const float *logits, err *e)
{
    const size_t length = w->job->options->length;
    for (size_t i = 0; i < w->count; i++) {
        if (!forward_all_finite(logits + i * w->vocab, w->vocab)) {
            return err_set(e, ERR_NUMERIC, "%s: sequence %zu, token %zu: a logit is not finite",
                           s->run.store->path, (w->first + i) / length, (w->first + i) % length);
        }
    }
    return OK;
}

/* Compute the logits of the tracks `numbers` of one side into buffers `place` and up. */
static err_code compute(logits_work *w, model_side *s, const unsigned *numbers, unsigned count,
                        unsigned place, err *e)
{
    mat out[PLACES_MAX] = {0};
    ops *const o = s->run.ops;
    for (unsigned i = 0; i < count; i++) {
        out[i] = block_mat(w, place + i);
    }
    TRY(run_logits(&s->run, numbers, count, w->first, w->count, out, e));
    for (unsigned i = 0; i < count; i++) {
        o->get(o, out[i], w->host[place + i]);
        TRY(o->status(o, e));
        TRY(check_finite(w, s, w->host[place + i], e));
    }
    return OK;
}

static err_code measure_token(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const logits_work *const w = ctx;
    forward_report *const r = w->job->report;
    const size_t token = w->first + task;
    (void)worker;
    (void)e;
    for (unsigned f = 0; f < r->variant_count; f++) {
        const float *const own = w->host[f + 1] + task * w->vocab;
        const float *const base = w->host[0] ? w->host[0] + task * w->vocab : NULL;
        measure_position(w->kernel, base ? base : own, base ? own : NULL, w->vocab,
                         w->job->targets[token], &r->variants[f].positions[token]);
    }
    return OK;
}

static err_code fill_buffers(logits_work *w, const unsigned *own, err *e)
{
    forward_job *const j = w->job;
    const unsigned source = 0;
    if (j->b.run.track_count > 0) {
        TRY(compute(w, &j->a, &source, 1, 0, e));
        return compute(w, &j->b, own, j->report->variant_count, 1, e);
    }
    TRY(compute(w, &j->a, own, j->report->variant_count, 1, e));
    return j->reference_logits ? reference_read_rows(j->options->reference, j->reference_logits,
                                                     w->first, w->count, w->vocab, w->host[0], e)
                               : OK;
}

static err_code do_block(logits_work *w, const unsigned *own, err *e)
{
    forward_job *const j = w->job;
    TRY(fill_buffers(w, own, e));
    if (j->dump) {
        TRY(dump_logits(j->dump, w->first, w->count, w->host[1], e));
    }
    return parallel_for(j->options->threads, w->count, measure_token, w, j->monitor, e);
}

err_code forward_logits(forward_job *j, const unsigned *own, err *e)
{
    const size_t tokens = run_tokens(&j->a.run);
    logits_work w = {.job = j, .vocab = j->a.run.config.vocab};
    cpu_level level = CPU_BASELINE;
    err_code code = OK;
    TRY_OUT(cpu_level_choose(&level, e));
    w.kernel = softmax_kernel_at(level);
    TRY_OUT(forward_logits_block(j, &w.block, e));
    TRY_OUT(allocate(&w, e));
    for (; w.first < tokens; w.first += w.count) {
        w.count = num_min(w.block, tokens - w.first);
        TRY_OUT(do_block(&w, own, e));
    }
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        TRY_OUT(measure_summarize(j->report->variants[f].positions, tokens,
                                  &j->report->variants[f].summary, e));
    }
out:
    release(&w);
    return code;
}
