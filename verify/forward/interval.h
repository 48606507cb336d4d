/* How certain a mean over sequences is (spec/forward.md section 8.2).
 *
 *     interval kl;
 *     TRY(interval_of(differences, sequences, m, &kl, e));     packed - ideal, one for each sequence
 *     if (sequences >= INTERVAL_JUDGED_FROM && interval_is_worse(&kl, sequences, +1)) ...
 *
 * The positions of a sequence depend on each other, sequences do not: statistics are over values of
 * whole sequences. Same values, same bits on every machine: the random numbers of the bootstrap are
 * specified, and each call draws the same. Calls may run in parallel. */
#ifndef INTERVAL_H
#define INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

enum {
    INTERVAL_RESAMPLES = 2000,
    INTERVAL_JUDGED_FROM = 8 /* values; from fewer no standard error is worth a verdict */
};

typedef struct interval {
    double mean;
    double standard_error; /* of the mean; NAN below two values */
    double low, high;      /* 95 % of the means of resamples are between; NAN below two values.
                              Too narrow for few values: see the specification */
} interval;

/* Of n values, in time proportional to INTERVAL_RESAMPLES * n. If all are equal, mean, low and high
 * are exactly this value, and the standard error is +0. All are NAN if n is 0, or if a value is NaN
 * or beyond +-2^480 (so that no square overflows). ERR_CANCELLED. */
MUST_CHECK err_code interval_of(const double *x, size_t n, const monitor *m, interval *out, err *e);

/* Is the mean of n paired differences worse by more than chance explains? The limit is three standard
 * errors, and for few values as many as chance exceeds as rarely (4.5 for 8). `sign`: +1 if more is
 * worse, -1 if less is worse. A mean of exactly 0 never is, nor are values that are all equal, since
 * such sequences are not independent; one that is NAN, or has no standard error, always is. Only for
 * at least INTERVAL_JUDGED_FROM differences. */
bool interval_is_worse(const interval *i, size_t n, double sign);

/* The next of the random numbers 0 … n - 1; `state` starts at 0. For tests. */
uint64_t interval_draw(uint64_t *state, uint64_t n);

#endif
