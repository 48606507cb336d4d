/* The forward pass as a check: does the packed model still behave the same? (spec/forward.md)
 *
 *     forward_options o = {.ids = ids, .sequences = 4, .length = 512, .f32 = true, ...};
 *     forward_report r;
 *     if (forward_compare(source, packed, &o, ops, m, &r, e) == OK)
 *         ... r.variants[0].logits[SIDE_PACKED].summary.kl_mean, r.variants[0].parts[i].error ...
 *     forward_report_free(&r);
 *
 * All models process the same tokens side by side, layer by layer; none is ever in memory as a
 * whole. Nothing here judges the results: verdict.h and limits.h do. Host memory: `memory` for the
 * states of as many sequences as fit, at least one, and once more for their logits; the weights of
 * one layer (of routed experts: of one). If not all sequences fit, the models are read once for each
 * batch of them; no number depends on how they are divided. */
#ifndef FORWARD_H
#define FORWARD_H

#include "format/base/monitor.h"
#include "verify/forward/coverage.h"
#include "verify/forward/metric.h"
#include "verify/forward/paired.h"
#include "verify/forward/part_measure.h"
#include "verify/model/rope_tables.h"
#include "verify/ops/ops.h"
#include "verify/forward/reference.h"
#include "format/store/model_store.h"

/* Where the ideal file comes from (verify/forward/ideal.h). */
typedef enum ideal_origin {
    IDEAL_NONE,     /* it is left out */
    IDEAL_COMPUTED, /* from the source */
    IDEAL_PACKED,   /* it is the packed file: every tensor is known to be its definition */
} ideal_origin;

typedef struct forward_options {
    const int32_t *ids; /* [sequences, length], each within the vocabulary */
    size_t sequences, length;
    bool f32, fp8;        /* variants: activations in float32, in FP8; at least one */
    slope_form slopes[2]; /* of the source (or the only model), of the packed model */
    bool prefill, decode; /* all tokens at once, one by one; both: also compare the two by bits */
    unsigned threads;     /* >= 1, for measuring */
    uint64_t memory;      /* bytes */
    const char *dump;     /* write states and logits to this file; NULL: do not */
    bool force;           /* replace an existing file */
    const reference *reference; /* forward_single: compare with this; NULL: do not */
    /* forward_compare: */
    ideal_origin ideal;
    store *versus;             /* another packed model, measured like the first; NULL: none */
    bool (*finish)(void *ctx); /* true: end after the sequences in work; NULL: never */
    void *finish_ctx;
} forward_options;

enum { FORWARD_VARIANTS = 2 };

/* What the logits of a model say. */
typedef struct logits_measure {
    position_measure *positions; /* [sequences * length]; NULL: not measured */
    position_summary summary;
} logits_measure;

/* The results of one variant. */
typedef struct forward_variant {
    bool fp8;
    layer_measure *layers; /* [layers] */
    part_measure *parts;   /* in the order of computing; NULL: not compared with a source */
    size_t part_count;
    logits_measure logits[SIDES];   /* against the source or the reference; not of SIDE_SOURCE */
    paired with_ideal, with_versus; /* the packed model and one of these */
    int64_t unequal_layer; /* the first layer after which the own states of the packed model are not
                              those of the ideal file; -1: every bit agrees, or there is no ideal */
} forward_variant;

typedef struct forward_report {
    model_config config;      /* of the source, or of the only model */
    size_t sequences, length; /* that were measured: fewer than asked for if `finish` said so */
    forward_variant variants[FORWARD_VARIANTS];
    unsigned variant_count;
    ideal_origin ideal;
    bool versus;
    bool modes_compared;   /* prefill with decode */
    int64_t unequal_layer; /* the first layer after which the modes differ; -1: every bit agrees */
    uint64_t bytes_read[SIDES];
    bool has_reference;   /* something was compared with a reference */
    bool has_states;      /* the reference has hidden states */
    double embedding_rms; /* of the embeddings against the reference's; NAN without */
    coverage coverage;    /* of the packed model by these tokens */
} forward_report;

/* Check before weights are read that a reference has hidden states or logits (of this slope form)
 * in the shapes that the model yields for `tokens` tokens. forward_single also checks it.
 * ERR_INPUT. */
MUST_CHECK err_code forward_check_reference(const reference *r, const model_config *c,
                                            size_t tokens, slope_form slope, err *e);

/* Run a source and a packed model (any two stores of the same shape) over the same tokens. Every
 * number measures the packed model against the source; the dump is of the packed model, in its
 * first variant. Errors: ERR_NUMERIC a hidden state or logit is not finite; ERR_DIFFERENT the
 * models have different shapes; ERR_INPUT, ERR_IO, ERR_DAMAGED, ERR_MEMORY, ERR_CANCELLED. If a model
 * changed during the run, that is the result (store_end), and there is no dump. If `finish` ends the
 * run early, it is OK, and the report is about fewer sequences. Free the report in every case. */
MUST_CHECK err_code forward_compare(store *source, store *packed, const forward_options *options,
                                    ops *o, const monitor *m, forward_report *out, err *e);

/* Run one model (SIDE_PACKED, whatever it is): its perplexity, its dump, and a comparison with a
 * reference. Each layer is also given the reference's hidden states before it (and the reference's
 * experts, if it has them), and its output is compared with the reference's hidden states after it:
 * with slopes[0], and with the other slope form. Errors as above. Free the report in every case. */
MUST_CHECK err_code forward_single(store *model, const forward_options *options, ops *o,
                                   const monitor *m, forward_report *out, err *e);

void forward_report_free(forward_report *r);

#endif
