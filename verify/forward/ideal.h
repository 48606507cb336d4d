/* The ideal file: what a packed file holds if every quantized tensor is exactly its definition, that
 * is, the source taken through the file's own blocks, forms of scales and dialects (spec/forward.md
 * section 8). Its error is the least that this format can have, so it is the measure of a file's.
 *
 *     ideal_open(source, packed, &d, e);
 *     ideal_read(d, store_find(packed, name), 0, rows, data, scales, e);      like store_read
 *     ideal_close(d);
 *
 * Nothing of the packed file except the shapes and formats of its tensors is used. Codes and scales
 * are those that verify/rule defines, so the quantizer has no part in them. What the file
 *     kept                          are the bytes of the source,
 *     quantized                     is its definition, in the record's dialect,
 *     carried from an FP8 source    are the source's codes and scales,
 *     carried, of a wide source     is the definition in dialect ieee: whoever computed these codes
 *                                   did not follow any rule that the file names.
 * One thread at a time uses an ideal. */
#ifndef IDEAL_H
#define IDEAL_H

#include "format/store/model_store.h"

typedef struct ideal ideal;

/* Both stores must outlive the ideal. ERR_MEMORY. */
MUST_CHECK err_code ideal_open(const store *source, const store *packed, ideal **out, err *e);
void ideal_close(ideal *d); /* NULL is fine */

/* `t` is a tensor of the packed file; rows and buffers as for store_read, except that `rows` may end
 * anywhere. Errors: ERR_DIFFERENT: the source has no such tensor, or one of another shape or dtype;
 * ERR_MEMORY, and those of store_read. */
MUST_CHECK err_code ideal_read(void *ideal, const store_tensor *t, uint64_t first, uint64_t rows,
                               void *data, float *scales, err *e);

#endif
