/* Reads activations that another engine dumped, to compare a forward pass with them: a safetensors
 * file with these tensors, of which only input_ids has to be there:
 *
 *     input_ids        [S, T]      I32, I64
 *     hidden.I         [S, T, H]   F32, BF16, F16; 0: the embeddings, else after layer I - 1
 *     router_index.I   [S * T, k]  I32, I64; of layer I, in any order within a row
 *     router_weight.I  [S * T, k]  F32, BF16, F16
 *     logits           [S, T, V]   F32, BF16, F16; or one for each slope form, see below
 *
 *     reference_open(path, &r, e);
 *     reference_ids(r, &ids, &sequences, &length, e);
 *     if (reference_has(r, "hidden.3")) {
 *         reference_check(r, "hidden.3", sequences * length, hidden, e);
 *         reference_read_rows(r, "hidden.3", first, rows, hidden, values, e);
 *     }
 *     code = reference_end(r, code, e);
 *     reference_close(r);
 *
 * The last dimension of a tensor is a row; rows are numbered across all other dimensions. Nothing
 * is compared here. Several threads may read at the same time. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

typedef struct reference reference;

/* ERR_IO, ERR_MEMORY, ERR_INPUT not a safetensors file. */
MUST_CHECK err_code reference_open(const char *path, reference **out, err *e);
void reference_close(reference *r); /* NULL is fine */

/* Call this at the end with the result of the run: if the file changed, even only its ctime, neither
 * success nor a verdict holds (ERR_IO). Returns the final result. */
MUST_CHECK err_code reference_end(const reference *r, err_code code, err *e);

bool reference_has(const reference *r, const char *name);

/* The name of the logits that a model with the slope form `hf` (else `trained`, spec/forward.md
 * section 7) has to yield: "logits.hf" or "logits.trained", also called "logits.engine"; if they
 * are missing, "logits". NULL: the reference has no such logits. */
const char *reference_logits(const reference *r, bool hf);

/* As many as a file of token ids may have. */
enum { REFERENCE_MAX_IDS = 1 << 26 };

/* Read the token ids, [sequences, length], neither of which is 0; the caller frees them. ERR_INPUT:
 * input_ids is missing, does not have two dimensions, has more than REFERENCE_MAX_IDS, or is not of integers; an id is negative or
 * above 2^32 - 1. ERR_IO, ERR_MEMORY. */
MUST_CHECK err_code reference_ids(const reference *r, uint32_t **ids, size_t *sequences,
                                  size_t *length, err *e);

/* Check that tensor `name` exists and has `rows` rows of `cols`. ERR_INPUT. */
MUST_CHECK err_code reference_check(const reference *r, const char *name, uint64_t rows,
                                    uint64_t cols, err *e);

/* Read rows [first, first + rows) of `cols` values, widened exactly, into out [rows * cols].
 * ERR_INPUT: no such tensor, rows of another length, too few rows, another dtype, a value that is
 * not finite; ERR_IO. */
MUST_CHECK err_code reference_read_rows(const reference *r, const char *name, uint64_t first,
                                        uint64_t rows, uint64_t cols, float *out, err *e);

/* The same for integers, from 0 to 2^31 - 1 in I32 and to 2^32 - 1 in I64; others are ERR_INPUT. */
MUST_CHECK err_code reference_read_indices(const reference *r, const char *name, uint64_t first,
                                           uint64_t rows, uint64_t cols, uint32_t *out, err *e);

#endif
