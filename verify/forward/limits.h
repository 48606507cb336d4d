/* Limits: when is a packed model good enough? (spec/forward.md section 9)
 *
 *     limits l;
 *     limits_default(&l);
 *     limits_read(path, &l, e);                    changes only the limits that the file names
 *     limit_failures failures = {0};
 *     limits_judge(&l, LIMITS_F32, METRIC_LOCAL_ERROR, per_layer, 0, layer_count, &failures, e);
 *     limits_judge(&l, LIMITS_F32, METRIC_KL_MEAN, &summary.kl_mean, -1, 1, &failures, e);
 *     ... failures.count == 0: all limits are met
 *     limit_failures_free(&failures);
 *
 * Judging changes only the list, so one `limits` may be used by several threads. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "verify/forward/metric.h"

typedef enum limits_activations { LIMITS_F32, LIMITS_FP8, LIMITS_ACTIVATIONS } limits_activations;

typedef struct limits {
    double bounds[LIMITS_ACTIVATIONS][METRIC_COUNT]; /* NAN: no limit */
} limits;

void limits_default(limits *l);

/* Replace the limits in *l that a file of limits names; null removes a limit. An error leaves *l
 * unchanged: ERR_IO, ERR_MEMORY; ERR_INPUT not a file of limits, an unknown key or metric, a value
 * that is not a number, negative, or a minimum above 1. */
MUST_CHECK err_code limits_read(const char *path, limits *l, err *e);

/* The same for a text; `what` names it in messages. */
MUST_CHECK err_code limits_parse(limits *l, const char *what, const char *text, size_t bytes,
                                 err *e);

typedef struct limit_failure {
    metric of;
    int64_t layer; /* -1: of the whole model */
    double measured, limit;
} limit_failure;

/* Starts at zero. */
typedef struct limit_failures {
    limit_failure *items;
    size_t count, capacity;
} limit_failures;

/* Judge the values of `count` layers from `first_layer` on, or one value of the whole model with
 * first_layer -1, and add the failures to the list. A value equal to the limit passes; NAN fails
 * every limit. ERR_MEMORY. */
MUST_CHECK err_code limits_judge(const limits *l, limits_activations a, metric m,
                                 const double *measured, int64_t first_layer, size_t count,
                                 limit_failures *out, err *e);

void limit_failures_free(limit_failures *f);

#endif
