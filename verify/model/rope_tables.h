/* Tables that follow from a configuration alone: decays of linear attention, angles of the rotary
 * embedding (spec/forward.md sections 5 and 7).
 *
 * They are computed on the host in long double and rounded once, so that all devices use the same
 * bits. All functions are pure. */
#ifndef ROPE_TABLES_H
#define ROPE_TABLES_H

#include "verify/model/model_config.h"

/* The two ways in which the layer number enters the decay: name, word. */
#define SLOPE_LIST(X)                                                                              \
    X(TRAINED, "trained")                                                                          \
    X(HF, "hf")

typedef enum slope_form {
#define X(name, word) SLOPE_##name,
    SLOPE_LIST(X)
#undef X
} slope_form;

/* The decay (lambda) of each head of a linear layer: decay [heads]. */
void model_decay(const model_config *c, slope_form form, unsigned layer, float *decay);

/* cos and sin of positions 0 … positions - 1: [positions, rotary_dim / 2] each. */
void model_rope(const model_config *c, size_t positions, float *cos, float *sin);

/* The largest number of positions that the configuration allows. */
size_t model_max_positions(const model_config *c);

#endif
