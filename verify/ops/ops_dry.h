/* Operations that compute nothing: what a layer asks of them says how much memory it needs.
 *
 *     ops_dry o;
 *     ops_dry_init(&o);
 *     ... layers with &o.base ...                   matrices have shapes, and no memory
 *     o.state_floats
 *
 * No pointer that they are given is followed, but for the results of `route`: the first top_k
 * experts of every token. It needs no release. */
#ifndef OPS_DRY_H
#define OPS_DRY_H

#include "verify/ops/ops.h"

typedef struct ops_dry {
    ops base;            /* first: an ops * of ours is an ops_dry * */
    size_t state_floats; /* the largest cache or state of attention so far */
} ops_dry;

void ops_dry_init(ops_dry *o);

#endif
