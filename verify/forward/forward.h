/* The forward pass as a check: does the packed model still behave the same? (spec/forward.md)
 *
 *     forward_options o = {.ids = ids, .sequences = 4, .length = 512, .f32 = true, ...};
 *     forward_report r;
 *     if (forward_compare(source, packed, &o, ops, m, &r, e) == OK)
 *         ... r.variants[0].summary.kl_mean, r.variants[0].layers[i].local_error ...
 *     forward_report_free(&r);
 *
 * Both models process the same tokens side by side, layer by layer; neither is ever in memory as a
 * whole. Nothing here judges the results: limits.h does. Host memory: a few times the hidden states
 * of all tokens, the weights of one layer (of routed experts: of one), and `memory` for logits. */
#ifndef FORWARD_H
#define FORWARD_H

#include "format/base/monitor.h"
#include "verify/forward/metric.h"
#include "verify/model/rope_tables.h"
#include "verify/ops/ops.h"
#include "verify/forward/reference.h"
#include "format/store/model_store.h"

typedef struct forward_options {
    const int32_t *ids; /* [sequences, length], each within the vocabulary */
    size_t sequences, length;
    bool f32, fp8;        /* variants: activations in float32, in FP8; at least one */
    slope_form slopes[2]; /* of the source (or the only model), of the packed model */
    bool prefill, decode; /* all tokens at once, one by one; both: also compare the two by bits */
    unsigned threads;     /* >= 1, for measuring */
    uint64_t memory;      /* for logits, bytes */
    const char *dump;     /* write states and logits to this file; NULL: do not */
    bool force;           /* replace an existing file */
    const reference *reference; /* forward_single: compare with this; NULL: do not */
} forward_options;

/* The results of one variant. */
typedef struct forward_variant {
    bool fp8;
    layer_measure *layers;       /* [layers] */
    position_measure *positions; /* [sequences * length] */
    position_summary summary;
} forward_variant;

typedef struct forward_report {
    model_config config; /* of the source, or of the only model */
    size_t sequences, length;
    forward_variant variants[2];
    unsigned variant_count;
    bool modes_compared;    /* prefill with decode */
    int64_t unequal_layer;  /* the first layer after which the modes differ; -1: every bit agrees */
    uint64_t bytes_read[2]; /* of the source (or the only model), of the packed model */
    bool has_reference;     /* something was compared with a reference */
    bool has_states;        /* the reference has hidden states */
    double embedding_rms;   /* of the embeddings against the reference's; NAN without */
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
 * changed during the run, that is the result (store_end), and there is no dump. Free the report in
 * every case. */
MUST_CHECK err_code forward_compare(store *source, store *packed, const forward_options *options,
                                    ops *o, const monitor *m, forward_report *out, err *e);

/* Run one model: its perplexity, its dump, and a comparison with a reference. Each layer is also
 * given the reference's hidden states before it (and the reference's experts, if it has them), and
 * its output is compared with the reference's hidden states after it: with slopes[0], and with the
 * other slope form. Errors as above. Free the report in every case. */
MUST_CHECK err_code forward_single(store *model, const forward_options *options, ops *o,
                                   const monitor *m, forward_report *out, err *e);

void forward_report_free(forward_report *r);

#endif
