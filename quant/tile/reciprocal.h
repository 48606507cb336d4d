/* The reciprocal that linghe multiplies by (spec/quant.md section 7.5). The instruction rcp.approx of
 * NVIDIA GPUs returns the correctly rounded reciprocal or one of its two neighbors, and which one
 * depends only on the mantissa. The scales of 16-bit sources have 1024 different mantissas, and the
 * least scale has another: the table covers all of them.
 *
 * The table was measured by tests/interop/dialect_peers.py on an NVIDIA H100 80GB HBM3. */
#ifndef RECIPROCAL_H
#define RECIPROCAL_H

#include "format/tensor/float_bits.h"

/* For the scale of an amax whose mantissa has the ten highest bits m: the two bits from bit
 * 2 (m % 16) of word m / 16 on say what is added to the last place: 0, 1, or 3 for -1. */
/* table begins */
#define RECIPROCAL_OFFSETS                                                                         \
    0x03000301, 0x0c300400, 0x00100000, 0x00004004, 0x040c0433, 0x15100101, 0xcc040040,            \
        0x00000030, 0x0010104c, 0x00000140, 0x10000300, 0x0000000c, 0x40400003, 0x00040010,        \
        0x00c00400, 0x00004000, 0x00000000, 0x00100001, 0x00401000, 0x00000500, 0x50004300,        \
        0x10040001, 0x00000000, 0x40000000, 0xc0000000, 0x31001400, 0x41030000, 0x00010000,        \
        0x00044000, 0x00003000, 0x40000100, 0x00000000, 0x10011400, 0x0c000c00, 0x10000040,        \
        0x10100014, 0x40000011, 0x00000000, 0x00050000, 0x00000000, 0x00400000, 0x00001000,        \
        0x10004000, 0x00400000, 0x00103300, 0x00004004, 0x00000000, 0x0c00003c, 0x00300000,        \
        0x4003c000, 0x14033040, 0x00030300, 0x004000f0, 0x0000410c, 0x03031000, 0x00cc300c,        \
        0x40000000, 0x003f3030, 0x04100c00, 0x00145000, 0x00000033, 0x00c00000, 0x00f30100,        \
        0x00001004
#define RECIPROCAL_OFFSET_LEAST 0 /* for the scale 1e-30 */
/* table ends */

/* What to add to the bits of the correctly rounded reciprocal of the scale of `amax`. */
SHARED_FN uint32_t reciprocal_offset(float amax)
{
    static const uint32_t offsets[64] = {RECIPROCAL_OFFSETS};
    const uint32_t mantissa = float_bits(amax) >> 13 & 1023;
    const uint32_t two_bits = offsets[mantissa / 16] >> mantissa % 16 * 2 & 3;
    return two_bits == 3 ? 0xffffffffu : two_bits;
}

#endif
