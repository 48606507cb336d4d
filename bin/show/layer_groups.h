/* Tables of tensors that people can read: layers that are alike are told once.
 *
 * A model has thousands of tensors and few kinds of them. Layers whose tensors agree in names,
 * dtypes and shapes fold into one group, "model.layers 1-3, 5-8", with one row for each name.
 *
 *     alike_item items[n];             one for each tensor or stack, filled by the caller
 *     alike a;
 *     alike_fold(items, n, &a, e);
 *     for each a.groups[g], for each of its rows: print
 *     alike_free(&a);
 */
#ifndef ALIKE_H
#define ALIKE_H

#include <stddef.h>
#include <stdint.h>

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/safetensors/safetensors.h"

typedef struct alike_item {
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
} alike_item;

typedef struct alike_row {
    const char *name; /* without what the title says; owned by the alike */
    alike_item sum;
} alike_row;

typedef struct alike_group {
    char *title; /* "model.layers 1-3, 5-8", "outside layers" */
    uint64_t layers;
    const alike_row *rows;
    size_t row_count;
    const struct placed *order; /* private */
} alike_group;

typedef struct alike {
    alike_group *groups;
    size_t group_count;
    struct alike_private *priv;
} alike;

/* Errors: ERR_MEMORY. */
MUST_CHECK err_code alike_fold(const alike_item *items, size_t count, alike *out, err *e);

void alike_free(alike *a);

#endif
