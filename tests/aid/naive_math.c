#include <math.h>
#include <string.h>

#include "tests/aid/naive_parts.h"

enum { LANES = 32 };

/* ---- section 3 ------------------------------------------------- */

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float naive_exp(float x)
{
    if (isnan(x)) {
        return float_of(0x7fc00000);
    }
    float c = x > 89 ? 89 : x;
    c = c < -104 ? -104 : c;
    const float m = fmaf(c, 0x1.715476p0f, 12582912);
    const float n = m - 12582912;
    const int k = (int)((int64_t)bits_of(m) - 0x4b400000);
    float r = fmaf(n, -0x1.62e43p-1f, c);
    r = fmaf(n, 0x1.05c61p-29f, r);
    float p = 0x1.6850e4p-10f;
    p = fmaf(p, r, 0x1.123bccp-7f);
    p = fmaf(p, r, 0x1.555b98p-5f);
    p = fmaf(p, r, 0x1.55548ep-3f);
    p = fmaf(p, r, 0x1.fffff8p-2f);
    p = fmaf(p, r, 1);
    p = fmaf(p, r, 1);
    const int a = k >= 0 ? k / 2 : -((1 - k) / 2); /* rounded down */
    const int b = k - a;
    return p * ldexpf(1, a) * ldexpf(1, b);
}

float naive_sigmoid(float x)
{
    return 1 / (1 + naive_exp(-x));
}

float naive_silu(float x)
{
    return x * naive_sigmoid(x);
}

/* ---- section 4 ------------------------------------------------- */

static float add_lanes(float lane[LANES])
{
    for (int h = LANES / 2; h >= 1; h /= 2) {
        for (int l = 0; l < h; l++) {
            lane[l] = lane[l] + lane[l + h];
        }
    }
    return lane[0];
}

float naive_sum32(const float *x, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        lane[i % LANES] = lane[i % LANES] + x[i];
    }
    return add_lanes(lane);
}

float naive_sumsq32(const float *x, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        lane[i % LANES] = fmaf(x[i], x[i], lane[i % LANES]);
    }
    return add_lanes(lane);
}

/* ---- section 2, and spec/quant.md sections 2 and 3 ------------- */

void naive_e4m3_table(naive *o)
{
    for (int code = 0; code <= E4M3_LARGEST; code++) {
        const int exponent = code >> 3;
        const int mantissa = code & 7;
        o->e4m3[code] = exponent > 0 ? ldexpf((float)(8 + mantissa), exponent - 10)
                                     : ldexpf((float)mantissa, -9);
    }
}

float naive_e4m3_value(const naive *o, uint8_t code)
{
    const float magnitude = o->e4m3[code & 0x7f];
    return code & 0x80 ? -magnitude : magnitude;
}

/* The code whose value is nearest to y: all are tried. Distances are exact in double where they
 * are compared closely. */
uint8_t naive_e4m3_nearest(const naive *o, float y)
{
    int best = 0;
    for (int code = 1; code <= E4M3_LARGEST; code++) {
        const double distance = fabs((double)o->e4m3[code] - fabs((double)y));
        const double least = fabs((double)o->e4m3[best] - fabs((double)y));
        if (distance < least || (distance == least && code % 2 == 0)) {
            best = code;
        }
    }
    return (uint8_t)(signbit(y) ? best | 0x80 : best);
}

float naive_tile_scale(float amax, bool pow2)
{
    if (amax == 0) {
        return 1;
    }
    const float scale = amax / 448 > 0x1p-126f ? amax / 448 : 0x1p-126f;
    if (!pow2) {
        return scale;
    }
    float power = 0x1p-126f;
    while (power < scale) {
        power = power * 2;
    }
    return power;
}

static float f16_value(uint32_t bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const int mantissa = (int)(bits & 1023);
    assert(exponent < 31); /* finite */
    const double magnitude =
        exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return (float)(bits >> 15 ? -magnitude : magnitude);
}

uint8_t naive_weight_code(const weight *w, size_t row, size_t col)
{
    return ((const uint8_t *)w->data)[row * w->cols + col];
}

float naive_weight_scale(const weight *w, size_t row, size_t col)
{
    const size_t across = (w->cols + NAIVE_GROUP - 1) / NAIVE_GROUP;
    return w->scales[row / NAIVE_GROUP * across + col / NAIVE_GROUP];
}

float naive_weight_value(const naive *o, const weight *w, size_t row, size_t col)
{
    const size_t i = row * w->cols + col;
    switch (w->type) {
    case DTYPE_BF16:
        return float_of((uint32_t)((const uint16_t *)w->data)[i] << 16);
    case DTYPE_F16:
        return f16_value(((const uint16_t *)w->data)[i]);
    case DTYPE_F32:
        return ((const float *)w->data)[i];
    default:
        assert(w->type == DTYPE_F8_E4M3 && w->scales);
        return naive_e4m3_value(o, naive_weight_code(w, row, col)) *
               naive_weight_scale(w, row, col);
    }
}
