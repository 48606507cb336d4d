/* The ideal file: what a packed file holds if every tensor of it is exactly its definition, that
 * is, the source taken through the file's own blocks, forms of scales and dialects (spec/forward.md
 * section 8.3). Its error is the least that this format can have, so a file's is measured by it.
 *
 *     ideal_open(source, packed, threads, m, &d, e);
 *     ideal_read(d, store_find(packed, name), 0, rows, data, scales, e);      like store_read
 *     ideal_close(d);
 *
 * Nothing of the packed file except the shapes and formats of its tensors is used. Codes and scales
 * are those that verify/rule defines, so the quantizer has no part in them. The result does not
 * depend on the number of threads. Memory: the source of a few rows of blocks. One thread at a time
 * uses an ideal. */
#ifndef IDEAL_H
#define IDEAL_H

#include "format/base/monitor.h"
#include "format/store/model_store.h"

typedef struct ideal ideal;

/* `packed` may also be an FP8 checkpoint. Both stores and the monitor must outlive the ideal.
 * `threads` >= 1. ERR_MEMORY; ERR_IO, ERR_INPUT, ERR_CANCELLED: the descriptions of a source cannot
 * be read. */
MUST_CHECK err_code ideal_open(const store *source, const store *packed, unsigned threads,
                               const monitor *m, ideal **out, err *e);
void ideal_close(ideal *d); /* NULL is fine */

/* `t` is a tensor of the packed file; rows and buffers as for store_read. Errors: ERR_DIFFERENT:
 * the source has no such tensor, or one of another shape, or of a dtype from which `t` cannot have
 * been made; ERR_INPUT: its dialect is not known for the dtype of the source; ERR_CANCELLED,
 * ERR_MEMORY, and those of store_read. */
MUST_CHECK err_code ideal_read(void *ideal, const store_tensor *t, uint64_t first, uint64_t rows,
                               void *data, float *scales, err *e);

/* Does the file claim that `t` is what the ideal file has? A packed file does of what it kept,
 * quantized from a source of this dtype, or took over as FP8; not of the codes of another tool, nor
 * of what was made of another source. A checkpoint claims nothing. */
bool ideal_is_claimed(const store *source, const store_tensor *t);

#endif
