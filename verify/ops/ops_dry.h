/* Operations that compute nothing, to find how much memory a layer needs.
 *
 *     ops_dry o;
 *     ops_dry_init(&o);
 *     ... layers with &o.base ...                   matrices have shapes, but no memory
 *     o.state_floats
 *
 * They follow none of the pointers in their arguments, except that `route` writes experts and weights: the
 * first top_k experts for every token. Nothing has to be released. */
#ifndef OPS_DRY_H
#define OPS_DRY_H

#include "verify/ops/ops.h"

typedef struct ops_dry {
    ops base;            /* first: an ops * made here is an ops_dry * */
    size_t state_floats; /* the largest cache or state of attention so far */
} ops_dry;

void ops_dry_init(ops_dry *o);

#endif
