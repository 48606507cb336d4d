/* FP8 in tiles for tests of ideal.h: scales of every dtype, stacks, three dimensions. */
#ifndef IDEAL_TILES_H
#define IDEAL_TILES_H

#include "tests/aid/conversion.h"
#include "tests/aid/fp8_case.h"
#include "tests/aid/ideal_case.h"

static const fp8_case tiles[] = {
    {"h.0.a.w1", "_scale_inv", DTYPE_F32, 2, {300, 200}, 128, 128, 0, {0}},
    {"h.0.c.w2", "_scale_inv", DTYPE_BF16, 2, {130, 700}, 128, 128, 0, {0}},
    {"h.0.e.w3", "_scale", DTYPE_F8_E8M0, 2, {1, 1}, 128, 128, 0, {0}},
    {"h.1.experts.w1", "_scale_inv", DTYPE_F16, 3, {3, 129, 257}, 128, 128, 0, {0}},
    {"h.2.experts.0.w1", "_scale_inv", DTYPE_F32, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.2.experts.1.w1", "_scale_inv", DTYPE_F32, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.3.experts.0.w1", "_scale", DTYPE_F8_E8M0, 2, {140, 300}, 128, 128, 0, {0}},
    {"h.3.experts.1.w1", "_scale", DTYPE_F8_E8M0, 2, {140, 300}, 128, 128, 0, {0}},
};

static inline void add_all(made_checkpoint *c, const fp8_case *cases, int count, uint64_t *state)
{
    for (int i = 0; i < count; i++) {
        fp8_add(c, &cases[i], state);
    }
}

static inline conversion conversion_to(pack_dialect d, scale_format scales)
{
    conversion r = conversion_with(2, PLENTY * MIB);
    r.recipe.dialect = d;
    r.recipe.scales = scales;
    r.options.force = true;
    return r;
}

#endif
