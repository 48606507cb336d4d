/* The results of a comparison, once all sequences are done. */
#include "verify/forward/forward_compare.h"

/* ---- results --------------------------------------------------- */

static void finish_layer(forward_job *j, unsigned f, unsigned layer)
{
    const layer_tally *const t = &j->tallies[f].layers[layer];
    layer_measure *const m = &j->report->variants[f].layers[layer];
    const size_t tokens = j->report->sequences * j->report->length;
    m->local_error = hidden_relative_rms(&t->local[SIDE_PACKED]);
    m->hidden_rms = hidden_relative_rms(&t->own);
    m->hidden_cosine = hidden_cosine(&t->own);
    if (model_has_experts(forward_config(j), layer)) {
        m->router_agreement = (double)t->same_experts / (double)tokens;
    }
}

static void finish_part(forward_job *j, unsigned f, model_part part, unsigned layer)
{
    forward_variant *const v = &j->report->variants[f];
    const bool outside = part == PART_EMBEDDING || part == PART_HEAD;
    v->parts[v->part_count++] =
        part_result(forward_part(j, f, part, layer), part, outside ? -1 : (int64_t)layer,
                    j->options->ideal == IDEAL_PACKED);
}

static void finish_variant(forward_job *j, unsigned f)
{
    const model_config *const c = forward_config(j);
    finish_part(j, f, PART_EMBEDDING, 0);
    for (unsigned i = 0; i < c->layers; i++) {
        finish_part(j, f, PART_ATTENTION, i);
        if (model_has_experts(c, i)) {
            finish_part(j, f, PART_ROUTER, i);
        }
        finish_part(j, f, PART_MLP, i);
        finish_layer(j, f, i);
    }
    finish_part(j, f, PART_HEAD, 0);
}

static err_code summarize(forward_job *j, unsigned f, err *e)
{
    forward_variant *const v = &j->report->variants[f];
    const forward_report *const r = j->report;
    for (forward_side s = SIDE_PACKED; s < SIDES; s++) {
        if (v->logits[s].positions) {
            TRY(measure_summarize(v->logits[s].positions, r->sequences, r->length, &j->monitor,
                                  &v->logits[s].summary, e));
        }
    }
    return OK;
}

static err_code pair_with(forward_job *j, const forward_variant *v, forward_side other, paired *out,
                          err *e)
{
    const position_measure *const b = v->logits[other].positions;
    return b ? paired_of(v->logits[SIDE_PACKED].positions, b, j->report->sequences,
                         j->report->length, &j->monitor, out, e)
             : OK;
}

err_code forward_compare_finish(forward_job *j, err *e)
{
    for (unsigned f = 0; f < j->report->variant_count; f++) {
        finish_variant(j, f);
        forward_variant *const v = &j->report->variants[f];
        const bool same = j->options->ideal == IDEAL_PACKED;
        TRY(summarize(j, f, e));
        TRY(pair_with(j, v, same ? SIDE_PACKED : SIDE_IDEAL, &v->with_ideal, e));
        TRY(pair_with(j, v, SIDE_VERSUS, &v->with_versus, e));
    }
    coverage_finish(&j->report->coverage, j->sides[SIDE_PACKED].run.store);
    return OK;
}
