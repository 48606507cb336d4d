#include "verify/forward/interval.h"

#include <math.h>
#include <stdlib.h>

static const double largest = 0x1p480;

/* ---- random numbers -------------------------------------------- */

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* The high 64 bits of a * b, from halves: C11 has no integers of 128 bits. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    const uint64_t mask = UINT32_MAX;
    const uint64_t low = (a & mask) * (b & mask);
    const uint64_t cross = (a >> 32) * (b & mask) + (low >> 32);
    const uint64_t other = (a & mask) * (b >> 32) + (cross & mask);
    return (a >> 32) * (b >> 32) + (cross >> 32) + (other >> 32);
}

uint64_t interval_draw(uint64_t *state, uint64_t n)
{
    return multiply_high(splitmix64(state), n);
}

/* ---- means ----------------------------------------------------- */

/* Every sum is over differences from the first value: where all values are equal, these are 0, and
 * no rounding moves a mean away from the value. */
static double standard_error(const double *x, size_t n, double mean_difference)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = (x[i] - x[0]) - mean_difference;
        sum += difference * difference;
    }
    return sqrt(sum / (double)(n - 1)) / sqrt((double)n);
}

static err_code resample(const double *x, size_t n, uint64_t *state, const monitor *m, double *mean,
                         err *e)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(monitor_step(m, i, e));
        sum += x[interval_draw(state, n)] - x[0];
    }
    *mean = x[0] + sum / (double)n;
    return OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value of rank R * per_mille / 1000, counted from 1, which is a whole number. */
static double percentile(const double *sorted, size_t per_mille)
{
    return sorted[INTERVAL_RESAMPLES * per_mille / 1000 - 1];
}

static err_code bootstrap(const double *x, size_t n, const monitor *m, interval *out, err *e)
{
    double means[INTERVAL_RESAMPLES];
    uint64_t state = 0;
    for (size_t r = 0; r < INTERVAL_RESAMPLES; r++) {
        TRY(resample(x, n, &state, m, &means[r], e));
    }
    qsort(means, INTERVAL_RESAMPLES, sizeof *means, compare_numbers);
    out->low = percentile(means, 25);
    out->high = percentile(means, 975);
    return OK;
}

err_code interval_of(const double *x, size_t n, const monitor *m, interval *out, err *e)
{
    *out = (interval){NAN, NAN, NAN, NAN};
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(monitor_step(m, i, e));
        if (!(fabs(x[i]) <= largest)) {
            return OK;
        }
        sum += x[i] - x[0];
    }
    if (n == 0) {
        return OK;
    }
    interval found = {x[0] + sum / (double)n, NAN, NAN, NAN};
    if (n > 1) {
        found.standard_error = standard_error(x, n, sum / (double)n);
        TRY(bootstrap(x, n, m, &found, e));
    }
    *out = found;
    return OK;
}

/* ---- judging --------------------------------------------------- */

/* Of n normal values, the standard error is itself uncertain. This is the quantile of Student's
 * distribution with n - 1 degrees of freedom that has the probability of 3 in the normal one: its
 * expansion in 1 / (n - 1) (Abramowitz and Stegun 26.7.5), 0.5 % too small for n = 8. */
static double quantile(size_t n)
{
    const double v = (double)n - 1;
    return 3 + (7.5 + (17.25 + 30.1875 / v) / v) / v;
}

bool interval_is_worse(const interval *i, size_t n, double sign)
{
    const bool repeated =
        i->standard_error == 0; /* the same sequence n times says no more than once */
    return !repeated && i->mean != 0 && !(sign * i->mean <= quantile(n) * i->standard_error);
}
