/* The steps that forward_compare and forward_single share. Internal to verify/.
 *
 *     forward_job_open      both passes, host buffers, the report's arrays, the dump
 *     ... run_layer and measures, by whoever runs the job
 *     forward_logits        head, logits, measures of positions
 *     forward_job_close */
#ifndef FORWARD_JOB_H
#define FORWARD_JOB_H

#include "verify/forward/dump.h"
#include "verify/forward/forward.h"
#include "verify/model/model_run.h"

typedef struct side {
    model_run run;
    track tracks[RUN_TRACKS_MAX];
} side;

typedef struct forward_job {
    const forward_options *options;
    const monitor *monitor;
    forward_report *report;
    weight_pool pool;
    side a;           /* the source, or the only model */
    side b;           /* the packed model; without tracks if there is one model */
    dump *dump;       /* NULL: none */
    float *states[4]; /* host: [tokens, hidden] each; the last for forward_compare_modes */
    const char *reference_logits; /* their name; NULL: there are none */
    int64_t *targets;             /* [tokens] the next token; -1 for the last of a sequence */
} forward_job;

/* The forms of activations that were asked for, float32 first. */
void forward_name_forms(forward_job *j);

/* Options, stores and the tracks of both sides are set; open the rest. */
MUST_CHECK err_code forward_job_open(forward_job *j, err *e);
void forward_job_close(forward_job *j);

/* Start a run with the configuration of its model, checked against its tensors. */
MUST_CHECK err_code forward_side_prepare(forward_job *j, side *s, store *model, ops *o, err *e);

/* Embed the tokens in every track of a side. */
MUST_CHECK err_code forward_embed(forward_job *j, side *s, err *e);

/* Copy the hidden states of a track to the host; ERR_NUMERIC if one is not finite. `layer` is -1
 * for embeddings. */
MUST_CHECK err_code forward_take(forward_job *j, side *s, unsigned number, int64_t layer, float *to,
                                 err *e);

/* Is track `number` bit by bit what `states` holds? Else note the layer in the report. */
MUST_CHECK err_code forward_compare_modes(forward_job *j, side *s, unsigned number, unsigned layer,
                                          const float *states, err *e);

bool forward_all_finite(const float *x, size_t n);

/* How many tokens have their logits in memory at a time; ERR_MEMORY if not even one fits. */
MUST_CHECK err_code forward_logits_block(const forward_job *j, size_t *block, err *e);

/* Share of tokens whose sets of experts are equal. */
double forward_agreement(const forward_job *j, const routing *x, const routing *y);

/* Logits of every form's own track, `own[f]`, measured: on side b against track 0 of side a; or,
 * if there is one model, on side a, against the reference's if it has them. */
MUST_CHECK err_code forward_logits(forward_job *j, const unsigned *own, err *e);

#endif
