/* Reads the header of a safetensors file, with the rules of the reference implementation.
 *
 *     st_header h;
 *     st_header_read(fd, path, file_bytes, &h, e);
 *     ... h.tensors[i].name, .type, .shape, .off, .bytes ...
 *     st_header_free(&h);
 *
 * The file is u64 N, N bytes of JSON, then data. Accepted: N ≤ 100,000,000, JSON with whitespace
 * around it, tensors that cover the data area from 0 to its end without gap or overlap, and lengths
 * that fit shape and dtype. Everything else is ERR_INPUT, with a message of one line. A scan that
 * allocates nothing bounds depth and counts before the JSON library sees the text. No state: safe
 * from several threads. */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/digest.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/file/file_kind.h"

typedef struct st_tensor {
    const char *name; /* in the header's `names` */
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t off; /* absolute in the file */
    uint64_t bytes;
} st_tensor;

typedef struct st_header {
    st_tensor *tensors; /* sorted by offset; empty tensors at the same offset by name */
    size_t count;
    char *names; /* one block with every name; a caller that takes it over sets this to NULL */
    uint64_t header_bytes;              /* 8 + N */
    unsigned char sha256[SHA256_BYTES]; /* of the first header_bytes bytes */
} st_header;

/* Read and check the header of an open file of `file_bytes` bytes. `path` is for messages; `m`, which
 * may be NULL, is asked now and then whether to stop: a header may have 100 MB. Free with
 * st_header_free. */
MUST_CHECK err_code st_header_read(int fd, const char *path, uint64_t file_bytes, const monitor *m,
                                   st_header *out, err *e);

/* The same for a file that is bytes [base, base + file_bytes) of the open one. */
MUST_CHECK err_code st_header_read_at(int fd, const char *path, uint64_t base, uint64_t file_bytes,
                                      const monitor *m, st_header *out, err *e);

/* The same for a header in memory: `text` is the N bytes after the length field; sha256 is not set.
 */
MUST_CHECK err_code st_header_parse(const char *path, const char *text, size_t text_bytes,
                                    uint64_t file_bytes, const monitor *m, st_header *out, err *e);

void st_header_free(st_header *h);

#endif
