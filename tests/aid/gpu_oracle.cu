/* The reference that GPU tests compare the quantizing kernel with: spec/quant.md taken literally,
 * one thread per tile; and helpers that generate and compare gigabytes on the device. */
#include <stdint.h>

#include "gpu/quantize/quantize.h"
#include "gpu/quantize/rounding.cuh"
#include "quant/engine/tile_rule.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/widen.h"

/* After this kernel the device computes nothing more for this process. */
extern "C" __global__ void fail()
{
    asm("trap;");
}

/* Fill words with random elements: random bits masked by `keep`, plus `set`. */
extern "C" __global__ void fill_random(uint32_t *words, uint64_t count, uint64_t seed,
                                       uint32_t keep, uint32_t set)
{
    const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        words[i] = ((uint32_t)(z >> 32) & keep) + set;
    }
}

extern "C" __global__ void count_different(const uint32_t *a, const uint32_t *b, uint64_t count,
                                           unsigned long long *different)
{
    const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        if (a[i] != b[i]) {
            atomicAdd(different, 1ull);
        }
    }
}

/* For every float32 y except NaNs: the paired conversions against format/tensor/e4m3.h. */
extern "C" __global__ void try_all_floats(unsigned long long *different)
{
    const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < 1ull << 32; i += step) {
        const float y = float_from_bits((uint32_t)i);
        if (isnan(y)) {
            continue;
        }
        const uint8_t code = e4m3_encode(y);
        const rounded_pair low = round_pair(y, 1);
        const rounded_pair high = round_pair(1, y);
        const bool same = low.codes == (0x3800u | code) &&
                          high.codes == (0x38u | (uint32_t)code << 8) &&
                          float_bits(low.x) == float_bits(e4m3_decode(code)) &&
                          float_bits(high.y) == float_bits(e4m3_decode(code));
        if (!same) {
            atomicAdd(different, 1ull);
        }
    }
}

/* Every mantissa of a 16-bit source (`mantissa_bits`: 7 or 10) divided by every mantissa of a
 * scale. */
extern "C" __global__ void try_all_quotients(uint32_t mantissa_bits, unsigned long long *different)
{
    const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    const uint64_t count = 1ull << (23 + mantissa_bits);
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const uint32_t mantissa = (uint32_t)(i >> 23) << (23 - mantissa_bits);
        const float x = float_from_bits(0x3f800000u | mantissa);
        const float scale = float_from_bits(0x3b800000u | (uint32_t)(i & 0x7fffff));
        const divisor d = {scale, 1 / scale};
        if (float_bits(quotient<bf16_source>(x, d)) != float_bits(x / scale)) {
            atomicAdd(different, 1ull);
        }
    }
}

/* ---- the definition -------------------------------------------- */

__device__ static float element_at(const unsigned char *from, uint64_t index, uint32_t bytes,
                                   bool half)
{
    if (bytes == 4) {
        return ((const float *)from)[index];
    }
    const uint16_t h = ((const uint16_t *)from)[index];
    return half ? f16_widen(h) : bf16_widen(h);
}

struct slow_tile {
    const unsigned char *from;
    uint32_t bytes;
    bool half;
    uint32_t rows, cols, pitch;

    /* The element at a row and column of the tile; +0 outside a clipped tile. */
    __device__ float at(uint32_t row, uint32_t col) const
    {
        return row < rows && col < cols ? element_at(from, (uint64_t)row * pitch + col, bytes, half)
                                        : 0;
    }
};

/* v(row, col) of section 5: y*y, or d*d. */
__device__ static float square_at(const slow_tile &t, const tile_rule &r, bool error, uint32_t row,
                                  uint32_t col)
{
    const float y = dialect_quotient(t.at(row, col), r.step, r.by);
    const float d = error ? y - e4m3_decode(e4m3_encode(dialect_narrow(y, r.step))) : y;
    return d * d;
}

__device__ static float sum_of_squares(const slow_tile &t, const tile_rule &r, bool error)
{
    float column[TILE];
    for (uint32_t j = 0; j < TILE; j++) {
        column[j] = 0;
        for (uint32_t h = 0; h < 16; h++) {
            float lane[2];
            for (uint32_t k = 0; k < 2; k++) {
                const uint32_t l = 2 * h + k;
                lane[k] = square_at(t, r, error, l, j);
                for (uint32_t row = l + 32; row < TILE; row += 32) {
                    lane[k] = lane[k] + square_at(t, r, error, row, j);
                }
            }
            column[j] = column[j] + (lane[0] + lane[1]);
        }
    }
    for (uint32_t w = 64; w > 0; w /= 2) {
        for (uint32_t j = 0; j < w; j++) {
            column[j] = column[j] + column[j + w];
        }
    }
    return column[0];
}

/* Quantize the tiles of a launch, one thread per tile. `bytes`: of an element; `half`: F16. */
extern "C" __global__ void quantize_slowly(gpu_launch launch, uint32_t bytes, uint32_t half)
{
    const uint32_t tile = launch.first + blockIdx.x * blockDim.x + threadIdx.x;
    if (tile >= launch.end) {
        return;
    }
    const gpu_tile place = launch.tiles[tile];
    const slow_tile t = {
        launch.in + place.in_off, bytes, half != 0, place.rows, place.cols, place.pitch};
    tile_stats s = {};
    for (uint32_t i = 0; i < t.rows * t.cols; i++) {
        const float x = fabsf(t.at(i / t.cols, i % t.cols));
        s.amax = x > s.amax ? x : s.amax;
        s.zero += x == 0;
    }
    const dtype source = bytes == 4 ? DTYPE_F32 : half ? DTYPE_F16 : DTYPE_BF16;
    const tile_rule r =
        dialect_rule((pack_dialect)launch.dialect, (scale_format)launch.scale, source, s.amax);
    for (uint32_t i = 0; i < t.rows * t.cols; i++) {
        const float x = t.at(i / t.cols, i % t.cols);
        const float y = dialect_quotient(x, r.step, r.by);
        const uint8_t code = e4m3_encode(dialect_narrow(y, r.step));
        s.saturated += fabsf(y) >= E4M3_SATURATED;
        s.flushed += x != 0 && (code & 0x7f) == 0;
        launch.out[place.out_off + (uint64_t)(i / t.cols) * t.pitch + i % t.cols] = code;
    }
    s.sum_y2 = sum_of_squares(t, r, false);
    s.sum_d2 = sum_of_squares(t, r, true);
    launch.scales[tile] = r.scale;
    launch.stats[tile] = s;
}
