/* Parses the header of a .npy file; used by token_input.c.
 *
 *     npy_read_prefix(first_bytes, &text_off, &data_off, e);
 *     npy_read_header(text, data_off - text_off, &h, e);      the bytes [text_off, data_off)
 */
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

/* Where the header text and the data begin, from the first NPY_PREFIX_BYTES bytes of the file.
 * ERR_INPUT: an unsupported version, or a header of more than NPY_MAX_HEADER bytes. */
MUST_CHECK err_code npy_read_prefix(const unsigned char *prefix, uint64_t *text_off,
                                    uint64_t *data_off, err *e);

/* Parse the header text, a Python literal of a dictionary with the keys descr, fortran_order and
 * shape. ERR_INPUT: malformed, or an array that cannot hold token ids. */
MUST_CHECK err_code npy_read_header(const char *text, size_t bytes, npy_header *out, err *e);

#endif
