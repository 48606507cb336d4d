/* What the files of layer.h share. Internal to them. */
#ifndef LAYER_PARTS_H
#define LAYER_PARTS_H

#include "verify/model/layer.h"

step layer_step(model_run *run, unsigned layer, const weight *w, unsigned number);

/* Tokens of a track that are worked on together, from row `row` on, of `rows`. */
size_t layer_block_rows(const track *t, size_t row, size_t rows);

/* Read and load what this layer has of a range, w [MODEL_SLOTS_MAX]; unload it in every case. */
MUST_CHECK err_code layer_load(model_run *run, unsigned layer, slot_range used, unsigned expert,
                               weight *w, err *e);
void layer_unload(model_run *run, slot_range used, weight *w);

#endif
