/* How other methods store their weights, and the names of what belongs to a weight (used by
 * tensor_state.c; spec/quant.md section 8.2). */
#ifndef STATE_WEIGHTS_H
#define STATE_WEIGHTS_H

#include "format/quantized/tensor_list.h"

/* The method that quantized tensor `i`, if it is a weight of another method; NULL if not. The
 * result is `described` or a constant. */
const char *state_weight_method(const tensor_list *l, size_t i, const char *described);

/* E4M3 with a scale for every 32 elements of a row, a power of two: MXFP8. */
bool state_is_mxfp8(const named_tensor *w, const named_tensor *scales);

/* A word that names what belongs to a weight: the last component, or its end after a '_'. */
typedef struct state_word {
    const char *word;
    state_role role;
    bool telling; /* means the same if its weight is not there */
} state_word;

/* The word of this last component, NULL if there is none; *base: bytes before the word and its '_',
 * 0 if it is the whole component. */
const state_word *state_find_word(const char *component, size_t *base);

/* The last components that weights have; ends with NULL. */
extern const char *const state_weight_names[];

#endif
