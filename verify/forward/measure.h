/* Measures that compare two models: of their logits, position by position, and of their hidden
 * states (spec/forward.md section 8).
 *
 *     for every position i:
 *         const measure_row a = measure_prepare(k, source_logits, vocab);
 *         const measure_row b = measure_prepare(k, packed_logits, vocab);
 *         measure_position(k, &a, &b, next_token, &measures[i]);
 *     measure_summarize(measures, sequences, length, m, &summary, e);
 *
 *     hidden_sums sums = {0};
 *     for every token:  hidden_sums_add(&sums, source_row, packed_row, hidden);
 *     ... hidden_relative_rms(&sums), hidden_cosine(&sums)
 *
 * Everything is computed in float64, in ascending order, with natural logarithms, exp and ln of
 * verify/ops/float64.h: the same bits on every machine. Nothing is clamped: a divergence may be some
 * 1e-17 below zero by rounding. Equal inputs give exactly +0 for every difference, and exactly 1 for every agreement
 * and cosine. Inputs should be finite; others yield NAN. Calls with different outputs may run in
 * parallel. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "verify/forward/softmax_kernel.h"

typedef struct position_measure {
    double kl;                              /* KL(source || packed) */
    double max_difference, mean_difference; /* of the logits, absolute */
    double source_nll, packed_nll;          /* -log probability of the target; NAN: no target */
    double choice_kl; /* KL with the source's choice of experts; NAN: there is no choice */
    bool compared;    /* there were logits of the packed model */
    bool scored;      /* there was a target */
    bool top1, top5;  /* the first token is the same; the set of the first
                         five is. Of equal logits the lower token is first */
} position_measure;

enum { MEASURE_TOP = 5 };

/* The logits of one model at a position: log p_v = (z_v - max) - ln sum. Read only; a row is prepared
 * once, however many others it is compared with. */
typedef struct measure_row {
    const float *z;
    size_t vocab;
    size_t top[MEASURE_TOP]; /* the tokens with the largest logits, in descending order */
    size_t top_count;
    double max, sum;
} measure_row;

/* `z`: logits [vocab], vocab > 0, which the row refers to; `k`: of any level. */
measure_row measure_prepare(const softmax_kernel *k, const float *z, size_t vocab);

/* Measure one position; both rows have the same vocab. If `packed` is NULL, only source_nll is
 * measured, and the other numbers are NAN. `target`: the next token, below vocab; negative: none. */
void measure_position(const softmax_kernel *k, const measure_row *source, const measure_row *packed,
                      int64_t target, position_measure *out);

/* KL(source || packed) alone. */
double measure_divergence(const softmax_kernel *k, const measure_row *source,
                          const measure_row *packed);

typedef struct position_summary {
    size_t compared; /* positions with both logits; if 0, numbers that compare are NAN */
    double kl_mean;
    double kl_standard_error; /* of the mean, over sequences (interval.h) */
    double kl_low, kl_high;   /* the interval of the mean */
    double kl_median, kl_p99, kl_p999;
    double kl_max;
    double kl_choice; /* mean KL with the source's choice of experts: what the weights alone do; NAN
                         without experts */
    double kl_routing;   /* kl_mean - kl_choice: what different experts add */
    size_t kl_max_index; /* the first position that has it */
    double top1, top5;   /* fractions of positions */
    double top1_low, top1_high;
    double logit_max_difference, logit_mean_difference;
    size_t scored; /* positions with a target; if 0, perplexities are NAN */
    double source_perplexity, packed_perplexity;
    double perplexity_ratio; /* packed / source */
    double perplexity_ratio_low, perplexity_ratio_high;
} position_summary;

/* Summarize the positions of `sequences` sequences of `length` tokens, in order. A divergence that is
 * NAN counts as larger than every number. Intervals and the standard error are over sequences: NAN if
 * there is only one, or nothing was compared. ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code measure_summarize(const position_measure *p, size_t sequences, size_t length,
                                      const monitor *m, position_summary *out, err *e);

/* Sums over rows; starts at zero. */
typedef struct hidden_sums {
    double difference_sq, source_sq, packed_sq, product;
} hidden_sums;

/* Add n values: a of the source, b of the packed model. */
void hidden_sums_add(hidden_sums *s, const float *a, const float *b, size_t n);

/* Add n increments a_out - x and b_out - x of a layer with input x: for the local error. */
void hidden_sums_add_increment(hidden_sums *s, const float *x, const float *a_out,
                               const float *b_out, size_t n);

/* The same for two increments after each other: of attention, x to within, and of the MLP, which gets
 * a_within as its input on both sides and adds to that. */
void hidden_sums_add_increments(hidden_sums *s, const float *x, const float *a_within,
                                const float *a_out, const float *b_within, const float *b_out,
                                size_t n);

void hidden_sums_join(hidden_sums *s, const hidden_sums *other); /* s = s + other */

/* |packed - source| / |source|. 0 if the two are equal, even if both are zero; infinite if only the
 * source is zero. */
double hidden_relative_rms(const hidden_sums *s);

/* The cosine of the angle between the two. Exactly 1 if they are equal, because the three sums are
 * then the same number, and sqrt(x * x) is x. Both zero: 1; one of them zero: 0. */
double hidden_cosine(const hidden_sums *s);

#endif
