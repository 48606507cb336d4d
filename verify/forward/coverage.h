/* What a forward pass has not looked at: experts that no token chose, and tensors that were never
 * read. A fault there cannot be seen in any measure, so every report says it.
 *
 *     coverage_create(&c, packed, &config, e);
 *     coverage_add_tokens(&c, ids, tokens);
 *     coverage_add_experts(&c, layer, &routing, tokens, &config);      for each layer with experts
 *     coverage_add_tensor(&c, packed, t);                      for each tensor that is read
 *     coverage_finish(&c, packed);
 *     ... c.chosen of c.experts; c.unread tensors, beginning with c.first_unread ...
 *     coverage_free(&c); */
#ifndef COVERAGE_H
#define COVERAGE_H

#include "verify/model/model_run.h"

typedef struct coverage {
    unsigned *layer_chosen;   /* [layers] experts that some token chose; 0 without experts */
    uint64_t experts, chosen; /* of all layers together */
    unsigned least_layer;     /* the layer with the fewest; if experts > 0 */
    uint64_t tensors;         /* of the packed model, without scales */
    uint64_t unread;          /* of these, except those of experts that no token chose */
    uint64_t unread_experts;  /* the latter */
    uint64_t unread_bytes;    /* of both together */
    uint64_t bytes;           /* of all tensors */
    uint64_t rows, rows_read; /* of the embedding: tokens of the vocabulary, and those that occur */
    const char *first_unread; /* a name among `unread`, owned by the store; NULL: there is none */
    unsigned layers, per_layer;
    unsigned char *seen; /* [layers, per_layer]: this expert was chosen */
    unsigned char *read; /* [tensors] */
    unsigned char *row;  /* [rows] */
} coverage;

/* ERR_MEMORY. Free in every case. */
MUST_CHECK err_code coverage_create(coverage *c, const store *s, const model_config *config,
                                    err *e);
void coverage_free(coverage *c);

void coverage_add_experts(coverage *c, unsigned layer, const routing *r, size_t choices);
void coverage_add_tokens(coverage *c, const int32_t *ids, size_t count); /* within the vocabulary */
void coverage_add_tensor(coverage *c, const store *s, const store_tensor *t);
void coverage_finish(coverage *c, const store *s);

#endif
