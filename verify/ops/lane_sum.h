/* Sums over a row in 32 lanes (spec/forward.md section 4): vectors of 4 to 32 floats all add in the
 * specified order. */
#ifndef LANE_SUM_H
#define LANE_SUM_H

#include <math.h>
#include <stddef.h>

enum { SUM_LANES = 32 };

static inline float lanes_fold(float *lane)
{
    for (size_t h = SUM_LANES / 2; h > 0; h /= 2) {
        for (size_t l = 0; l < h; l++) {
            lane[l] = lane[l] + lane[l + h];
        }
    }
    return lane[0];
}

static inline float sum32(const float *x, size_t n)
{
    float lane[SUM_LANES] = {0};
    const size_t whole = n - n % SUM_LANES;
    for (size_t i = 0; i < whole; i += SUM_LANES) {
        for (size_t l = 0; l < SUM_LANES; l++) {
            lane[l] = lane[l] + x[i + l];
        }
    }
    for (size_t l = 0; l < n - whole; l++) {
        lane[l] = lane[l] + x[whole + l];
    }
    return lanes_fold(lane);
}

static inline float sumsq32(const float *x, size_t n)
{
    float lane[SUM_LANES] = {0};
    const size_t whole = n - n % SUM_LANES;
    for (size_t i = 0; i < whole; i += SUM_LANES) {
        for (size_t l = 0; l < SUM_LANES; l++) {
            lane[l] = fmaf(x[i + l], x[i + l], lane[l]);
        }
    }
    for (size_t l = 0; l < n - whole; l++) {
        lane[l] = fmaf(x[whole + l], x[whole + l], lane[l]);
    }
    return lanes_fold(lane);
}

#endif
