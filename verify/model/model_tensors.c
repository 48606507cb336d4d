#include "verify/model/model_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/base/text_list.h"

#define HEAD "lm_head.weight"

/* ---- what there is --------------------------------------------- */

typedef enum owner { OF_MODEL, OF_LAYER, OF_EXPERT } owner;

typedef enum presence {
    IN_ALL,
    IN_UNTIED,
    IN_LINEAR, /* layers */
    IN_DENSE,
    IN_SPARSE,
    IN_BIASED, /* sparse layers, if their router has a bias */
} presence;

typedef enum size {
    SIZE_NONE, /* no such dimension */
    SIZE_VOCAB,
    SIZE_HIDDEN,
    SIZE_QKV,
    SIZE_HEAD,
    SIZE_HEADS,
    SIZE_DENSE,
    SIZE_EXPERTS,
    SIZE_EXPERT,
    SIZE_SHARED,
} size;

static const struct rule {
    const char *name; /* behind "model.layers.L." or "model.layers.L.mlp.experts.E." */
    owner owner;
    presence presence;
    size shape[2];
} rules[SLOT_COUNT] = {
    [SLOT_EMBEDDING] = {"model.word_embeddings.weight",
                        OF_MODEL,
                        IN_ALL,
                        {SIZE_VOCAB, SIZE_HIDDEN}},
    [SLOT_FINAL_NORM] = {"model.norm.weight", OF_MODEL, IN_ALL, {SIZE_HIDDEN}},
    [SLOT_HEAD] = {HEAD, OF_MODEL, IN_UNTIED, {SIZE_VOCAB, SIZE_HIDDEN}},
    [SLOT_INPUT_NORM] = {"input_layernorm.weight", OF_LAYER, IN_ALL, {SIZE_HIDDEN}},
    [SLOT_POST_NORM] = {"post_attention_layernorm.weight", OF_LAYER, IN_ALL, {SIZE_HIDDEN}},
    [SLOT_QKV] = {"attention.query_key_value.weight", OF_LAYER, IN_ALL, {SIZE_QKV, SIZE_HIDDEN}},
    [SLOT_Q_NORM] = {"attention.query_layernorm.weight", OF_LAYER, IN_ALL, {SIZE_HEAD}},
    [SLOT_K_NORM] = {"attention.key_layernorm.weight", OF_LAYER, IN_ALL, {SIZE_HEAD}},
    [SLOT_DENSE] = {"attention.dense.weight", OF_LAYER, IN_ALL, {SIZE_HIDDEN, SIZE_HEADS}},
    [SLOT_G_PROJ] = {"attention.g_proj.weight", OF_LAYER, IN_LINEAR, {SIZE_HEADS, SIZE_HIDDEN}},
    [SLOT_G_NORM] = {"attention.g_norm.weight", OF_LAYER, IN_LINEAR, {SIZE_HEADS}},
    [SLOT_GATE_PROJ] = {"mlp.gate_proj.weight", OF_LAYER, IN_DENSE, {SIZE_DENSE, SIZE_HIDDEN}},
    [SLOT_UP_PROJ] = {"mlp.up_proj.weight", OF_LAYER, IN_DENSE, {SIZE_DENSE, SIZE_HIDDEN}},
    [SLOT_DOWN_PROJ] = {"mlp.down_proj.weight", OF_LAYER, IN_DENSE, {SIZE_HIDDEN, SIZE_DENSE}},
    [SLOT_ROUTER] = {"mlp.gate.weight", OF_LAYER, IN_SPARSE, {SIZE_EXPERTS, SIZE_HIDDEN}},
    [SLOT_EXPERT_BIAS] = {"mlp.gate.expert_bias", OF_LAYER, IN_BIASED, {SIZE_EXPERTS}},
    [SLOT_EXPERT_GATE] = {"gate_proj.weight", OF_EXPERT, IN_SPARSE, {SIZE_EXPERT, SIZE_HIDDEN}},
    [SLOT_EXPERT_UP] = {"up_proj.weight", OF_EXPERT, IN_SPARSE, {SIZE_EXPERT, SIZE_HIDDEN}},
    [SLOT_EXPERT_DOWN] = {"down_proj.weight", OF_EXPERT, IN_SPARSE, {SIZE_HIDDEN, SIZE_EXPERT}},
    [SLOT_SHARED_GATE] = {"mlp.shared_experts.gate_proj.weight",
                          OF_LAYER,
                          IN_SPARSE,
                          {SIZE_SHARED, SIZE_HIDDEN}},
    [SLOT_SHARED_UP] = {"mlp.shared_experts.up_proj.weight",
                        OF_LAYER,
                        IN_SPARSE,
                        {SIZE_SHARED, SIZE_HIDDEN}},
    [SLOT_SHARED_DOWN] = {"mlp.shared_experts.down_proj.weight",
                          OF_LAYER,
                          IN_SPARSE,
                          {SIZE_HIDDEN, SIZE_SHARED}},
};

void model_tensor_name(tensor_slot slot, unsigned layer, unsigned expert,
                       char out[NAME_MAX_BYTES + 1])
{
    const char *const name = rules[slot].name;
    switch (rules[slot].owner) {
    case OF_MODEL:
        snprintf(out, NAME_MAX_BYTES + 1, "%s", name);
        return;
    case OF_LAYER:
        snprintf(out, NAME_MAX_BYTES + 1, "model.layers.%u.%s", layer, name);
        return;
    case OF_EXPERT:
        snprintf(out, NAME_MAX_BYTES + 1, "model.layers.%u.mlp.experts.%u.%s", layer, expert, name);
        return;
    }
}

static bool is_present(const model_config *c, presence p, unsigned layer)
{
    const bool sparse = layer >= c->dense_layers;
    switch (p) {
    case IN_ALL:
        return true;
    case IN_UNTIED:
        return !c->tied;
    case IN_LINEAR:
        return model_layer_kind(c, layer) == LAYER_LINEAR;
    case IN_DENSE:
        return !sparse;
    case IN_SPARSE:
        return sparse;
    case IN_BIASED:
        return sparse && c->expert_bias;
    }
    return false;
}

/* Linear layers have as many key and value heads as query heads. */
static uint64_t qkv_rows(const model_config *c, unsigned layer)
{
    const uint64_t kv = model_layer_kind(c, layer) == LAYER_LINEAR ? c->heads : c->kv_heads;
    return (c->heads + 2 * kv) * c->head_dim;
}

static uint64_t extent(const model_config *c, size n, unsigned layer)
{
    switch (n) {
    case SIZE_NONE:
        return 0;
    case SIZE_VOCAB:
        return c->vocab;
    case SIZE_HIDDEN:
        return c->hidden;
    case SIZE_QKV:
        return qkv_rows(c, layer);
    case SIZE_HEAD:
        return c->head_dim;
    case SIZE_HEADS:
        return (uint64_t)c->heads * c->head_dim;
    case SIZE_DENSE:
        return c->intermediate;
    case SIZE_EXPERTS:
        return c->experts;
    case SIZE_EXPERT:
        return c->moe_intermediate;
    case SIZE_SHARED:
        return c->shared_intermediate;
    }
    return 0;
}

unsigned model_tensor_shape(const model_config *c, tensor_slot slot, unsigned layer,
                            uint64_t shape[2])
{
    const struct rule *const r = &rules[slot];
    if (!is_present(c, r->presence, layer)) {
        return 0;
    }
    shape[0] = extent(c, r->shape[0], layer);
    shape[1] = extent(c, r->shape[1], layer);
    return r->shape[1] == SIZE_NONE ? 1 : 2;
}

/* ---- is it there? ---------------------------------------------- */

typedef struct check {
    const model_config *c;
    const store *s;
    bool *read; /* [s->count] the model reads it, or it is known why not */
    text_list problems;
} check;

static bool is_readable(const store_tensor *t)
{
    return t->quantized || t->type == DTYPE_BF16 || t->type == DTYPE_F16 || t->type == DTYPE_F32;
}

static void expect_tensor(check *k, tensor_slot slot, unsigned layer, unsigned expert)
{
    char name[NAME_MAX_BYTES + 1];
    uint64_t shape[2] = {0};
    const unsigned ndim = model_tensor_shape(k->c, slot, layer, shape);
    model_tensor_name(slot, layer, expert, name);
    const store_tensor *const t = store_find(k->s, name);
    if (!t) {
        text_list_add(&k->problems, "%s is missing", name);
        return;
    }
    k->read[t - k->s->tensors] = true;
    if (t->ndim != ndim || memcmp(t->shape, shape, ndim * sizeof *shape) != 0) {
        char expected[SHAPE_TEXT_BYTES];
        char found[SHAPE_TEXT_BYTES];
        text_list_add(&k->problems, "%s: shape, expected %s, found %s", name,
                      dtype_shape_text(shape, ndim, expected),
                      dtype_shape_text(t->shape, t->ndim, found));
    } else if (!is_readable(t)) {
        text_list_add(&k->problems, "%s: %s is not supported here", name, dtype_name(t->type));
    }
}

static void expect_slot(check *k, tensor_slot slot, unsigned layer)
{
    uint64_t shape[2];
    if (model_tensor_shape(k->c, slot, layer, shape) == 0) {
        return;
    }
    const unsigned count = rules[slot].owner == OF_EXPERT ? k->c->experts : 1;
    for (unsigned i = 0; i < count; i++) {
        expect_tensor(k, slot, layer, i);
    }
}

/* model_config.h bounds layers * experts, so that this ends. */
static err_code expect_all(check *k, err *e)
{
    for (tensor_slot slot = 0; slot < SLOT_COUNT; slot++) {
        if (rules[slot].owner == OF_MODEL) {
            expect_slot(k, slot, 0);
        }
    }
    for (unsigned layer = 0; layer < k->c->layers; layer++) {
        for (tensor_slot slot = 0; slot < SLOT_COUNT; slot++) {
            if (rules[slot].owner != OF_MODEL) {
                expect_slot(k, slot, layer);
            }
        }
    }
    return k->problems.total == 0
               ? OK
               : err_set(e, ERR_INPUT, "%s: not the tensors that config.json asks for: %s",
                         k->s->path, text_list_end(&k->problems));
}

/* ---- is there more? -------------------------------------------- */

static bool is_behind_last_layer(const model_config *c, const char *name)
{
    static const char prefix[] = "model.layers.";
    const size_t bytes = sizeof prefix - 1;
    return strncmp(name, prefix, bytes) == 0 && name_layer(name) >= (int64_t)c->layers &&
           name[bytes] >= '0' && name[bytes] <= '9';
}

static err_code refuse_surplus(check *k, const monitor *m, err *e)
{
    size_t behind = 0;
    text_list surplus = {0};
    for (size_t i = 0; i < k->s->count; i++) {
        const char *const name = k->s->tensors[i].name;
        if (k->read[i]) {
            continue;
        }
        if (is_behind_last_layer(k->c, name)) {
            behind++;
        } else {
            text_list_add(&surplus, "%s", name);
        }
    }
    if (surplus.total > 0) {
        return err_set(e, ERR_INPUT, "%s: tensors that the model never reads: %s", k->s->path,
                       text_list_end(&surplus));
    }
    if (behind > 0) {
        monitor_note(m, "%s: ignores %zu tensors of layers from %u on (multi-token prediction)",
                     k->s->path, behind, k->c->layers);
    }
    return OK;
}

/* ---- a head beside a tied embedding ---------------------------- */

enum { BAND_BYTES = 4 << 20 };

/* Rows to compare at a time: whole tiles, if there are any. */
static uint64_t band_rows(const store_tensor *t)
{
    const uint64_t rows = num_max(1, BAND_BYTES / num_max(1, t->row_bytes));
    return t->quantized ? num_max(t->block.rows, rows / t->block.rows * t->block.rows) : rows;
}

static err_code compare_bands(const store *s, const store_tensor *a, const store_tensor *b,
                              const monitor *m, unsigned char *room, bool *same, err *e)
{
    const uint64_t most = band_rows(a);
    const size_t data_bytes = most * a->row_bytes;
    const size_t scale_bytes = store_scale_count(a, most) * sizeof(float);
    unsigned char *const x = room; /* scales first, which must be aligned */
    unsigned char *const y = room + num_ceil_div(scale_bytes + data_bytes, 16) * 16;
    err_code code = OK;
    for (uint64_t row = 0; row < a->rows && code == OK && *same; row += most) {
        const uint64_t rows = num_min(most, a->rows - row);
        memset(x, 0, scale_bytes);
        memset(y, 0, scale_bytes);
        code = monitor_cancelled(m)
                   ? err_set(e, ERR_CANCELLED, "interrupted")
                   : store_read(s, a, row, rows, x + scale_bytes, (float *)(void *)x, e);
        if (code == OK) {
            code = store_read(s, b, row, rows, y + scale_bytes, (float *)(void *)y, e);
        }
        if (code == OK) {
            *same = memcmp(x, y, scale_bytes + rows * a->row_bytes) == 0;
        }
    }
    return code;
}

static err_code compare_tensors(const store *s, const store_tensor *a, const store_tensor *b,
                                const monitor *m, bool *same, err *e)
{
    *same = a->type == b->type && a->quantized == b->quantized && a->ndim == b->ndim &&
            memcmp(a->shape, b->shape, sizeof a->shape) == 0;
    if (!*same) {
        return OK;
    }
    const uint64_t rows = band_rows(a);
    const size_t each = rows * a->row_bytes + store_scale_count(a, rows) * sizeof(float);
    unsigned char *const room = malloc(2 * (each + 16));
    if (!room) {
        return err_set(e, ERR_MEMORY, "%s: no memory to compare " HEAD, s->path);
    }
    const err_code code = compare_bands(s, a, b, m, room, same, e);
    free(room);
    return code;
}

/* NULL: there is none. */
static const store_tensor *find_tied_head(check *k)
{
    const store_tensor *const head = k->c->tied ? store_find(k->s, HEAD) : NULL;
    if (head) {
        k->read[head - k->s->tensors] = true;
    }
    return head;
}

static err_code check_tied_head(check *k, const monitor *m, err *e)
{
    const store_tensor *const head = find_tied_head(k);
    if (!head) {
        return OK;
    }
    bool same = false;
    const store_tensor *const embedding = store_find(k->s, rules[SLOT_EMBEDDING].name);
    const err_code code = compare_tensors(k->s, head, embedding, m, &same, e);
    if (code == OK && !same) {
        monitor_note(m,
                     "%s: " HEAD " differs from the embedding and is ignored, because "
                     "tie_word_embeddings is true",
                     k->s->path);
    }
    return code;
}

static err_code begin(check *k, const model_config *c, const store *s, err *e)
{
    *k = (check){.c = c, .s = s, .read = calloc(s->count + 1, sizeof *k->read)};
    return k->read ? expect_all(k, e)
                   : err_set(e, ERR_MEMORY, "%s: no memory for the list of its tensors", s->path);
}

err_code model_tensors_list(const model_config *c, const store *s, err *e)
{
    check k;
    err_code code = begin(&k, c, s, e);
    if (code == OK) {
        find_tied_head(&k);
        code = refuse_surplus(&k, NULL, e);
    }
    free(k.read);
    return code;
}

err_code model_tensors_check(const model_config *c, const store *s, const monitor *m, err *e)
{
    check k;
    err_code code = begin(&k, c, s, e);
    if (code == OK) {
        code = check_tied_head(&k, m, e);
    }
    if (code == OK) {
        code = refuse_surplus(&k, m, e);
    }
    free(k.read);
    return code;
}
