/* Internal to layer.c and layer_mixture.c: loading weights, and cutting tracks into blocks. */
#ifndef LAYER_PARTS_H
#define LAYER_PARTS_H

#include "verify/model/layer.h"

step layer_step(model_run *run, unsigned layer, const weight *w, unsigned number);

/* How many tokens of a track are computed together, from `row` on, of `rows` in all. */
size_t layer_block_rows(const track *t, size_t row, size_t rows);

/* Read and load the tensors of a range that this layer has, into w [MODEL_SLOTS_MAX]. Unload them
 * in every case. */
MUST_CHECK err_code layer_load(model_run *run, unsigned layer, slot_range used, unsigned expert,
                               weight *w, err *e);
void layer_unload(model_run *run, slot_range used, weight *w);

/* All tracks have this part: tell who watches. The dry run is nobody's business. */
MUST_CHECK err_code layer_part_done(model_run *run, unsigned layer, model_part part, err *e);

#endif
