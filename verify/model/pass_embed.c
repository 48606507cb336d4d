/* Where a pass begins and ends: embeddings, and the head that makes logits. */
#include <stdlib.h>

#include "format/base/num.h"
#include "verify/model/pass.h"

/* ---- embeddings ------------------------------------------------ */

/* One row at a time: a vocabulary is large, a batch needs little of it. Quantized rows can only be
 * read from the beginning of their tiles. */
static err_code embedding(pass *p, int32_t id, float *out, err *e)
{
    const uint64_t row = (uint64_t)id;
    const uint64_t first = pass_is_quantized(p, SLOT_EMBEDDING) ? row / 128 * 128 : row;
    weight w;
    const err_code code = pass_load_band(p, SLOT_EMBEDDING, first, row - first + 1, &w, e);
    if (code == OK) {
        weight_widen_row(&w, row - first, out);
    }
    return code;
}

err_code pass_embed(pass *p, unsigned number, const int32_t *ids, err *e)
{
    const mat all = pass_stream(p, number);
    const size_t width = p->config.hidden;
    float *const rows = malloc(PASS_BLOCK * width * sizeof *rows);
    if (!rows) {
        return err_set(e, ERR_MEMORY, "no memory for embeddings");
    }
    err_code code = OK;
    for (size_t done = 0; done < all.rows && code == OK; done += PASS_BLOCK) {
        const size_t n = num_min(PASS_BLOCK, all.rows - done);
        for (size_t i = 0; i < n && code == OK; i++) {
            code = embedding(p, ids[done + i], rows + i * width, e);
        }
        if (code == OK) {
            p->ops->put(p->ops, rows, mat_rows(all, done, n));
            code = pass_go_on(p, e);
        }
    }
    free(rows);
    return code;
}

/* ---- logits ---------------------------------------------------- */

enum { HEAD_BAND_BYTES = 16 << 20, HEAD_STREAMS_MAX = 8 };

/* Whole rows of tiles, about HEAD_BAND_BYTES of floats. */
static uint64_t band_rows(const pass *p)
{
    const uint64_t tile_row = 128 * (uint64_t)p->config.hidden * sizeof(float);
    return 128 * num_max(1, HEAD_BAND_BYTES / tile_row);
}

err_code pass_logits(pass *p, const unsigned *numbers, unsigned count_streams, size_t first,
                     size_t count, const mat *out, err *e)
{
    ops *const o = p->ops;
    const tensor_slot head = p->config.tied ? SLOT_EMBEDDING : SLOT_HEAD;
    const uint64_t vocab = p->config.vocab;
    mat a[HEAD_STREAMS_MAX];
    weight norm;
    err_code code = pass_load(p, SLOT_FINAL_NORM, 0, 0, &norm, e);
    pass_scratch_reset(p);
    for (unsigned i = 0; i < count_streams && code == OK; i++) {
        a[i] = pass_scratch(p, count, p->config.hidden);
        o->norm(o, mat_rows(pass_stream(p, numbers[i]), first, count), 1, &norm, p->config.eps,
                a[i]);
    }
    for (uint64_t row = 0; row < vocab && code == OK; row += band_rows(p)) {
        const uint64_t rows = num_min(band_rows(p), vocab - row);
        weight w;
        code = pass_load_band(p, head, row, rows, &w, e);
        for (unsigned i = 0; i < count_streams && code == OK; i++) {
            o->matmul(o, a[i], &w, NULL, p->streams[numbers[i]].fp8, mat_cols(out[i], row, rows));
        }
        if (code == OK) {
            code = pass_go_on(p, e);
        }
    }
    return code;
}
