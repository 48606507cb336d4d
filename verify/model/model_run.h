/* The state of a forward pass of one model: its tracks of hidden states, which advance layer by
 * layer (spec/forward.md section 6).
 *
 *     model_run run;
 *     run_open(&run, &setup, e);
 *     run_embed(&run, track, ids, e);
 *     for (unsigned i = 0; i < run.config.layers; i++)
 *         run_layer(&run, i, e);                 computes layer i for every track
 *     run_logits(&run, ...);
 *     run_close(&run);
 *
 * A track is a batch of sequences with its own hidden states. All tracks advance together, so that
 * weights are read once for all of them; only the weights of one layer (of routed experts: of one
 * expert) are in memory at a time. Tracks differ in how they compute, or in their hidden states:
 * the caller may overwrite a track between two layers. One thread at a time uses a run. */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "format/base/monitor.h"
#include "verify/model/model_tensors.h"
#include "verify/model/rope_tables.h"
#include "verify/ops/ops.h"

/* The experts of each token, ascending, and their weights: [tokens, top_k] each. */
typedef struct routing {
    uint32_t *index;
    float *weights;
} routing;

typedef struct track {
    bool fp8; /* FP8 activations for matrices that are quantized */
    slope_form slope;
    bool decode;           /* one token at a time, as text is generated */
    const routing *forced; /* use these experts and weights; NULL: let the router select */
    const routing *choice; /* use these experts, with the weights that the router gives them */
    bool scored;           /* keep the router's scores, and its choice even if another is forced */
    /* Of the last layer that has experts; set by run_open, which owns them. */
    routing selected; /* by the router; undefined if `forced`, unless `scored` */
    float *scores;    /* [tokens, experts]; NULL unless `scored` */
} track;

typedef struct weight_buffer {
    void *data;
    float *scales;
    size_t data_capacity, scale_capacity; /* bytes */
} weight_buffer;

/* Buffers for the weights of one layer, by slot. Runs that take turns can share a pool. */
typedef struct weight_pool {
    weight_buffer slots[MODEL_SLOTS_MAX];
} weight_pool;

void weight_pool_free(weight_pool *w);

/* Reads rows of a tensor of the store as store_read does, but perhaps from elsewhere. */
typedef struct weight_reader {
    err_code (*read)(void *ctx, const store_tensor *t, uint64_t first, uint64_t rows, void *data,
                     float *scales, err *e);
    void *ctx;
} weight_reader;

/* The parts of a model, in the order in which they are computed. A layer has attention, a router if
 * it has experts, and an MLP; the head includes the final norm. */
typedef enum model_part {
    PART_EMBEDDING,
    PART_ATTENTION,
    PART_ROUTER,
    PART_MLP,
    PART_HEAD,
    MODEL_PARTS
} model_part;

/* Is called after each part of a layer, when all tracks have it; may read and overwrite tracks. */
typedef struct part_watch {
    err_code (*done)(void *ctx, unsigned layer, model_part part, err *e);
    void *ctx;
} part_watch;

enum { RUN_TRACKS_MAX = 8 };

struct model_run {
    /* Set by the caller, who keeps ownership. */
    ops *ops;
    store *store;
    weight_reader reader; /* all zero: store_read */
    part_watch watch;     /* all zero: nobody watches */
    weight_pool *pool;
    const monitor *monitor;
    model_config config;
    size_t sequences, length; /* of each track; tokens of a sequence */
    track *tracks;
    unsigned track_count; /* <= RUN_TRACKS_MAX */
    /* Set by run_open. */
    float *hidden;       /* ops: [tracks, sequences, length, hidden] */
    float *normed, *sum; /* ops, of the same shape: for layers with experts */
    float *state;        /* ops: the key-value cache or the state of one sequence */
    size_t state_floats;
    float *scratch; /* ops */
    size_t scratch_floats, scratch_used, scratch_most;
    float *cos, *sin;    /* host: [length, rotary_dim / 2] */
    float *decay, *bias; /* host: of the current layer and track */
    uint64_t bytes_read;
};

/* ERR_INPUT: the configuration does not allow sequences of this length. */
MUST_CHECK err_code run_check_length(const store *s, const model_config *c, size_t length, err *e);

/* Set the caller's members first. Errors: ERR_MEMORY; ERR_INPUT as run_check_length. Close the run
 * in every case; of the caller's members, that frees only the routings in `tracks`. */
MUST_CHECK err_code run_open(model_run *run, err *e);
void run_close(model_run *run);

static inline size_t run_tokens(const model_run *run) /* of one track */
{
    return run->sequences * run->length;
}

/* The hidden states of track `number`: [tokens, hidden]. */
mat run_track(const model_run *run, unsigned number);

/* Set a track to the embeddings of ids [tokens], each within the vocabulary. */
MUST_CHECK err_code run_embed(model_run *run, unsigned number, const int32_t *ids, err *e);

/* Compute a layer for every track, as the architecture defines it. */
MUST_CHECK err_code run_layer(model_run *run, unsigned layer, err *e);

/* Compute logits of tokens [first, first + count) of several tracks, count <= RUN_BLOCK: out[i]
 * [count, vocab] for track numbers[i]. The head is read once for all, a band of rows at a time. */
MUST_CHECK err_code run_logits(model_run *run, const unsigned *numbers, unsigned count_tracks,
                               size_t first, size_t count, const mat *out, err *e);

/* ---- for layers ------------------------------------------------ */

/* Read a weight into its buffer in the pool, where it stays until the slot is read again. The
 * caller loads it into the ops. The monitor advances by its bytes. */
MUST_CHECK err_code run_read_weight(model_run *run, unsigned slot, unsigned layer, unsigned expert,
                                    weight *out, err *e);
/* The same for rows [first, first + rows) of a large tensor outside the layers, which may be read any
 * number of times: the monitor does not advance. */
MUST_CHECK err_code run_read_band(model_run *run, unsigned slot, uint64_t first, uint64_t rows,
                                  weight *out, err *e);
/* Rows of a block of a tensor outside the layers, 1 if it is not quantized: run_read_band can only
 * begin at a multiple. */
uint64_t run_block_height(const model_run *run, unsigned slot);
void run_prefetch(model_run *run, unsigned slot, unsigned layer, unsigned expert);

/* Row `row` of a weight as floats, [w->cols]. */
void weight_widen_row(const weight *w, size_t row, float *out);

/* Clear the cache or state, before each sequence. */
void run_clear_state(model_run *run);

/* The error of an operation that failed, or ERR_CANCELLED. */
MUST_CHECK err_code run_go_on(model_run *run, err *e);

/* A matrix in scratch memory, valid until the next run_scratch_reset; its contents are undefined.
 * run_open allocates enough for the largest layer, which it finds by a dry run. */
mat run_scratch(model_run *run, size_t rows, size_t cols);
void run_scratch_reset(model_run *run);

/* The dry run: how many floats of scratch memory and of state the layers and the head need at most.
 * No weight is read. ERR_MEMORY. */
MUST_CHECK err_code run_measure(const model_run *run, size_t *scratch_floats, size_t *state_floats,
                                err *e);

enum { RUN_BLOCK = 512 }; /* tokens for which an MLP is computed together */

#endif
