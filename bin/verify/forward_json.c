/* Measurements of the forward pass as JSON. */
#include <math.h>

#include "bin/verify/forward_report.h"

static json_t *layer_json(report *r, const forward_report *found, const forward_variant *f,
                          unsigned i)
{
    json_t *const o = json_object();
    report_put(r, o, "layer", report_number(i));
    report_put(r, o, "kind", report_text(forward_layer_kind(found, i)));
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (forward_shows(found, m)) {
            report_put(r, o, metrics[m].name, report_real(metric_of_layer(m, &f->layers[i])));
        }
    }
    return o;
}

static json_t *summary_json(report *r, const position_summary *p)
{
    json_t *const o = json_object();
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (metrics[m].scope == SCOPE_SUMMARY) {
            report_put(r, o, metrics[m].name, report_real(metric_of_summary(m, p)));
        }
    }
    report_put(r, o, "positions_compared", report_number(p->compared));
    report_put(r, o, "positions_scored", report_number(p->scored));
    report_put(r, o, "kl_max_position", report_number(p->kl_max_index));
    return o;
}

/* One array for each measured number, with an element for each position. */
static json_t *positions_json(report *r, const forward_report *found, const forward_variant *f)
{
    json_t *const o = json_object();
    json_t *const kl = json_array();
    json_t *const top1 = json_array();
    json_t *const source = json_array();
    json_t *const packed = json_array();
    for (size_t i = 0; i < found->sequences * found->length; i++) {
        const position_measure *const p = &f->logits[SIDE_PACKED].positions[i];
        report_append(r, kl, report_real(p->kl));
        report_append(r, top1, json_boolean(p->top1));
        report_append(r, source, report_real(p->source_nll));
        report_append(r, packed, report_real(p->packed_nll));
    }
    report_put(r, o, "kl", kl);
    report_put(r, o, "top1", top1);
    report_put(r, o, "source_nll", source);
    report_put(r, o, "packed_nll", packed);
    return o;
}

/* The logits of another model of the run; null: there is none. */
static json_t *logits_json(report *r, const logits_measure *l)
{
    return l->positions ? summary_json(r, &l->summary) : json_null();
}

static json_t *interval_json(report *r, const paired *p, const interval *i, double worse)
{
    json_t *const o = json_object();
    report_put(r, o, "mean", report_real(i->mean));
    report_put(r, o, "standard_error", report_real(i->standard_error));
    report_put(r, o, "low", report_real(i->low));
    report_put(r, o, "high", report_real(i->high));
    report_put(r, o, "judged", json_boolean(paired_is_judged(p) && !isnan(i->mean)));
    report_put(r, o, "worse",
               json_boolean(paired_is_judged(p) && !isnan(i->mean) &&
                            interval_is_worse(i, p->sequences, worse)));
    return o;
}

static json_t *paired_json(report *r, const paired *p)
{
    if (p->sequences == 0) {
        return json_null();
    }
    json_t *const o = json_object();
    report_put(r, o, "kl", interval_json(r, p, &p->kl, 1));
    report_put(r, o, "top1", interval_json(r, p, &p->top1, -1));
    report_put(r, o, "nll", interval_json(r, p, &p->nll, 1));
    report_put(r, o, "wins", report_number(p->wins));
    report_put(r, o, "losses", report_number(p->losses));
    report_put(r, o, "sequences", report_number(p->sequences));
    return o;
}

json_t *forward_part_json(report *r, const part_measure *p)
{
    json_t *const o = json_object();
    report_put(r, o, "part", report_text(part_names[p->part]));
    report_put(r, o, "layer", p->layer < 0 ? json_null() : json_integer(p->layer));
    report_put(r, o, "claim", report_text(p->defined ? "definition" : "other"));
    report_put(r, o, "error", report_real(p->error));
    report_put(r, o, "ideal_error", report_real(p->ideal_error));
    report_put(r, o, "distance", report_real(p->distance));
    report_put(r, o, "versus_error", report_real(p->versus_error));
    return o;
}

static json_t *parts_json(report *r, const forward_variant *f)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < f->part_count; i++) {
        report_append(r, list, forward_part_json(r, &f->parts[i]));
    }
    return list;
}

static json_t *coverage_json(report *r, const forward_report *found)
{
    const coverage *const c = &found->coverage;
    json_t *const o = json_object();
    json_t *const layers = json_array();
    for (unsigned i = 0; i < c->layers && c->experts > 0; i++) {
        report_append(r, layers,
                      model_has_experts(&found->config, i) ? report_number(c->layer_chosen[i])
                                                           : json_null());
    }
    report_put(r, o, "experts", report_number(c->experts));
    report_put(r, o, "experts_chosen", report_number(c->chosen));
    report_put(r, o, "layers", layers);
    report_put(r, o, "embedding_rows", report_number(c->rows));
    report_put(r, o, "embedding_rows_read", report_number(c->rows_read));
    report_put(r, o, "tensors", report_number(c->tensors));
    report_put(r, o, "tensors_unread", report_number(c->unread));
    report_put(r, o, "expert_tensors_unread", report_number(c->unread_experts));
    report_put(r, o, "bytes", report_number(c->bytes));
    report_put(r, o, "bytes_unread", report_number(c->unread_bytes));
    report_put(r, o, "first_unread", report_text(c->first_unread));
    return o;
}

static json_t *form_json(report *r, const forward_report *found, const forward_variant *f)
{
    json_t *const o = json_object();
    json_t *const layers = json_array();
    for (unsigned i = 0; i < found->config.layers; i++) {
        report_append(r, layers, layer_json(r, found, f, i));
    }
    report_put(r, o, "activations", report_text(f->fp8 ? "fp8" : "f32"));
    const bool same = found->ideal == IDEAL_PACKED;
    report_put(r, o, "summary", summary_json(r, &f->logits[SIDE_PACKED].summary));
    report_put(r, o, "ideal", logits_json(r, &f->logits[same ? SIDE_PACKED : SIDE_IDEAL]));
    report_put(r, o, "versus", logits_json(r, &f->logits[SIDE_VERSUS]));
    report_put(r, o, "paired", paired_json(r, &f->with_ideal));
    report_put(r, o, "versus_paired", paired_json(r, &f->with_versus));
    report_put(r, o, "parts", parts_json(r, f));
    report_put(r, o, "layers", layers);
    report_put(r, o, "positions", positions_json(r, found, f));
    return o;
}

json_t *forward_json(report *r, const forward_subject *s, const forward_report *found)
{
    json_t *const o = json_object();
    json_t *const forms = json_array();
    json_t *const slopes = json_array();
    for (unsigned f = 0; f < found->variant_count; f++) {
        report_append(r, forms, form_json(r, found, &found->variants[f]));
    }
    for (unsigned i = 0; i < 2; i++) {
        report_append(r, slopes, report_text(forward_slope_name(s->slopes[i])));
    }
    report_put(r, o, "against", report_text(s->against));
    report_put(r, o, "reference", report_text(s->reference));
    report_put(r, o, "versus", report_text(s->versus));
    report_put(r, o, "sequences", report_number(found->sequences));
    report_put(r, o, "length", report_number(found->length));
    report_put(r, o, "ideal",
               found->ideal == IDEAL_NONE
                   ? json_null()
                   : report_text(found->ideal == IDEAL_PACKED ? "packed" : "source"));
    report_put(r, o, "coverage", coverage_json(r, found));
    report_put(r, o, "tokens_dropped", report_number(s->tokens_dropped));
    report_put(r, o, "all_text_read", s->text ? json_boolean(s->text_ended) : json_null());
    report_put(r, o, "slopes", slopes);
    report_put(r, o, "modes_equal",
               found->modes_compared ? json_boolean(found->unequal_layer < 0) : json_null());
    report_put(r, o, "embedding_rms", report_real(found->embedding_rms));
    report_put(r, o, "source_bytes_read", report_number(found->bytes_read[SIDE_SOURCE]));
    report_put(r, o, "packed_bytes_read", report_number(found->bytes_read[SIDE_PACKED]));
    report_put(r, o, "seconds", report_real(s->seconds));
    report_put(r, o, "variants", forms);
    return o;
}
