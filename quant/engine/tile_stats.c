#include "quant/tile/tile.h"

#include <math.h>

#include "quant/engine/tile_rule.h"
#include "format/tensor/e4m3.h"

void slice_stats_add(slice_stats *s, const tile_stats *tiles, const float *scales, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const tile_stats *t = &tiles[i];
        s->amax = t->amax > s->amax ? t->amax : s->amax;
        s->scale_min = scales[i] < s->scale_min ? scales[i] : s->scale_min;
        s->scale_max = scales[i] > s->scale_max ? scales[i] : s->scale_max;
        s->saturated += t->saturated;
        s->zero += t->zero;
        s->flushed += t->flushed;
        double square = (double)scales[i] * (double)scales[i];
        s->sum_sq_source += (double)t->sum_y2 * square;
        s->sum_sq_error += (double)t->sum_d2 * square;
    }
}

uint32_t stats_count_saturated(const float *x, uint32_t count, const tile_rule *rule)
{
    uint32_t saturated = 0;
    for (uint32_t i = 0; i < count; i++) {
        saturated += dialect_quotient(fabsf(x[i]), rule->step, rule->by) >= E4M3_SATURATED;
    }
    return saturated;
}

double stats_sqnr(double sum_sq_source, double sum_sq_error)
{
    return sum_sq_error > 0 ? 10 * log10(sum_sq_source / sum_sq_error) : (double)NAN;
}
