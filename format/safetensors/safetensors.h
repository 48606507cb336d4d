/* The header of one safetensors file (notes: the rules of the reference reader hold).
 *
 * The file is u64 N, N bytes of JSON, then data. Accepted: N ≤ 100,000,000, JSON with whitespace
 * around it, tensors that tile the data area from 0 to its end without hole or overlap, shape x
 * dtype = length. Everything else is ERR_INPUT with one sentence; a scan that allocates nothing
 * bounds depth and counts before the JSON library sees the text. */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/digest.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"
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
    st_tensor *tensors; /* sorted by offset; tensors of no bytes by name among themselves */
    size_t count;
    char *names;           /* one block that holds every name; who takes it sets this to NULL */
    uint64_t header_bytes; /* 8 + N */
    unsigned char sha256[SHA256_BYTES]; /* of the first header_bytes bytes */
} st_header;

/* Read and check the header of an open file of `file_bytes` bytes. `path` is for messages. Free
 * with st_header_free. */
MUST_CHECK err_code st_header_read(int fd, const char *path, uint64_t file_bytes, st_header *out,
                                   err *e);

/* The same of a file that is bytes [base, base + file_bytes) of the open one. */
MUST_CHECK err_code st_header_read_at(int fd, const char *path, uint64_t base, uint64_t file_bytes,
                                      st_header *out, err *e);

/* The same for a header in memory (tests, fuzzing): `text` is the N bytes behind the length field;
 * sha256 is not set. */
MUST_CHECK err_code st_header_parse(const char *path, const char *text, size_t text_bytes,
                                    uint64_t file_bytes, st_header *out, err *e);

void st_header_free(st_header *h);

#endif
