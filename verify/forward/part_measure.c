#include "verify/forward/part_measure.h"

#include <math.h>

const char *const part_names[MODEL_PARTS] = {
    [PART_EMBEDDING] = "embedding", [PART_ATTENTION] = "attention",
    [PART_ROUTER] = "router",       [PART_MLP] = "mlp",
    [PART_HEAD] = "head",
};

void part_add(part_tally *t, forward_side side, const float *x, const float *source,
              const float *out, size_t n)
{
    t->measured[side] = true;
    if (x) {
        hidden_sums_add_increment(&t->sums[side], x, source, out, n);
    } else {
        hidden_sums_add(&t->sums[side], source, out, n);
    }
}

void part_add_sums(part_tally *t, forward_side side, const hidden_sums *sums, size_t count)
{
    t->measured[side] = true;
    for (size_t i = 0; i < count; i++) {
        hidden_sums_join(&t->sums[side], &sums[i]);
    }
}

/* The two increments have the same input, so their difference is that of the outputs. */
void part_add_distance(part_tally *t, const float *packed, const float *ideal, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)packed[i] - (double)ideal[i];
        t->distance_sq += difference * difference;
    }
}

static double error_of(const part_tally *t, forward_side side)
{
    return t->measured[side] ? hidden_relative_rms(&t->sums[side]) : NAN;
}

static double distance_of(const part_tally *t)
{
    const hidden_sums sums = {.difference_sq = t->distance_sq,
                              .source_sq = t->sums[SIDE_PACKED].source_sq};
    return t->measured[SIDE_IDEAL] ? hidden_relative_rms(&sums) : NAN;
}

part_measure part_result(const part_tally *t, model_part part, int64_t layer, bool ideal_is_packed)
{
    const double error = error_of(t, SIDE_PACKED);
    return (part_measure){
        .part = part,
        .layer = layer,
        .defined = !t->undefined,
        .error = error,
        .ideal_error = ideal_is_packed ? error : error_of(t, SIDE_IDEAL),
        .distance = ideal_is_packed ? 0 : distance_of(t),
        .versus_error = error_of(t, SIDE_VERSUS),
    };
}

/* NAN, which is no measure of anything, is never below a bound. */
bool part_at_fault(const part_measure *p)
{
    if (isnan(p->ideal_error)) {
        return false;
    }
    return p->defined ? !(p->distance <= 0) : !(p->error <= PART_TOLERANCE * p->ideal_error);
}
