/* The states of the records of a packed file (format/quantized/tensor_state.h): which of its kept
 * tensors are not plain numbers. It works for files made before octavo knew of states, too.
 *
 *     tensor_states s;
 *     packed_states_find(&file->table, q.method, m, &s, e);
 *     s.of[i]                                of record i; `weight` and `scales` are records, too
 *     tensor_states_free(&s); */
#ifndef PACKED_STATES_H
#define PACKED_STATES_H

#include "format/archive/embed_tar.h"
#include "format/quantized/quantization.h"
#include "format/quantized/tensor_state.h"
#include "format/pack/pack_table.h"

/* Codes are block FP8, their scales are parts of them, kept records are judged as the tensors of a
 * checkpoint are. `described` as for tensor_states_find. ERR_MEMORY. Free with tensor_states_free,
 * also after an error. */
MUST_CHECK err_code packed_states_find(const pack_table *t, const char *described, const monitor *m,
                                       tensor_states *out, err *e);

/* The descriptions among the embedded files. ERR_INPUT: as quantization_read; ERR_MEMORY. */
MUST_CHECK err_code packed_quantization(const member *members, size_t count, quantization *out,
                                        err *e);

#endif
