/* A model to read from: a checkpoint or a packed file, tensors by the names of the source.
 *
 *     store *s;
 *     store_open(path, m, &s, e);
 *     const store_tensor *t = store_find(s, "model.layers.1.mlp.experts.7.up_proj.weight");
 *     store_read(s, t, 0, t->rows, data, scales, e);
 *     store_close(s);
 *
 * Expert stacks of a packed file are unfolded: every member has an entry of its own. Scales belong
 * to their tensor and have none, in checkpoints (format/checkpoint/fp8_pairs.h) as in packed files. What is
 * read is not compared with digests. store_read and store_prefetch may be called from several
 * threads. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/checkpoint/checkpoint.h"
#include "format/pack/pack_file.h"
#include "format/tensor/block.h"

typedef struct store_tensor {
    const char *name; /* of the source, owned by the store */
    dtype type;       /* as stored: F8_E4M3 if quantized */
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t rows, cols;  /* the last dimension, and the product of the others (1 for a vector) */
    uint64_t row_bytes;   /* 0: a row of 4-bit or 6-bit elements that ends within a byte */
    bool quantized;       /* has scales, one for each block */
    block_format block;   /* then; ue8m0 if the file says that all of them are powers of two */
    dtype scale_type;     /* as stored */
    pack_dialect dialect; /* of codes that were computed, as the file says */
    uint64_t off;         /* of its data: in the packed file, or in the shard */
    uint64_t scale_off;   /* in the packed file */
    const tensor *of_source;         /* in the checkpoint; NULL: a packed file */
    const tensor *source_scales;     /* likewise, if it is quantized */
    const pack_record *of_record;    /* in the packed file; NULL: a checkpoint */
    const pack_record *scale_record; /* likewise, if it is quantized */
} store_tensor;

typedef struct store {
    char *path;         /* as it was given */
    checkpoint *source; /* one of the two */
    pack_file *packed;
    store_tensor *tensors; /* sorted by name bytes */
    size_t count;
    char *names; /* of unfolded experts */
} store;

/* A packed file is known by its content, or by its name, should its beginning be damaged. ERR_IO,
 * ERR_DAMAGED, ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code store_open(const char *path, const monitor *m, store **out, err *e);
void store_close(store *s); /* NULL is fine */

uint64_t store_bytes(const store *s); /* of all tensors, without scales */

const store_tensor *store_find(const store *s, const char *name); /* NULL: no such tensor */

/* Number of scales that belong to `rows` rows as store_read takes them: [block_down(block, rows),
 * block_across(block, cols)]; 0 if the tensor is not quantized. */
size_t store_scale_count(const store_tensor *t, uint64_t rows);

/* Read rows [first, first + rows) into `data`, rows * row_bytes long and as stored, and their
 * scales, as floats, into `scales` (unused if it is not quantized).
 *
 * Of a quantized tensor `first` is a multiple of block.rows. One of three dimensions consists of
 * slices that have blocks of their own: there `first` is a multiple of block.rows after the
 * beginning of a slice, and the rows are of that slice. ERR_INPUT: they are of several, or rows are not whole bytes;
 * ERR_IO. */
MUST_CHECK err_code store_read(const store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                               void *data, float *scales, err *e);

/* Ask the system to have a tensor ready soon; a hint. */
void store_prefetch(const store *s, const store_tensor *t);

/* A small file that belongs to the model, such as config.json: beside the shards, or embedded.
 * *data is NULL if there is none, else the caller's to free(), with a NUL behind it. ERR_IO,
 * ERR_DAMAGED, ERR_INPUT: more than JSON_FILE_LIMIT bytes, or no archive under a right digest. */
MUST_CHECK err_code store_file(const store *s, const char *name, char **data, size_t *bytes,
                               err *e);

#endif
