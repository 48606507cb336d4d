/* What is done to rows, element by element or with one sum over a row (spec/forward.md sections 3
 * to 5), on one thread. A levelled source (format/base/levelled.h).
 *
 * Outputs may be inputs of the same index. Calls may run in parallel if they write different rows.
 */
#ifndef ROW_KERNEL_H
#define ROW_KERNEL_H

#include <stddef.h>

#include "format/base/levelled.h"

typedef struct row_kernel {
    const char *name;

    void (*add)(float *x, const float *y, size_t n); /* x = x + y */
    void (*add_weighted)(float *x, float factor, const float *y,
                         size_t n); /* x = fma(factor, y, x) */
    void (*sigmoid)(const float *x, size_t n, float *y);
    void (*silu)(const float *x, size_t n, float *y);
    void (*silu_mul)(const float *x, const float *up, size_t n, float *y); /* y = silu(x) * up */
    void (*norm)(const float *x, size_t n, const float *w, float eps, float *y);
    /* y = norm(x) * sigmoid(g) */
    void (*gate)(const float *x, size_t n, const float *w, float eps, const float *g, float *y);
    /* Rotate the channels 0 ... half-1 of x with those from half on. */
    void (*rope)(float *x, size_t half, const float *cos, const float *sin);
    /* Rotate the even channels, up to 2 * half, with those that follow them. */
    void (*rope_interleaved)(float *x, size_t half, const float *cos, const float *sin);
} row_kernel;

LEVELLED_TABLES(row_kernel)

#endif
