/* Where a pass begins and ends: embeddings, and the head that makes logits. */
#include <stdlib.h>

#include "format/base/num.h"
#include "verify/model/model_run.h"

/* ---- embeddings ------------------------------------------------ */

/* One row at a time: a vocabulary is large, a batch needs little of it. Quantized rows can only be
 * read from the beginning of their tiles. */
static err_code embedding(model_run *run, int32_t id, float *out, err *e)
{
    const uint64_t row = (uint64_t)id;
    const uint64_t first = run_is_quantized(run, SLOT_EMBEDDING) ? row / 128 * 128 : row;
    weight w;
    const err_code code = run_load_band(run, SLOT_EMBEDDING, first, row - first + 1, &w, e);
    if (code == OK) {
        weight_widen_row(&w, row - first, out);
    }
    return code;
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
    for (size_t done = 0; done < all.rows && code == OK; done += RUN_BLOCK) {
        const size_t n = num_min(RUN_BLOCK, all.rows - done);
        for (size_t i = 0; i < n && code == OK; i++) {
            code = embedding(run, ids[done + i], rows + i * width, e);
        }
        if (code == OK) {
            run->ops->put(run->ops, rows, mat_rows(all, done, n));
            code = run_go_on(run, e);
        }
    }
    free(rows);
    return code;
}

/* ---- logits ---------------------------------------------------- */

enum { HEAD_BAND_BYTES = 16 << 20, HEAD_TRACKS_MAX = 8 };

/* Whole rows of tiles, about HEAD_BAND_BYTES of floats. */
static uint64_t band_rows(const model_run *run)
{
    const uint64_t tile_row = 128 * (uint64_t)run->config.hidden * sizeof(float);
    return 128 * num_max(1, HEAD_BAND_BYTES / tile_row);
}

err_code run_logits(model_run *run, const unsigned *numbers, unsigned count_tracks, size_t first,
                    size_t count, const mat *out, err *e)
{
    ops *const o = run->ops;
    const tensor_slot head = run->config.tied ? SLOT_EMBEDDING : SLOT_HEAD;
    const uint64_t vocab = run->config.vocab;
    mat a[HEAD_TRACKS_MAX];
    weight norm;
    err_code code = run_load(run, SLOT_FINAL_NORM, 0, 0, &norm, e);
    run_scratch_reset(run);
    for (unsigned i = 0; i < count_tracks && code == OK; i++) {
        a[i] = run_scratch(run, count, run->config.hidden);
        o->norm(o, mat_rows(run_track(run, numbers[i]), first, count), 1, &norm, run->config.eps,
                a[i]);
    }
    for (uint64_t row = 0; row < vocab && code == OK; row += band_rows(run)) {
        const uint64_t rows = num_min(band_rows(run), vocab - row);
        weight w;
        code = run_load_band(run, head, row, rows, &w, e);
        for (unsigned i = 0; i < count_tracks && code == OK; i++) {
            o->matmul(o, a[i], &w, NULL, run->tracks[numbers[i]].fp8, mat_cols(out[i], row, rows));
        }
        if (code == OK) {
            code = run_go_on(run, e);
        }
    }
    return code;
}
