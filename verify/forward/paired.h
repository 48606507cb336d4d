/* Two models compared sequence by sequence: how much better or worse one of them predicts what the
 * source predicts (spec/forward.md section 8.2). The text is the same for both, so what makes a
 * sequence hard cancels in the differences.
 *
 *     paired p;
 *     TRY(paired_of(packed_positions, ideal_positions, sequences, length, m, &p, e));
 *     if (paired_is_judged(&p) && paired_is_worse(&p)) ...
 */
#ifndef PAIRED_H
#define PAIRED_H

#include "verify/forward/interval.h"
#include "verify/forward/measure.h"

/* Differences of the means of a sequence, the first model minus the second. */
typedef struct paired {
    size_t sequences;    /* 0: nothing was compared */
    interval kl;         /* of the divergence from the source; above 0: the first is worse */
    interval top1;       /* of the share of positions that agree; below 0: the first is worse */
    interval nll;        /* of the negative log-probability of the next token; above 0: worse. All
                             NAN if no position has a next token */
    size_t wins, losses; /* sequences in which the divergence of the first is smaller; larger */
} paired;

/* Positions of both models, [sequences, length]. ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code paired_of(const position_measure *a, const position_measure *b,
                              size_t sequences, size_t length, const monitor *m, paired *out,
                              err *e);

/* Are there enough sequences for a verdict? */
bool paired_is_judged(const paired *p);

/* True if every difference of every sequence is exactly 0. */
bool paired_is_equal(const paired *p);

/* Is the first model worse than the second in one of the three, by more than chance explains? */
bool paired_is_worse(const paired *p);

#endif
