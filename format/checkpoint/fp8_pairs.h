/* Finds block FP8 in a checkpoint: which scales belong to which weights, and the size of their tiles
 * (spec/quant.md section 8); and the state of every tensor (format/quantized/tensor_state.h).
 *
 *     fp8_pairs pairs;
 *     fp8_pairs_find(cp, m, &pairs, e);
 *     pairs.of[i].kind        what cp->tensors[i] is; .other is the tensor it is paired with
 *     fp8_pairs_free(&pairs);
 *
 * Pairs that do not fit are not an error here, only a description that cannot be read: a command
 * that only inspects takes what fits, and one that converts calls fp8_pairs_check. */
#ifndef FP8_PAIRS_H
#define FP8_PAIRS_H

#include "format/checkpoint/checkpoint.h"
#include "format/quantized/quantization.h"
#include "format/quantized/tensor_state.h"

typedef enum fp8_kind {
    FP8_NONE,        /* neither weight nor scales */
    FP8_WEIGHT,      /* F8_E4M3 with the scales `other` */
    FP8_SCALES,      /* the scales of `other` */
    FP8_NO_SCALES,   /* F8_E4M3 of two or three dimensions without scales */
    FP8_BAD_SCALES,  /* F8_E4M3: `other` has the name of its scales, but a wrong shape or dtype */
    FP8_TWO_SCALES,  /* F8_E4M3: scales exist under both names */
    FP8_LONE_SCALES, /* has the name of scales, but there is no such weight in FP8 */
} fp8_kind;

typedef struct fp8_pair {
    const tensor *other; /* NULL: none */
    fp8_kind kind;
    block_format block; /* FP8_WEIGHT: its tiles, of any size */
} fp8_pair;

typedef struct fp8_pairs {
    fp8_pair *of;           /* [cp->tensor_count] */
    quantization described; /* what the files of the model say */
    tensor_states states;   /* of all tensors; block FP8 only where the store knows the tiles */
    bool any;               /* some tensor is an FP8_WEIGHT */
} fp8_pairs;

/* Is `scales` the shape of one scale for each block of the shape `weight`, both of `ndim` (2 or 3)
 * dimensions? */
bool fp8_is_tiled(const uint64_t *weight, const uint64_t *scales, unsigned ndim, block_format b);

/* Where the scales of some rows of one slice of a weight are: whole rows of scales. */
typedef struct fp8_band {
    uint64_t off, bytes; /* within the scales tensor */
    uint64_t first;      /* the row of scales that the band begins with, within the slice */
    uint64_t across;     /* scales per row */
} fp8_band;

fp8_band fp8_scale_band(const fp8_pair *p, const tensor *weight, uint64_t slice, uint64_t row,
                        uint64_t rows);

/* Errors: ERR_MEMORY, and those of reading descriptions: ERR_IO, ERR_INPUT. Free with
 * fp8_pairs_free. */
MUST_CHECK err_code fp8_pairs_find(const checkpoint *cp, const monitor *m, fp8_pairs *out, err *e);

/* The same as set 1 of the built-in rules knows it (spec/quant.md section 8.5): files made under
 * it are verified with these pairs, so nothing here changes. Other methods are plain tensors there. */
MUST_CHECK err_code fp8_pairs_find1(const checkpoint *cp, fp8_pairs *out, err *e);
void fp8_pairs_free(fp8_pairs *pairs);

/* ERR_INPUT, with the names, unless this is FP8_NONE, FP8_WEIGHT or FP8_SCALES. */
MUST_CHECK err_code fp8_pairs_check(const checkpoint *cp, const fp8_pairs *pairs, size_t i, err *e);

#endif
