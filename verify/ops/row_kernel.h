/* Operations on one row, element by element or with one sum over the row (spec/forward.md sections
 * 3 to 5), on one thread. A levelled source (format/base/levelled.h).
 *
 * An output may be the same array as an input. Calls may run in parallel if they write different
 * rows. */
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
    /* Rotate channel j of x with channel half + j, for j < half. */
    void (*rope)(float *x, size_t half, const float *cos, const float *sin);
    /* Rotate channel 2j of x with channel 2j + 1, for j < half. */
    void (*rope_interleaved)(float *x, size_t half, const float *cos, const float *sin);
} row_kernel;

LEVELLED_TABLES(row_kernel)

#endif
