/* Looking up tensors of a sorted list by name, also members of stacks (used by tensor_state.c). */
#ifndef TENSOR_LIST_H
#define TENSOR_LIST_H

#include "format/quantized/tensor_state.h"

typedef struct tensor_list {
    const named_tensor *items;
    size_t count;
    bool stacks; /* some name has a `*` for the number of an expert */
} tensor_list;

/* Names longer than this are those of no part. */
enum { LIST_NAME_BYTES = 320 };

/* The tensor whose name is the first `bytes` bytes of that of tensor `i`, then `end`; STATE_NONE if
 * there is none. Fast if it is close to `i`. The stack of an expert is found by the name of its
 * member, and the first member by the name of a stack. */
size_t tensor_list_near(const tensor_list *l, size_t i, size_t bytes, const char *end);

/* How many bytes of a name come before its last component, the '.' included. */
size_t tensor_list_parent(const char *name);

#endif
