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

/* What all scales of other tools in a file are that are stored as F32. A few scales may be so by chance, so the file counts as a
 * whole, and one with fewer scales than IDEAL_FORM_EVIDENCE shows nothing. */
typedef struct ideal_scales {
    uint64_t count;
    bool pow2, bf16, f16; /* powers of two; numbers of these dtypes */
} ideal_scales;

enum { IDEAL_FORM_EVIDENCE = 16 };

/* Read all scales of a packed file or a checkpoint that it did not compute. ERR_MEMORY,
 * ERR_CANCELLED, and those of store_read_scales. */
MUST_CHECK err_code ideal_scales_read(const store *packed, const monitor *m, ideal_scales *out,
                                      err *e);

/* True if neither the file nor the dtype of its scales says by which rule `t` was computed. */
bool ideal_form_is_open(const store_tensor *t);

/* The rule of a quantized tensor: the one that the file names or, if that is open, the one that its
 * scales follow. `source`: the dtype of the numbers it was made from. */
ideal_form ideal_form_of(const store_tensor *t, const ideal_scales *all, dtype source);

/* True if the packed file says that it was quantized when the file was made. */
bool ideal_quantized_here(const store_tensor *t);

#endif
