/* The numbers of a source tensor, whatever it stores them in. Internal to verify/forward/ideal.c.
 *
 *     ideal_source_find(source, &pairs, packed, t, &s, e);
 *     ideal_source_read(source, &s, first, rows, data, e);           elements as stored
 *     ideal_source_read_scales(source, &s, first, rows, scales, e);  if s.fp8
 *     ideal_source_widen(&s, &part, elements, scales, first, value, floats, pitch);
 *     ideal_round(DTYPE_BF16, floats, count, bytes);
 *
 * FP8 may have blocks of any size here: a store lists only those that a packed file can hold. All
 * functions may be called by several threads. */
#ifndef IDEAL_SOURCE_H
#define IDEAL_SOURCE_H

#include "format/checkpoint/fp8_pairs.h"
#include "format/store/model_store.h"

typedef struct ideal_source {
    store_tensor elements; /* of the source, as if it had no scales */
    bool fp8;              /* with scales: */
    block_format block;
    dtype scale_type;
    const tensor *scales; /* in the checkpoint; NULL: a packed file, where they begin at */
    uint64_t scale_off;
} ideal_source;

/* The source of tensor `t` of the store `packed`. `pairs`: of the checkpoint of `source`; unused if
 * it is a packed file. ERR_DIFFERENT: no tensor has this name and shape. */
MUST_CHECK err_code ideal_source_find(const store *source, const fp8_pairs *pairs,
                                      const store *packed, const store_tensor *t, ideal_source *out,
                                      err *e);

/* Rows of a slice: blocks never cross its end. */
uint64_t ideal_slice_rows(const store_tensor *t);

/* Rows [first, first + rows) without scales. Errors: those of store_read. */
MUST_CHECK err_code ideal_source_read(const store *source, const ideal_source *s, uint64_t first,
                                      uint64_t rows, void *data, err *e);

/* Number of the scales of rows [first, first + rows), which are of one slice. `first` may be inside
 * a block. */
uint64_t ideal_source_scale_count(const ideal_source *s, uint64_t first, uint64_t rows);

/* Read them, one row of blocks after another. ERR_IO. */
MUST_CHECK err_code ideal_source_read_scales(const store *source, const ideal_source *s,
                                             uint64_t first, uint64_t rows, float *scales, err *e);

/* Part of a matrix: rows [first, first + rows) of the tensor, columns [col, col + cols). */
typedef struct source_part {
    uint64_t first, col;
    unsigned rows, cols;
} source_part;

/* Are these numbers: FP8 with scales, BF16, F16 or F32? */
bool ideal_source_has_numbers(const ideal_source *s);

/* The numbers of a part: of FP8, code x scale, rounded to float32 (spec/quant.md section 3).
 * `elements`: the one at the part's upper left, in rows of the tensor's width; `scales`: those of
 * rows from `scales_first` on; `value`: of each code; `to`: rows `pitch` floats apart. */
void ideal_source_widen(const ideal_source *s, const source_part *part,
                        const unsigned char *elements, const float *scales, uint64_t scales_first,
                        const float *value, float *to, size_t pitch);

/* Round to BF16, F16 or F32: to nearest, ties to even. */
void ideal_round(dtype type, const float *x, size_t count, unsigned char *to);

#endif
