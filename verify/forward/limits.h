/* Limits: when is a packed model good enough? (spec/forward.md section 9)
 *
 *     limits l;
 *     limits_default(&l);
 *     limits_read(path, &l, e);                    only what the file names changes
 *     limit_failures failures = {0};
 *     limits_judge(&l, LIMITS_F32, METRIC_LOCAL_ERROR, per_layer, 0, layer_count, &failures, e);
 *     limits_judge(&l, LIMITS_F32, METRIC_KL_MEAN, &summary.kl_mean, -1, 1, &failures, e);
 *     ... failures.count == 0: yes
 *     limit_failures_free(&failures);
 *
 * Judging changes nothing but the list. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

/* code, name, what the limit is, default with float32 and with FP8 activations (NONE: no limit), is
 * there one value for each layer, what it is */
#define LIMIT_METRICS(X)                                                                           \
    X(METRIC_LOCAL_ERROR, local_error, MAXIMUM, 0.045, 0.061, true,                                \
      "relative error of what a layer adds")                                                       \
    X(METRIC_HIDDEN_RMS, hidden_rms, MAXIMUM, NONE, NONE, true,                                    \
      "relative RMS of the hidden states behind a layer")                                          \
    X(METRIC_HIDDEN_COSINE, hidden_cosine, MINIMUM, NONE, NONE, true,                              \
      "cosine of the hidden states behind a layer")                                                \
    X(METRIC_ROUTER_AGREEMENT, router_agreement, MINIMUM, NONE, NONE, true,                        \
      "share of tokens that go to the same experts")                                               \
    X(METRIC_KL_MEAN, kl_mean, MAXIMUM, 0.05, 0.1, false, "KL divergence, mean")                   \
    X(METRIC_KL_MEDIAN, kl_median, MAXIMUM, NONE, NONE, false, "KL divergence, median")            \
    X(METRIC_KL_P99, kl_p99, MAXIMUM, NONE, NONE, false, "KL divergence, 99th percentile")         \
    X(METRIC_KL_P999, kl_p999, MAXIMUM, NONE, NONE, false, "KL divergence, 99.9th percentile")     \
    X(METRIC_KL_MAX, kl_max, MAXIMUM, NONE, NONE, false, "KL divergence, largest")                 \
    X(METRIC_TOP1, top1, MINIMUM, 0.9, 0.85, false,                                                \
      "share of positions with the same first token")                                              \
    X(METRIC_TOP5, top5, MINIMUM, NONE, NONE, false,                                               \
      "share of positions with the same first five tokens")                                        \
    X(METRIC_PERPLEXITY_RATIO, perplexity_ratio, MAXIMUM, NONE, NONE, false,                       \
      "perplexity, packed / source")                                                               \
    X(METRIC_LOGIT_MEAN_DIFFERENCE, logit_mean_difference, MAXIMUM, NONE, NONE, false,             \
      "difference of logits, mean")                                                                \
    X(METRIC_LOGIT_MAX_DIFFERENCE, logit_max_difference, MAXIMUM, NONE, NONE, false,               \
      "difference of logits, largest")                                                             \
    X(METRIC_REFERENCE_ERROR, reference_error, MAXIMUM, 0.03, 0.03, true,                          \
      "--reference: relative error of what a layer adds")

typedef enum limit_metric {
#define X(code, name, kind, f32, fp8, per_layer, text) code,
    LIMIT_METRICS(X)
#undef X
        METRIC_COUNT
} limit_metric;

typedef enum limits_activations { LIMITS_F32, LIMITS_FP8, LIMITS_ACTIVATIONS } limits_activations;

typedef struct limits {
    double bounds[LIMITS_ACTIVATIONS][METRIC_COUNT]; /* NAN: no limit */
} limits;

const char *limit_name(limit_metric m); /* "kl_mean": in JSON, and in reports */
const char *limit_text(limit_metric m);
bool limit_is_minimum(limit_metric m); /* of a share or a cosine; the others are maxima */
bool limit_is_per_layer(limit_metric m);

void limits_default(limits *l);

/* Put what a file of limits says over *l. It is left as it was by an error: ERR_IO, ERR_MEMORY,
 * ERR_INPUT not a file of limits, unknown key or metric, a value that is no number, negative, or a
 * minimum above 1. */
MUST_CHECK err_code limits_read(const char *path, limits *l, err *e);

/* The same for a text; `what` names it in messages. */
MUST_CHECK err_code limits_parse(limits *l, const char *what, const char *text, size_t bytes,
                                 err *e);

typedef struct limit_failure {
    limit_metric metric;
    int64_t layer; /* -1: not of a layer */
    double measured, limit;
} limit_failure;

/* Starts at zero. */
typedef struct limit_failures {
    limit_failure *items;
    size_t count, room;
} limit_failures;

/* Judge `count` values of layers `first_layer` and up, or one value of the whole model with
 * first_layer -1, and add the failures to the list. A value on the limit passes; NAN fails wherever
 * there is a limit. ERR_MEMORY. */
MUST_CHECK err_code limits_judge(const limits *l, limits_activations a, limit_metric m,
                                 const double *measured, int64_t first_layer, size_t count,
                                 limit_failures *out, err *e);

void limit_failures_free(limit_failures *f);

#endif
