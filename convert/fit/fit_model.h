/* What a runtime reads in config.json before it splits a model (spec/export.md section 8).
 *
 *     fit_model m;
 *     fit_model_parse(text, bytes, &m, e);
 *     if (m.heads % tp != 0) ...
 *
 * Unlike in the forward pass, no key is required: a missing number is 0, and what depends on it is
 * not checked. A fit_model is a plain value that owns nothing. */
#ifndef FIT_MODEL_H
#define FIT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

typedef enum fit_tied { TIED_UNSAID, TIED_NO, TIED_YES } fit_tied;

/* Numbers are at most FIT_MAX_NUMBER, so that products of two fit in 64 bits; larger ones count as
 * missing. */
#define FIT_MAX_NUMBER ((uint64_t)1 << 31)

typedef struct fit_model {
    bool known;                         /* there is a config.json */
    bool ring_linear;                   /* model_type bailing_moe_linear */
    bool own_code;                      /* auto_map: the checkpoint has Python code of its own */
    char architecture[64];              /* the first one, its beginning; "": none */
    char model_type[64];                /* likewise */
    uint64_t layers, mtp_layers;        /* the second: num_nextn_predict_layers */
    uint64_t heads, kv_heads, head_dim; /* kv_heads: 0 for MLA, which has none to split */
    uint64_t experts;                   /* routed experts of a layer */
    uint64_t norm_groups;               /* groups of the norm in linear attention */
    uint64_t delta_k, delta_v;          /* Gated DeltaNet: rows of q and of k, of v and of z */
    uint64_t mamba_heads, mamba_inner;  /* Mamba-2: heads, and their channels */
    uint64_t mamba_state;               /* Mamba-2: rows of B and of C */
    fit_tied tied;
} fit_model;

/* Errors: ERR_INPUT not valid JSON, or not an object; ERR_MEMORY. */
MUST_CHECK err_code fit_model_parse(const char *text, size_t bytes, fit_model *out, err *e);

#endif
