/* The reciprocal that linghe multiplies by (spec/quant.md section 7.5): what the instruction
 * rcp.approx of an NVIDIA GPU returns is the correctly rounded reciprocal or one of its neighbours,
 * and which of them depends on the mantissa alone. Scales of 16-bit sources have 1024 mantissas,
 * and one more for the least scale: these are all there are.
 *
 * The table is written by tests/interop/dialect_peers.py. NOT MEASURED YET: until that script has
 * run on a GPU, it says that the instruction is correctly rounded. */
#ifndef RECIPROCAL_H
#define RECIPROCAL_H

#include "quant/bits.h"

/* For the scale of an amax with mantissa m (its ten highest bits) two bits, those from 2 (m % 16)
 * of word m / 16 on: what is to be added to the last place, 0, 1 or 3 for -1. */
/* table begins */
#define RECIPROCAL_OFFSETS                                                                         \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
        0, 0, 0
#define RECIPROCAL_OFFSET_LEAST 0 /* for the scale 1e-30 */
/* table ends */

/* What to add to the bits of the correctly rounded reciprocal of the scale that `amax` makes. */
SHARED_FN uint32_t reciprocal_offset(float amax)
{
    static const uint32_t offsets[64] = {RECIPROCAL_OFFSETS};
    const uint32_t mantissa = float_bits(amax) >> 13 & 1023;
    const uint32_t two_bits = offsets[mantissa / 16] >> mantissa % 16 * 2 & 3;
    return two_bits == 3 ? 0xffffffffu : two_bits;
}

#endif
