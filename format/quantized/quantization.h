/* What the files of a model say about its quantization: config.json, in which a description may be
 * at any depth, and the files of other quantizers next to it (spec/quant.md section 8.1).
 *
 *     quantization q = {0};
 *     quantization_read(&q, "config.json", text, bytes, e);
 *     quantization_read(&q, "hf_quant_config.json", text, bytes, e);
 *     if (q.count > 0) ... q.method, q.place, q.block ...
 *
 * A description is only what somebody wrote: which tensors are quantized is decided by the tensors
 * (format/quantized/tensor_state.h). Nothing here allocates; different objects may be used by
 * different threads. */
#ifndef QUANTIZATION_H
#define QUANTIZATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"
#include "format/tensor/block.h"

enum { QUANTIZATION_TEXT_BYTES = 96 };

typedef struct quantization {
    unsigned count;                       /* of descriptions; 0: the rest is empty */
    char method[QUANTIZATION_TEXT_BYTES]; /* of the first: "gptq", "modelopt NVFP4" */
    char place[QUANTIZATION_TEXT_BYTES];  /* of the first: "config.json: text_config" */
    block_format block;                   /* tiles of FP8; zeros: none are given */
    bool other_fp8;                       /* there is also FP8 without tiles */
    bool unknown; /* some method is none of those whose tensors are recognized */
    bool pow2;    /* scale_fmt: scales are powers of two */
    bool rotated; /* transform_config: weights belong to transformed activations */
} quantization;

/* The files that may describe a quantization; ends with NULL. config.json is the first. The others
 * are never exported: an exported directory has one description. */
extern const char *const quantization_files[];

/* Is this member of an object a description? It may be at any depth of config.json. */
bool quantization_is_description(const char *key, const json_t *value);

/* Add the descriptions of one of these files, parsed or as text. ERR_INPUT: `weight_block_size` that
 * is no pair of numbers, tiles of more than one size; not JSON. ERR_MEMORY. */
MUST_CHECK err_code quantization_add(quantization *q, const char *file, const json_t *root, err *e);
MUST_CHECK err_code quantization_read(quantization *q, const char *file, const char *text,
                                      size_t bytes, err *e);

/* The tiles that config.json gives as the first set of built-in rules read it (spec/quant.md section
 * 8.5); zeros: none. Errors as above. */
MUST_CHECK err_code quantization_tiles1(const char *text, size_t bytes, block_format *out, err *e);

#endif
