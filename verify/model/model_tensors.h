/* The tensors of a model: what they are called, what shapes they have, and whether they are there.
 *
 *     model_tensors_check(&c, s, m, e);
 *     model_tensor_name(SLOT_EXPERT_UP, 3, 17, name);
 *     const store_tensor *t = store_find(s, name);      is there, of the right shape
 */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/monitor.h"
#include "format/tensor/tensor_name.h"
#include "verify/model/model_config.h"
#include "format/store/model_store.h"

typedef enum tensor_slot {
    SLOT_EMBEDDING,  /* [vocab, hidden] */
    SLOT_FINAL_NORM, /* [hidden] */
    SLOT_HEAD,       /* [vocab, hidden], unless tied */
    /* every layer */
    SLOT_INPUT_NORM, /* [hidden] */
    SLOT_POST_NORM,  /* [hidden] */
    SLOT_QKV,        /* [Q | K | V rows, hidden] */
    SLOT_Q_NORM,     /* [head_dim] */
    SLOT_K_NORM,     /* [head_dim] */
    SLOT_DENSE,      /* [hidden, heads * head_dim] */
    /* linear layers */
    SLOT_G_PROJ, /* [heads * head_dim, hidden] */
    SLOT_G_NORM, /* [heads * head_dim] */
    /* layers below dense_layers */
    SLOT_GATE_PROJ, /* [intermediate, hidden] */
    SLOT_UP_PROJ,
    SLOT_DOWN_PROJ, /* [hidden, intermediate] */
    /* the other layers */
    SLOT_ROUTER,      /* [experts, hidden] */
    SLOT_EXPERT_BIAS, /* [experts], if expert_bias */
    SLOT_EXPERT_GATE, /* [moe_intermediate, hidden], one for each expert */
    SLOT_EXPERT_UP,
    SLOT_EXPERT_DOWN,
    SLOT_SHARED_GATE, /* [shared_intermediate, hidden] */
    SLOT_SHARED_UP,
    SLOT_SHARED_DOWN,
    SLOT_COUNT
} tensor_slot;

/* `layer` and `expert` count where the slot has them. */
void model_tensor_name(tensor_slot slot, unsigned layer, unsigned expert,
                       char out[NAME_MAX_BYTES + 1]);

/* Number of dimensions and the shape; 0 if the model has no such tensor (in this layer). */
unsigned model_tensor_shape(const model_config *c, tensor_slot slot, unsigned layer,
                            uint64_t shape[2]);

/* ERR_INPUT: a tensor is missing, has another shape, or a dtype that is neither BF16, F16, F32 nor
 * FP8 with scales; or there are tensors that the model never reads. The message names the first
 * ones and counts the others. Notes: layers behind the last one are ignored (multi-token
 * prediction); a head that differs from the embedding that stands for it. Comparing these two reads
 * both, so also ERR_IO, ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code model_tensors_check(const model_config *c, const store *s, const monitor *m,
                                        err *e);

/* The same from headers alone, without notes: no weight is read. */
MUST_CHECK err_code model_tensors_list(const model_config *c, const store *s, err *e);

#endif
