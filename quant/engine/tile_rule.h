/* The scale and the codes of a tile in each dialect, that is, as another quantizer computes them, bit
 * for bit (spec/quant.md section 7).
 *
 *     const tile_rule r = dialect_rule(DIALECT_LINGHE, SCALES_F32, DTYPE_BF16, amax);
 *     y = dialect_quotient(x, r.step, r.by);
 *     code = e4m3_encode(dialect_narrow(y, r.step));     and r.scale is stored
 *
 * For DIALECT_IEEE these are sections 2 and 3. Compiles as C11 and as CUDA C++17. */
#ifndef TILE_RULE_H
#define TILE_RULE_H

#include "format/tensor/dialect_id.h"
#include "format/tensor/float_bits.h"
#include "quant/tile/reciprocal.h"
#include "quant/tile/scale.h"
#include "quant/tile/tile.h"

/* fl32(1/448), by which PyTorch on CUDA and Triton multiply instead of dividing by 448. */
#define RECIPROCAL_448 (float_from_bits(0x3b124925u))

/* ---- rounding to 16 bits, to nearest, ties to even ------------- */

SHARED_FN float round_to_bf16(float x)
{
    const uint32_t bits = float_bits(x);
    return float_from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

/* For magnitudes below 2^15. As in e4m3_round, adding a power of two whose last bit is worth one step
 * of F16 rounds to that step, which near x is 2^(E-10), 2^E being the power of two at or below |x|,
 * at least 2^-14. */
SHARED_FN float round_to_f16(float x)
{
    const uint32_t bits = float_bits(x) & 0x7fffffffu;
    const uint32_t power = bits & 0x7f800000u;
    const float shift = float_from_bits((power > 113u << 23 ? power : 113u << 23) + (13u << 23));
    const float rounded = (float_from_bits(bits) + shift) - shift;
    return float_from_bits(float_bits(rounded) | (float_bits(x) & 0x80000000u));
}

SHARED_FN float round_to_source(float x, dtype source)
{
    return source == DTYPE_BF16 ? round_to_bf16(x) : source == DTYPE_F16 ? round_to_f16(x) : x;
}

/* ---- powers of two --------------------------------------------- */

/* The least power of two >= x, for normal x: carry into the exponent, drop the mantissa. */
SHARED_FN float power_above(float x)
{
    return float_from_bits((float_bits(x) + 0x7fffff) & 0xff800000u);
}

/* 2^ceil(l) with l = log2(x) rounded to float32; x normal. The logarithm of a float a little above
 * 2^k rounds to k: of n steps above, n / (2^23 ln 2) has to be less than half the distance of
 * floats above k, which is 2^(j-24), 2^j being the power of two of k, or of -k - 1 where k is
 * negative. That is n <= 22 / 2^(6-j), rounded down. */
SHARED_FN float power_above_by_log(float x)
{
    const uint32_t bits = float_bits(x);
    const int32_t k = (int32_t)(bits >> 23) - 127;
    uint32_t unseen = 22;
    for (int32_t size = k < 0 ? -k - 1 : k; size < 64 && unseen > 0; size = 2 * size + 1) {
        unseen /= 2;
    }
    return (bits & 0x7fffff) <= unseen ? float_from_bits(bits & 0xff800000u) : power_above(x);
}

/* ---- the rule of a tile ---------------------------------------- */

SHARED_FN tile_rule rule_of(float scale, tile_step step, float by)
{
    const tile_rule r = {scale, by, step};
    return r;
}

SHARED_FN tile_rule rule_deepgemm(scale_format scales, float amax)
{
    const float s = (amax > 1e-4f ? amax : 1e-4f) * RECIPROCAL_448;
    const float scale = scales == SCALES_UE8M0 ? power_above(s) : s;
    return rule_of(scale, STEP_MULTIPLY, 1 / scale);
}

SHARED_FN tile_rule rule_transformers(scale_format scales, float amax)
{
    const float s = amax > 0 ? amax * RECIPROCAL_448 : 1;
    const float scale = scales == SCALES_UE8M0 ? power_above_by_log(s > 0x1p-126f ? s : 0x1p-126f)
                        : s == 0               ? 1
                                               : s;
    return rule_of(scale, STEP_DIVIDE, scale);
}

/* A quotient that is too large is replaced by the largest finite number of the source type. */
SHARED_FN tile_rule rule_transformer_engine(scale_format scales, dtype source, float amax)
{
    const float quotient = E4M3_MAX / amax;
    const float most = float_from_bits(source == DTYPE_BF16 ? 0x7f7f0000u : 0x7f7fffffu);
    const float factor = amax == 0 ? 1 : quotient <= 0x1.fffffep127f ? quotient : most;
    const uint32_t kept = scales == SCALES_UE8M0 ? 0xff800000u : 0xffffffffu;
    const float by = float_from_bits(float_bits(factor) & kept);
    return rule_of(1 / by, STEP_MULTIPLY, by);
}

SHARED_FN tile_rule rule_compressed_tensors(dtype source, float amax)
{
    const float s = round_to_source(amax * RECIPROCAL_448, source);
    const float epsilon = source == DTYPE_BF16  ? 0x1p-7f
                          : source == DTYPE_F16 ? 0x1p-10f
                                                : 0x1p-23f;
    const float scale = s == 0 ? epsilon : s;
    const tile_step step = source == DTYPE_BF16  ? STEP_DIVIDE_BF16
                           : source == DTYPE_F16 ? STEP_DIVIDE_F16
                                                 : STEP_DIVIDE;
    return rule_of(scale, step, scale);
}

SHARED_FN tile_rule rule_linghe(scale_format scales, float amax)
{
    const float s = amax * RECIPROCAL_448;
    const float floored = s > 1e-30f ? s : 1e-30f;
    if (scales == SCALES_UE8M0) {
        const float scale = power_above_by_log(floored);
        return rule_of(scale, STEP_MULTIPLY, 1 / scale);
    }
    const uint32_t offset =
        s > 1e-30f ? reciprocal_offset(amax) : (uint32_t)RECIPROCAL_OFFSET_LEAST;
    return rule_of(floored, STEP_MULTIPLY, float_from_bits(float_bits(1 / floored) + offset));
}

/* The rule for a tile. `amax` is finite and >= 0; the combination of dialect, scales and source is
 * one that dialect_lacks (format/tensor/dialect_id.h) returns NULL for. */
SHARED_FN tile_rule dialect_rule(pack_dialect d, scale_format scales, dtype source, float amax)
{
    switch (d) {
    case DIALECT_DEEPGEMM:
        return rule_deepgemm(scales, amax);
    case DIALECT_TRANSFORMERS:
        return rule_transformers(scales, amax);
    case DIALECT_TRANSFORMER_ENGINE:
        return rule_transformer_engine(scales, source, amax);
    case DIALECT_COMPRESSED_TENSORS:
        return rule_compressed_tensors(source, amax);
    case DIALECT_LINGHE:
        return rule_linghe(scales, amax);
    default: {
        const float scale = scale_from_amax(amax, scales);
        return rule_of(scale, STEP_DIVIDE, scale);
    }
    }
}

/* The y of spec/quant.md section 5. */
SHARED_FN float dialect_quotient(float x, tile_step step, float by)
{
    return step == STEP_MULTIPLY ? x * by : x / by;
}

/* The number that is rounded to a code. Some tools first limit it to +-448; rounding to E4M3
 * saturates there anyway. */
SHARED_FN float dialect_narrow(float y, tile_step step)
{
    return step == STEP_DIVIDE_BF16  ? round_to_bf16(y)
           : step == STEP_DIVIDE_F16 ? round_to_f16(y)
                                     : y;
}

#endif
