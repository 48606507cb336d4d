/* The values of the source tensors of small_pack.h: random, but always the same ones. */
#ifndef SMALL_SOURCE_H
#define SMALL_SOURCE_H

#include <stdint.h>

#include "format/tensor/dtype.h"

/* Fill `bytes` bytes of a tensor. Floats are finite, of mixed magnitude, with zeros of both signs;
 * many of them are exactly halfway between two codes if the scale is a power of two. */
void small_source_fill(uint64_t seed, const char *name, dtype type, uint64_t bytes,
                       unsigned char *out);

/* `count` elements of BF16, F16 or F32 as float32. */
void small_source_widen(dtype type, const unsigned char *source, uint64_t count, float *out);

#endif
