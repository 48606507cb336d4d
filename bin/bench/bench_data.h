/* Generates data to measure with: random weights, and a checkpoint of them. */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H

#include "format/base/err.h"
#include "format/base/monitor.h"

#include <stddef.h>
#include <stdint.h>

/* Fill with BF16 numbers that resemble the weights of a trained matrix. `bytes` must be even. */
void weights_fill(unsigned char *to, size_t bytes);

/* WEIGHTS_POOL_BYTES of such numbers, to be freed by the caller; NULL without memory. */
enum { WEIGHTS_POOL_BYTES = 16 << 20 };
unsigned char *weights_pool(void);

/* Write a safetensors file with about `bytes` bytes of weights, at least one matrix: layers with
 * attention and experts, with the shapes of Ring-mini. Errors: ERR_IO, ERR_MEMORY,
 * ERR_CANCELLED. */
MUST_CHECK err_code weights_write(const char *path, uint64_t bytes, const unsigned char *pool,
                                  unsigned threads, const monitor *m, err *e);

#endif
