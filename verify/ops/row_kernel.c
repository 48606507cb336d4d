#include "verify/ops/row_kernel.h"

#include <math.h>

#include "verify/ops/elementary.h"
#include "verify/ops/lane_sum.h"

/* An output that is also an input is exactly the same row, so loops may be vectorized. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

static void add(float *x, const float *y, size_t n)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        x[i] = x[i] + y[i];
    }
}

static void add_weighted(float *x, float factor, const float *y, size_t n)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        x[i] = fmaf(factor, y[i], x[i]);
    }
}

static void sigmoid(const float *x, size_t n, float *y)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = elementary_sigmoid(x[i]);
    }
}

static void silu(const float *x, size_t n, float *y)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = elementary_silu(x[i]);
    }
}

static void silu_mul(const float *x, const float *up, size_t n, float *y)
{
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = elementary_silu(x[i]) * up[i];
    }
}

static float root_mean_square(const float *x, size_t n, float eps)
{
    return sqrtf(sumsq32(x, n) / (float)n + eps);
}

static void norm(const float *x, size_t n, const float *w, float eps, float *y)
{
    const float r = root_mean_square(x, n, eps);
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] / r * w[i];
    }
}

static void gate(const float *x, size_t n, const float *w, float eps, const float *g, float *y)
{
    const float r = root_mean_square(x, n, eps);
    INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] / r * w[i] * elementary_sigmoid(g[i]);
    }
}

static void rope(float *x, size_t half, const float *cos, const float *sin)
{
    float *const high = x + half;
    INDEPENDENT
    for (size_t j = 0; j < half; j++) {
        const float a = x[j];
        const float b = high[j];
        x[j] = a * cos[j] - b * sin[j];
        high[j] = b * cos[j] + a * sin[j];
    }
}

static void rope_interleaved(float *x, size_t half, const float *cos, const float *sin)
{
    INDEPENDENT
    for (size_t j = 0; j < half; j++) {
        const float a = x[2 * j];
        const float b = x[2 * j + 1];
        x[2 * j] = a * cos[j] - b * sin[j];
        x[2 * j + 1] = b * cos[j] + a * sin[j];
    }
}

const row_kernel LEVELLED(row_kernel) = {
    LEVEL_NAME, add, add_weighted, sigmoid, silu, silu_mul, norm, gate, rope, rope_interleaved,
};
