#include "verify/forward/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/arch/archs.h"
#include "verify/forward/forward_job.h"

/* ---- opening and closing --------------------------------------- */

err_code forward_side_prepare(forward_job *j, model_side *s, store *model, ops *o, err *e)
{
    s->run = (model_run){
        .ops = o,
        .store = model,
        .pool = &j->pool,
        .monitor = j->monitor,
        .sequences = j->options->sequences,
        .length = j->options->length,
        .tracks = s->tracks, /* run_close releases what planned tracks hold, opened or not */
    };
    TRY(model_config_read(model, model_archs, j->monitor, &s->run.config, e));
    return model_tensors_check(&s->run.config, model, j->monitor, e);
}

static void find_targets(forward_job *j)
{
    const forward_options *const o = j->options;
    for (size_t s = 0; s < o->sequences; s++) {
        const int32_t *const ids = o->ids + s * o->length;
        int64_t *const targets = j->targets + s * o->length;
        for (size_t t = 0; t < o->length; t++) {
            targets[t] = t + 1 < o->length ? ids[t + 1] : -1;
        }
    }
}

static err_code create_results(forward_job *j, err *e)
{
    const forward_options *const o = j->options;
    const size_t tokens = o->sequences * o->length;
    forward_report *const r = j->report;
    bool complete = true;
    r->config = j->a.run.config;
    r->sequences = o->sequences;
    r->length = o->length;
    r->unequal_layer = -1;
    for (unsigned f = 0; f < r->variant_count; f++) {
        forward_variant *const form = &r->variants[f];
        form->layers = calloc(r->config.layers, sizeof *form->layers);
        form->positions = calloc(tokens + 1, sizeof *form->positions);
        complete = complete && form->layers && form->positions;
        for (unsigned i = 0; form->layers && i < r->config.layers; i++) {
            form->layers[i] = layer_unmeasured();
        }
    }
    return complete ? OK
                    : err_set(e, ERR_MEMORY, "no memory for the results of %zu tokens", tokens);
}

static err_code create_buffers(forward_job *j, err *e)
{
    const size_t tokens = j->options->sequences * j->options->length;
    const size_t states = tokens * j->a.run.config.hidden;
    j->targets = malloc((tokens + 1) * sizeof *j->targets);
    bool complete = j->targets;
    for (size_t i = 0; i < sizeof j->states / sizeof j->states[0]; i++) {
        j->states[i] = malloc((states + 1) * sizeof(float));
        complete = complete && j->states[i];
    }
    if (!complete) {
        return err_set(e, ERR_MEMORY, "no memory for the states of %zu tokens", tokens);
    }
    find_targets(j);
    return OK;
}

void forward_name_variants(forward_job *j)
{
    forward_report *const r = j->report;
    if (j->options->f32) {
        r->variants[r->variant_count++] = (forward_variant){.fp8 = false};
    }
    if (j->options->fp8) {
        r->variants[r->variant_count++] = (forward_variant){.fp8 = true};
    }
}

static err_code open_dump(forward_job *j, err *e)
{
    const forward_options *const o = j->options;
    const model_side *const s = j->b.run.track_count ? &j->b : &j->a;
    return o->dump ? dump_open(o->dump, o->force, &s->run.config, o->sequences, o->length, o->ids,
                               &j->dump, e)
                   : OK;
}

static err_code open_side(model_side *s, err *e)
{
    return s->run.track_count ? run_open(&s->run, e) : OK;
}

err_code forward_job_open(forward_job *j, err *e)
{
    size_t block = 0;
    TRY(forward_logits_block(j, &block, e)); /* fail now if memory will not do, not at the end */
    TRY(open_dump(j, e));
    TRY(create_results(j, e));
    TRY(create_buffers(j, e));
    TRY(open_side(&j->a, e));
    return open_side(&j->b, e);
}

static err_code commit_dump(forward_job *j, err *e)
{
    TRY(monitor_step(j->monitor, 0, e));
    return j->dump ? dump_commit(&j->dump, e) : OK;
}

err_code forward_job_end(forward_job *j, err_code code, err *e)
{
    model_side *const sides[] = {&j->a, &j->b};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        j->report->bytes_read[i] = sides[i]->run.bytes_read;
        run_close(&sides[i]->run);
    }
    weight_pool_free(&j->pool);
    free(j->targets);
    for (size_t i = 0; i < sizeof j->states / sizeof j->states[0]; i++) {
        free(j->states[i]);
    }
    const err_code result = code == OK ? commit_dump(j, e) : code;
    dump_abandon(&j->dump);
    return result;
}

void forward_report_free(forward_report *r)
{
    for (unsigned f = 0; f < r->variant_count; f++) {
        free(r->variants[f].layers);
        free(r->variants[f].positions);
    }
    *r = (forward_report){0};
}

/* ---- steps ----------------------------------------------------- */

err_code forward_embed(forward_job *j, model_side *s, err *e)
{
    for (unsigned i = 0; i < s->run.track_count; i++) {
        TRY(run_embed(&s->run, i, j->options->ids, e));
    }
    return OK;
}

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

err_code forward_take(forward_job *j, model_side *s, unsigned number, int64_t layer, float *to,
                      err *e)
{
    const mat x = run_track(&s->run, number);
    s->run.ops->get(s->run.ops, x, to);
    TRY(s->run.ops->status(s->run.ops, e));
    for (size_t row = 0; row < x.rows; row++) {
        if (!forward_all_finite(to + row * x.cols, x.cols)) {
            const size_t length = j->options->length;
            return err_set(e, ERR_NUMERIC,
                           "%s: layer %lld, sequence %zu, token %zu: a hidden state is not finite",
                           s->run.store->path, (long long)layer, row / length, row % length);
        }
    }
    return OK;
}

err_code forward_compare_modes(forward_job *j, model_side *s, unsigned number, unsigned layer,
                               const float *states, err *e)
{
    float *const decoded = j->states[3];
    const mat x = run_track(&s->run, number);
    j->report->modes_compared = true;
    TRY(forward_take(j, s, number, layer, decoded, e));
    if (j->report->unequal_layer < 0 &&
        memcmp(decoded, states, x.rows * x.cols * sizeof *states) != 0) {
        j->report->unequal_layer = layer;
    }
    return OK;
}

double forward_agreement(const forward_job *j, const routing *x, const routing *y)
{
    const size_t tokens = j->options->sequences * j->options->length;
    const size_t k = j->a.run.config.top_k;
    size_t same = 0;
    for (size_t t = 0; t < tokens; t++) { /* both ascend, so equal sets are equal rows */
        same += memcmp(x->index + t * k, y->index + t * k, k * sizeof *x->index) == 0;
    }
    return (double)same / (double)tokens;
}
