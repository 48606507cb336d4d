#include "verify/model/model_run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "format/base/memory.h"
#include "format/base/num.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/widen.h"

/* ---- weights --------------------------------------------------- */

void weight_pool_free(weight_pool *w)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        free(w->slots[i].data);
        free(w->slots[i].scales);
    }
    *w = (weight_pool){0};
}

/* Buffers only grow: after the first layers nothing is allocated any more. */
static bool make_room(void **buffer, size_t *room, size_t bytes)
{
    if (bytes <= *room && *buffer) {
        return true;
    }
    free(*buffer);
    *buffer = memory_large(bytes);
    *room = *buffer ? bytes : 0;
    return *buffer != NULL;
}

static const store_tensor *find(const model_run *run, tensor_slot slot, unsigned layer,
                                unsigned expert)
{
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(slot, layer, expert, name);
    return store_find(run->store, name);
}

static err_code read_rows(model_run *run, tensor_slot slot, const store_tensor *t, uint64_t first,
                          uint64_t rows, weight *out, err *e)
{
    const size_t scales = store_scale_count(t, rows);
    const size_t bytes = rows * t->row_bytes;
    void *scale_buffer = run->pool->slots[slot].scales;
    const bool room =
        make_room(&run->pool->slots[slot].data, &run->pool->slots[slot].data_room, bytes + 1) &&
        make_room(&scale_buffer, &run->pool->slots[slot].scale_room, scales * sizeof(float) + 1);
    run->pool->slots[slot].scales = scale_buffer;
    if (!room) {
        return err_set(e, ERR_MEMORY, "%s: tensor %s: no memory for %zu bytes", run->store->path,
                       t->name, bytes);
    }
    *out = (weight){
        .type = t->type,
        .rows = rows,
        .cols = t->cols,
        .data = run->pool->slots[slot].data,
        .scales = t->quantized ? run->pool->slots[slot].scales : NULL,
        .pow2 = t->block.scale == SCALES_UE8M0,
    };
    const err_code code = store_read(run->store, t, first, rows, run->pool->slots[slot].data,
                                     run->pool->slots[slot].scales, e);
    run->bytes_read += bytes + scales * sizeof(float);
    monitor_advance(run->monitor, bytes + scales * sizeof(float));
    return code;
}

err_code run_load(model_run *run, tensor_slot slot, unsigned layer, unsigned expert, weight *out,
                  err *e)
{
    const store_tensor *const t = find(run, slot, layer, expert);
    return t ? read_rows(run, slot, t, 0, t->rows, out, e)
             : err_set(e, ERR_INTERNAL, "a tensor of layer %u that was there is gone", layer);
}

err_code run_load_band(model_run *run, tensor_slot slot, uint64_t first, uint64_t rows, weight *out,
                       err *e)
{
    const store_tensor *const t = find(run, slot, 0, 0);
    return t ? read_rows(run, slot, t, first, rows, out, e)
             : err_set(e, ERR_INTERNAL, "a tensor that was there is gone");
}

bool run_is_quantized(const model_run *run, tensor_slot slot)
{
    const store_tensor *const t = find(run, slot, 0, 0);
    return t && t->quantized;
}

void run_prefetch(model_run *run, tensor_slot slot, unsigned layer, unsigned expert)
{
    const store_tensor *const t = find(run, slot, layer, expert);
    if (t) {
        store_prefetch(run->store, t);
    }
}

void weight_widen_row(const weight *w, size_t row, float *out)
{
    const unsigned char *const at =
        (const unsigned char *)w->data + row * w->cols * dtype_bits(w->type) / 8;
    const size_t across = num_ceil_div(w->cols, 128);
    for (size_t i = 0; i < w->cols; i++) {
        switch (w->type) {
        case DTYPE_BF16:
            out[i] = bf16_widen(le16_load(at + 2 * i));
            break;
        case DTYPE_F16:
            out[i] = f16_widen(le16_load(at + 2 * i));
            break;
        case DTYPE_F32:
            out[i] = float_from_bits(le32_load(at + 4 * i));
            break;
        default: /* codes */
            out[i] = e4m3_decode(at[i]) * w->scales[row / 128 * across + i / 128];
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
    return m;
}

void run_scratch_reset(model_run *run)
{
    run->scratch_used = 0;
}

static size_t state_floats(const model_run *run)
{
    const model_config *const c = &run->config;
    const attention_shape shape = {
        .kv_heads = c->kv_heads, .qk_dim = c->head_dim, .v_dim = c->head_dim};
    const size_t linear = c->linear ? (size_t)c->heads * c->head_dim * c->head_dim : 0;
    return num_max(linear, attention_cache_floats(shape, run->length));
}

/* What the functions of bailing.c and run_embed.c take at most between two resets. */
static size_t scratch_floats(const model_run *run)
{
    const model_config *const c = &run->config;
    const size_t block = num_min(RUN_BLOCK, run_tokens(run));
    const size_t q_width = (size_t)c->heads * c->head_dim;
    const size_t kv_width = c->linear ? q_width : (size_t)c->kv_heads * c->head_dim;
    const size_t attention = run->length * (c->hidden + 3 * q_width + 2 * kv_width);
    const size_t inner =
        num_max(num_max(c->intermediate, c->moe_intermediate), c->shared_intermediate);
    const size_t mlp = block * (2 * (size_t)c->hidden + 2 * inner);
    const size_t head = (size_t)run->track_count * block * c->hidden;
    return num_max(num_max(attention, mlp), num_max(head, block * c->experts));
}

static bool allocate(model_run *run)
{
    ops *const o = run->ops;
    const model_config *const c = &run->config;
    const size_t all = (size_t)run->track_count * run_tokens(run) * c->hidden;
    const size_t chosen = run_tokens(run) * c->top_k;
    const size_t angles = run->length * (c->rotary_dim / 2) + 1;
    const bool experts = c->dense_layers < c->layers;
    bool complete = true;
    run->hidden = o->alloc(o, all);
    run->normed = o->alloc(o, experts ? all : 1);
    run->sum = o->alloc(o, experts ? all : 1);
    run->state = o->alloc(o, state_floats(run));
    run->scratch_floats = scratch_floats(run);
    run->scratch = o->alloc(o, run->scratch_floats);
    run->cos = malloc(angles * sizeof(float));
    run->sin = malloc(angles * sizeof(float));
    run->decay = malloc(c->heads * sizeof(float));
    run->bias = malloc((c->experts + (size_t)1) * sizeof(float));
    for (unsigned s = 0; s < run->track_count; s++) {
        routing *const r = &run->tracks[s].chosen;
        r->index = calloc(chosen + 1, sizeof *r->index);
        r->share = calloc(chosen + 1, sizeof *r->share);
        complete = complete && r->index && r->share;
    }
    return complete && run->hidden && run->normed && run->sum && run->state && run->scratch &&
           run->cos && run->sin && run->decay && run->bias;
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

err_code run_open(model_run *run, err *e)
{
    const err_code code = run_check_length(run->store, &run->config, run->length, e);
    if (code != OK) {
        return code;
    }
    if (!allocate(run)) {
        return err_set(e, ERR_MEMORY,
                       "no memory for %u times %zu tokens and their states of %u numbers",
                       run->track_count, run_tokens(run), run->config.hidden);
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
        free(run->tracks[s].chosen.index);
        free(run->tracks[s].chosen.share);
        run->tracks[s].chosen = (routing){0};
    }
    run->hidden = run->normed = run->sum = run->state = run->scratch = NULL;
    run->cos = run->sin = run->decay = run->bias = NULL;
}

/* ---- for the model --------------------------------------------- */

void run_clear_state(model_run *run)
{
    const size_t floats = state_floats(run);
    run->ops->zero(run->ops, (mat){run->state, 1, floats, floats});
}

err_code run_go_on(model_run *run, err *e)
{
    if (monitor_cancelled(run->monitor)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return run->ops->status(run->ops, e);
}
