/* The header of a .npy file, for token_input.c. */
#ifndef TOKEN_NPY_H
#define TOKEN_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum { NPY_MAGIC_BYTES = 6, NPY_PREFIX_BYTES = 12, NPY_MAX_HEADER = 64 << 10, NPY_MAX_DIMS = 2 };

typedef struct npy_header {
    bool wide; /* int64, else int32 */
    unsigned ndim;
    uint64_t shape[NPY_MAX_DIMS];
} npy_header;

/* True if the data begins with the magic. */
bool npy_is_npy(const unsigned char *data, size_t bytes);

/* Where header text and data begin, from the first NPY_PREFIX_BYTES bytes. ERR_INPUT: a version
 * that is not supported, or too long a header. */
MUST_CHECK err_code npy_read_prefix(const unsigned char *prefix, uint64_t *text_off,
                                    uint64_t *data_off, err *e);

/* ERR_INPUT: not the literal of a dictionary with these three keys, or an array that holds no
 * token ids. */
MUST_CHECK err_code npy_read_header(const char *text, size_t bytes, npy_header *out, err *e);

#endif
