#include "verify/rule/code_rule.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "quant/tile/reciprocal.h"

/* The quotient of two floats, rounded to float64 and then to float32, equals the quotient rounded
 * to float32 directly: float64 has 53 >= 2 x 24 + 2 bits, and a quotient of 24-bit numbers that is
 * not itself the midpoint of two floats is further from any midpoint than a rounding in float64 can
 * move it. Subnormal results have fewer bits, which leaves even more margin. */
static float divide(float a, double b)
{
    return (float)((double)a / b);
}

/* Exact in float64. */
static float multiply(float a, float b)
{
    return (float)((double)a * (double)b);
}

/* amax / 448 in dialects that multiply by the rounded reciprocal of 448. */
static float scaled_amax(float amax)
{
    return multiply(amax, (float)(1.0 / 448));
}

/* ---- rounding to 16 bits: which of the two neighbors is nearer? -- */

static float nearer(float x, float below, float above, bool below_is_odd)
{
    const float down = x - below;
    const float up = above - x;
    return up < down || (up == down && below_is_odd) ? above : below;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Round to a multiple of `step`, a power of two, in the bit pattern. */
static float round_bits(float x, uint32_t step)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t below = bits & ~(step - 1);
    return nearer(x, float_of(below), float_of(below + step), (below & step) != 0);
}

/* Round a magnitude to a 16-bit type; subnormal F16 numbers are 2^-24 apart. */
static float narrow(float x, dtype to)
{
    if (to == DTYPE_BF16) {
        return round_bits(x, 1 << 16);
    }
    if (to != DTYPE_F16 || isnan(x)) {
        return x;
    }
    if (x >= 0x1p-14f) {
        return round_bits(x, 1 << 13);
    }
    const int steps = (int)(x * 0x1p24f);
    return nearer(x, (float)steps * 0x1p-24f, (float)(steps + 1) * 0x1p-24f, steps % 2 != 0);
}

/* ---- powers of two --------------------------------------------- */

/* The smallest power of two that is at least x. */
static float power_from(float x)
{
    int exponent = 0;
    const float m = frexpf(x, &exponent); /* x = m x 2^exponent, 0.5 <= m < 1 */
    return ldexpf(1, m == 0.5f ? exponent - 1 : exponent);
}

/* The same by a logarithm rounded to float32, which hides small excesses over a power of two. */
static float power_by_log(float x)
{
    return ldexpf(1, (int)ceilf((float)log2((double)x)));
}

/* ---- dialects -------------------------------------------------- */

static code_rule divided(float scale, dtype to)
{
    return (code_rule){.scale = scale, .narrow = to};
}

static code_rule multiplied(float scale, float factor)
{
    return (code_rule){.scale = scale, .factor = factor, .narrow = DTYPE_F32};
}

static code_rule ieee(scale_format scales, float amax)
{
    if (amax == 0) {
        return divided(1, DTYPE_F32);
    }
    const float scale = fmaxf(divide(amax, 448), 0x1p-126f);
    return divided(scales == SCALES_UE8M0 && isfinite(scale) ? power_from(scale) : scale,
                   DTYPE_F32);
}

static code_rule deepgemm(scale_format scales, float amax)
{
    const float quotient = scaled_amax(fmaxf(amax, 1e-4f));
    const float scale = scales == SCALES_UE8M0 ? power_from(quotient) : quotient;
    return multiplied(scale, divide(1, scale));
}

static code_rule transformers(scale_format scales, float amax)
{
    if (amax == 0) {
        return divided(1, DTYPE_F32);
    }
    const float quotient = scaled_amax(amax);
    if (scales == SCALES_UE8M0) {
        return divided(power_by_log(fmaxf(quotient, 0x1p-126f)), DTYPE_F32);
    }
    return divided(quotient > 0 ? quotient : 1, DTYPE_F32);
}

static code_rule transformer_engine(dtype source, scale_format scales, float amax)
{
    if (amax == 0) {
        return multiplied(1, 1);
    }
    float factor = divide(448, amax);
    if (isinf(factor)) {
        factor = source == DTYPE_BF16 ? 0x1.fep127f : FLT_MAX;
    }
    if (scales == SCALES_UE8M0) {
        int exponent = 0;
        (void)frexpf(factor, &exponent);
        factor = ldexpf(1, exponent - 1);
    }
    return multiplied(divide(1, factor), factor);
}

static code_rule compressed_tensors(dtype source, float amax)
{
    const float scale = narrow(scaled_amax(amax), source);
    const int epsilon = source == DTYPE_BF16 ? -7 : source == DTYPE_F16 ? -10 : -23;
    return divided(scale > 0 ? scale : ldexpf(1, epsilon), source);
}

/* What the table adds to the reciprocal, in units in the last place. The index is the ten bits
 * after the leading bit of amax. */
static int reciprocal_steps(float amax)
{
    static const uint32_t table[] = {RECIPROCAL_OFFSETS};
    int exponent = 0;
    const int place = (int)(frexpf(amax, &exponent) * 2048) - 1024;
    const int steps[] = {0, 1, 0, -1};
    return steps[table[place / 16] >> (2 * (place % 16)) & 3];
}

static code_rule linghe(scale_format scales, float amax)
{
    const float quotient = scaled_amax(amax);
    const bool least = quotient <= 1e-30f;
    const float floored = least ? 1e-30f : quotient;
    const float scale = scales == SCALES_UE8M0 ? power_by_log(floored) : floored;
    const float reciprocal = divide(1, scale);
    const int steps = scales == SCALES_UE8M0 ? 0
                      : least                ? RECIPROCAL_OFFSET_LEAST
                                             : reciprocal_steps(amax);
    return multiplied(scale,
                      steps == 0 ? reciprocal : nextafterf(reciprocal, steps > 0 ? INFINITY : 0));
}

code_rule code_rule_of(pack_dialect d, dtype source, scale_format scales, float amax)
{
    if (!isfinite(amax)) {
        return ieee(scales, amax);
    }
    switch (d) {
    case DIALECT_DEEPGEMM:
        return deepgemm(scales, amax);
    case DIALECT_TRANSFORMERS:
        return transformers(scales, amax);
    case DIALECT_TRANSFORMER_ENGINE:
        return transformer_engine(source, scales, amax);
    case DIALECT_COMPRESSED_TENSORS:
        return compressed_tensors(source, amax);
    case DIALECT_LINGHE:
        return linghe(scales, amax);
    default:
        return ieee(scales, amax);
    }
}

void code_rule_divide(const code_rule *rule, const float *x, unsigned count, float *quotients)
{
    if (rule->factor != 0) {
        for (unsigned j = 0; j < count; j++) {
            quotients[j] = multiply(fabsf(x[j]), rule->factor);
        }
        return;
    }
    for (unsigned j = 0; j < count; j++) {
        quotients[j] = divide(fabsf(x[j]), (double)rule->scale);
    }
}

void code_rule_narrow(const code_rule *rule, const float *quotients, unsigned count, float *to)
{
    if (rule->narrow == DTYPE_F32) {
        memcpy(to, quotients, count * sizeof *to);
        return;
    }
    for (unsigned j = 0; j < count; j++) {
        to[j] = narrow(quotients[j], rule->narrow);
    }
}
