#include "verify/forward/ideal_form.h"

#include <stdlib.h>

#include "format/tensor/scale_value.h"
#include "format/tensor/widen.h"
#include "verify/forward/ideal_source.h"

bool ideal_quantized_here(const store_tensor *t)
{
    return t->of_record && t->of_record->origin == ORIGIN_QUANTIZED;
}

bool ideal_form_is_open(const store_tensor *t)
{
    return t->quantized && !ideal_quantized_here(t) && t->block.scale != SCALES_UE8M0 &&
           t->scale_type == DTYPE_F32;
}

/* ---- what all scales are --------------------------------------- */

static bool is_bf16(float x)
{
    return (float_bits(x) & 0xFFFF) == 0;
}

static bool is_f16(float x) /* normal numbers suffice */
{
    return (float_bits(x) & 0x1FFF) == 0 && x >= 0x1p-14f && x <= 65504;
}

static void look_at(const float *scales, size_t count, ideal_scales *all)
{
    all->count += count;
    for (size_t i = 0; i < count; i++) {
        all->pow2 = all->pow2 && scale_is_pow2(scales[i]);
        all->bf16 = all->bf16 && is_bf16(scales[i]);
        all->f16 = all->f16 && is_f16(scales[i]);
    }
}

static err_code read_tensor(const store *packed, const store_tensor *t, const monitor *m,
                            ideal_scales *all, err *e)
{
    const uint64_t slice = ideal_slice_rows(t);
    const size_t count = store_scale_count(t, slice);
    float *const scales = calloc(count + 1, sizeof *scales);
    err_code code = OK;
    if (!scales) {
        return err_set(e, ERR_MEMORY, "tensor %s: no memory for its scales", t->name);
    }
    for (uint64_t first = 0; first < t->rows; first += slice) {
        TRY_OUT(monitor_step(m, 0, e));
        TRY_OUT(store_read_scales(packed, t, first, slice, scales, e));
        look_at(scales, count, all);
    }
out:
    free(scales);
    return code;
}

err_code ideal_scales_read(const store *packed, const monitor *m, ideal_scales *out, err *e)
{
    *out = (ideal_scales){.pow2 = true, .bf16 = true, .f16 = true};
    for (size_t i = 0; i < packed->count && (out->pow2 || out->bf16 || out->f16); i++) {
        if (ideal_form_is_open(&packed->tensors[i])) {
            TRY(read_tensor(packed, &packed->tensors[i], m, out, e));
        }
    }
    return OK;
}

/* ---- the rule -------------------------------------------------- */

ideal_form ideal_form_of(const store_tensor *t, const ideal_scales *all, dtype source)
{
    const ideal_form named = {t->dialect == DIALECT_NONE ? DIALECT_IEEE : t->dialect,
                              t->block.scale};
    const ideal_form rounded = {DIALECT_COMPRESSED_TENSORS, SCALES_F32};
    const bool narrow = source == DTYPE_BF16 || source == DTYPE_F16;
    if (ideal_quantized_here(t) || t->block.scale == SCALES_UE8M0) {
        return named;
    }
    if (t->scale_type != DTYPE_F32) {
        return narrow && t->scale_type == source ? rounded : named;
    }
    if (all->count < IDEAL_FORM_EVIDENCE) {
        return named;
    }
    if (all->pow2) {
        return (ideal_form){DIALECT_IEEE, SCALES_UE8M0};
    }
    return narrow && (source == DTYPE_BF16 ? all->bf16 : all->f16) ? rounded : named;
}
