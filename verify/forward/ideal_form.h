/* By which rule FP8 of another tool is measured. Such a tensor says nothing of how it was computed,
 * but its scales show which numbers were allowed as scales: with powers of two, or with scales
 * rounded to the 16 bits of the source, no tool could have done better than this rule does
 * (spec/forward.md section 8.3). */
#ifndef IDEAL_FORM_H
#define IDEAL_FORM_H

#include "format/base/monitor.h"
#include "format/store/model_store.h"

typedef struct ideal_form {
    pack_dialect dialect;
    scale_format scales;
} ideal_form;

/* True if the packed file says that it was quantized when the file was made. */
bool ideal_quantized_here(const store_tensor *t);

/* The rule of a quantized tensor `t` of a packed file or a checkpoint: the one that the file names,
 * or else one that its scales follow. `source`: the dtype of the numbers it was made from.
 * ERR_MEMORY, ERR_CANCELLED, and those of store_read_scales. */
MUST_CHECK err_code ideal_form_find(const store *packed, const store_tensor *t, dtype source,
                                    const monitor *m, ideal_form *out, err *e);

#endif
