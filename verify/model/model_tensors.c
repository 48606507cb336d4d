#include "verify/model/model_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/base/text_list.h"

/* ---- names and shapes ------------------------------------------ */

/* The component of a name that is this letter, for the layer or the expert; NULL: not found. */
static const char *find_letter(const char *name, char letter)
{
    const char pattern[] = {'.', letter, '.', '\0'};
    const char *const at = strstr(name, pattern);
    return at ? at + 1 : NULL;
}

static bool is_of_layer(const arch_tensor *t)
{
    return find_letter(t->name, 'L');
}

static bool is_of_expert(const arch_tensor *t)
{
    return find_letter(t->name, 'E');
}

void model_tensor_name(const model_config *c, unsigned slot, unsigned layer, unsigned expert,
                       char out[NAME_MAX_BYTES + 1])
{
    const char *const name = c->arch->tensors[slot].name;
    const char *const l = find_letter(name, 'L');
    const char *const x = find_letter(name, 'E');
    if (!l) {
        snprintf(out, NAME_MAX_BYTES + 1, "%s", name);
    } else if (!x) {
        snprintf(out, NAME_MAX_BYTES + 1, "%.*s%u%s", (int)(l - name), name, layer, l + 1);
    } else { /* experts belong to layers */
        snprintf(out, NAME_MAX_BYTES + 1, "%.*s%u%.*s%u%s", (int)(l - name), name, layer,
                 (int)(x - l - 1), l + 1, expert, x + 1);
    }
}

unsigned model_tensor_shape(const model_config *c, unsigned slot, unsigned layer, uint64_t shape[2])
{
    const arch_tensor *const t = &c->arch->tensors[slot];
    if (t->unread || (t->when && !t->when(c, layer))) {
        return 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        shape[i] = t->shape[i] ? t->shape[i](c, layer) : 0;
    }
    return t->shape[1] ? 2 : 1;
}

/* ---- missing tensors ------------------------------------------- */

typedef struct check {
    const model_config *c;
    const store *s;
    bool *read; /* [s->count] the model reads the tensor, or ignores it for a known reason */
    text_list problems;
} check;

static bool is_readable(const store_tensor *t)
{
    return t->quantized || t->type == DTYPE_BF16 || t->type == DTYPE_F16 || t->type == DTYPE_F32;
}

static void expect_tensor(check *k, unsigned slot, unsigned layer, unsigned expert)
{
    char name[NAME_MAX_BYTES + 1];
    uint64_t shape[2] = {0};
    const unsigned ndim = model_tensor_shape(k->c, slot, layer, shape);
    model_tensor_name(k->c, slot, layer, expert, name);
    const store_tensor *const t = store_find(k->s, name);
    if (!t) {
        text_list_add(&k->problems, "%s is missing", name);
        return;
    }
    k->read[t - k->s->tensors] = true;
    if (t->ndim != ndim || memcmp(t->shape, shape, ndim * sizeof *shape) != 0) {
        char expected[SHAPE_TEXT_BYTES];
        char found[SHAPE_TEXT_BYTES];
        text_list_add(&k->problems, "%s: expected shape %s, found %s", name,
                      dtype_shape_text(shape, ndim, expected),
                      dtype_shape_text(t->shape, t->ndim, found));
    } else if (!is_readable(t)) {
        text_list_add(&k->problems, "%s: %s is not supported", name, dtype_name(t->type));
    }
}

/* A tensor that may exist. */
static void allow_tensor(check *k, unsigned slot, unsigned layer)
{
    char name[NAME_MAX_BYTES + 1];
    model_tensor_name(k->c, slot, layer, 0, name);
    const store_tensor *const t = store_find(k->s, name);
    if (t) {
        k->read[t - k->s->tensors] = true;
    }
}

static void expect_slot(check *k, unsigned slot, unsigned layer)
{
    const arch_tensor *const t = &k->c->arch->tensors[slot];
    uint64_t shape[2];
    if (t->unread) {
        allow_tensor(k, slot, layer);
    }
    if (model_tensor_shape(k->c, slot, layer, shape) == 0) {
        return;
    }
    const unsigned count = is_of_expert(t) ? k->c->experts : 1;
    for (unsigned i = 0; i < count; i++) {
        expect_tensor(k, slot, layer, i);
    }
}

/* model_config.h bounds layers * experts, so this loop is bounded as well. */
static err_code expect_all(check *k, err *e)
{
    const model_arch *const a = k->c->arch;
    for (unsigned slot = 0; slot < a->tensor_count; slot++) {
        if (!is_of_layer(&a->tensors[slot])) {
            expect_slot(k, slot, 0);
        }
    }
    for (unsigned layer = 0; layer < k->c->layers; layer++) {
        for (unsigned slot = 0; slot < a->tensor_count; slot++) {
            if (is_of_layer(&a->tensors[slot])) {
                expect_slot(k, slot, layer);
            }
        }
    }
    return k->problems.total == 0
               ? OK
               : err_set(e, ERR_INPUT, "%s: tensors do not match config.json: %s", k->s->path,
                         text_list_end(&k->problems));
}

/* ---- tensors that are never read ------------------------------- */

/* Does it belong to a layer after the last one, in an architecture that may have such layers? */
static bool is_after_last_layer(const model_config *c, const char *name)
{
    const arch_tensor *const t = &c->arch->tensors[SLOTS_OF_LAYERS];
    const char *const l = find_letter(t->name, 'L');
    const size_t bytes = l ? (size_t)(l - t->name) : 0;
    return c->arch->predicts_further && l && strncmp(name, t->name, bytes) == 0 &&
           name_layer(name) >= (int64_t)c->layers && name[bytes] >= '0' && name[bytes] <= '9';
}

static err_code refuse_surplus(check *k, const monitor *m, err *e)
{
    size_t after = 0;
    text_list surplus = {0};
    for (size_t i = 0; i < k->s->count; i++) {
        const char *const name = k->s->tensors[i].name;
        if (k->read[i]) {
            continue;
        }
        if (is_after_last_layer(k->c, name)) {
            after++;
        } else {
            text_list_add(&surplus, "%s", name);
        }
    }
    if (surplus.total > 0) {
        return err_set(e, ERR_INPUT, "%s: tensors that the model never reads: %s", k->s->path,
                       text_list_end(&surplus));
    }
    if (after > 0) {
        monitor_note(m, "%s: ignores %zu tensors of layers from %u on (multi-token prediction)",
                     k->s->path, after, k->c->layers);
    }
    return OK;
}

/* ---- a head next to a tied embedding --------------------------- */

enum { BAND_BYTES = 4 << 20 };

/* Rows to compare at a time: of a quantized tensor whole rows of blocks. */
static uint64_t band_rows(const store_tensor *t)
{
    const uint64_t rows = num_max(1, BAND_BYTES / num_max(1, t->row_bytes));
    return t->quantized ? num_max(t->block.rows, rows / t->block.rows * t->block.rows) : rows;
}

static err_code compare_bands(const store *s, const store_tensor *a, const store_tensor *b,
                              const monitor *m, unsigned char *buffer, bool *same, err *e)
{
    const uint64_t most = band_rows(a);
    const size_t data_bytes = most * a->row_bytes;
    const size_t scale_bytes = store_scale_count(a, most) * sizeof(float);
    unsigned char *const x = buffer; /* scales first, which must be aligned */
    unsigned char *const y = buffer + num_ceil_div(scale_bytes + data_bytes, 16) * 16;
    for (uint64_t row = 0; row < a->rows && *same; row += most) {
        const uint64_t rows = num_min(most, a->rows - row);
        if (monitor_cancelled(m)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        memset(x, 0, scale_bytes); /* the last band may have fewer scales */
        memset(y, 0, scale_bytes);
        TRY(store_read(s, a, row, rows, x + scale_bytes, (float *)(void *)x, e));
        TRY(store_read(s, b, row, rows, y + scale_bytes, (float *)(void *)y, e));
        *same = memcmp(x, y, scale_bytes + rows * a->row_bytes) == 0;
    }
    return OK;
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
    unsigned char *const buffer = malloc(2 * (each + 16));
    if (!buffer) {
        return err_set(e, ERR_MEMORY, "%s: no memory to compare %s and %s", s->path, a->name,
                       b->name);
    }
    const err_code code = compare_bands(s, a, b, m, buffer, same, e);
    free(buffer);
    return code;
}

/* The head of a model whose embedding is used instead; NULL: it has none. */
static const store_tensor *find_tied_head(check *k)
{
    const store_tensor *const head =
        k->c->tied ? store_find(k->s, k->c->arch->tensors[SLOT_HEAD].name) : NULL;
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
    const store_tensor *const embedding =
        store_find(k->s, k->c->arch->tensors[SLOT_EMBEDDING].name);
    TRY(compare_tensors(k->s, head, embedding, m, &same, e));
    if (!same) {
        monitor_note(m,
                     "%s: %s differs from the embedding and is ignored, because "
                     "tie_word_embeddings is true",
                     k->s->path, head->name);
    }
    return OK;
}

static err_code begin(check *k, const model_config *c, const store *s, err *e)
{
    *k = (check){.c = c, .s = s, .read = calloc(s->count + 1, sizeof *k->read)};
    return k->read ? expect_all(k, e)
                   : err_set(e, ERR_MEMORY, "%s: no memory for the list of its tensors", s->path);
}

err_code model_tensors_list(const model_config *c, const store *s, err *e)
{
    check k = {0};
    err_code code = OK;
    TRY_OUT(begin(&k, c, s, e));
    find_tied_head(&k);
    TRY_OUT(refuse_surplus(&k, NULL, e));
out:
    free(k.read);
    return code;
}

err_code model_tensors_check(const model_config *c, const store *s, const monitor *m, err *e)
{
    check k = {0};
    err_code code = OK;
    TRY_OUT(begin(&k, c, s, e));
    TRY_OUT(check_tied_head(&k, m, e));
    TRY_OUT(refuse_surplus(&k, m, e));
out:
    free(k.read);
    return code;
}
