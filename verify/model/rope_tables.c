#include "verify/model/rope_tables.h"

#include <math.h>

/* ---- decay ----------------------------------------------------- */

/* Element `h` of the geometric series for a power of two of heads. */
static long double slope_of_power(unsigned heads, unsigned h)
{
    return exp2l(-8.0L * (h + 1) / heads);
}

/* For other numbers of heads: first the series of the next lower power of two, then every other
 * element of the series of the next higher one, as ALiBi does. */
static long double base_slope(unsigned heads, unsigned h)
{
    unsigned power = 1;
    while (2 * power <= heads) {
        power *= 2;
    }
    return h < power ? slope_of_power(power, h) : slope_of_power(2 * power, 2 * (h - power));
}

void model_decay(const model_config *c, slope_form form, unsigned layer, float *decay)
{
    const long double number = (long double)layer - (form == SLOPE_HF ? 1 : 0);
    const long double depth = c->layers > 1 ? number / (c->layers - 1) : 0;
    const long double factor = 1 - depth + 1e-5L;
    for (unsigned h = 0; h < c->heads; h++) {
        decay[h] = (float)expl(-base_slope(c->heads, h) * factor);
    }
}

/* ---- rotary embedding ------------------------------------------ */

/* The channel whose wave makes `turns` turns over the original length. */
static long double yarn_channel(const model_config *c, double turns)
{
    const long double two_pi = 6.283185307179586476925286766559L;
    return c->rotary_dim * logl(c->yarn_original / (turns * two_pi)) / (2 * logl(c->rope_theta));
}

/* How much channel pair j is interpolated: 0 leaves a fast wave as it is, 1 stretches it fully. */
static long double yarn_ramp(const model_config *c, unsigned j)
{
    const long double low = fmaxl(floorl(yarn_channel(c, c->yarn_beta_fast)), 0);
    long double high = fminl(ceill(yarn_channel(c, c->yarn_beta_slow)), c->rotary_dim - 1.0L);
    high += high == low ? 0.001L : 0;
    return fminl(fmaxl((j - low) / (high - low), 0), 1);
}

static long double frequency(const model_config *c, unsigned j)
{
    const long double f = powl(c->rope_theta, -2.0L * j / c->rotary_dim);
    if (!c->yarn) {
        return f;
    }
    const long double ramp = yarn_ramp(c, j);
    return f * (ramp / c->yarn_factor + 1 - ramp);
}

static long double amplitude(const model_config *c)
{
    if (!c->yarn) {
        return 1;
    }
    if (!isnan(c->yarn_attention)) {
        return c->yarn_attention;
    }
    return c->yarn_factor <= 1 ? 1 : 0.1L * logl(c->yarn_factor) + 1;
}

void model_rope(const model_config *c, size_t positions, float *cos, float *sin)
{
    const unsigned half = c->rotary_dim / 2;
    const long double a = amplitude(c);
    for (unsigned j = 0; j < half; j++) {
        const long double f = frequency(c, j);
        for (size_t p = 0; p < positions; p++) {
            cos[p * half + j] = (float)(a * cosl(p * f));
            sin[p * half + j] = (float)(a * sinl(p * f));
        }
    }
}

size_t model_max_positions(const model_config *c)
{
    const double stretched = c->yarn ? c->yarn_factor * c->yarn_original : 0;
    const size_t most = (size_t)fmin(stretched, MODEL_MAX_POSITIONS);
    return most > c->max_positions ? most : c->max_positions;
}
