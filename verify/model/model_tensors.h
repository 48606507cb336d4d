/* The tensors of a model by the table of its architecture: their names, their shapes, and the check
 * that a store has all of them.
 *
 *     model_tensors_check(&c, s, m, e);
 *     model_tensor_name(&c, SLOT_HEAD, 0, 0, name);
 *     const store_tensor *t = store_find(s, name);      exists, with the right shape
 */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/monitor.h"
#include "format/tensor/tensor_name.h"
#include "verify/model/model_arch.h"
#include "format/store/model_store.h"

/* `layer` and `expert` are used if the name has them. */
void model_tensor_name(const model_config *c, unsigned slot, unsigned layer, unsigned expert,
                       char out[NAME_MAX_BYTES + 1]);

/* Returns the number of dimensions and sets the shape; 0: the model has no such tensor (in this
 * layer), or never reads it. */
unsigned model_tensor_shape(const model_config *c, unsigned slot, unsigned layer,
                            uint64_t shape[2]);

/* ERR_INPUT: a tensor is missing, has another shape, or a dtype other than BF16, F16, F32 and FP8
 * with scales; or there are tensors that the model never reads. The message names the first tensors
 * and counts the rest. Notes: layers after the last one are ignored (multi-token prediction); a
 * head that is ignored differs from the tied embedding. To compare the two, both are read: ERR_IO,
 * ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code model_tensors_check(const model_config *c, const store *s, const monitor *m,
                                        err *e);

/* The same from headers alone, without notes: no weight is read. */
MUST_CHECK err_code model_tensors_list(const model_config *c, const store *s, err *e);

#endif
