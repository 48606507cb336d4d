/* One model on its way through a forward pass: its streams of hidden states, layer by layer
 * (spec/forward.md section 6).
 *
 *     pass p;
 *     pass_open(&p, &setup, e);
 *     pass_embed(&p, stream, ids, e);
 *     for (unsigned i = 0; i < p.config.layers; i++)
 *         pass_layer(&p, i, e);                 every stream went through layer i
 *     pass_logits(&p, ...);
 *     pass_close(&p);
 *
 * A stream is a batch of sequences with its own hidden states that goes through the layers with the
 * others: weights are read once for all of them, and a layer (routed experts: one expert) is all of
 * a model that is in memory at a time. Streams differ in how they compute, or in what they are fed:
 * whoever runs the pass may overwrite a stream between two layers. */
#ifndef PASS_H
#define PASS_H

#include "format/base/monitor.h"
#include "verify/model/rope_tables.h"
#include "verify/model/model_tensors.h"
#include "verify/ops/ops.h"

/* The experts of each token, ascending, and their shares: [tokens, top_k] each. */
typedef struct routing {
    uint32_t *index;
    float *share;
} routing;

typedef struct stream {
    bool fp8; /* FP8 activations for matrices that are quantized */
    slope_form slope;
    bool decode;           /* one token at a time, as text is generated */
    const routing *forced; /* experts to take instead of choosing; NULL: choose */
    routing chosen;        /* in the last layer that has experts; unless forced */
} stream;

/* Buffers for the weights of one layer, shared by the passes of both sides. */
typedef struct weight_pool {
    struct {
        void *data;
        float *scales;
        size_t data_room, scale_room;
    } slots[SLOT_COUNT];
} weight_pool;

void weight_pool_free(weight_pool *w);

typedef struct pass {
    /* Given. */
    ops *ops;
    store *store;
    weight_pool *pool; /* who runs two passes in turn lets them share one */
    const monitor *monitor;
    model_config config;
    size_t sequences, length; /* of each stream; tokens of a sequence */
    stream *streams;
    unsigned stream_count;
    /* Made by pass_open. */
    float *hidden;       /* ops: [streams, sequences, length, hidden] */
    float *normed, *sum; /* ops, the same shape: for layers with experts */
    float *state;        /* ops: the cache or the state of one sequence */
    float *scratch;      /* ops */
    size_t scratch_floats, scratch_used;
    float *cos, *sin;    /* host: [length, rotary_dim / 2] */
    float *decay, *bias; /* host: of the layer and stream at work */
    uint64_t bytes_read;
} pass;

/* ERR_INPUT: sequences longer than the configuration allows. */
MUST_CHECK err_code pass_check_length(const store *s, const model_config *c, size_t length, err *e);

/* Fill in the given members first. Errors: ERR_MEMORY; ERR_INPUT sequences longer than the
 * configuration allows. Close it in every case; that frees no given member but the routings in
 * `streams`. */
MUST_CHECK err_code pass_open(pass *p, err *e);
void pass_close(pass *p);

static inline size_t pass_tokens(const pass *p) /* of one stream */
{
    return p->sequences * p->length;
}

/* The hidden states of stream `number`: [tokens, hidden]. */
mat pass_stream(const pass *p, unsigned number);

/* Start a stream with the embeddings of ids [tokens], each within the vocabulary. */
MUST_CHECK err_code pass_embed(pass *p, unsigned number, const int32_t *ids, err *e);

/* Send every stream through layer `layer` (bailing.c). */
MUST_CHECK err_code pass_layer(pass *p, unsigned layer, err *e);

/* Logits of tokens [first, first + count) of several streams, count <= PASS_BLOCK; out[i] [count,
 * vocab] those of stream numbers[i]. The head is read once for all, a band of rows at a time. */
MUST_CHECK err_code pass_logits(pass *p, const unsigned *numbers, unsigned count_streams,
                                size_t first, size_t count, const mat *out, err *e);

/* For the model. ---- */

/* Read a weight into its buffer in the pool, where it stays until the slot is loaded again. */
MUST_CHECK err_code pass_load(pass *p, tensor_slot slot, unsigned layer, unsigned expert,
                              weight *out, err *e);
/* The same for rows [first, first + rows) of a large one. */
MUST_CHECK err_code pass_load_band(pass *p, tensor_slot slot, uint64_t first, uint64_t rows,
                                   weight *out, err *e);
bool pass_is_quantized(const pass *p, tensor_slot slot); /* a tensor outside the layers */
void pass_prefetch(pass *p, tensor_slot slot, unsigned layer, unsigned expert);

/* Row `row` of a weight as floats, [w->cols]. */
void weight_widen_row(const weight *w, size_t row, float *out);

/* Before a sequence: no keys, no state. */
void pass_clear_state(pass *p);

/* Has an operation failed, or does the user want to stop? */
MUST_CHECK err_code pass_go_on(pass *p, err *e);

/* A matrix of working memory, valid until the next pass_scratch_reset; what it holds is undefined.
 * pass_open provides for the largest layer. */
mat pass_scratch(pass *p, size_t rows, size_t cols);
void pass_scratch_reset(pass *p);

enum { PASS_BLOCK = 512 }; /* tokens that go through an MLP together */

#endif
