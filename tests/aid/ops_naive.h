/* The operations of verify/ops/ops.h as the plainest loops, written from spec/forward.md alone: what
 * every implementation has to equal, bit for bit.
 *
 *     ops *o = ops_naive_create();
 *     o->load(o, &w);
 *     o->matmul(o, x, &w, NULL, false, y);
 *     o->unload(o, &w);
 *     o->destroy(o);
 *
 * One thread, no vectors, fmaf of the C library. Its memory is that of the host, but what it loads it
 * copies, as a device would: a weight that is not loaded, or changed since, shows. Destroying it
 * aborts if a weight is still loaded. */
#ifndef OPS_NAIVE_H
#define OPS_NAIVE_H

#include "verify/ops/ops.h"

ops *ops_naive_create(void); /* NULL without memory */

#endif
