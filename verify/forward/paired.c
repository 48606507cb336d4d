#include "verify/forward/paired.h"

#include <math.h>
#include <stdlib.h>

typedef struct sequence_sums {
    double kl, top1, nll;
} sequence_sums;

static sequence_sums sum(const position_measure *p, size_t length)
{
    sequence_sums s = {0};
    for (size_t i = 0; i < length; i++) {
        s.kl += p[i].kl;
        s.top1 += p[i].top1;
        s.nll += p[i].scored ? p[i].packed_nll : 0;
    }
    return s;
}

/* The differences of all sequences: kl, top1 and nll after each other in `to` [3, sequences]. */
static void subtract(const position_measure *a, const position_measure *b, size_t length,
                     double *to, paired *out)
{
    const size_t n = out->sequences;
    for (size_t s = 0; s < n; s++) {
        const sequence_sums x = sum(a + s * length, length);
        const sequence_sums y = sum(b + s * length, length);
        to[s] = (x.kl - y.kl) / (double)length;
        to[n + s] = (x.top1 - y.top1) / (double)length;
        to[2 * n + s] = (x.nll - y.nll) / ((double)length - 1); /* 0 / 0 is NAN: one token */
        out->wins += x.kl < y.kl;
        out->losses += x.kl > y.kl;
    }
}

err_code paired_of(const position_measure *a, const position_measure *b, size_t sequences,
                   size_t length, const monitor *m, paired *out, err *e)
{
    err_code code = OK;
    *out = (paired){.sequences = sequences};
    double *const differences = calloc(3 * sequences + 1, sizeof *differences);
    if (!differences) {
        return err_set(e, ERR_MEMORY, "no memory for the measures of %zu sequences", sequences);
    }
    subtract(a, b, length, differences, out);
    TRY_OUT(interval_of(differences, sequences, m, &out->kl, e));
    TRY_OUT(interval_of(differences + sequences, sequences, m, &out->top1, e));
    TRY_OUT(interval_of(differences + 2 * sequences, sequences, m, &out->nll, e));
out:
    free(differences);
    return code;
}

bool paired_is_judged(const paired *p)
{
    return p->sequences >= INTERVAL_JUDGED_FROM;
}

/* If all values are equal, the interval is this value, and if not, it has a width. */
static bool is_zero(const interval *i)
{
    return i->mean == 0 && !(i->standard_error > 0);
}

bool paired_is_equal(const paired *p)
{
    return is_zero(&p->kl) && is_zero(&p->top1) && (isnan(p->nll.mean) || is_zero(&p->nll));
}

bool paired_is_worse(const paired *p)
{
    return interval_is_worse(&p->kl, p->sequences, 1) ||
           interval_is_worse(&p->top1, p->sequences, -1) ||
           (!isnan(p->nll.mean) && interval_is_worse(&p->nll, p->sequences, 1));
}
