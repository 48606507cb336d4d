/* Folds the tensors of a model into a table that people can read: identical layers are one group.
 *
 * A model has thousands of tensors but few kinds of them. Layers whose tensors agree in names,
 * dtypes and shapes fold into one group, "model.layers 1-3, 5-8", with one row for each name.
 *
 *     layer_item items[n];             one for each tensor or stack, filled by the caller
 *     layer_groups folded;
 *     layer_fold(items, n, &folded, e);
 *     for each folded.groups[g], for i below its row_count: print layer_group_row(g, i)
 *     layer_free(&folded);
 *
 * A checkpoint may have a million tensors, so rows are made when they are asked for, and refer to the
 * items, which must live as long. */
#ifndef LAYER_GROUPS_H
#define LAYER_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/safetensors/safetensors.h"

typedef struct layer_item {
    /* Layers are identical if these members agree for each of their tensors. */
    const char *name; /* of the tensor or stack */
    dtype type, from; /* as stored, and in the source */
    unsigned ndim;
    const uint64_t *shape; /* [ndim] */
    unsigned mark;         /* anything else that must agree, as one number */

    /* These are summed over the layers of a group. */
    uint64_t bytes;
    uint64_t tensors; /* source tensors that the item represents */
    uint64_t tiles, clipped;
    double sum_sq_source, sum_sq_error;

    double worst; /* SQNR in dB; a group has the lowest. NAN: no error */
    size_t index; /* chosen by the caller; a group has that of its first layer */
} layer_item;

typedef struct layer_row {
    const char *name; /* without the part that is in the title */
    layer_item sum;
} layer_row;

typedef struct layer_group {
    char *title; /* "model.layers 1-3, 5-8", "outside layers" */
    uint64_t layers;
    size_t row_count;
    const struct block *blocks; /* private: one for each layer */
} layer_group;

typedef struct layer_groups {
    layer_group *groups;
    size_t group_count;
    struct layer_private *priv;
} layer_groups;

/* Fold `count` items. Groups are in the order of their first layers, tensors outside layers first.
 * ERR_MEMORY: there is nothing to free then. */
MUST_CHECK err_code layer_fold(const layer_item *items, size_t count, layer_groups *out, err *e);

/* Row `i` of a group: the sum of that row over its layers. */
layer_row layer_group_row(const layer_group *g, size_t i);

void layer_free(layer_groups *a);

#endif
