#include "verify/forward/ideal_form.h"

#include <stdlib.h>

#include "format/tensor/scale_value.h"
#include "format/tensor/widen.h"
#include "verify/forward/ideal_source.h"

bool ideal_quantized_here(const store_tensor *t)
{
    return t->of_record && t->of_record->origin == ORIGIN_QUANTIZED;
}

/* ---- what all scales of a tensor are --------------------------- */

typedef struct scale_kinds {
    bool pow2;
    bool rounded; /* numbers of the source's dtype, which has 16 bits */
} scale_kinds;

/* The low bits of a float that a number of the dtype does not have. F16 also lacks most
 * exponents. */
static bool is_of_dtype(float x, dtype type)
{
    switch (type) {
    case DTYPE_BF16:
        return (float_bits(x) & 0xFFFF) == 0;
    case DTYPE_F16:
        return (float_bits(x) & 0x1FFF) == 0 && x >= 0x1p-14f && x <= 65504;
    default:
        return false;
    }
}

static void look_at(const float *scales, size_t count, dtype source, scale_kinds *kinds)
{
    for (size_t i = 0; i < count && (kinds->pow2 || kinds->rounded); i++) {
        kinds->pow2 = kinds->pow2 && scale_is_pow2(scales[i]);
        kinds->rounded = kinds->rounded && is_of_dtype(scales[i], source);
    }
}

static err_code read_kinds(const store *packed, const store_tensor *t, dtype source,
                           const monitor *m, scale_kinds *kinds, err *e)
{
    const uint64_t slice = ideal_slice_rows(t);
    const size_t count = store_scale_count(t, slice);
    float *const scales = calloc(count + 1, sizeof *scales);
    err_code code = OK;
    if (!scales) {
        return err_set(e, ERR_MEMORY, "tensor %s: no memory for its scales", t->name);
    }
    *kinds = (scale_kinds){true, true};
    for (uint64_t first = 0; first < t->rows; first += slice) {
        TRY_OUT(monitor_step(m, 0, e));
        TRY_OUT(store_read_scales(packed, t, first, slice, scales, e));
        look_at(scales, count, source, kinds);
    }
out:
    free(scales);
    return code;
}

/* ---- the rule -------------------------------------------------- */

err_code ideal_form_find(const store *packed, const store_tensor *t, dtype source, const monitor *m,
                         ideal_form *out, err *e)
{
    scale_kinds kinds = {0};
    *out = (ideal_form){t->dialect == DIALECT_NONE ? DIALECT_IEEE : t->dialect, t->block.scale};
    if (ideal_quantized_here(t) || t->block.scale == SCALES_UE8M0) {
        return OK;
    }
    TRY(read_kinds(packed, t, source, m, &kinds, e));
    if (kinds.pow2) {
        *out = (ideal_form){DIALECT_IEEE, SCALES_UE8M0};
    } else if (kinds.rounded) {
        *out = (ideal_form){DIALECT_COMPRESSED_TENSORS, SCALES_F32};
    }
    return OK;
}
