#include "verify/model/pass.h"

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

static const store_tensor *find(const pass *p, tensor_slot slot, unsigned layer, unsigned expert)
{
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(slot, layer, expert, name);
    return store_find(p->store, name);
}

static err_code read_rows(pass *p, tensor_slot slot, const store_tensor *t, uint64_t first,
                          uint64_t rows, weight *out, err *e)
{
    const size_t scales = store_scale_count(t, rows);
    const size_t bytes = rows * t->row_bytes;
    void *scale_buffer = p->pool->slots[slot].scales;
    const bool room =
        make_room(&p->pool->slots[slot].data, &p->pool->slots[slot].data_room, bytes + 1) &&
        make_room(&scale_buffer, &p->pool->slots[slot].scale_room, scales * sizeof(float) + 1);
    p->pool->slots[slot].scales = scale_buffer;
    if (!room) {
        return err_set(e, ERR_MEMORY, "%s: tensor %s: no memory for %zu bytes", p->store->path,
                       t->name, bytes);
    }
    *out = (weight){
        .type = t->type,
        .rows = rows,
        .cols = t->cols,
        .data = p->pool->slots[slot].data,
        .scales = t->quantized ? p->pool->slots[slot].scales : NULL,
        .pow2 = t->block.scale == SCALES_UE8M0,
    };
    const err_code code = store_read(p->store, t, first, rows, p->pool->slots[slot].data,
                                     p->pool->slots[slot].scales, e);
    p->bytes_read += bytes + scales * sizeof(float);
    monitor_advance(p->monitor, bytes + scales * sizeof(float));
    return code;
}

err_code pass_load(pass *p, tensor_slot slot, unsigned layer, unsigned expert, weight *out, err *e)
{
    const store_tensor *const t = find(p, slot, layer, expert);
    return t ? read_rows(p, slot, t, 0, t->rows, out, e)
             : err_set(e, ERR_INTERNAL, "a tensor of layer %u that was there is gone", layer);
}

err_code pass_load_band(pass *p, tensor_slot slot, uint64_t first, uint64_t rows, weight *out,
                        err *e)
{
    const store_tensor *const t = find(p, slot, 0, 0);
    return t ? read_rows(p, slot, t, first, rows, out, e)
             : err_set(e, ERR_INTERNAL, "a tensor that was there is gone");
}

bool pass_is_quantized(const pass *p, tensor_slot slot)
{
    const store_tensor *const t = find(p, slot, 0, 0);
    return t && t->quantized;
}

void pass_prefetch(pass *p, tensor_slot slot, unsigned layer, unsigned expert)
{
    const store_tensor *const t = find(p, slot, layer, expert);
    if (t) {
        store_prefetch(p->store, t);
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

mat pass_stream(const pass *p, unsigned number)
{
    const size_t tokens = pass_tokens(p);
    const size_t width = p->config.hidden;
    return (mat){p->hidden + number * tokens * width, tokens, width, width};
}

mat pass_scratch(pass *p, size_t rows, size_t cols)
{
    const mat m = {p->scratch + p->scratch_used, rows, cols, cols};
    p->scratch_used += rows * cols;
    return m;
}

void pass_scratch_reset(pass *p)
{
    p->scratch_used = 0;
}

static size_t state_floats(const pass *p)
{
    const model_config *const c = &p->config;
    const attention_shape shape = {
        .kv_heads = c->kv_heads, .qk_dim = c->head_dim, .v_dim = c->head_dim};
    const size_t linear = c->linear ? (size_t)c->heads * c->head_dim * c->head_dim : 0;
    return num_max(linear, attention_cache_floats(shape, p->length));
}

/* What the functions of bailing.c and pass_embed.c take at most between two resets. */
static size_t scratch_floats(const pass *p)
{
    const model_config *const c = &p->config;
    const size_t block = num_min(PASS_BLOCK, pass_tokens(p));
    const size_t q_width = (size_t)c->heads * c->head_dim;
    const size_t kv_width = c->linear ? q_width : (size_t)c->kv_heads * c->head_dim;
    const size_t attention = p->length * (c->hidden + 3 * q_width + 2 * kv_width);
    const size_t inner =
        num_max(num_max(c->intermediate, c->moe_intermediate), c->shared_intermediate);
    const size_t mlp = block * (2 * (size_t)c->hidden + 2 * inner);
    const size_t head = (size_t)p->stream_count * block * c->hidden;
    return num_max(num_max(attention, mlp), num_max(head, block * c->experts));
}

static bool allocate(pass *p)
{
    ops *const o = p->ops;
    const model_config *const c = &p->config;
    const size_t all = (size_t)p->stream_count * pass_tokens(p) * c->hidden;
    const size_t chosen = pass_tokens(p) * c->top_k;
    const size_t angles = p->length * (c->rotary_dim / 2) + 1;
    const bool experts = c->dense_layers < c->layers;
    bool complete = true;
    p->hidden = o->alloc(o, all);
    p->normed = o->alloc(o, experts ? all : 1);
    p->sum = o->alloc(o, experts ? all : 1);
    p->state = o->alloc(o, state_floats(p));
    p->scratch_floats = scratch_floats(p);
    p->scratch = o->alloc(o, p->scratch_floats);
    p->cos = malloc(angles * sizeof(float));
    p->sin = malloc(angles * sizeof(float));
    p->decay = malloc(c->heads * sizeof(float));
    p->bias = malloc((c->experts + (size_t)1) * sizeof(float));
    for (unsigned s = 0; s < p->stream_count; s++) {
        routing *const r = &p->streams[s].chosen;
        r->index = calloc(chosen + 1, sizeof *r->index);
        r->share = calloc(chosen + 1, sizeof *r->share);
        complete = complete && r->index && r->share;
    }
    return complete && p->hidden && p->normed && p->sum && p->state && p->scratch && p->cos &&
           p->sin && p->decay && p->bias;
}

err_code pass_check_length(const store *s, const model_config *c, size_t length, err *e)
{
    const size_t limit = model_max_positions(c);
    return length <= limit
               ? OK
               : err_set(e, ERR_INPUT,
                         "%s: sequences of %zu tokens, the configuration allows %zu positions",
                         s->path, length, limit);
}

err_code pass_open(pass *p, err *e)
{
    const err_code code = pass_check_length(p->store, &p->config, p->length, e);
    if (code != OK) {
        return code;
    }
    if (!allocate(p)) {
        return err_set(e, ERR_MEMORY,
                       "no memory for %u times %zu tokens and their states of %u numbers",
                       p->stream_count, pass_tokens(p), p->config.hidden);
    }
    model_rope(&p->config, p->length, p->cos, p->sin);
    return OK;
}

void pass_close(pass *p)
{
    ops *const o = p->ops;
    float *const device[] = {p->hidden, p->normed, p->sum, p->state, p->scratch};
    float *const host[] = {p->cos, p->sin, p->decay, p->bias};
    for (size_t i = 0; o && i < sizeof device / sizeof device[0]; i++) {
        o->release(o, device[i]);
    }
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) {
        free(host[i]);
    }
    for (unsigned s = 0; s < p->stream_count; s++) {
        free(p->streams[s].chosen.index);
        free(p->streams[s].chosen.share);
        p->streams[s].chosen = (routing){0};
    }
    p->hidden = p->normed = p->sum = p->state = p->scratch = NULL;
    p->cos = p->sin = p->decay = p->bias = NULL;
}

/* ---- for the model --------------------------------------------- */

void pass_clear_state(pass *p)
{
    const size_t floats = state_floats(p);
    p->ops->zero(p->ops, (mat){p->state, 1, floats, floats});
}

err_code pass_go_on(pass *p, err *e)
{
    if (monitor_cancelled(p->monitor)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return p->ops->status(p->ops, e);
}
