/* Writes hidden states, selected experts and logits of a forward pass to a safetensors file.
 *
 *     dump_open(path, force, &config, sequences, length, ids, &d, e);
 *     dump_hidden(d, 0, embeddings, e);
 *     for each layer:            dump_hidden(d, layer + 1, states, e);
 *         if it has experts:     dump_routing(d, layer, &routing, e);
 *     for each block of tokens:  dump_logits(d, first, count, logits, e);
 *     dump_commit(&d, e);        or dump_abandon(&d): then there is no file
 *
 * Tensors have the names that reference.h reads, and are float32 or int32:
 *
 *     input_ids                          [S, T]
 *     hidden.0, hidden.i+1               [S, T, H]     embeddings; states after layer i
 *     router_index.i, router_weight.i    [S * T, k]    of layers with experts
 *     logits                             [S, T, V]
 *
 * The order of the calls does not matter, but everything has to be written before dump_commit. */
#ifndef DUMP_H
#define DUMP_H

#include "verify/model/model_run.h"

typedef struct dump dump;

/* The configuration has to outlive the dump. `force` replaces an existing file. Errors: ERR_IO like
 * output_open, ERR_MEMORY. */
MUST_CHECK err_code dump_open(const char *path, bool force, const model_config *c, size_t sequences,
                              size_t length, const int32_t *ids, dump **out, err *e);
MUST_CHECK err_code dump_hidden(dump *d, unsigned number, const float *states, err *e);
MUST_CHECK err_code dump_routing(dump *d, unsigned layer, const routing *r, err *e);
/* Logits of tokens [first, first + count): [count, vocab]. */
MUST_CHECK err_code dump_logits(dump *d, size_t first, size_t count, const float *logits, err *e);
/* Give the complete file its name. Releases *d in every case. */
MUST_CHECK err_code dump_commit(dump **d, err *e);
void dump_abandon(dump **d); /* a NULL dump is fine */

#endif
