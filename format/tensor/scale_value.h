/* Decodes a scale as a checkpoint or a packed file stores it: F32, BF16, F16 or F8_E8M0
 * (spec/format.md section 5). */
#ifndef SCALE_VALUE_H
#define SCALE_VALUE_H

#include "format/tensor/dtype.h"
#include "format/base/num.h"
#include "format/tensor/widen.h"

/* 2^(e - 127); 255 is NaN. 2^-127 is a subnormal float32. */
static inline float e8m0_widen(uint8_t e)
{
    return float_from_bits(e == 0 ? 0x00400000u : e == 255 ? 0x7fc00000u : (uint32_t)e << 23);
}

/* The value of the scale at `p`, exactly. `p` needs no alignment. */
static inline float scale_value(dtype t, const unsigned char *p)
{
    switch (t) {
    case DTYPE_F8_E8M0:
        return e8m0_widen(*p);
    case DTYPE_BF16:
        return bf16_widen(le16_load(p));
    case DTYPE_F16:
        return f16_widen(le16_load(p));
    default:
        return float_from_bits(le32_load(p));
    }
}

/* Is this a power of two that F8_E8M0 can store, 2^-127 to 2^127? All scales of a POW2 record have
 * to be. */
static inline bool scale_is_pow2(float scale)
{
    const uint32_t bits = float_bits(scale);
    return bits == 0x00400000 || (bits != 0 && bits < 0x7f800000 && (bits & 0x7fffff) == 0);
}

#endif
