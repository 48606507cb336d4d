/* Reads a model from a checkpoint or a packed file, with tensors by their names in the source.
 *
 *     store *s;
 *     store_open(path, m, &s, e);
 *     const store_tensor *t = store_find(s, "model.layers.1.mlp.experts.7.up_proj.weight");
 *     store_read(s, t, 0, t->rows, data, scales, e);
 *     store_close(s);
 *
 * Expert stacks of a packed file are expanded: every member is listed as a tensor. Scales belong to
 * their tensor and are not listed, neither for checkpoints (format/checkpoint/fp8_pairs.h) nor for
 * packed files. The bytes that are read are not compared with digests. store_read and
 * store_prefetch may be called by several threads. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/checkpoint/checkpoint.h"
#include "format/pack/pack_file.h"
#include "format/tensor/block.h"

typedef struct store_tensor {
    const char *name; /* in the source; owned by the store */
    dtype type;       /* as stored: F8_E4M3 if quantized */
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t rows, cols;  /* the last dimension, and the product of the others (1 for a vector) */
    uint64_t row_bytes;   /* 0: a row of 4-bit or 6-bit elements that ends within a byte */
    bool quantized;       /* has scales, one for each block */
    block_format block;   /* if quantized; ue8m0 if the file says that scales are powers of two */
    dtype scale_type;     /* if quantized; as stored */
    pack_dialect dialect; /* of computed codes, as recorded in the packed file */
    uint64_t off;         /* of its data, in the packed file or in the shard */
    uint64_t scale_off;   /* in the packed file */
    const tensor *of_source;         /* in the checkpoint; NULL: a packed file */
    const tensor *source_scales;     /* likewise, if it is quantized */
    const pack_record *of_record;    /* in the packed file; NULL: a checkpoint */
    const pack_record *scale_record; /* likewise, if it is quantized */
} store_tensor;

typedef struct store {
    char *path;         /* as given to store_open */
    checkpoint *source; /* one of these two is NULL */
    pack_file *packed;
    store_tensor *tensors; /* sorted by name bytes */
    size_t count;
    char *names; /* of expanded experts */
} store;

/* Open what model_path_find finds. ERR_IO, ERR_DAMAGED, ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code store_open(const char *path, const monitor *m, store **out, err *e);
void store_close(store *s); /* NULL is fine */

/* The store of a packed file that is open; it owns `p` from now on, also after an error. */
MUST_CHECK err_code store_open_packed(pack_file *p, const monitor *m, store **out, err *e);

/* Call this at the end with the result of the run: if the model changed, neither success nor a verdict
 * holds (checkpoint_end, pack_end). Returns the final result. */
MUST_CHECK err_code store_end(const store *s, const monitor *m, err_code code, err *e);

uint64_t store_bytes(const store *s); /* of all tensors, without scales */

const store_tensor *store_find(const store *s, const char *name); /* NULL: no such tensor */

/* Number of scales that store_read gives for `rows` rows: [block_down(block, rows),
 * block_across(block, cols)]; 0 if the tensor is not quantized. */
size_t store_scale_count(const store_tensor *t, uint64_t rows);

/* Read rows [first, first + rows) as stored into `data`, rows * row_bytes bytes, and their scales
 * as floats into `scales` (unused if the tensor is not quantized).
 *
 * If the tensor is quantized, `first` must be a multiple of block.rows. A quantized tensor of three
 * dimensions consists of slices, and blocks never cross the end of a slice: there `first` must be a
 * multiple of block.rows from the beginning of its slice, and all rows must be of that slice.
 * ERR_INPUT: the rows are of several slices, or are not a whole number of bytes; ERR_IO. */
MUST_CHECK err_code store_read(const store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                               void *data, float *scales, err *e);

/* The same for the scales of a quantized tensor alone. */
MUST_CHECK err_code store_read_scales(const store *s, const store_tensor *t, uint64_t first,
                                      uint64_t rows, float *scales, err *e);

/* Ask the system to read a tensor into its cache soon. Only a hint. */
void store_prefetch(const store *s, const store_tensor *t);

/* Read a small file that belongs to the model, such as config.json, from next to the shards or from
 * the packed file. *data is NULL if there is no such file; otherwise the caller frees it, and it
 * ends with a NUL that is not counted. ERR_IO, ERR_DAMAGED; ERR_INPUT: more than JSON_FILE_LIMIT
 * bytes, or the embedded archive is malformed. */
MUST_CHECK err_code store_file(const store *s, const char *name, char **data, size_t *bytes,
                               err *e);

#endif
