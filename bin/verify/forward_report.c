#include "bin/verify/forward_report.h"

#include <math.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "format/base/printable.h"

/* ---- text ------------------------------------------------------ */

typedef struct shown_metric {
    char text[32];
} shown_metric;

static const char *slope_name(slope_form s)
{
    static const char *const words[] = {
#define X(name, word) word,
        SLOPE_LIST(X)
#undef X
    };
    return words[s];
}

static const char *activations_name(const forward_variant *f)
{
    return f->fp8 ? "fp8" : "float32";
}

static void print_head(const forward_subject *s, const forward_report *found)
{
    shown time;
    char other[256];
    printf("forward: %zu sequence%s of %zu token%s", found->sequences, text_s(found->sequences),
           found->length, text_s(found->length));
    if (s->tokens_dropped > 0) {
        printf(" (%zu more not used)", s->tokens_dropped);
    }
    if (s->against || s->reference) {
        printable(other, sizeof other, s->against ? s->against : s->reference);
        printf(", compared with %s", other);
    }
    printf(" in %s\n", text_seconds(time.s, s->seconds));
    if (found->modes_compared) {
        printf("  prefill and decode: %s\n",
               found->unequal_layer < 0 ? "bit for bit equal" : "different");
    }
}

/* The last token of a sequence has no next token to predict, so sequences of one token have no
 * perplexity. */
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

/* A number in the form of its metric; empty if it does not apply. */
static const char *show(shown_metric *to, metric m, double x)
{
    switch (isnan(x) ? -1 : (int)metrics[m].form) {
    case FORM_SHORT:
        snprintf(to->text, sizeof to->text, "%.3g", x);
        break;
    case FORM_SIX:
        snprintf(to->text, sizeof to->text, "%.6f", x);
        break;
    case FORM_PERCENT:
        snprintf(to->text, sizeof to->text, "%.2f %%", 100 * x);
        break;
    default:
        to->text[0] = '\0';
    }
    return to->text;
}

/* The metrics with a heading: divergences up to the maximum and its position, then on another line
 * the metrics after it. */
static void print_divergence(const forward_report *found, const position_summary *p)
{
    const char *before = ", ";
    printf("KL %.3g", p->kl_mean);
    if (!isnan(p->kl_standard_error)) {
        printf(" +- %.1g", p->kl_standard_error);
    }
    for (metric m = 0; m < METRIC_COUNT; m++) {
        shown_metric value;
        if (metrics[m].scope != SCOPE_SUMMARY || !metrics[m].heading[0]) {
            continue;
        }
        printf("%s%s %s", before, metrics[m].heading, show(&value, m, metric_of_summary(m, p)));
        before = ", ";
        if (m == METRIC_KL_MAX) {
            printf(" at sequence %zu, token %zu", p->kl_max_index / found->length,
                   p->kl_max_index % found->length);
            before = "\n    ";
        }
    }
    printf(", ");
}

/* One form: all that is measured on logits. */
static void print_summary(const forward_report *found, const forward_variant *f)
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

static const char *kind_name(const forward_report *found, unsigned layer)
{
    return model_layer_kind(&found->config, layer) == LAYER_LINEAR ? "linear" : "softmax";
}

/* True if reports have the metric for each layer. */
static bool is_shown(const forward_report *found, metric m)
{
    const metric_scope scope = metrics[m].scope;
    const bool experts = model_count_experts(&found->config, found->config.layers) > 0;
    return scope == SCOPE_LAYER || (scope == SCOPE_ROUTER && experts) ||
           (scope == SCOPE_SLOPES && found->has_reference && model_has_linear(&found->config));
}

static void put_heading(table *t, const forward_report *found)
{
    table_cell(t, "layer");
    table_cell(t, "kind");
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (is_shown(found, m)) {
            table_cell(t, "%s", metrics[m].heading);
        }
    }
}

static void put_layer(table *t, const forward_report *found, const forward_variant *f, unsigned i)
{
    table_cell(t, "%u", i);
    table_cell(t, "%s", kind_name(found, i));
    for (metric m = 0; m < METRIC_COUNT; m++) {
        shown_metric value;
        if (is_shown(found, m)) {
            table_cell(t, "%s", show(&value, m, metric_of_layer(m, &f->layers[i])));
        }
    }
}

static err_code print_layers(const forward_report *found, const forward_variant *f, err *e)
{
    char align[2 + METRIC_COUNT + 1] = "rl";
    size_t columns = 2;
    for (metric m = 0; m < METRIC_COUNT; m++) {
        align[columns] = 'r';
        columns += is_shown(found, m);
    }
    align[columns] = '\0';
    table t;
    table_start(&t, align);
    put_heading(&t, found);
    for (unsigned i = 0; i < found->config.layers; i++) {
        put_layer(&t, found, f, i);
    }
    putchar('\n');
    return table_finish(&t, e);
}

/* Print which form of slopes is nearer to the reference, over all linear layers. */
static void print_slopes(const forward_subject *s, const forward_report *found)
{
    double ours = 0;
    double other = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < found->config.layers; i++) {
        const layer_measure *const m = &found->variants[0].layers[i];
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
    print_head(s, found);
    if (!isnan(found->embedding_rms)) {
        printf("  embeddings: relative RMS %.3g\n", found->embedding_rms);
    }
    if (found->has_reference) {
        print_slopes(s, found);
    }
    for (unsigned f = 0; f < found->variant_count; f++) {
        print_summary(found, &found->variants[f]);
        if (s->against || found->has_reference) {
            TRY(print_layers(found, &found->variants[f], e));
        }
    }
    return OK;
}

/* ---- JSON ------------------------------------------------------ */

static json_t *layer_json(report *r, const forward_report *found, const forward_variant *f,
                          unsigned i)
{
    json_t *const o = json_object();
    report_put(r, o, "layer", report_number(i));
    report_put(r, o, "kind", report_text(kind_name(found, i)));
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (is_shown(found, m)) {
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

static json_t *form_json(report *r, const forward_report *found, const forward_variant *f)
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
    for (unsigned f = 0; f < found->variant_count; f++) {
        report_append(r, forms, form_json(r, found, &found->variants[f]));
    }
    for (unsigned i = 0; i < 2; i++) {
        report_append(r, slopes, report_text(slope_name(s->slopes[i])));
    }
    report_put(r, o, "against", report_text(s->against));
    report_put(r, o, "reference", report_text(s->reference));
    report_put(r, o, "sequences", report_number(found->sequences));
    report_put(r, o, "length", report_number(found->length));
    report_put(r, o, "tokens_dropped", report_number(s->tokens_dropped));
    report_put(r, o, "slopes", slopes);
    report_put(r, o, "modes_equal",
               found->modes_compared ? json_boolean(found->unequal_layer < 0) : json_null());
    report_put(r, o, "embedding_rms", report_real(found->embedding_rms));
    report_put(r, o, "source_bytes_read", report_number(found->bytes_read[0]));
    report_put(r, o, "packed_bytes_read", report_number(found->bytes_read[1]));
    report_put(r, o, "seconds", report_real(s->seconds));
    report_put(r, o, "variants", forms);
    return o;
}
