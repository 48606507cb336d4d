/* The table of a packed file from tensors and decisions (used by plan.c). */
#ifndef PLAN_TABLE_H
#define PLAN_TABLE_H

#include "convert/plan/plan.h"
#include "format/tensor/expert_stack.h"

/* Make, sort and check the table: a record per group, one more for the scales of codes; none for
 * groups of scales that go with their weight. ERR_INPUT: a name that the format cannot hold, scales
 * that would take the name of another tensor, a source that the dialect does not know; ERR_USAGE: a
 * rule would quantize what can have no scales. Sizes are not placed yet. */
MUST_CHECK err_code plan_table_build(const checkpoint *cp, const stack_list *groups,
                                     const fp8_pairs *pairs, const decision *decisions,
                                     const recipe *how, pack_table *out, err *e);

#endif
