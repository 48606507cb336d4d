/* Dialects: whose arithmetic computes scales and codes (spec/quant.md 2, 3 and 7), as numbers in a
 * packed file and as words in options and recipes. */
#ifndef DIALECT_ID_H
#define DIALECT_ID_H

#include <stdbool.h>

#include "format/tensor/block.h"
#include "format/tensor/dtype.h"

/* name, word; numbers count from 1 in this order and are never reused */
#define DIALECT_LIST(X)                                                                            \
    X(IEEE, "ieee")                                                                                \
    X(DEEPGEMM, "deepgemm")                                                                        \
    X(TRANSFORMERS, "transformers")                                                                \
    X(TRANSFORMER_ENGINE, "transformer-engine")                                                    \
    X(COMPRESSED_TENSORS, "compressed-tensors")                                                    \
    X(LINGHE, "linghe")

/* One byte, because it is stored in tables of 100,000 records. */
typedef enum __attribute__((packed)) pack_dialect {
    DIALECT_NONE,
#define X(name, word) DIALECT_##name,
    DIALECT_LIST(X)
#undef X
        DIALECT_COUNT
} pack_dialect;

const char *dialect_name(pack_dialect d); /* "none" for 0 */

/* DIALECT_NONE if no dialect has this name. */
pack_dialect dialect_parse(const char *word);

/* NULL if the combination is supported, otherwise the reason why not: compressed-tensors has no
 * ue8m0 scales, and linghe's f32 scales are only known for 16-bit sources. `source`: DTYPE_NONE for
 * any. */
const char *dialect_lacks(pack_dialect d, dtype source, scale_format scales);

#endif
