/* The steps that forward_compare and forward_single have in common. Internal to verify/forward/.
 *
 *     forward_name_variants, forward_side_prepare for each side; then plan the tracks of each side
 *     forward_job_open      runs, host buffers, arrays of the report, the dump
 *     forward_embed, then for each layer run_layer and measure: the caller does that
 *     forward_logits        head, logits, measures of positions
 *     forward_job_end       in every case, with the result: gives the dump its name, or removes it */
#ifndef FORWARD_JOB_H
#define FORWARD_JOB_H

#include "verify/forward/dump.h"
#include "verify/forward/forward.h"
#include "verify/model/model_run.h"

typedef struct model_side {
    model_run run;
    track tracks[RUN_TRACKS_MAX];
} model_side;

typedef struct forward_job {
    const forward_options *options;
    const monitor *monitor;
    forward_report *report;
    weight_pool pool;
    model_side a;     /* the source, or the only model */
    model_side b;     /* the packed model; without tracks if there is one model */
    dump *dump;       /* NULL: none */
    float *states[4]; /* host: [tokens, hidden] each; the last for forward_compare_modes */
    const char *reference_logits; /* their name; NULL: there are none */
    int64_t *targets;             /* [tokens] the next token; -1 for the last of a sequence */
} forward_job;

/* Add the requested variants to the report, float32 first. */
void forward_name_variants(forward_job *j);

/* Open everything else, once options and sides with their tracks are set. */
MUST_CHECK err_code forward_job_open(forward_job *j, err *e);

/* Set up the run of a side: read the configuration of its model and check its tensors. */
MUST_CHECK err_code forward_side_prepare(forward_job *j, model_side *s, store *model, ops *o,
                                         err *e);

/* Embed the tokens in every track of a side. */
MUST_CHECK err_code forward_embed(forward_job *j, model_side *s, err *e);

/* Copy the hidden states of a track to the host; ERR_NUMERIC if one is not finite. `layer` is -1
 * for embeddings. */
MUST_CHECK err_code forward_take(forward_job *j, model_side *s, unsigned number, int64_t layer,
                                 float *to, err *e);

/* Compare the states of track `number`, which decodes, with `states` bit by bit; the report keeps
 * the first layer that differs. */
MUST_CHECK err_code forward_compare_modes(forward_job *j, model_side *s, unsigned number,
                                          unsigned layer, const float *states, err *e);

bool forward_all_finite(const float *x, size_t n);

/* For how many tokens logits are in memory at a time; ERR_MEMORY if one token does not fit. */
MUST_CHECK err_code forward_logits_block(const forward_job *j, size_t *block, err *e);

/* The fraction of tokens for which both select the same set of experts. */
double forward_agreement(const forward_job *j, const routing *x, const routing *y);

/* Compute and measure the logits of every variant f, from its own track `own[f]`: of side b against
 * track 0 of side a; if there is one model, of side a, against the reference if it has logits. */
MUST_CHECK err_code forward_logits(forward_job *j, const unsigned *own, err *e);

/* The last step, when the models are known to be unchanged: the dump gets its name if `code`, the
 * result so far, is OK and the run is not to stop. Releases everything; returns the final result. */
MUST_CHECK err_code forward_job_end(forward_job *j, err_code code, err *e);

#endif
