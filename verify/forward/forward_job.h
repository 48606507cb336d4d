/* The steps that forward_compare and forward_single have in common. Internal to verify/forward/.
 *
 *     forward_job_begin     variants, measures
 *     forward_side_prepare  for each side; then plan its tracks with forward_add_track
 *     forward_job_open      runs, host buffers, arrays of the report, the dump
 *     forward_batches       for each batch of sequences: the caller's layers, then the logits
 *     forward_job_end       in every case, with the result: gives the dump its name, or removes it */
#ifndef FORWARD_JOB_H
#define FORWARD_JOB_H

#include "verify/forward/dump.h"
#include "verify/forward/forward.h"
#include "verify/forward/ideal.h"

/* Tracks of a side, for each variant:
 *     OWN      with its own states and its own choice of experts
 *     LOCAL    gets the states and the experts of the source before every part
 *     CHOICE   with its own states, but the experts that the source chose
 *     DECODED  OWN, token by token */
typedef enum track_kind { OWN, LOCAL, CHOICE, DECODED, TRACK_KINDS } track_kind;

typedef struct forward_job forward_job;

typedef struct model_side {
    model_run run; /* without tracks: there is no such side */
    track tracks[RUN_TRACKS_MAX];
    int number[FORWARD_VARIANTS][TRACK_KINDS]; /* of a track; -1: the side has none of this kind */
    forward_job *job;
    ideal *ideal;   /* reads its weights; NULL: they are those of its store */
    bool undefined; /* a weight that was read since this was cleared is another tool's rounding */
} model_side;

/* Measures of a layer over all batches. */
typedef struct layer_tally {
    hidden_sums own;          /* states of the packed model */
    hidden_sums local[SIDES]; /* the increments of all its parts together */
    size_t same_experts;      /* tokens */
} layer_tally;

typedef struct variant_tally {
    part_tally *parts;   /* [part_places] */
    layer_tally *layers; /* [layers] */
} variant_tally;

/* What the job keeps on the host, [tokens, hidden] each: the states of the source before, within and
 * after a layer; two to work with; and after the attention of each side. */
enum { STATES = 5, STATE_BUFFERS = STATES + SIDES * FORWARD_VARIANTS };

struct forward_job {
    const forward_options *options;
    const monitor *outer; /* of the caller */
    monitor monitor;      /* of the job: it does not cancel a batch that is to be finished */
    bool told;            /* that the run will end early */
    forward_report *report;
    weight_pool pool;
    model_side sides[SIDES];
    variant_tally tallies[FORWARD_VARIANTS];
    dump *dump; /* NULL: none */
    float *states[STATE_BUFFERS];
    const char *reference_logits; /* their name; NULL: there are none */
    const softmax_kernel *kernel;
    size_t batch;                              /* sequences that are computed together, at most */
    size_t first;                              /* the first sequence of the current batch */
    err_code (*start)(forward_job *j, err *e); /* after the embeddings */
    err_code (*layer)(forward_job *j, unsigned layer, err *e); /* compute and measure a layer */
};

static inline bool forward_has(const forward_job *j, forward_side side)
{
    return j->sides[side].run.track_count > 0;
}

static inline const model_config *forward_config(const forward_job *j)
{
    return &j->sides[SIDE_PACKED].run.config;
}

/* Tokens of the current batch, and the ids of its first one. */
static inline size_t forward_tokens(const forward_job *j)
{
    return run_tokens(&j->sides[SIDE_PACKED].run);
}

/* Empty the report and name the variants, float32 first. */
void forward_job_begin(forward_job *j);

/* Set up the run of a side: read the configuration of its model and check its tensors. */
MUST_CHECK err_code forward_side_prepare(forward_job *j, forward_side side, store *model, ops *o,
                                         err *e);

void forward_add_track(forward_job *j, forward_side side, unsigned variant, track_kind kind,
                       track t);

/* Open everything else, once sides and their tracks are planned. */
MUST_CHECK err_code forward_job_open(forward_job *j, err *e);

/* Set the monitor of the job. */
void forward_watch(forward_job *j, const monitor *m);

/* Run all batches, or those before options->finish says that it is enough. */
MUST_CHECK err_code forward_batches(forward_job *j, err *e);

/* The last step, when the models are known to be unchanged: the dump gets its name if `code`, the
 * result so far, is OK and the run is not to stop. Releases everything; returns the final result. */
MUST_CHECK err_code forward_job_end(forward_job *j, err_code code, err *e);

/* ---- steps ----------------------------------------------------- */

/* Copy the hidden states of a track to the host; ERR_NUMERIC if one is not finite. `layer` is -1
 * for embeddings. */
MUST_CHECK err_code forward_take(forward_job *j, forward_side side, unsigned number, int64_t layer,
                                 float *to, err *e);

/* Overwrite the hidden states of a track. */
void forward_give(forward_job *j, forward_side side, unsigned number, const float *states);

/* Compare the states of track `number`, which decodes, with `states` bit by bit; the report keeps
 * the first layer that differs. */
MUST_CHECK err_code forward_compare_modes(forward_job *j, forward_side side, unsigned number,
                                          unsigned layer, const float *states, err *e);

bool forward_all_finite(const float *x, size_t n);

/* Tokens of the batch for which both select the same set of experts. */
size_t forward_same_experts(const forward_job *j, const routing *x, const routing *y);

part_tally *forward_part(forward_job *j, unsigned variant, model_part part, unsigned layer);

/* Bytes of a tensor outside the layers, for progress; 0: the model has none. */
uint64_t forward_slot_bytes(const forward_job *j, forward_side side, unsigned slot);

/* For how many tokens logits are in memory at a time; ERR_MEMORY if one token does not fit. */
MUST_CHECK err_code forward_logits_block(const forward_job *j, size_t *block, err *e);

/* Compute and measure the logits of a batch: of the OWN tracks of every side except the source, and
 * of the packed model's CHOICE tracks, against those of the source or of the reference; and the part
 * PART_HEAD, of the LOCAL tracks. */
MUST_CHECK err_code forward_logits(forward_job *j, err *e);

#endif
