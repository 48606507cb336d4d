/* Tables of tensors that people can read: layers that are alike are told once.
 *
 * A model has thousands of tensors and few kinds of them. Layers whose tensors agree in names,
 * dtypes and shapes fold into one group, "model.layers 1-3, 5-8", with one row for each name.
 *
 *     layer_item items[n];             one for each tensor or stack, filled by the caller
 *     layer_groups a;
 *     layer_fold(items, n, &a, e);
 *     for each a.groups[g], for each of its rows: print
 *     layer_free(&a);
 */
#ifndef LAYER_GROUPS_H
#define LAYER_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/safetensors/safetensors.h"

typedef struct layer_item {
    const char *name; /* of the tensor or stack */
    dtype type, from; /* `from`: of the source, or the same */
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    unsigned mark;    /* whatever else must agree for two tensors to be alike */
    uint64_t bytes;   /* what follows is added up */
    uint64_t tensors; /* source tensors it stands for */
    uint64_t tiles, clipped;
    double sum_sq_source, sum_sq_error;
    double worst; /* dB, the least is kept; NAN: none */
    size_t index; /* the caller's, of the first */
} layer_item;

typedef struct layer_row {
    const char *name; /* without what the title says; owned by the alike */
    layer_item sum;
} layer_row;

typedef struct layer_group {
    char *title; /* "model.layers 1-3, 5-8", "outside layers" */
    uint64_t layers;
    const layer_row *rows;
    size_t row_count;
    const struct placed *order; /* private */
} layer_group;

typedef struct layer_groups {
    layer_group *groups;
    size_t group_count;
    struct layer_private *priv;
} layer_groups;

/* Errors: ERR_MEMORY. */
MUST_CHECK err_code layer_fold(const layer_item *items, size_t count, layer_groups *out, err *e);

void layer_free(layer_groups *a);

#endif
