/* The forward pass as a check: does the packed model still say the same? (spec/forward.md)
 *
 *     forward_options o = {.ids = ids, .sequences = 4, .length = 512, .f32 = true, ...};
 *     forward_report r;
 *     if (forward_compare(source, packed, &o, ops, m, &r, e) == OK)
 *         ... r.forms[0].summary.kl_mean, r.forms[0].layers[i].local_error ...
 *     forward_report_free(&r);
 *
 * Both models go through the same tokens, layer by layer and side by side; neither is ever in
 * memory as a whole. Nothing here judges: limits.h does. */
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
    bool f32, fp8;        /* forms of activations; at least one */
    slope_form slopes[2]; /* of the source (or the only model), and of the packed one */
    bool prefill, decode; /* all tokens at once, or one by one; both: and compare bit by bit */
    unsigned threads;     /* >= 1, for the measures */
    uint64_t memory;      /* for logits, bytes */
    const char *dump;     /* write states and logits to this file; NULL: do not */
    bool force;           /* replace it */
    const reference *reference; /* forward_single: compare with these; NULL: nothing */
} forward_options;

/* The results for one form of activations. */
typedef struct forward_form {
    bool fp8;
    layer_measure *layers;       /* [layers] */
    position_measure *positions; /* [sequences * length] */
    position_summary summary;
} forward_form;

typedef struct forward_report {
    model_config config; /* of the source, or of the only model */
    size_t sequences, length;
    forward_form forms[2];
    unsigned form_count;
    bool modes_compared; /* prefill and decode; unequal_layer is -1 if every bit agrees */
    int64_t unequal_layer;
    uint64_t bytes_read[2]; /* of the source, of the packed model */
    bool has_reference;
    bool has_states;      /* the reference has hidden states */
    double embedding_rms; /* of ours against the reference's; NAN without */
} forward_report;

/* Before a weight is read: has a reference states or logits (of this form of slopes), in the shapes
 * that the model makes of so many tokens? forward_single asks that, too. ERR_INPUT. */
MUST_CHECK err_code forward_check_reference(const reference *r, const model_config *c,
                                            size_t tokens, slope_form slope, err *e);

/* Run a source and a packed model (any two stores of the same shape) over the same tokens. Every
 * number is one of the packed model against the source. The dump is of the packed model. Errors:
 * ERR_INPUT, ERR_IO, ERR_DAMAGED, ERR_MEMORY, ERR_CANCELLED; ERR_NUMERIC a state that is not
 * finite; ERR_DIFFERENT the models have different shapes. Free the report in every case. */
MUST_CHECK err_code forward_compare(store *source, store *packed, const forward_options *options,
                                    ops *o, const monitor *m, forward_report *out, err *e);

/* Run one model: its perplexity, its dump, and how it compares with a reference. Layer by layer,
 * the reference's hidden state goes into our layer (its experts, too, where it has them), and what
 * comes out is compared with the reference's next one; slopes[0] and the other form. */
MUST_CHECK err_code forward_single(store *model, const forward_options *options, ops *o,
                                   const monitor *m, forward_report *out, err *e);

void forward_report_free(forward_report *r);

#endif
