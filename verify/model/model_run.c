#include "verify/model/model_run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "format/base/memory.h"
#include "format/base/num.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/widen.h"

/* ---- weights --------------------------------------------------- */

void weight_pool_free(weight_pool *w)
{
    for (size_t i = 0; i < MODEL_SLOTS_MAX; i++) {
        free(w->slots[i].data);
        free(w->slots[i].scales);
    }
    *w = (weight_pool){0};
}

/* Buffers only grow, so nothing is allocated after the first layers of each kind. */
static bool grow(void **buffer, size_t *capacity, size_t bytes)
{
    if (bytes <= *capacity && *buffer) {
        return true;
    }
    free(*buffer);
    *buffer = memory_large(bytes);
    *capacity = *buffer ? bytes : 0;
    return *buffer != NULL;
}

static const store_tensor *find(const model_run *run, unsigned slot, unsigned layer,
                                unsigned expert)
{
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(&run->config, slot, layer, expert, name);
    return store_find(run->store, name);
}

static err_code read_rows(model_run *run, unsigned slot, const store_tensor *t, uint64_t first,
                          uint64_t rows, weight *out, err *e)
{
    const size_t scales = store_scale_count(t, rows);
    const size_t bytes = rows * t->row_bytes;
    weight_buffer *const b = &run->pool->slots[slot];
    void *scale_buffer = b->scales;
    const bool complete = grow(&b->data, &b->data_capacity, bytes + 1) &&
                          grow(&scale_buffer, &b->scale_capacity, scales * sizeof(float) + 1);
    b->scales = scale_buffer;
    if (!complete) {
        return err_set(e, ERR_MEMORY, "%s: tensor %s: no memory for %zu bytes", run->store->path,
                       t->name, bytes);
    }
    *out = (weight){
        .type = t->type,
        .rows = rows,
        .cols = t->cols,
        .data = b->data,
        .scales = t->quantized ? b->scales : NULL,
        .block = t->block,
    };
    const weight_reader *const r = &run->reader;
    const err_code code = r->read ? r->read(r->ctx, t, first, rows, b->data, b->scales, e)
                                  : store_read(run->store, t, first, rows, b->data, b->scales, e);
    run->bytes_read += bytes + scales * sizeof(float);
    return code;
}

/* A weight without data, for the dry run, which has no store. */
static weight shape_only(const model_run *run, unsigned slot, unsigned layer)
{
    uint64_t shape[2] = {0};
    const unsigned ndim = model_tensor_shape(&run->config, slot, layer, shape);
    return (weight){.type = DTYPE_F32,
                    .rows = ndim == 2 ? shape[0] : 1,
                    .cols = ndim == 2 ? shape[1] : shape[0]};
}

err_code run_read_weight(model_run *run, unsigned slot, unsigned layer, unsigned expert,
                         weight *out, err *e)
{
    if (!run->store) {
        *out = shape_only(run, slot, layer);
        return OK;
    }
    const store_tensor *const t = find(run, slot, layer, expert);
    if (!t) {
        return err_set(e, ERR_INTERNAL,
                       "a tensor of layer %u is missing although it was found before", layer);
    }
    monitor_advance(run->monitor, t->rows * t->row_bytes);
    return read_rows(run, slot, t, 0, t->rows, out, e);
}

err_code run_read_band(model_run *run, unsigned slot, uint64_t first, uint64_t rows, weight *out,
                       err *e)
{
    if (!run->store) {
        *out = shape_only(run, slot, 0);
        out->rows = rows;
        return OK;
    }
    const store_tensor *const t = find(run, slot, 0, 0);
    return t ? read_rows(run, slot, t, first, rows, out, e)
             : err_set(e, ERR_INTERNAL, "a tensor is missing although it was found before");
}

uint64_t run_block_height(const model_run *run, unsigned slot)
{
    const store_tensor *const t = find(run, slot, 0, 0);
    return t && t->quantized ? block_height(t->block, t->rows) : 1;
}

void run_prefetch(model_run *run, unsigned slot, unsigned layer, unsigned expert)
{
    const store_tensor *const t = run->store ? find(run, slot, layer, expert) : NULL;
    if (t) {
        store_prefetch(run->store, t);
    }
}

static void dequantize_row(const weight *w, size_t row, const unsigned char *codes, float *out)
{
    const size_t width = block_width(w->block, w->cols);
    const float *const scales =
        w->scales + row / block_height(w->block, w->rows) * block_across(w->block, w->cols);
    for (size_t i = 0; i < w->cols; i++) {
        out[i] = e4m3_decode(codes[i]) * scales[i / width];
    }
}

void weight_widen_row(const weight *w, size_t row, float *out)
{
    const unsigned char *const at =
        (const unsigned char *)w->data + row * w->cols * dtype_bits(w->type) / 8;
    if (w->scales) {
        dequantize_row(w, row, at, out);
        return;
    }
    for (size_t i = 0; i < w->cols; i++) {
        switch (w->type) {
        case DTYPE_BF16:
            out[i] = bf16_widen(le16_load(at + 2 * i));
            break;
        case DTYPE_F16:
            out[i] = f16_widen(le16_load(at + 2 * i));
            break;
        default:
            out[i] = float_from_bits(le32_load(at + 4 * i));
        }
    }
}

/* ---- memory ---------------------------------------------------- */

mat run_track(const model_run *run, unsigned number)
{
    const size_t tokens = run_tokens(run);
    const size_t width = run->config.hidden;
    return (mat){run->hidden + number * tokens * width, tokens, width, width};
}

mat run_scratch(model_run *run, size_t rows, size_t cols)
{
    const mat m = {run->scratch + run->scratch_used, rows, cols, cols};
    run->scratch_used += rows * cols;
    run->scratch_most = num_max(run->scratch_most, run->scratch_used);
    assert(run->scratch_used <= run->scratch_floats);
    return m;
}

void run_scratch_reset(model_run *run)
{
    run->scratch_used = 0;
}

/* Memory for tables and routings. The dry run uses it, so it comes first. */
static bool allocate_host(model_run *run)
{
    const model_config *const c = &run->config;
    const size_t choices = run_tokens(run) * c->top_k;
    const size_t scores = run_tokens(run) * c->experts;
    const size_t angles = run->length * (c->rotary_dim / 2) + 1;
    bool complete = true;
    run->cos = malloc(angles * sizeof(float));
    run->sin = malloc(angles * sizeof(float));
    run->decay = malloc(c->heads * sizeof(float));
    run->bias = malloc((c->experts + (size_t)1) * sizeof(float));
    for (unsigned s = 0; s < run->track_count; s++) {
        routing *const r = &run->tracks[s].selected;
        r->index = calloc(choices + 1, sizeof *r->index);
        r->weights = calloc(choices + 1, sizeof *r->weights);
        complete = complete && r->index && r->weights;
        if (run->tracks[s].scored) {
            run->tracks[s].scores = calloc(scores + 1, sizeof(float));
            complete = complete && run->tracks[s].scores;
        }
    }
    return complete && run->cos && run->sin && run->decay && run->bias;
}

static bool allocate_device(model_run *run)
{
    ops *const o = run->ops;
    const size_t all = (size_t)run->track_count * run_tokens(run) * run->config.hidden;
    const bool experts = model_count_experts(&run->config, run->config.layers) > 0;
    run->hidden = o->alloc(o, all);
    run->normed = o->alloc(o, experts ? all : 1);
    run->sum = o->alloc(o, experts ? all : 1);
    run->state = o->alloc(o, run->state_floats);
    run->scratch = o->alloc(o, run->scratch_floats);
    return run->hidden && run->normed && run->sum && run->state && run->scratch;
}

err_code run_check_length(const store *s, const model_config *c, size_t length, err *e)
{
    const size_t limit = model_max_positions(c);
    return length <= limit
               ? OK
               : err_set(e, ERR_INPUT,
                         "%s: sequences of %zu tokens, the configuration allows %zu positions",
                         s->path, length, limit);
}

static err_code refuse_memory(const model_run *run, err *e)
{
    return err_set(e, ERR_MEMORY,
                   "no memory for %u times %zu tokens and their states of %u numbers",
                   run->track_count, run_tokens(run), run->config.hidden);
}

err_code run_open(model_run *run, err *e)
{
    assert(run->track_count <= RUN_TRACKS_MAX);
    TRY(run_check_length(run->store, &run->config, run->length, e));
    if (!allocate_host(run)) {
        return refuse_memory(run, e);
    }
    TRY(run_measure(run, &run->scratch_floats, &run->state_floats, e));
    if (!allocate_device(run)) {
        return refuse_memory(run, e);
    }
    model_rope(&run->config, run->length, run->cos, run->sin);
    return OK;
}

void run_close(model_run *run)
{
    ops *const o = run->ops;
    float *const device[] = {run->hidden, run->normed, run->sum, run->state, run->scratch};
    float *const host[] = {run->cos, run->sin, run->decay, run->bias};
    for (size_t i = 0; o && i < sizeof device / sizeof device[0]; i++) {
        o->release(o, device[i]);
    }
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) {
        free(host[i]);
    }
    for (unsigned s = 0; s < run->track_count; s++) {
        free(run->tracks[s].selected.index);
        free(run->tracks[s].selected.weights);
        free(run->tracks[s].scores);
        run->tracks[s].selected = (routing){0};
        run->tracks[s].scores = NULL;
    }
    run->hidden = run->normed = run->sum = run->state = run->scratch = NULL;
    run->cos = run->sin = run->decay = run->bias = NULL;
}

/* ---- layers ---------------------------------------------------- */

void run_clear_state(model_run *run)
{
    run->ops->zero(run->ops, (mat){run->state, 1, run->state_floats, run->state_floats});
}

err_code run_layer(model_run *run, unsigned layer, err *e)
{
    return run->config.arch->layer(run, layer, e);
}

err_code run_go_on(model_run *run, err *e)
{
    if (monitor_cancelled(run->monitor)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return run->ops->status(run->ops, e);
}
