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

static bool same_score(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

void part_add_scores(part_tally *t, forward_side side, const float *source, const float *out,
                     size_t n)
{
    hidden_sums *const s = &t->sums[side];
    t->measured[side] = true;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(source[i]) && isfinite(out[i])) {
            hidden_sums_add(s, &source[i], &out[i], 1);
        } else if (!same_score(source[i], out[i])) {
            s->difference_sq = INFINITY;
        }
    }
}

void part_add_score_distance(part_tally *t, const float *packed, const float *ideal, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (isfinite(packed[i]) && isfinite(ideal[i])) {
            part_add_distance(t, &packed[i], &ideal[i], 1);
        } else if (!same_score(packed[i], ideal[i])) {
            t->distance_sq = INFINITY;
        }
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
        .judged = ideal_is_packed || t->measured[SIDE_IDEAL],
    };
}

/* NAN, which is no measure of anything, is never below a bound. */
bool part_at_fault(const part_measure *p)
{
    if (!p->judged) {
        return false;
    }
    return p->defined ? !(p->distance <= 0) : !(p->error <= PART_TOLERANCE * p->ideal_error);
}
