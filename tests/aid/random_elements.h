/* Random elements of the source types, for tests of all that quantizes them. */
#ifndef RANDOM_ELEMENTS_H
#define RANDOM_ELEMENTS_H

#include <stdint.h>

#include "format/tensor/dtype.h"
#include "tests/aid/oracle_e4m3.h"

static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(oracle_random(state) >> 32) % limit;
}

/* Bits of exponent and mantissa, which follow the sign bit. */
typedef struct float_layout {
    unsigned exponent_bits, mantissa_bits;
} float_layout;

static inline float_layout float_layout_of(dtype source)
{
    if (source == DTYPE_F32) {
        return (float_layout){8, 23};
    }
    return source == DTYPE_F16 ? (float_layout){5, 10} : (float_layout){8, 7};
}

/* Exponent fields lowest ... lowest + span - 1, without that of infinities and NaNs. */
typedef struct random_range {
    unsigned lowest, span;
} random_range;

static inline random_range random_range_any(uint64_t *state, dtype source)
{
    const unsigned exponents = 1u << float_layout_of(source).exponent_bits;
    const unsigned lowest = random_below(state, exponents - 1);
    return (random_range){lowest, 1 + random_below(state, random_below(state, 2) ? 30 : 4)};
}

/* A finite element's bits; some are ±0 or have few mantissa bits, so that quotients are exact and
 * ties occur. */
static inline uint32_t random_finite(uint64_t *state, dtype source, random_range r)
{
    const float_layout l = float_layout_of(source);
    const uint32_t sign = random_below(state, 2) << (l.exponent_bits + l.mantissa_bits);
    const uint32_t kind = random_below(state, 16);
    if (kind == 0) {
        return sign;
    }
    const uint32_t top = (1u << l.exponent_bits) - 2;
    const uint32_t exponent = r.lowest + random_below(state, r.span);
    uint32_t mantissa = random_below(state, 1u << l.mantissa_bits);
    if (kind < 8) {
        mantissa &= ~0u << (l.mantissa_bits - 4);
    }
    return sign | (exponent < top ? exponent : top) << l.mantissa_bits | mantissa;
}

#endif
