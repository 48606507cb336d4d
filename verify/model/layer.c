#include "verify/model/layer.h"

#include "format/base/num.h"
#include "verify/model/layer_parts.h"

step layer_step(model_run *run, unsigned layer, const weight *w, unsigned number)
{
    return (step){
        .run = run, .c = &run->config, .w = w, .layer = layer, .fp8 = run->tracks[number].fp8};
}

size_t layer_block_rows(const track *t, size_t row, size_t rows)
{
    return t->decode ? 1 : num_min(RUN_BLOCK, rows - row);
}

err_code layer_load(model_run *run, unsigned layer, slot_range used, unsigned expert, weight *w,
                    err *e)
{
    for (unsigned slot = used.first; slot <= used.last; slot++) {
        uint64_t shape[2];
        if (model_tensor_shape(&run->config, slot, layer, shape) > 0) {
            TRY(run_read_weight(run, slot, layer, expert, &w[slot], e));
            run->ops->load(run->ops, &w[slot]);
        }
    }
    return OK;
}

void layer_unload(model_run *run, slot_range used, weight *w)
{
    for (unsigned slot = used.first; slot <= used.last; slot++) {
        run->ops->unload(run->ops, &w[slot]);
    }
}

err_code layer_part_done(model_run *run, unsigned layer, model_part part, err *e)
{
    return run->store && run->watch.done ? run->watch.done(run->watch.ctx, layer, part, e) : OK;
}

/* ---- by sequence ----------------------------------------------- */

static err_code track_by_sequence(model_run *run, step s, unsigned number, formula *f, err *e)
{
    const track *const t = &run->tracks[number];
    const size_t rows = t->decode ? 1 : run->length;
    if (model_layer_kind(&run->config, s.layer) == LAYER_LINEAR) {
        model_decay(&run->config, t->slope, s.layer, run->decay);
    }
    for (size_t row = 0; row < run_tokens(run); row += rows) {
        s.position = row % run->length;
        if (s.position == 0) {
            run_clear_state(run);
        }
        run_scratch_reset(run);
        f(&s, mat_rows(run_track(run, number), row, rows));
        TRY(run_go_on(run, e));
    }
    return OK;
}

err_code layer_by_sequence(model_run *run, unsigned layer, slot_range used, formula *f, err *e)
{
    weight w[MODEL_SLOTS_MAX] = {0};
    err_code code = OK;
    TRY_OUT(layer_load(run, layer, used, 0, w, e));
    for (unsigned i = 0; i < run->track_count; i++) {
        TRY_OUT(track_by_sequence(run, layer_step(run, layer, w, i), i, f, e));
    }
    code = layer_part_done(run, layer, PART_ATTENTION, e);
out:
    layer_unload(run, used, w);
    return code;
}

/* ---- by block -------------------------------------------------- */

static err_code track_by_block(model_run *run, const step *s, unsigned number, formula *f, err *e)
{
    const mat all = run_track(run, number);
    size_t rows = 0;
    for (size_t row = 0; row < all.rows; row += rows) {
        rows = layer_block_rows(&run->tracks[number], row, all.rows);
        run_scratch_reset(run);
        f(s, mat_rows(all, row, rows));
        TRY(run_go_on(run, e));
    }
    return OK;
}

err_code layer_by_block(model_run *run, unsigned layer, slot_range used, formula *f, err *e)
{
    weight w[MODEL_SLOTS_MAX] = {0};
    err_code code = OK;
    TRY_OUT(layer_load(run, layer, used, 0, w, e));
    for (unsigned i = 0; i < run->track_count; i++) {
        const step s = layer_step(run, layer, w, i);
        TRY_OUT(track_by_block(run, &s, i, f, e));
    }
    code = layer_part_done(run, layer, PART_MLP, e);
out:
    layer_unload(run, used, w);
    return code;
}
