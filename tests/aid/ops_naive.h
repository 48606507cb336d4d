/* The operations of verify/ops/ops.h as the plainest loops, written from spec/forward.md alone: what
 * every implementation has to equal, bit for bit.
 *
 *     ops *o = ops_naive_create();
 *     o->matmul(o, x, &w, false, y);
 *     o->destroy(o);
 *
 * One thread, no vectors, fmaf of the C library. Its memory is that of the host. */
#ifndef OPS_NAIVE_H
#define OPS_NAIVE_H

#include "verify/ops/ops.h"

ops *ops_naive_create(void); /* NULL without memory */

#endif
