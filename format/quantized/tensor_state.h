/* What each tensor of a model is: plain numbers, FP8, quantized by another method, or a part (scales,
 * zero points, indices) of one of these (spec/quant.md section 8).
 *
 *     tensor_states s;
 *     tensor_states_find(list, count, described, m, &s, e);   of a checkpoint or of a packed file
 *     s.of[i].kind, s.of[i].method, s.of[i].weight
 *     tensor_states_free(&s);
 *
 * Names, dtypes and shapes decide, not what config.json says: it only gives the name of a method
 * where several store their tensors alike. The list is sorted by name; stacks of a packed file have
 * the shape of a member and their name with `*`. Whatever refers to tensors is an index into the
 * list. A tensor_states refers to nothing else, and threads may read it in parallel. */
#ifndef TENSOR_STATE_H
#define TENSOR_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/tensor/dtype.h"

/* code, name in JSON */
#define TENSOR_STATES(X)                                                                           \
    X(STATE_PLAIN, "plain")                                                                        \
    X(STATE_BLOCK_FP8, "block-fp8") /* E4M3 in tiles, with scales */                               \
    X(STATE_FP8, "fp8")             /* any other FP8: scales per row or tensor, or none, E5M2 */   \
    X(STATE_FOREIGN, "quantized")   /* by another method */                                        \
    X(STATE_PART, "part")           /* of one of these, or of none that is there */

typedef enum state_kind {
#define X(code, name) code,
    TENSOR_STATES(X)
#undef X
        STATE_COUNT
} state_kind;

const char *state_name(state_kind k);

typedef enum state_role {
    ROLE_WEIGHT,      /* what the quantized values need: scales, zero points, indices */
    ROLE_ACTIVATIONS, /* static scales of inputs or outputs */
    ROLE_KV_CACHE,    /* scales of cached keys and values */
} state_role;

#define STATE_NONE SIZE_MAX

typedef struct tensor_state {
    state_kind kind;
    state_role role;    /* STATE_PART */
    bool two_scales;    /* FP8: there are scales under two names */
    const char *method; /* what quantized it; NULL: plain, or a part whose weight is missing */
    size_t weight;      /* STATE_PART: the tensor that it belongs to; STATE_NONE: none is there */
    size_t scales;      /* FP8: its scales; STATE_NONE: none */
} tensor_state;

/* A tensor to judge. */
typedef struct named_tensor {
    const char *name;
    dtype type;
    unsigned ndim;
    const uint64_t *shape;
    bool known; /* codes of a packed file, whose scales are a record that is not in the list */
} named_tensor;

typedef struct tensor_states {
    tensor_state *of; /* [count] */
    size_t count;
    size_t foreign; /* tensors that are STATE_FOREIGN, or STATE_FP8 in a dtype other than E4M3 */
    bool any;       /* not all are plain */
    char *described;
} tensor_states;

/* `described`: the name of the method that files of the model give, or "". ERR_MEMORY,
 * ERR_CANCELLED. Free with tensor_states_free, also after an error. */
MUST_CHECK err_code tensor_states_find(const named_tensor *list, size_t count,
                                       const char *described, const monitor *m, tensor_states *out,
                                       err *e);
void tensor_states_free(tensor_states *s);

/* The names of the scales of a weight in FP8. Returns false if `spelling` is not below
 * FP8_SPELLINGS, does not apply to this name, or the result is longer than `capacity` - 1. */
enum { FP8_SPELLINGS = 5 };
bool fp8_scales_name(const char *weight, unsigned spelling, char *out, size_t capacity);

/* Any of the FP8 dtypes of elements or scales. */
bool state_is_fp8_type(dtype t);

#endif
