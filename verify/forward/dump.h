/* Hidden states, routers' choices and logits of a pass, written as a safetensors file in the names
 * that reference.h reads: `input_ids` [S, T]; `hidden.0` (embeddings), `hidden.i+1` (after layer i)
 * [S, T, H]; `router_index.i`, `router_weight.i` of layers with experts [S * T, k]; `logits` [S, T,
 * V]. float32 and int32. */
#ifndef DUMP_H
#define DUMP_H

#include "verify/model/model_run.h"

typedef struct dump dump;

/* Errors: ERR_IO as output_open has them, ERR_MEMORY. */
MUST_CHECK err_code dump_open(const char *path, bool force, const model_config *c, size_t sequences,
                              size_t length, const int32_t *ids, dump **out, err *e);
MUST_CHECK err_code dump_hidden(dump *d, unsigned number, const float *states, err *e);
MUST_CHECK err_code dump_routing(dump *d, unsigned layer, const routing *r, err *e);
/* Logits of tokens [first, first + count): [count, vocab]. */
MUST_CHECK err_code dump_logits(dump *d, size_t first, size_t count, const float *logits, err *e);
/* Everything was written: give the file its name. Releases *d in every case. */
MUST_CHECK err_code dump_commit(dump **d, err *e);
void dump_abandon(dump **d); /* a NULL dump is fine */

#endif
