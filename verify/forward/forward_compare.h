/* The steps of a comparison of a source with its packed model. Internal to verify/forward/.
 *
 *     forward_compare.c     which models run, and in which tracks
 *     forward_layers.c      what is measured in layers
 *     forward_results.c     what all sequences together say */
#ifndef FORWARD_COMPARE_H
#define FORWARD_COMPARE_H

#include "verify/forward/forward_job.h"

static inline track *forward_track(forward_job *j, forward_side side, unsigned variant,
                                   track_kind kind)
{
    return &j->sides[side].tracks[j->sides[side].number[variant][kind]];
}

static inline unsigned forward_number(const forward_job *j, forward_side side, unsigned variant,
                                      track_kind kind)
{
    return (unsigned)j->sides[side].number[variant][kind];
}

/* The experts that the source chooses in the current layer. */
static inline const routing *forward_source_experts(forward_job *j)
{
    return &forward_track(j, SIDE_SOURCE, 0, OWN)->selected;
}

static inline bool forward_both_modes(const forward_job *j)
{
    return j->options->prefill && j->options->decode;
}

static inline size_t forward_state_floats(const forward_job *j) /* of one track */
{
    return forward_tokens(j) * forward_config(j)->hidden;
}

/* Embeddings are computed: measure them. */
MUST_CHECK err_code forward_compare_start(forward_job *j, err *e);

/* Compute a layer on every side, and measure it. */
MUST_CHECK err_code forward_compare_layer(forward_job *j, unsigned layer, err *e);

/* A part_watch; `side` is the model_side. */
MUST_CHECK err_code forward_part_done(void *side, unsigned layer, model_part part, err *e);

/* Fill in the report. ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code forward_compare_finish(forward_job *j, err *e);

#endif
