/* The operations of verify/ops/ops.h as naive loops, written from spec/forward.md alone. Every
 * implementation has to equal them bit for bit.
 *
 *     ops *o = ops_naive_create();
 *     o->load(o, &w);
 *     o->matmul(o, x, &w, NULL, false, y);
 *     o->unload(o, &w);
 *     o->destroy(o);
 *
 * One thread, no vectors, fmaf of the C library. Its memory is host memory, but it copies the
 * weights that it loads, as a device would: so using a weight that is not loaded, or that was
 * changed after loading, is found. Destroying it aborts if a weight is still loaded. */
#ifndef OPS_NAIVE_H
#define OPS_NAIVE_H

#include "verify/ops/ops.h"

ops *ops_naive_create(void); /* NULL without memory */

#endif
