/* Tensor names: components joined by '.', and the two numbers that are read from them
 * (spec/format.md 5, 5.2). */
#ifndef TENSOR_NAME_H
#define TENSOR_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_MAX_BYTES = 255 };

/* The layer number in a name, -1 if there is none. */
int64_t name_layer(const char *name);

/* The same. *end: the offset after the number, 0 if there is no layer. */
int64_t name_layer_at(const char *name, size_t *end);

/* The same for one name after another in the order of a sorted table: a name that begins like the
 * previous one, up to its layer number, is in the same layer. Start with a zeroed layer_memory. */
typedef struct layer_memory {
    const char *name; /* the last one with a layer; it must stay valid */
    size_t bytes;     /* of its beginning, up to and including the '.' after the number */
    int64_t layer;
} layer_memory;

int64_t name_layer_next(layer_memory *m, const char *name, size_t length);

/* Offset and length of the component after the first component "experts"; false if there is
 * none. */
bool name_expert_slot(const char *name, size_t *start, size_t *length);

/* The number of an expert. False unless the slot is a canonical decimal < 2^31. */
bool name_expert_index(const char *name, uint64_t *index);

/* The name with its expert slot replaced by "*" (make) or the slot "*" replaced by `index`
 * (expand). `out` has NAME_MAX_BYTES + 1 bytes. False if the result would be longer, or there is no
 * such slot. */
bool name_make_stack(const char *name, char *out);
bool name_expand_stack(const char *stack, uint64_t index, char *out);

/* The name with `*` for every component that is a number. */
void name_pattern(const char *name, char out[NAME_MAX_BYTES + 1]);

/* True for 1 … 255 bytes of UTF-8 without control bytes (< 0x20, 0x7F). */
bool name_valid(const char *name, size_t length);

/* True for printable ASCII without a `*`: every piece of 1 … 255 bytes of such a text is a valid
 * name and not that of a stack. */
bool name_all_plain(const char *text, size_t bytes);

#endif
