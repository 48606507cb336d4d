#include "bin/verify/forward_report.h"

#include <inttypes.h>
#include <math.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "format/base/printable.h"

/* ---- text ------------------------------------------------------ */

typedef struct shown_metric {
    char text[32];
} shown_metric;

const char *forward_slope_name(slope_form s)
{
    static const char *const words[] = {
#define X(name, word) word,
        SLOPE_LIST(X)
#undef X
    };
    return words[s];
}

const char *forward_activations(const forward_variant *f)
{
    return f->fp8 ? "fp8" : "float32";
}

static void print_head(const forward_subject *s, const forward_report *found)
{
    shown time;
    char other[256];
    printf("forward: %zu sequence%s of %zu token%s", found->sequences, text_s(found->sequences),
           found->length, text_s(found->length));
    if (found->sequences < s->sequences) {
        printf(", of %zu: interrupted", s->sequences);
    }
    const bool unread = s->text && !s->text_ended;
    if (s->tokens_dropped > 0) {
        printf(" (%zu more not used%s)", s->tokens_dropped, unread ? ", other texts not read" : "");
    } else if (unread) {
        printf(" (other texts not read)");
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
    if (found->sequences >= INTERVAL_JUDGED_FROM) { /* of fewer, it promises too much */
        printf(" [%.3g, %.3g]", p->kl_low, p->kl_high);
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

static void print_difference(const char *before, const interval *i)
{
    printf("%s%.2g", before, i->mean);
    if (!isnan(i->standard_error)) {
        printf(" +- %.1g", i->standard_error);
    }
}

/* Differences of two models by sequence. */
static void print_paired(const paired *p, const char *what)
{
    printf("    %s: ", what);
    print_difference("KL ", &p->kl);
    print_difference(", top-1 ", &p->top1);
    if (!isnan(p->nll.mean)) {
        print_difference(", log perplexity ", &p->nll);
    }
    if (!paired_is_judged(p)) {
        printf(" (not judged: fewer than %d sequences)", INTERVAL_JUDGED_FROM);
    }
    putchar('\n');
}

/* Which of the two is nearer to the source, if that is more than chance. */
static const char *winner(const paired *p)
{
    interval turned = p->kl;
    turned.mean = -turned.mean;
    if (paired_is_equal(p)) {
        return "the two are equal";
    }
    return !paired_is_judged(p)                         ? "too few sequences to tell"
           : interval_is_worse(&p->kl, p->sequences, 1) ? "the other file is nearer to the source"
           : interval_is_worse(&turned, p->sequences, 1)
               ? "this file is nearer to the source"
               : "neither is clearly nearer to the source";
}

static void print_versus(const forward_subject *s, const forward_variant *f)
{
    const paired *const p = &f->with_versus;
    const interval *const kl = &p->kl;
    char other[256];
    printf("    versus %s: KL %.3g; ", printable(other, sizeof other, s->versus),
           f->logits[SIDE_VERSUS].summary.kl_mean);
    print_difference("difference ", kl);
    if (paired_is_judged(p)) {
        printf(" [%.2g, %.2g]", kl->low, kl->high);
    }
    printf("; nearer in %zu of %zu sequences, farther in %zu: %s\n", p->wins, p->sequences,
           p->losses, winner(p));
}

/* One form: all that is measured on logits. */
static void print_summary(const forward_subject *s, const forward_report *found,
                          const forward_variant *f)
{
    const position_summary *const p = &f->logits[SIDE_PACKED].summary;
    printf("  %s activations: ", forward_activations(f));
    if (p->compared > 0) {
        print_divergence(found, p);
    }
    print_perplexity(p);
    if (p->compared > 0) {
        printf(", logits differ by %.3g on average, %.3g at most", p->logit_mean_difference,
               p->logit_max_difference);
    }
    putchar('\n');
    if (!isnan(p->kl_choice)) {
        printf("    of this KL, weights %.3g, other experts %.3g\n", p->kl_choice, p->kl_routing);
    }
    if (f->with_ideal.sequences > 0 && !paired_is_equal(&f->with_ideal)) {
        print_paired(&f->with_ideal, "packed - ideal");
    }
    if (f->with_versus.sequences > 0) {
        print_versus(s, f);
    }
}

const char *forward_layer_kind(const forward_report *found, unsigned layer)
{
    return model_layer_kind(&found->config, layer) == LAYER_LINEAR ? "linear" : "softmax";
}

static bool has_experts(const forward_report *found)
{
    return model_count_experts(&found->config, found->config.layers) > 0;
}

bool forward_shows(const forward_report *found, metric m)
{
    const metric_scope scope = metrics[m].scope;
    const bool experts = has_experts(found);
    return scope == SCOPE_LAYER || (scope == SCOPE_ROUTER && experts) ||
           (scope == SCOPE_SLOPES && found->has_reference && model_has_linear(&found->config));
}

/* The parts of a layer that a table shows: with the error of the ideal file, if it is another. */
static const model_part layer_parts[] = {PART_ATTENTION, PART_ROUTER, PART_MLP};

enum { LAYER_PARTS = sizeof layer_parts / sizeof layer_parts[0] };

static bool shows_part(const forward_report *found, const forward_variant *f, model_part part)
{
    return f->part_count > 0 && (part != PART_ROUTER || has_experts(found));
}

static void put_part(table *t, const part_measure *p)
{
    if (isnan(p->ideal_error) || p->ideal_error == p->error) {
        table_cell(t, "%.3g", p->error);
    } else {
        table_cell(t, "%.3g (%.3g)", p->error, p->ideal_error);
    }
}

/* The parts of the layer begin at *next, which goes on to those of the following layer. */
static void put_parts(table *t, const forward_report *found, const forward_variant *f,
                      const part_measure **next)
{
    for (unsigned i = 0; i < LAYER_PARTS; i++) {
        if (!shows_part(found, f, layer_parts[i])) {
            continue;
        }
        if ((*next)->part == layer_parts[i]) {
            put_part(t, (*next)++);
        } else {
            table_cell(t, "%s", "");
        }
    }
}

static void put_heading(table *t, const forward_report *found, const forward_variant *f)
{
    table_cell(t, "layer");
    table_cell(t, "kind");
    for (unsigned i = 0; i < LAYER_PARTS; i++) {
        if (shows_part(found, f, layer_parts[i])) {
            table_cell(t, "%s", part_names[layer_parts[i]]);
        }
    }
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (forward_shows(found, m)) {
            table_cell(t, "%s", metrics[m].heading);
        }
    }
}

static void put_layer(table *t, const forward_report *found, const forward_variant *f, unsigned i,
                      const part_measure **next)
{
    table_cell(t, "%u", i);
    table_cell(t, "%s", forward_layer_kind(found, i));
    put_parts(t, found, f, next);
    for (metric m = 0; m < METRIC_COUNT; m++) {
        shown_metric value;
        if (forward_shows(found, m)) {
            table_cell(t, "%s", show(&value, m, metric_of_layer(m, &f->layers[i])));
        }
    }
}

static err_code print_layers(const forward_report *found, const forward_variant *f, err *e)
{
    char align[2 + LAYER_PARTS + METRIC_COUNT + 1] = "rl";
    size_t columns = 2;
    for (unsigned i = 0; i < LAYER_PARTS; i++) {
        align[columns] = 'r';
        columns += shows_part(found, f, layer_parts[i]);
    }
    for (metric m = 0; m < METRIC_COUNT; m++) {
        align[columns] = 'r';
        columns += forward_shows(found, m);
    }
    align[columns] = '\0';
    table t;
    table_start(&t, align);
    put_heading(&t, found, f);
    const part_measure *next = f->part_count > 0 ? &f->parts[1] : NULL; /* after the embedding */
    for (unsigned i = 0; i < found->config.layers; i++) {
        put_layer(&t, found, f, i, &next);
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
        forward_slope_name(other < ours ? others : s->slopes[0]), ours / count,
        forward_slope_name(s->slopes[0]), other / count, forward_slope_name(others));
}

static void print_end(const part_measure *p, const char *what)
{
    printf("%s %.3g", what, p->error);
    if (!isnan(p->ideal_error) && p->ideal_error != p->error) {
        printf(" (ideal %.3g)", p->ideal_error);
    }
}

/* Experts that no token chose, and tensors that were never read: nothing is known about them. */
static void print_coverage(const coverage *c)
{
    printf("  coverage: %" PRIu64 " of %" PRIu64 " rows of the embedding", c->rows_read, c->rows);
    if (c->experts > 0) {
        printf(", %" PRIu64 " of %" PRIu64 " experts", c->chosen, c->experts);
    }
    if (c->chosen < c->experts) {
        printf(" (layer %u: %u of %u)", c->least_layer, c->layer_chosen[c->least_layer],
               c->per_layer);
    }
    putchar('\n');
    if (c->unread > 0) {
        char name[256];
        printable(name, sizeof name, c->first_unread);
        printf("  never read: %" PRIu64 " tensor%s, %s%s\n", c->unread, text_s(c->unread), name,
               c->unread > 1 ? ", ..." : "");
    }
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
        print_summary(s, found, &found->variants[f]);
        if (s->against || found->has_reference) {
            TRY(print_layers(found, &found->variants[f], e));
        }
        const size_t parts = found->variants[f].part_count;
        if (parts > 0) {
            print_end(&found->variants[f].parts[0], "  embedding");
            print_end(&found->variants[f].parts[parts - 1], ", final norm and head");
            putchar('\n');
        }
    }
    print_coverage(&found->coverage);
    return OK;
}
