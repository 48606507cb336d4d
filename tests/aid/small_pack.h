/* Small packed files, and the checkpoints that they were made from, for tests.
 *
 *     small_pack p;
 *     small_pack_build(&small_model_default, &(small_options){0}, &p);
 *     int fd = small_memfd(p.bytes, p.length);
 *     small_checkpoint_write(&small_model_default, dir);       model.safetensors and config.json
 *     small_pack_free(&p);
 *
 * Values are random, but determined by the seed and the tensor's name. Codes come from a search for
 * the nearest value, written from spec/quant.md alone. Any failure aborts. */
#ifndef SMALL_PACK_H
#define SMALL_PACK_H

#include "format/pack/pack_build.h"

typedef struct small_tensor {
    const char *name; /* with `*`: a stack, shape[0] source tensors of shape[1...] */
    dtype type;       /* in the source */
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    bool quantize;
} small_tensor;

typedef struct small_model {
    const small_tensor *tensors;
    size_t count;
    const char *config; /* text of config.json */
    uint64_t seed;
} small_model;

/* Every kind of record: kept, kept stack, codes, codes of a stack and of a plain tensor of three
 * dimensions, no dimension, no elements. Makes a file of less than 128 KiB. */
extern const small_model small_model_default;

typedef struct small_pack {
    pack_table table;
    pack_section sections[PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS];
    unsigned char *bytes; /* the whole file */
    uint64_t length;
} small_pack;

typedef struct small_options {
    bool sha256; /* digests of chunks */
    bool ue8m0;
    /* Change p->bytes after quantization and before digests are computed: a fault that no digest
     * reveals. */
    void (*tamper)(small_pack *p, const void *ctx);
    const void *ctx;
} small_options;

void small_pack_build(const small_model *model, const small_options *options, small_pack *out);
void small_pack_free(small_pack *p);

/* A memory file with these bytes, open for reading and writing. */
int small_memfd(const unsigned char *bytes, uint64_t length);

/* Recompute digests of a changed file with the layout of `p`: those of the tensors (CHNK, TDIG),
 * then all others (sections, plan_id, root, both blocks). */
void small_pack_sign_tensors(const small_pack *p, unsigned char *bytes);
void small_pack_sign(const small_pack *p, unsigned char *bytes);

/* The section with this tag. */
const pack_section *small_pack_section(const small_pack *p, uint32_t tag);

/* Write model.safetensors and config.json (unless model->config is NULL). */
void small_checkpoint_write(const small_model *model, const char *dir);
void small_checkpoint_remove(const char *dir); /* these two, and the directory */

#endif
