/* The table of a packed file, made from tensors and decisions (used by plan.c). */
#ifndef PLAN_TABLE_H
#define PLAN_TABLE_H

#include "convert/plan/plan.h"
#include "format/tensor/expert_stack.h"

/* Make, sort and check the table: one record for each group, a second one for the scales of codes;
 * none for groups of scales that go with their weight. Offsets are not set yet (pack_head_build).
 * ERR_INPUT: a name that the format cannot hold, scales that would take the name of another tensor,
 * a source that the dialect does not define; ERR_USAGE: a rule asks for a tensor that cannot have
 * scales; ERR_MEMORY. Free *out with pack_table_free, also after an error. */
MUST_CHECK err_code plan_table_build(const checkpoint *cp, const stack_list *groups,
                                     const fp8_pairs *pairs, const decision *decisions,
                                     const recipe *how, pack_table *out, err *e);

#endif
