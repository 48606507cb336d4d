/* Where a forward pass begins and ends: embeddings, and the head that computes logits. */
#include <stdlib.h>

#include "format/base/num.h"
#include "verify/model/model_run.h"

/* ---- embeddings ------------------------------------------------ */

/* Read one row at a time: a vocabulary is large, and a batch needs few of its rows. */
static err_code embedding(model_run *run, int32_t id, float *out, err *e)
{
    const uint64_t row = (uint64_t)id;
    const uint64_t first = row - row % run_block_height(run, SLOT_EMBEDDING);
    weight w;
    TRY(run_read_band(run, SLOT_EMBEDDING, first, row - first + 1, &w, e));
    weight_widen_row(&w, row - first, out);
    return OK;
}

static err_code embed_rows(model_run *run, mat to, const int32_t *ids, float *rows, err *e)
{
    for (size_t i = 0; i < to.rows; i++) {
        TRY(embedding(run, ids[i], rows + i * to.cols, e));
    }
    run->ops->put(run->ops, rows, to);
    return run_go_on(run, e);
}

err_code run_embed(model_run *run, unsigned number, const int32_t *ids, err *e)
{
    const mat all = run_track(run, number);
    const size_t width = run->config.hidden;
    float *const rows = malloc(RUN_BLOCK * width * sizeof *rows);
    if (!rows) {
        return err_set(e, ERR_MEMORY, "no memory for embeddings");
    }
    err_code code = OK;
    for (size_t done = 0; done < all.rows; done += RUN_BLOCK) {
        const size_t n = num_min(RUN_BLOCK, all.rows - done);
        TRY_OUT(embed_rows(run, mat_rows(all, done, n), ids + done, rows, e));
    }
out:
    free(rows);
    return code;
}

/* ---- logits ---------------------------------------------------- */

enum { HEAD_BAND_BYTES = 16 << 20 };

/* Rows of the head that are read at a time: whole rows of the largest blocks, about HEAD_BAND_BYTES
 * as floats. */
static uint64_t band_rows(const model_run *run)
{
    const uint64_t block_bytes = BLOCK_MAX_ROWS * (uint64_t)run->config.hidden * sizeof(float);
    return BLOCK_MAX_ROWS * num_max(1, HEAD_BAND_BYTES / block_bytes);
}

/* The final norm of `count` tokens of each track, into scratch memory. */
static err_code norm_tracks(model_run *run, const unsigned *numbers, unsigned count_tracks,
                            size_t first, size_t count, mat *normed, err *e)
{
    ops *const o = run->ops;
    weight norm;
    TRY(run_read_weight(run, SLOT_FINAL_NORM, 0, 0, &norm, e));
    o->load(o, &norm);
    run_scratch_reset(run);
    for (unsigned i = 0; i < count_tracks; i++) {
        normed[i] = run_scratch(run, count, run->config.hidden);
        o->norm(o, mat_rows(run_track(run, numbers[i]), first, count), 1, &norm, run->config.eps,
                normed[i]);
    }
    o->unload(o, &norm);
    return OK;
}

err_code run_logits(model_run *run, const unsigned *numbers, unsigned count_tracks, size_t first,
                    size_t count, const mat *out, err *e)
{
    ops *const o = run->ops;
    const unsigned head = run->config.tied ? SLOT_EMBEDDING : SLOT_HEAD;
    const uint64_t vocab = run->config.vocab;
    mat a[RUN_TRACKS_MAX];
    TRY(norm_tracks(run, numbers, count_tracks, first, count, a, e));
    for (uint64_t row = 0; row < vocab; row += band_rows(run)) {
        const uint64_t rows = num_min(band_rows(run), vocab - row);
        weight w;
        TRY(run_read_band(run, head, row, rows, &w, e));
        o->load(o, &w);
        for (unsigned i = 0; i < count_tracks; i++) {
            o->matmul(o, a[i], &w, NULL, run->tracks[numbers[i]].fp8, mat_cols(out[i], row, rows));
        }
        o->unload(o, &w);
        TRY(run_go_on(run, e));
    }
    return OK;
}
