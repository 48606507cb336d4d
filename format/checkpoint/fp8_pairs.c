#include "format/checkpoint/fp8_pairs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/tensor/tensor_name.h"

/* ---- descriptions ---------------------------------------------- */

/* Does some file give the size of the tiles? */
static bool is_given(const fp8_pairs *pairs)
{
    return pairs->described.block.code != DTYPE_NONE;
}

/* The blocks of a weight, unless its scales show other ones. */
static block_format expected_block(const fp8_pairs *pairs)
{
    return is_given(pairs) ? pairs->described.block : block_fp8(SCALES_F32);
}

static err_code read_descriptions(const checkpoint *cp, quantization *out, err *e)
{
    for (const char *const *name = quantization_files; *name; name++) {
        char *text = NULL;
        size_t bytes = 0;
        TRY(checkpoint_read_file(cp, *name, &text, &bytes, e));
        const err_code code = text ? quantization_read(out, *name, text, bytes, e) : OK;
        free(text);
        if (code != OK) {
            return code;
        }
    }
    return OK;
}

/* ---- states ---------------------------------------------------- */

static err_code find_states(const checkpoint *cp, const monitor *m, fp8_pairs *out, err *e)
{
    named_tensor *const list = calloc(cp->tensor_count + 1, sizeof *list);
    if (!list) {
        return err_set(e, ERR_MEMORY, "no memory for %zu tensors", cp->tensor_count);
    }
    for (size_t i = 0; i < cp->tensor_count; i++) {
        const tensor *const t = &cp->tensors[i];
        list[i] = (named_tensor){t->name, t->type, t->ndim, t->shape, false};
    }
    const err_code code =
        tensor_states_find(list, cp->tensor_count, out->described.method, m, &out->states, e);
    free(list);
    return code;
}

/* ---- pairs ----------------------------------------------------- */

static bool may_have_scales(const tensor *t)
{
    return t->type == DTYPE_F8_E4M3 && (t->ndim == 2 || t->ndim == 3) && t->bytes > 0;
}

bool fp8_is_tiled(const uint64_t *weight, const uint64_t *scales, unsigned ndim, block_format b)
{
    return (ndim == 2 || scales[0] == weight[0]) &&
           scales[ndim - 2] == block_down(b, weight[ndim - 2]) &&
           scales[ndim - 1] == block_across(b, weight[ndim - 1]);
}

/* Has `s` one scale for each block of `w`, with the same leading dimension? */
static bool is_tiled(const tensor *w, const tensor *s, block_format b)
{
    return s->ndim == w->ndim && fp8_is_tiled(w->shape, s->shape, w->ndim, b);
}

/* Has it `count` scales: one for each row, or one for the whole tensor? */
static bool has_elements(const tensor *s, uint64_t count)
{
    return (s->ndim == 0 && count == 1) || (s->ndim == 1 && s->shape[0] == count) ||
           (s->ndim == 2 && s->shape[0] == count && s->shape[1] == 1);
}

/* A whole dimension, as a number if a block_format can hold it: so the only scale of a matrix of
 * 128 x 128 counts as that of a tile. */
static uint16_t whole_side(uint64_t size)
{
    return size <= UINT16_MAX ? (uint16_t)size : 0;
}

/* Derive the size of the tiles from the shape of the scales: the config's, or 128 x 128, else one
 * scale for the whole tensor or for each row. */
static bool find_block(const fp8_pairs *pairs, const tensor *w, const tensor *s, fp8_pair *out)
{
    out->block = expected_block(pairs);
    out->block.scale = scale_format_of(s->type);
    if (is_tiled(w, s, out->block)) {
        return true;
    }
    if (is_given(pairs) && !pairs->described.other_fp8) {
        return false;
    }
    const uint64_t rows = w->shape[w->ndim - 2];
    const bool whole = w->ndim == 2 && has_elements(s, 1);
    out->block.rows = whole ? whole_side(rows) : 1;
    out->block.cols = whole_side(w->shape[w->ndim - 1]);
    return whole || is_tiled(w, s, out->block) || (w->ndim == 2 && has_elements(s, rows));
}

static void pair_weight(const checkpoint *cp, fp8_pairs *pairs, size_t i)
{
    const tensor *const w = &cp->tensors[i];
    tensor_state *const state = &pairs->states.of[i];
    fp8_pair *const p = &pairs->of[i];
    if (state->scales == STATE_NONE) {
        p->kind = FP8_NO_SCALES;
        return;
    }
    p->other = &cp->tensors[state->scales];
    pairs->of[state->scales] = (fp8_pair){.other = w, .kind = FP8_SCALES};
    if (state->two_scales) {
        p->kind = FP8_TWO_SCALES;
        return;
    }
    char why[BLOCK_TEXT_BYTES];
    const bool fits = scale_stored_in(p->other->type) && find_block(pairs, w, p->other, p);
    p->kind = fits ? FP8_WEIGHT : FP8_BAD_SCALES;
    pairs->any = pairs->any || fits;
    if (fits && !block_unsupported(p->block, why)) {
        state->kind = STATE_BLOCK_FP8;
    }
}

/* Only `_scale_inv` certainly means the scales of a weight: activations also have a `_scale`. */
static bool is_lone(const tensor *t, const fp8_pair *p, const tensor_state *state)
{
    static const char suffix[] = "_scale_inv";
    const size_t length = strlen(t->name);
    return p->kind == FP8_NONE && state->kind == STATE_PART && state->weight == STATE_NONE &&
           length >= sizeof suffix && strcmp(t->name + length - sizeof suffix + 1, suffix) == 0;
}

static void find_pairs(const checkpoint *cp, fp8_pairs *out)
{
    for (size_t i = 0; i < cp->tensor_count; i++) {
        if (out->states.of[i].kind == STATE_FP8 && may_have_scales(&cp->tensors[i])) {
            pair_weight(cp, out, i);
        }
    }
    for (size_t i = 0; i < cp->tensor_count; i++) {
        if (is_lone(&cp->tensors[i], &out->of[i], &out->states.of[i])) {
            out->of[i].kind = FP8_LONE_SCALES;
        }
    }
}

/* The states are found: pair what belongs together. */
static err_code pair_all(const checkpoint *cp, fp8_pairs *out, err *e)
{
    out->of = calloc(cp->tensor_count + 1, sizeof *out->of);
    if (!out->of) {
        return err_set(e, ERR_MEMORY, "no memory for %zu tensors", cp->tensor_count);
    }
    find_pairs(cp, out);
    return OK;
}

err_code fp8_pairs_find(const checkpoint *cp, const monitor *m, fp8_pairs *out, err *e)
{
    *out = (fp8_pairs){0};
    TRY(read_descriptions(cp, &out->described, e));
    TRY(find_states(cp, m, out, e));
    return pair_all(cp, out, e);
}

/* ---- set 1 ----------------------------------------------------- */

/* The tensor with this name and suffix; STATE_NONE: there is none. */
static size_t find_suffixed(const checkpoint *cp, const char *name, const char *suffix)
{
    char other[NAME_MAX_BYTES + 16];
    const int length = snprintf(other, sizeof other, "%s%s", name, suffix);
    const tensor *const found = length < (int)sizeof other ? checkpoint_find(cp, other) : NULL;
    return found ? (size_t)(found - cp->tensors) : STATE_NONE;
}

/* All that was known: weights in FP8 with scales of two names, and `_scale_inv` without a weight. */
static tensor_state state1(const checkpoint *cp, size_t i)
{
    static const char suffix[] = "_scale_inv";
    const tensor *const t = &cp->tensors[i];
    const size_t length = strlen(t->name);
    tensor_state s = {.weight = STATE_NONE, .scales = STATE_NONE};
    if (may_have_scales(t)) {
        const size_t other = find_suffixed(cp, t->name, "_scale");
        s.kind = STATE_FP8;
        s.method = "FP8";
        s.scales = find_suffixed(cp, t->name, suffix);
        s.two_scales = s.scales != STATE_NONE && other != STATE_NONE;
        s.scales = s.scales != STATE_NONE ? s.scales : other;
    } else if (length >= sizeof suffix &&
               strcmp(t->name + length - sizeof suffix + 1, suffix) == 0) {
        s.kind = STATE_PART;
    }
    return s;
}

static err_code read_tiles1(const checkpoint *cp, block_format *out, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    TRY(checkpoint_read_file(cp, "config.json", &text, &bytes, e));
    const err_code code = text ? quantization_tiles1(text, bytes, out, e) : OK;
    free(text);
    return code;
}

err_code fp8_pairs_find1(const checkpoint *cp, fp8_pairs *out, err *e)
{
    *out = (fp8_pairs){0};
    TRY(read_tiles1(cp, &out->described.block, e));
    out->states.of = calloc(cp->tensor_count + 1, sizeof *out->states.of);
    if (!out->states.of) {
        return err_set(e, ERR_MEMORY, "no memory for %zu tensors", cp->tensor_count);
    }
    out->states.count = cp->tensor_count;
    for (size_t i = 0; i < cp->tensor_count; i++) {
        out->states.of[i] = state1(cp, i);
        out->states.any = out->states.any || out->states.of[i].kind != STATE_PLAIN;
    }
    return pair_all(cp, out, e);
}

void fp8_pairs_free(fp8_pairs *pairs)
{
    free(pairs->of);
    tensor_states_free(&pairs->states);
    *pairs = (fp8_pairs){0};
}

fp8_band fp8_scale_band(const fp8_pair *p, const tensor *weight, uint64_t slice, uint64_t row,
                        uint64_t rows)
{
    const uint64_t each = dtype_bits(p->other->type) / 8;
    const uint64_t all = weight->shape[weight->ndim - 2];
    const uint64_t height = block_height(p->block, all);
    const uint64_t down = block_down(p->block, all);
    fp8_band b = {.first = row / height,
                  .across = block_across(p->block, weight->shape[weight->ndim - 1])};
    const uint64_t end = num_ceil_div(row + rows, height);
    b.off = (slice * down + b.first) * b.across * each;
    b.bytes = (end - b.first) * b.across * each;
    return b;
}

/* ---- errors ---------------------------------------------------- */

static err_code refuse_scales(const fp8_pairs *pairs, const tensor *w, const tensor *s, err *e)
{
    char found[SHAPE_TEXT_BYTES];
    char expected[SHAPE_TEXT_BYTES];
    uint64_t shape[TENSOR_MAX_DIMS];
    const block_format block = expected_block(pairs);
    if (!scale_stored_in(s->type)) {
        return err_set(
            e, ERR_INPUT,
            "tensor %s: scales of %s, expected dtype F32, BF16, F16 or F8_E8M0, found %s", s->name,
            w->name, dtype_name(s->type));
    }
    memcpy(shape, w->shape, sizeof shape);
    shape[w->ndim - 2] = block_down(block, shape[w->ndim - 2]);
    shape[w->ndim - 1] = block_across(block, shape[w->ndim - 1]);
    return err_set(e, ERR_INPUT, "tensor %s: scales of %s, expected shape %s, found %s", s->name,
                   w->name, dtype_shape_text(shape, w->ndim, expected),
                   dtype_shape_text(s->shape, s->ndim, found));
}

err_code fp8_pairs_check(const checkpoint *cp, const fp8_pairs *pairs, size_t i, err *e)
{
    const tensor *const t = &cp->tensors[i];
    const fp8_pair *const p = &pairs->of[i];
    switch (p->kind) {
    case FP8_NO_SCALES:
        err_set(e, ERR_INPUT, "tensor %s: FP8 without scales: %s_scale_inv not found", t->name,
                t->name);
        break;
    case FP8_BAD_SCALES:
        (void)refuse_scales(pairs, t, p->other, e);
        break;
    case FP8_TWO_SCALES:
        err_set(e, ERR_INPUT, "tensor %s: has scales under two names, %s and another", t->name,
                p->other->name);
        break;
    case FP8_LONE_SCALES:
        err_set(e, ERR_INPUT, "tensor %s: scales that belong to no F8_E4M3 tensor", t->name);
        break;
    default:
        return OK;
    }
    err_hint(e, "--keep '*' --allow-none packs the checkpoint as it is; octavo export refuses such "
                "a file");
    return ERR_INPUT;
}
