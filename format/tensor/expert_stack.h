/* Expert stacks: E tensors whose names differ only in the expert number, treated as one tensor
 * (spec/quant.md section 6).
 *
 *     stack_fold(items, count, &list, e);
 *     list.groups[g].name              "model.layers.3.mlp.experts.*.up_proj.weight",
 *                                      or the tensor's own name
 *     list.members[group.first + i]    index into items of member i,
 *                                      by ascending expert number
 *     stack_list_free(&list); */
#ifndef EXPERT_STACK_H
#define EXPERT_STACK_H

#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/tensor/tensor_name.h"

typedef struct stack_item {
    const char *name;
    dtype type;
    unsigned ndim;
    const uint64_t *shape;
    int decision; /* equal for all members of a stack */
} stack_item;

typedef struct stack_group {
    const char *name;    /* that of the item, or a name in `names` */
    size_t first, count; /* members of the list; count >= 2: a stack */
} stack_group;

typedef struct stack_list {
    stack_group *groups; /* in no particular order */
    size_t group_count;
    size_t *members; /* every item once */
    char *names;     /* of the stacks */
} stack_list;

/* Names must not be longer than NAME_MAX_BYTES, and must live as long as the list. Release by
 * stack_list_free. ERR_MEMORY. */
MUST_CHECK err_code stack_fold(const stack_item *items, size_t count, stack_list *out, err *e);

void stack_list_free(stack_list *list);

#endif
