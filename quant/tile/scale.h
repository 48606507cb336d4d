/* The scale of a tile from its largest magnitude (spec/quant.md section 2). Compiles as C11 and as
 * CUDA C++17. */
#ifndef SCALE_H
#define SCALE_H

#include "format/tensor/block.h"
#include "format/tensor/float_bits.h"
#include "format/tensor/e4m3.h"
#include "quant/tile/tile.h"

/* amax >= 0 and finite. The result is a normal float, at least 2^-126 and below 2^120. */
SHARED_FN float scale_from_amax(float amax, scale_format scales)
{
    if (amax == 0) {
        return 1;
    }
    float scale = amax / E4M3_MAX;
    scale = scale < 0x1p-126f ? 0x1p-126f : scale;
    if (scales == SCALES_UE8M0) {
        /* Up to the next power of two: carry into the exponent, drop the mantissa. */
        scale = float_from_bits((float_bits(scale) + 0x7fffff) & 0xff800000u);
    }
    return scale;
}

#endif
