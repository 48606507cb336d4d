#include "verify/forward/measure.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "format/base/num.h"
#include "verify/forward/interval.h"
#include "verify/ops/float64.h"

enum { PIECE = 256 /* exponentials that are computed together */ };

/* ---- one position ---------------------------------------------- */

/* A compensated sum (Kahan): the rounding errors of a plain sum over 200,000 tokens are larger than
 * a small divergence. */
typedef struct chain {
    double sum;
    double excess; /* how much too large rounding made the sum */
} chain;

static void chain_add(chain *c, double x)
{
    const double term = x - c->excess;
    const double next = c->sum + term;
    c->excess = (next - c->sum) - term;
    c->sum = next;
}

/* Insertion sort. Tokens arrive in ascending order and move only before smaller logits, so that of
 * equal logits the lower token comes first. */
static void find_top(measure_row *s)
{
    const float *const z = s->z;
    for (size_t v = 0; v < s->vocab; v++) {
        if (s->top_count == MEASURE_TOP && !(z[v] > z[s->top[MEASURE_TOP - 1]])) {
            continue;
        }
        size_t at = s->top_count < MEASURE_TOP ? s->top_count++ : MEASURE_TOP - 1;
        for (; at > 0 && z[v] > z[s->top[at - 1]]; at--) {
            s->top[at] = s->top[at - 1];
        }
        s->top[at] = v;
    }
    s->max = z[s->top[0]];
}

static void sum_exponentials(const softmax_kernel *k, measure_row *s)
{
    chain c = {0};
    double terms[PIECE];
    for (size_t at = 0; at < s->vocab; at += PIECE) {
        const size_t count = num_min(PIECE, s->vocab - at);
        k->exponentials(s->z + at, count, s->max, 0, terms);
        for (size_t i = 0; i < count; i++) {
            chain_add(&c, terms[i]);
        }
    }
    s->sum = c.sum;
}

measure_row measure_prepare(const softmax_kernel *k, const float *z, size_t vocab)
{
    assert(vocab > 0);
    measure_row s = {.z = z, .vocab = vocab};
    find_top(&s);
    sum_exponentials(k, &s);
    return s;
}

static double negative_log_probability(const measure_row *s, int64_t v)
{
    return float64_ln(s->sum) - ((double)s->z[v] - s->max);
}

static bool same_top_set(const measure_row *a, const measure_row *b)
{
    size_t shared = 0;
    for (size_t i = 0; i < a->top_count; i++) {
        for (size_t j = 0; j < b->top_count; j++) {
            shared += a->top[i] == b->top[j];
        }
    }
    return shared == a->top_count;
}

/* The larger of the two; NAN, once found, stays. */
static double worse(double so_far, double found)
{
    return found > so_far || isnan(found) ? found : so_far;
}

/* log p - log q is the difference of two logits minus the difference of the normalizers. The latter
 * is computed once for all tokens, so nothing large cancels in the sum. */
static void compare(const softmax_kernel *k, const measure_row *a, const measure_row *b,
                    position_measure *out)
{
    const double log_sum = float64_ln(a->sum);
    const double normalizer = (a->max - b->max) + float64_ln(a->sum / b->sum);
    double p[PIECE];
    chain kl = {0};
    double sum = 0;
    double max = 0;
    for (size_t v = 0; v < a->vocab; v++) {
        if (v % PIECE == 0) {
            k->exponentials(a->z + v, num_min(PIECE, a->vocab - v), a->max, log_sum, p);
        }
        const double difference = (double)a->z[v] - (double)b->z[v];
        chain_add(&kl, p[v % PIECE] * (difference - normalizer));
        sum += fabs(difference);
        max = worse(max, fabs(difference));
    }
    out->kl = kl.sum;
    out->mean_difference = sum / (double)a->vocab;
    out->max_difference = max;
    out->top1 = a->top[0] == b->top[0];
    out->top5 = same_top_set(a, b);
}

void measure_position(const softmax_kernel *k, const measure_row *source, const measure_row *packed,
                      int64_t target, position_measure *out)
{
    assert(target < 0 || (uint64_t)target < source->vocab);
    *out = (position_measure){.kl = NAN,
                              .max_difference = NAN,
                              .mean_difference = NAN,
                              .source_nll = NAN,
                              .packed_nll = NAN,
                              .choice_kl = NAN,
                              .compared = packed != NULL,
                              .scored = target >= 0};
    if (out->scored) {
        out->source_nll = negative_log_probability(source, target);
    }
    if (packed) {
        compare(k, source, packed, out);
        if (out->scored) {
            out->packed_nll = negative_log_probability(packed, target);
        }
    }
}

double measure_divergence(const softmax_kernel *k, const measure_row *source,
                          const measure_row *packed)
{
    position_measure m;
    compare(k, source, packed, &m);
    return m.kl;
}

/* ---- all positions --------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    if (isnan(x) || isnan(y)) {
        return (isnan(x) ? 1 : 0) - (isnan(y) ? 1 : 0);
    }
    return (x > y) - (x < y);
}

/* The value of rank ceil(n * per_mille / 1000), counted from 1. */
static double nearest_rank(const double *sorted, size_t n, size_t per_mille)
{
    return sorted[n - n * (1000 - per_mille) / 1000 - 1];
}

/* `kl`: the divergences of all compared positions, n > 0; sorts them. */
static void summarize_divergence(double *kl, size_t n, position_summary *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += kl[i];
    }
    out->kl_mean = sum / (double)n;
    qsort(kl, n, sizeof *kl, compare_doubles);
    out->kl_median = nearest_rank(kl, n, 500);
    out->kl_p99 = nearest_rank(kl, n, 990);
    out->kl_p999 = nearest_rank(kl, n, 999);
    out->kl_max = kl[n - 1];
}

/* Everything that compares logits except the divergences, which are collected in `kl`. */
static void summarize_logits(const position_measure *p, size_t count, double *kl,
                             position_summary *out)
{
    size_t top1 = 0;
    size_t top5 = 0;
    double sum = 0;
    double choice = 0;
    double max = 0;
    for (size_t i = 0; i < count; i++) {
        if (!p[i].compared) {
            continue;
        }
        kl[out->compared++] = p[i].kl;
        top1 += p[i].top1;
        top5 += p[i].top5;
        choice += p[i].choice_kl; /* NAN without experts */
        sum += p[i].mean_difference;
        max = worse(max, p[i].max_difference);
    }
    const double n = (double)out->compared; /* 0 / 0 is NAN */
    out->kl_choice = choice / n;
    out->top1 = (double)top1 / n;
    out->top5 = (double)top5 / n;
    out->logit_mean_difference = sum / n;
    out->logit_max_difference = out->compared ? max : NAN;
}

static size_t index_of(const position_measure *p, size_t count, double kl)
{
    for (size_t i = 0; i < count; i++) {
        if (p[i].compared && (p[i].kl == kl || (isnan(kl) && isnan(p[i].kl)))) {
            return i;
        }
    }
    return 0;
}

static void summarize_perplexity(const position_measure *p, size_t count, position_summary *out)
{
    double source = 0;
    double packed = 0;
    for (size_t i = 0; i < count; i++) {
        if (p[i].scored) {
            out->scored++;
            source += p[i].source_nll;
            packed += p[i].packed_nll;
        }
    }
    out->source_perplexity = float64_exp(source / (double)out->scored);
    out->packed_perplexity = float64_exp(packed / (double)out->scored);
    out->perplexity_ratio = out->packed_perplexity / out->source_perplexity;
}

/* Everything that a position contributes to: `count` of them. */
static err_code summarize_positions(const position_measure *p, size_t count, position_summary *out,
                                    err *e)
{
    double *const kl = calloc(count + 1, sizeof *kl);
    if (!kl) {
        return err_set(e, ERR_MEMORY, "no memory for the measures of %zu positions", count);
    }
    summarize_logits(p, count, kl, out);
    if (out->compared > 0) {
        summarize_divergence(kl, out->compared, out);
        out->kl_max_index = index_of(p, count, out->kl_max);
        out->kl_routing = out->kl_mean - out->kl_choice;
    }
    summarize_perplexity(p, count, out);
    free(kl);
    return OK;
}

/* ---- by sequence ----------------------------------------------- */

/* One sequence: means over the positions that are compared, the last over those that are also
 * scored. NAN if there are none. */
typedef struct sequence_means {
    double kl, top1;
    double nll_difference; /* packed - source */
} sequence_means;

static sequence_means average(const position_measure *p, size_t length)
{
    double kl = 0;
    double nll = 0;
    size_t top1 = 0;
    size_t compared = 0;
    size_t scored = 0;
    for (size_t i = 0; i < length; i++) {
        if (!p[i].compared) {
            continue;
        }
        compared++;
        kl += p[i].kl;
        top1 += p[i].top1;
        if (p[i].scored) {
            scored++;
            nll += p[i].packed_nll - p[i].source_nll;
        }
    }
    const double n = (double)compared; /* 0 / 0 is NAN */
    return (sequence_means){kl / n, (double)top1 / n, nll / (double)scored};
}

/* `x`: memory for three numbers of each sequence. */
static err_code summarize_sequences(const position_measure *p, size_t sequences, size_t length,
                                    const monitor *m, double *x, position_summary *out, err *e)
{
    double *const top1 = x + sequences;
    double *const nll = top1 + sequences;
    interval i;
    for (size_t s = 0; s < sequences; s++) {
        const sequence_means found = average(p + s * length, length);
        x[s] = found.kl;
        top1[s] = found.top1;
        nll[s] = found.nll_difference;
    }
    TRY(interval_of(x, sequences, m, &i, e));
    out->kl_standard_error = i.standard_error;
    out->kl_low = i.low;
    out->kl_high = i.high;
    TRY(interval_of(top1, sequences, m, &i, e));
    out->top1_low = i.low;
    out->top1_high = i.high;
    TRY(interval_of(nll, sequences, m, &i, e));
    out->perplexity_ratio_low = float64_exp(i.low);
    out->perplexity_ratio_high = float64_exp(i.high);
    return OK;
}

err_code measure_summarize(const position_measure *p, size_t sequences, size_t length,
                           const monitor *m, position_summary *out, err *e)
{
    *out = (position_summary){.kl_mean = NAN,
                              .kl_median = NAN,
                              .kl_p99 = NAN,
                              .kl_p999 = NAN,
                              .kl_max = NAN,
                              .kl_routing = NAN};
    TRY(summarize_positions(p, sequences * length, out, e));
    double *const x = calloc(3 * sequences + 1, sizeof *x);
    if (!x) {
        return err_set(e, ERR_MEMORY, "no memory for the measures of %zu sequences", sequences);
    }
    const err_code code = summarize_sequences(p, sequences, length, m, x, out, e);
    free(x);
    return code;
}

/* ---- hidden states --------------------------------------------- */

static void add_pair(hidden_sums *s, double a, double b)
{
    s->difference_sq += (b - a) * (b - a);
    s->source_sq += a * a;
    s->packed_sq += b * b;
    s->product += a * b;
}

void hidden_sums_add(hidden_sums *s, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_pair(s, (double)a[i], (double)b[i]);
    }
}

void hidden_sums_add_increment(hidden_sums *s, const float *x, const float *a_out,
                               const float *b_out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_pair(s, (double)a_out[i] - (double)x[i], (double)b_out[i] - (double)x[i]);
    }
}

/* In float64, (a_within - x) + (a_out - a_within): the order for both sides. */
void hidden_sums_add_increments(hidden_sums *s, const float *x, const float *a_within,
                                const float *a_out, const float *b_within, const float *b_out,
                                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double within = (double)a_within[i];
        add_pair(s, (within - (double)x[i]) + ((double)a_out[i] - within),
                 ((double)b_within[i] - (double)x[i]) + ((double)b_out[i] - within));
    }
}

void hidden_sums_join(hidden_sums *s, const hidden_sums *other)
{
    s->difference_sq += other->difference_sq;
    s->source_sq += other->source_sq;
    s->packed_sq += other->packed_sq;
    s->product += other->product;
}

double hidden_relative_rms(const hidden_sums *s)
{
    /* Equal states give 0, even if they are zero (0 / 0). A sum that is NAN is not 0. */
    return s->difference_sq == 0 ? 0 : sqrt(s->difference_sq) / sqrt(s->source_sq);
}

double hidden_cosine(const hidden_sums *s)
{
    if (s->source_sq == 0 || s->packed_sq == 0) {
        return s->source_sq == s->packed_sq ? 1 : 0;
    }
    return s->product / sqrt(s->source_sq * s->packed_sq);
}
