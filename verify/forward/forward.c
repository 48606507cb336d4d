#include "verify/forward/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu_level.h"
#include "format/base/num.h"
#include "verify/arch/archs.h"
#include "verify/forward/forward_job.h"

/* ---- opening --------------------------------------------------- */

void forward_job_begin(forward_job *j)
{
    forward_report *const r = j->report;
    *r = (forward_report){.embedding_rms = NAN, .unequal_layer = -1};
    if (j->options->f32) {
        r->variants[r->variant_count++] = (forward_variant){.fp8 = false, .unequal_layer = -1};
    }
    if (j->options->fp8) {
        r->variants[r->variant_count++] = (forward_variant){.fp8 = true, .unequal_layer = -1};
    }
    memset(j->sides, 0, sizeof j->sides);
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        j->sides[s].job = j;
        memset(j->sides[s].number, -1, sizeof j->sides[s].number);
    }
}

static bool is_defined(const forward_job *j, const store_tensor *t)
{
    const store *const source = j->sides[SIDE_SOURCE].run.store;
    return !source || ideal_is_claimed(source, t);
}

static err_code read_weight(void *ctx, const store_tensor *t, uint64_t first, uint64_t rows,
                            void *data, float *scales, err *e)
{
    model_side *const s = ctx;
    if (s == &s->job->sides[SIDE_PACKED]) {
        coverage_add_tensor(&s->job->report->coverage, s->run.store, t);
        s->undefined = s->undefined || !is_defined(s->job, t);
    }
    return s->ideal ? ideal_read(s->ideal, t, first, rows, data, scales, e)
                    : store_read(s->run.store, t, first, rows, data, scales, e);
}

err_code forward_side_prepare(forward_job *j, forward_side side, store *model, ops *o, err *e)
{
    model_side *const s = &j->sides[side];
    s->run = (model_run){
        .ops = o,
        .store = model,
        .reader = {.read = read_weight, .ctx = s},
        .pool = &j->pool,
        .monitor = &j->monitor,
        .length = j->options->length,
        .tracks = s->tracks, /* run_close releases what planned tracks hold, opened or not */
    };
    TRY(model_config_read(model, model_archs, &j->monitor, &s->run.config, e));
    return model_tensors_check(&s->run.config, model, &j->monitor, e);
}

void forward_add_track(forward_job *j, forward_side side, unsigned variant, track_kind kind,
                       track t)
{
    model_side *const s = &j->sides[side];
    s->number[variant][kind] = (int)s->run.track_count;
    s->tracks[s->run.track_count++] = t;
}

static err_code create_variant(forward_job *j, unsigned f, err *e)
{
    const forward_options *const o = j->options;
    const size_t positions = o->sequences * o->length + 1;
    const unsigned layers = forward_config(j)->layers;
    forward_variant *const v = &j->report->variants[f];
    variant_tally *const t = &j->tallies[f];
    v->layers = calloc(layers, sizeof *v->layers);
    v->parts = calloc(part_places(layers), sizeof *v->parts);
    t->layers = calloc(layers, sizeof *t->layers);
    t->parts = calloc(part_places(layers), sizeof *t->parts);
    bool complete = v->layers && v->parts && t->layers && t->parts;
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        if (forward_has(j, s)) {
            v->logits[s].positions = calloc(positions, sizeof *v->logits[s].positions);
            complete = complete && v->logits[s].positions;
        }
    }
    for (unsigned i = 0; v->layers && i < layers; i++) {
        v->layers[i] = layer_unmeasured();
    }
    return complete ? OK
                    : err_set(e, ERR_MEMORY, "no memory for the results of %zu tokens", positions);
}

static err_code create_results(forward_job *j, err *e)
{
    forward_report *const r = j->report;
    const forward_side first = forward_has(j, SIDE_SOURCE) ? SIDE_SOURCE : SIDE_PACKED;
    r->config = j->sides[first].run.config;
    r->length = j->options->length;
    for (unsigned f = 0; f < r->variant_count; f++) {
        TRY(create_variant(j, f, e));
    }
    return coverage_create(&r->coverage, j->sides[SIDE_PACKED].run.store, forward_config(j), e);
}

/* Which of the buffers of forward_job.states are used. */
static bool is_used(const forward_job *j, size_t buffer)
{
    const forward_side side = (forward_side)((buffer - STATES) / FORWARD_VARIANTS);
    return buffer < STATES ||
           (side != SIDE_SOURCE && forward_has(j, SIDE_SOURCE) && forward_has(j, side) &&
            (buffer - STATES) % FORWARD_VARIANTS < j->report->variant_count);
}

static size_t buffers_used(const forward_job *j)
{
    size_t count = 0;
    for (size_t i = 0; i < STATE_BUFFERS; i++) {
        count += is_used(j, i);
    }
    return count;
}

/* Bytes of all that a run keeps for each token: states, for layers with experts also normed states
 * and sums, and choices of experts. */
static uint64_t token_bytes(const forward_job *j)
{
    const model_config *const c = forward_config(j);
    const uint64_t state = c->hidden * sizeof(float);
    const uint64_t choice = c->top_k * 2 * sizeof(float) + c->experts * sizeof(float);
    const unsigned each = model_count_experts(c, c->layers) > 0 ? 3 : 1;
    uint64_t bytes = buffers_used(j) * state;
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        bytes += j->sides[s].run.track_count * (each * state + choice);
    }
    return bytes;
}

/* As many sequences as fit, in batches of about the same size. A dump is written, and a reference is
 * read, for all sequences at once. */
static void divide_sequences(forward_job *j)
{
    const forward_options *const o = j->options;
    const bool whole = o->dump || o->reference;
    const uint64_t fit = num_max(1, o->memory / (token_bytes(j) * o->length));
    j->batch = whole ? o->sequences : num_ceil_div(o->sequences, num_ceil_div(o->sequences, fit));
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        j->sides[s].run.sequences = j->batch;
    }
}

static err_code create_buffers(forward_job *j, err *e)
{
    const size_t tokens = forward_tokens(j);
    const size_t states = tokens * forward_config(j)->hidden;
    for (size_t i = 0; i < STATE_BUFFERS; i++) {
        j->states[i] = is_used(j, i) ? malloc((states + 1) * sizeof(float)) : NULL;
        if (is_used(j, i) && !j->states[i]) {
            return err_set(e, ERR_MEMORY, "no memory for the states of %zu tokens", tokens);
        }
    }
    return OK;
}

static err_code open_dump(forward_job *j, err *e)
{
    const forward_options *const o = j->options;
    return o->dump ? dump_open(o->dump, o->force, forward_config(j), o->sequences, o->length,
                               o->ids, &j->dump, e)
                   : OK;
}

err_code forward_job_open(forward_job *j, err *e)
{
    size_t block = 0;
    cpu_level level = CPU_BASELINE;
    divide_sequences(j);
    TRY(cpu_level_choose(&level, e));
    j->kernel = softmax_kernel_at(level);
    TRY(forward_logits_block(j, &block, e)); /* fail now if memory will not do, not at the end */
    TRY(open_dump(j, e));
    TRY(create_results(j, e));
    TRY(create_buffers(j, e));
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        TRY(forward_has(j, s) ? run_open(&j->sides[s].run, e) : OK);
    }
    return OK;
}

/* ---- closing --------------------------------------------------- */

static err_code commit_dump(forward_job *j, err *e)
{
    TRY(monitor_step(&j->monitor, 0, e));
    return j->dump ? dump_commit(&j->dump, e) : OK;
}

err_code forward_job_end(forward_job *j, err_code code, err *e)
{
    for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
        j->report->bytes_read[s] = j->sides[s].run.bytes_read;
        run_close(&j->sides[s].run);
        ideal_close(j->sides[s].ideal);
    }
    weight_pool_free(&j->pool);
    for (size_t i = 0; i < STATE_BUFFERS; i++) {
        free(j->states[i]);
    }
    for (unsigned f = 0; f < FORWARD_VARIANTS; f++) {
        free(j->tallies[f].layers);
        free(j->tallies[f].parts);
    }
    const err_code result = code == OK ? commit_dump(j, e) : code;
    dump_abandon(&j->dump);
    return result;
}

void forward_report_free(forward_report *r)
{
    for (unsigned f = 0; f < r->variant_count; f++) {
        forward_variant *const v = &r->variants[f];
        free(v->layers);
        free(v->parts);
        for (forward_side s = SIDE_SOURCE; s < SIDES; s++) {
            free(v->logits[s].positions);
        }
    }
    coverage_free(&r->coverage);
    *r = (forward_report){0};
}

/* ---- steps ----------------------------------------------------- */

/* The absolute values of floats cannot overflow a double, so their sum is finite if all of them
 * are: one check for all instead of one for each. */
bool forward_all_finite(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += fabs((double)x[i]);
    }
    return isfinite(sum);
}

err_code forward_take(forward_job *j, forward_side side, unsigned number, int64_t layer, float *to,
                      err *e)
{
    const model_run *const run = &j->sides[side].run;
    const mat x = run_track(run, number);
    run->ops->get(run->ops, x, to);
    TRY(run->ops->status(run->ops, e));
    for (size_t row = 0; row < x.rows; row++) {
        if (!forward_all_finite(to + row * x.cols, x.cols)) {
            const size_t length = j->options->length;
            return err_set(e, ERR_NUMERIC,
                           "%s: layer %lld, sequence %zu, token %zu: a hidden state is not finite",
                           run->store->path, (long long)layer, j->first + row / length,
                           row % length);
        }
    }
    return OK;
}

void forward_give(forward_job *j, forward_side side, unsigned number, const float *states)
{
    const model_run *const run = &j->sides[side].run;
    run->ops->put(run->ops, states, run_track(run, number));
}

err_code forward_compare_modes(forward_job *j, forward_side side, unsigned number, unsigned layer,
                               const float *states, err *e)
{
    float *const decoded = j->states[STATES - 1];
    const mat x = run_track(&j->sides[side].run, number);
    int64_t *const unequal = &j->report->unequal_layer;
    j->report->modes_compared = true;
    TRY(forward_take(j, side, number, layer, decoded, e));
    if (memcmp(decoded, states, x.rows * x.cols * sizeof *states) != 0) {
        *unequal = *unequal < 0 || layer < *unequal ? layer : *unequal;
    }
    return OK;
}

size_t forward_same_experts(const forward_job *j, const routing *x, const routing *y)
{
    const size_t k = forward_config(j)->top_k;
    size_t same = 0;
    for (size_t t = 0; t < forward_tokens(j); t++) { /* both ascend: equal sets are equal rows */
        same += memcmp(x->index + t * k, y->index + t * k, k * sizeof *x->index) == 0;
    }
    return same;
}

uint64_t forward_slot_bytes(const forward_job *j, forward_side side, unsigned slot)
{
    const model_run *const run = &j->sides[side].run;
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(&run->config, slot, 0, 0, name);
    const store_tensor *const t = store_find(run->store, name);
    return t ? t->rows * t->row_bytes : 0;
}

part_tally *forward_part(forward_job *j, unsigned variant, model_part part, unsigned layer)
{
    return &j->tallies[variant].parts[part_place(part, layer, forward_config(j)->layers)];
}
