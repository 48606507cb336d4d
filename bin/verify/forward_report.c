#include "bin/verify/forward_report.h"

#include <math.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"

/* ---- text ------------------------------------------------------ */

static const char *slope_name(slope_form s)
{
    static const char *const words[] = {
#define X(name, word) word,
        SLOPE_LIST(X)
#undef X
    };
    return words[s];
}

static const char *activations_name(const forward_form *f)
{
    return f->fp8 ? "fp8" : "float32";
}

static void print_head(const forward_subject *s, const forward_report *found)
{
    shown time;
    char other[256];
    printf("forward: %zu sequence%s of %zu token%s", found->sequences, text_s(found->sequences),
           found->length, text_s(found->length));
    if (s->tokens_left > 0) {
        printf(" (%zu more left out)", s->tokens_left);
    }
    if (s->against || s->reference) {
        snprintf(other, sizeof other, "%s", s->against ? s->against : s->reference);
        text_mask(other);
        printf(", compared with %s", other);
    }
    printf(" in %s\n", text_seconds(time.s, s->seconds));
    if (found->modes_compared) {
        printf("  prefill and decode: %s\n",
               found->unequal_layer < 0 ? "the same bits" : "different bits");
    }
}

/* The last token of a sequence has no next one: sequences of one token tell no perplexity. */
static void print_perplexity(const position_summary *p)
{
    if (p->scored == 0) {
        printf("no perplexity");
    } else if (p->compared == 0) {
        printf("perplexity %.4g over %zu positions", p->source_perplexity, p->scored);
    } else {
        printf("perplexity %.4g -> %.4g", p->source_perplexity, p->packed_perplexity);
    }
}

static void print_divergence(const forward_report *found, const position_summary *p)
{
    printf("KL %.3g", p->kl_mean);
    if (!isnan(p->kl_standard_error)) {
        printf(" +- %.1g", p->kl_standard_error);
    }
    printf(", median %.3g, p99 %.3g, p99.9 %.3g, max %.3g at sequence %zu, token %zu\n",
           p->kl_median, p->kl_p99, p->kl_p999, p->kl_max, p->kl_max_index / found->length,
           p->kl_max_index % found->length);
    printf("    top-1 %.2f %%, top-5 %.2f %%, ", 100 * p->top1, 100 * p->top5);
}

/* What the logits of one form say. */
static void print_summary(const forward_report *found, const forward_form *f)
{
    const position_summary *const p = &f->summary;
    printf("  %s activations: ", activations_name(f));
    if (p->compared > 0) {
        print_divergence(found, p);
    }
    print_perplexity(p);
    if (p->compared > 0) {
        printf(", logits differ by %.3g on average, %.3g at most", p->logit_mean_difference,
               p->logit_max_difference);
    }
    putchar('\n');
}

/* An empty cell stands for a number that does not apply. */
static void cell(table *t, double x)
{
    if (isnan(x)) {
        table_cell(t, "%s", "");
    } else {
        table_cell(t, "%.3g", x);
    }
}

static void cell_fixed(table *t, double x, int decimals, const char *unit)
{
    if (isnan(x)) {
        table_cell(t, "%s", "");
    } else {
        table_cell(t, "%.*f%s", decimals, x, unit);
    }
}

static const char *kind_name(const forward_report *found, unsigned layer)
{
    return model_layer_kind(&found->config, layer) == LAYER_LINEAR ? "linear" : "softmax";
}

static void put_layer(table *t, const forward_report *found, const forward_form *f, unsigned i)
{
    const layer_measure *const m = &f->layers[i];
    table_cell(t, "%u", i);
    table_cell(t, "%s", kind_name(found, i));
    cell(t, m->local_error);
    if (found->has_reference) {
        cell(t, m->other_slope_error);
    }
    cell(t, m->hidden_rms);
    cell_fixed(t, m->hidden_cosine, 6, "");
    cell_fixed(t, 100 * m->router_agreement, 2, " %");
}

static err_code print_layers(const forward_report *found, const forward_form *f, err *e)
{
    static const char *const names[] = {"layer",      "kind",   "local error", "other slope",
                                        "hidden RMS", "cosine", "same experts"};
    table t;
    table_start(&t, found->has_reference ? "rlrrrrr" : "rlrrrr");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (i != 3 || found->has_reference) {
            table_cell(&t, "%s", names[i]);
        }
    }
    for (unsigned i = 0; i < found->config.layers; i++) {
        put_layer(&t, found, f, i);
    }
    putchar('\n');
    const bool printed = table_print(&t, stdout);
    const bool failed = !printed && t.failed;
    table_free(&t);
    return failed ? err_set(e, ERR_MEMORY, "no memory for a table") : OK;
}

/* Which form of slopes is nearer to the reference, over all linear layers? */
static void print_slopes(const forward_subject *s, const forward_report *found)
{
    double ours = 0;
    double other = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < found->config.layers; i++) {
        const layer_measure *const m = &found->forms[0].layers[i];
        if (!isnan(m->other_slope_error)) {
            ours += m->local_error;
            other += m->other_slope_error;
            count++;
        }
    }
    if (count == 0) {
        return;
    }
    const slope_form others = s->slopes[0] == SLOPE_TRAINED ? SLOPE_HF : SLOPE_TRAINED;
    printf(
        "  slopes: %s fits better; mean local error of linear layers %.3g with %s, %.3g with %s\n",
        slope_name(other < ours ? others : s->slopes[0]), ours / count, slope_name(s->slopes[0]),
        other / count, slope_name(others));
}

err_code forward_print(const forward_subject *s, const forward_report *found, err *e)
{
    err_code code = OK;
    print_head(s, found);
    if (!isnan(found->embedding_rms)) {
        printf("  embeddings: relative RMS %.3g\n", found->embedding_rms);
    }
    if (found->has_reference) {
        print_slopes(s, found);
    }
    for (unsigned f = 0; f < found->form_count && code == OK; f++) {
        print_summary(found, &found->forms[f]);
        if (s->against || found->has_reference) {
            code = print_layers(found, &found->forms[f], e);
        }
    }
    return code;
}

/* ---- JSON ------------------------------------------------------ */

static json_t *layer_json(report *r, const forward_report *found, const forward_form *f, unsigned i)
{
    const layer_measure *const m = &f->layers[i];
    json_t *const o = json_object();
    report_put(r, o, "layer", report_number(i));
    report_put(r, o, "kind", report_text(kind_name(found, i)));
    report_put(r, o, "local_error", report_real(m->local_error));
    report_put(r, o, "hidden_rms", report_real(m->hidden_rms));
    report_put(r, o, "hidden_cosine", report_real(m->hidden_cosine));
    report_put(r, o, "router_agreement", report_real(m->router_agreement));
    if (found->has_reference) {
        report_put(r, o, "other_slope_error", report_real(m->other_slope_error));
    }
    return o;
}

static json_t *summary_json(report *r, const position_summary *p)
{
    const struct {
        const char *key;
        double value;
    } reals[] = {
        {"kl_mean", p->kl_mean},
        {"kl_standard_error", p->kl_standard_error},
        {"kl_median", p->kl_median},
        {"kl_p99", p->kl_p99},
        {"kl_p999", p->kl_p999},
        {"kl_max", p->kl_max},
        {"top1", p->top1},
        {"top5", p->top5},
        {"logit_mean_difference", p->logit_mean_difference},
        {"logit_max_difference", p->logit_max_difference},
        {"source_perplexity", p->source_perplexity},
        {"packed_perplexity", p->packed_perplexity},
        {"perplexity_ratio", p->perplexity_ratio},
    };
    json_t *const o = json_object();
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        report_put(r, o, reals[i].key, report_real(reals[i].value));
    }
    report_put(r, o, "compared", report_number(p->compared));
    report_put(r, o, "scored", report_number(p->scored));
    report_put(r, o, "kl_max_index", report_number(p->kl_max_index));
    return o;
}

/* Every position, as one array for each number. */
static json_t *positions_json(report *r, const forward_report *found, const forward_form *f)
{
    json_t *const o = json_object();
    json_t *const kl = json_array();
    json_t *const top1 = json_array();
    json_t *const source = json_array();
    json_t *const packed = json_array();
    for (size_t i = 0; i < found->sequences * found->length; i++) {
        const position_measure *const p = &f->positions[i];
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

static json_t *form_json(report *r, const forward_report *found, const forward_form *f)
{
    json_t *const o = json_object();
    json_t *const layers = json_array();
    for (unsigned i = 0; i < found->config.layers; i++) {
        report_append(r, layers, layer_json(r, found, f, i));
    }
    report_put(r, o, "activations", report_text(f->fp8 ? "fp8" : "f32"));
    report_put(r, o, "summary", summary_json(r, &f->summary));
    report_put(r, o, "layers", layers);
    report_put(r, o, "positions", positions_json(r, found, f));
    return o;
}

json_t *forward_json(report *r, const forward_subject *s, const forward_report *found)
{
    json_t *const o = json_object();
    json_t *const forms = json_array();
    json_t *const slopes = json_array();
    for (unsigned f = 0; f < found->form_count; f++) {
        report_append(r, forms, form_json(r, found, &found->forms[f]));
    }
    for (unsigned i = 0; i < 2; i++) {
        report_append(r, slopes, report_text(slope_name(s->slopes[i])));
    }
    report_put(r, o, "against", report_text(s->against));
    report_put(r, o, "reference", report_text(s->reference));
    report_put(r, o, "sequences", report_number(found->sequences));
    report_put(r, o, "length", report_number(found->length));
    report_put(r, o, "tokens_left", report_number(s->tokens_left));
    report_put(r, o, "slopes", slopes);
    report_put(r, o, "modes_equal",
               found->modes_compared ? json_boolean(found->unequal_layer < 0) : json_null());
    report_put(r, o, "embedding_rms", report_real(found->embedding_rms));
    report_put(r, o, "source_bytes_read", report_number(found->bytes_read[0]));
    report_put(r, o, "packed_bytes_read", report_number(found->bytes_read[1]));
    report_put(r, o, "seconds", report_real(s->seconds));
    report_put(r, o, "forms", forms);
    return o;
}
