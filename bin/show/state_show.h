/* States of tensors for people: what is plain, FP8, or quantized by another method. */
#ifndef STATE_SHOW_H
#define STATE_SHOW_H

#include <stdio.h>

#include "bin/cli/report.h"
#include "format/quantized/tensor_state.h"

/* "plain", "block FP8", "quantized by NVFP4", "part of it". Returns `text`. */
enum { STATE_TEXT_BYTES = 128 };
const char *state_text(const tensor_state *s, char text[STATE_TEXT_BYTES]);

/* Keys "state" and, unless it is plain, "method". */
void state_put(report *r, json_t *o, const tensor_state *s);

/* Print the line "states  …": how many tensors are in which state. `count` tells how many tensors
 * entry `i` stands for; NULL: each is one. */
typedef uint64_t (*state_count)(const void *ctx, size_t i);
void state_print_counts(const tensor_states *s, state_count count, const void *ctx);

#endif
