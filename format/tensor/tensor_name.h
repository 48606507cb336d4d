/* Tensor names: components joined by '.', and the two numbers that are read from them
 * (spec/format.md 5, 5.2). */
#ifndef TENSOR_NAME_H
#define TENSOR_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_MAX_BYTES = 255 };

/* The layer number in a name, -1 for none. */
int64_t name_layer(const char *name);

/* The same for one name after another, as a sorted table has them: names that begin like the one
 * before, up to its layer number, are in the same layer. Start with a zeroed memory. */
typedef struct layer_memory {
    const char *name; /* the last one with a layer; it must stay where it is */
    size_t bytes;     /* of its beginning, the '.' behind the number included */
    int64_t layer;
} layer_memory;

int64_t name_layer_next(layer_memory *m, const char *name, size_t length);

/* Where the component behind the first component "experts" starts and how long it is; false if
 * there is none. */
bool name_expert_slot(const char *name, size_t *start, size_t *length);

/* The number of an expert, if the slot holds a canonical decimal < 2^31; false otherwise. */
bool name_expert_index(const char *name, uint64_t *index);

/* The name with its expert slot replaced by "*" (make) or the slot "*" replaced by `index`
 * (expand). `out` has room for NAME_MAX_BYTES + 1 bytes; false if the result is longer or there is
 * no slot. */
bool name_make_stack(const char *name, char *out);
bool name_expand_stack(const char *stack, uint64_t index, char *out);

/* True for 1 … 255 bytes of UTF-8 without control bytes (< 0x20, 0x7F). */
bool name_valid(const char *name, size_t length);

/* True for printable ASCII without a `*`: wherever such a text is cut into pieces of 1 … 255 bytes,
 * each is a valid name and no stack. */
bool name_all_plain(const char *text, size_t bytes);

#endif
