/* Checkpoints that a test makes: tensors in memory, written as safetensors files.
 *
 *     made_checkpoint c = {0};
 *     made_tensor *t = made_add(&c, "model.layers.0.up_proj.weight", DTYPE_BF16, 2,
 *                               (uint64_t[]){300, 200}, true);
 *     made_fill(t, &state, MADE_WIDE);
 *     made_write(&c, dir, 1);                 model.safetensors and config.json
 *     made_free(&c);
 *
 * Pointers to tensors are valid until the next made_add. Any failure ends the test. */
#ifndef MADE_CHECKPOINT_H
#define MADE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"

typedef struct made_tensor {
    char name[256];
    dtype type;
    unsigned ndim;
    uint64_t shape[6];
    bool quantize; /* the decision of the built-in recipe that the test expects */
    uint64_t bytes, elements;
    unsigned char *data;
} made_tensor;

typedef struct made_checkpoint {
    made_tensor *tensors;
    size_t count;
} made_checkpoint;

typedef enum made_style {
    MADE_NARROW, /* numbers of similar magnitude, as in weights */
    MADE_WIDE,   /* any finite bits: subnormals, the largest, zeros of both signs */
    MADE_ZERO,
    MADE_STYLES
} made_style;

/* A tensor of zeros. */
made_tensor *made_add(made_checkpoint *c, const char *name, dtype type, unsigned ndim,
                      const uint64_t *shape, bool quantize);

/* Fill with random numbers; with random bytes if the type is not BF16, F16 or F32. */
void made_fill(made_tensor *t, uint64_t *state, made_style style);

/* Element i of a BF16, F16 or F32 tensor as float32, and the reverse for bits of its width.
 */
float made_value(const made_tensor *t, uint64_t i);
void made_set_bits(made_tensor *t, uint64_t i, uint32_t bits);

/* A NaN of the tensor's type. */
uint32_t made_nan(dtype type);

/* A few layers with everything a converter may meet: ragged matrices, stacks, stacks with a gap,
 * three dimensions, no elements, no dimension, other types. At least one tensor has to be
 * quantized. */
void made_random(made_checkpoint *c, uint64_t *state);

/* config.json, and model.safetensors or, for more than one shard, shards and index. */
void made_write(const made_checkpoint *c, const char *dir, size_t shards);

const made_tensor *made_find(const made_checkpoint *c, const char *name);
void made_free(made_checkpoint *c);

#endif
