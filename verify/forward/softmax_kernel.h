/* The exponentials of a row of logits, on one thread (spec/forward.md section 8). A levelled source
 * (format/base/levelled.h). */
#ifndef SOFTMAX_KERNEL_H
#define SOFTMAX_KERNEL_H

#include <stddef.h>

#include "format/base/levelled.h"

typedef struct softmax_kernel {
    const char *name;

    /* y[i] = exp((z[i] - max) - log_sum), in float64 */
    void (*exponentials)(const float *z, size_t n, double max, double log_sum, double *y);
} softmax_kernel;

LEVELLED_TABLES(softmax_kernel)

#endif
