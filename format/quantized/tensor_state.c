/* In passes, because a name alone does not tell what a tensor is: first the weights of other methods
 * (state_weights.c), then the parts of these, which may have any dtype, also FP8; then weights in
 * FP8, their scales and other parts; last what is left of activations, and of weights that are not
 * there. A plain checkpoint costs one pass over the last components of its names. */
#include "format/quantized/tensor_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/quantized/state_weights.h"
#include "format/tensor/tensor_name.h"

const char *state_name(state_kind k)
{
    static const char *const names[] = {
#define X(code, name) [code] = (name),
        TENSOR_STATES(X)
#undef X
    };
    return names[k];
}

/* ---- names of FP8 scales --------------------------------------- */

/* All of them multiply, although "inv" suggests otherwise. The first two are appended to the name of
 * the weight, the others take the place of its last component: DeepSeek-V4 (as released), Mistral,
 * ComfyUI. */
static const struct {
    const char *end;
    bool replaces;
} spellings[FP8_SPELLINGS] = {
    {"_scale_inv", false},   {"_scale", false},      {"scale", true},
    {"qscale_weight", true}, {"scale_weight", true},
};

/* How many bytes of the name of a weight that of its scales begins with. False: it has no such
 * scales. */
static bool spelling_begin(const char *weight, unsigned spelling, size_t *bytes)
{
    const size_t parent = tensor_list_parent(weight);
    *bytes = spellings[spelling].replaces ? parent : strlen(weight);
    return !spellings[spelling].replaces || strcmp(weight + parent, "weight") == 0;
}

bool fp8_scales_name(const char *weight, unsigned spelling, char *out, size_t capacity)
{
    size_t bytes = 0;
    if (spelling >= FP8_SPELLINGS || !spelling_begin(weight, spelling, &bytes)) {
        return false;
    }
    const int length =
        snprintf(out, capacity, "%.*s%s", (int)bytes, weight, spellings[spelling].end);
    return length >= 0 && (size_t)length < capacity;
}

bool state_is_fp8_type(dtype t)
{
    return t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2 || t == DTYPE_F8_E8M0 ||
           t == DTYPE_F8_E4M3FNUZ || t == DTYPE_F8_E5M2FNUZ;
}

/* ---- marking --------------------------------------------------- */

typedef struct finder {
    tensor_list list;
    tensor_states *out;
    bool quantized; /* there are weights in FP8 or of another method, or codes made from FP8 */
} finder;

/* A pass looks at every tensor once; the later ones know what the earlier ones have found. */
typedef void pass(finder *f, size_t i);

static bool is_plain(const finder *f, size_t i)
{
    return f->out->of[i].kind == STATE_PLAIN;
}

/* `weight` may be STATE_NONE. */
static void mark_part(finder *f, size_t i, state_role role, size_t weight)
{
    tensor_state *const s = &f->out->of[i];
    *s = (tensor_state){.kind = STATE_PART, .role = role, .weight = weight, .scales = STATE_NONE};
    s->method = weight != STATE_NONE ? f->out->of[weight].method : NULL;
}

static void mark_weight(finder *f, size_t i, state_kind kind, const char *method)
{
    tensor_state *const s = &f->out->of[i];
    s->kind = kind;
    s->method = method;
    f->quantized = true;
}

static const char *component_of(const finder *f, size_t i)
{
    const char *const name = f->list.items[i].name;
    return name + tensor_list_parent(name);
}

/* ---- what belongs to a weight ---------------------------------- */

static bool is_kind(const finder *f, size_t i, unsigned kinds)
{
    return i != STATE_NONE && (1U << f->out->of[i].kind & kinds) != 0;
}

/* The weight, of one of these kinds (bits), to which a tensor with this word in its name belongs. */
static size_t find_weight(const finder *f, size_t i, size_t base, unsigned kinds)
{
    static const char *const after_base[] = {"", "_packed", "_blocks", NULL};
    const size_t parent = tensor_list_parent(f->list.items[i].name);
    const char *const *const ends = base > 0 ? after_base : state_weight_names;
    for (size_t k = 0; ends[k]; k++) {
        const size_t found = tensor_list_near(&f->list, i, parent + base, ends[k]);
        if (found != i && is_kind(f, found, kinds)) {
            return found;
        }
    }
    return STATE_NONE;
}

/* "P.weight.absmax", "P.weight.quant_state.bitsandbytes__nf4": below the name of their weight. */
static size_t find_above(const finder *f, size_t i, unsigned kinds)
{
    const char *const name = f->list.items[i].name;
    size_t bytes = tensor_list_parent(name);
    for (int up = 0; up < 2 && bytes > 1; up++) {
        const size_t found = tensor_list_near(&f->list, i, bytes - 1, "");
        if (is_kind(f, found, kinds)) {
            return found;
        }
        for (bytes--; bytes > 0 && name[bytes - 1] != '.'; bytes--) {
        }
    }
    return STATE_NONE;
}

/* ---- other methods --------------------------------------------- */

static void find_foreign_weight(finder *f, size_t i)
{
    const char *const method =
        is_plain(f, i) ? state_weight_method(&f->list, i, f->out->described) : NULL;
    if (method) {
        mark_weight(f, i, STATE_FOREIGN, method);
    }
}

static void find_foreign_part(finder *f, size_t i)
{
    const unsigned foreign = 1U << STATE_FOREIGN;
    size_t base = 0;
    if (!f->quantized || !is_plain(f, i)) {
        return;
    }
    const state_word *const word = state_find_word(component_of(f, i), &base);
    size_t weight = word ? find_weight(f, i, base, foreign) : STATE_NONE;
    weight = weight == STATE_NONE ? find_above(f, i, foreign) : weight;
    if (weight != STATE_NONE) {
        mark_part(f, i, word ? word->role : ROLE_WEIGHT, weight);
    }
}

/* ---- FP8 ------------------------------------------------------- */

static const char *fp8_method(dtype t, bool scales)
{
    switch (t) {
    case DTYPE_F8_E4M3:
        return scales ? "FP8" : "FP8 without scales";
    case DTYPE_F8_E5M2:
        return "FP8 (F8_E5M2)";
    case DTYPE_F8_E4M3FNUZ:
        return "FP8 (F8_E4M3FNUZ)";
    default:
        return "FP8 (F8_E5M2FNUZ)";
    }
}

static void find_scales(finder *f, size_t i)
{
    const char *const name = f->list.items[i].name;
    tensor_state *const s = &f->out->of[i];
    for (unsigned k = 0; k < FP8_SPELLINGS; k++) {
        size_t bytes = 0;
        const size_t found = spelling_begin(name, k, &bytes)
                                 ? tensor_list_near(&f->list, i, bytes, spellings[k].end)
                                 : STATE_NONE;
        if (found != STATE_NONE && is_plain(f, found)) {
            s->two_scales = s->scales != STATE_NONE;
            s->scales = s->two_scales ? s->scales : found;
        }
    }
}

static void take_fp8_weight(finder *f, size_t i)
{
    const named_tensor *const t = &f->list.items[i];
    find_scales(f, i);
    const size_t scales = f->out->of[i].scales;
    mark_weight(f, i, STATE_FP8, fp8_method(t->type, scales != STATE_NONE));
    if (t->type == DTYPE_F8_E4M3 && scales != STATE_NONE &&
        state_is_mxfp8(t, &f->list.items[scales])) {
        mark_weight(f, i, STATE_FOREIGN, "MXFP8");
    }
    if (scales != STATE_NONE) {
        mark_part(f, scales, ROLE_WEIGHT, i);
    }
}

/* E8M0 is a dtype of scales, and an empty tensor is a mark (ComfyUI's scaled_fp8). */
static void find_fp8_weight(finder *f, size_t i)
{
    const named_tensor *const t = &f->list.items[i];
    size_t base = 0;
    if (is_plain(f, i) && state_is_fp8_type(t->type) && t->type != DTYPE_F8_E8M0 &&
        !state_find_word(component_of(f, i), &base)) {
        take_fp8_weight(f, i);
    }
}

/* Would a reader take `i` for the scales of this weight? */
static bool is_named_as_scales(const finder *f, size_t i, size_t weight)
{
    char name[NAME_MAX_BYTES + 1];
    bool is = false;
    for (unsigned k = 0; k < FP8_SPELLINGS && !is; k++) {
        is = fp8_scales_name(f->list.items[weight].name, k, name, sizeof name) &&
             strcmp(name, f->list.items[i].name) == 0;
    }
    return is;
}

/* A part of FP8 other than its scales: what is needed besides them makes it another method. */
static void take_fp8_part(finder *f, size_t i, const state_word *word, size_t weight)
{
    tensor_state *const w = &f->out->of[weight];
    const bool made_here = f->list.items[weight].known;
    const bool from_fp8 = f->list.items[weight].type == DTYPE_F8_E4M3;
    if (word->role == ROLE_WEIGHT && made_here) {
        if (from_fp8 || word->telling || is_named_as_scales(f, i, weight)) {
            mark_part(f, i, ROLE_WEIGHT, STATE_NONE);
        }
        return;
    }
    if (word->role == ROLE_WEIGHT && w->kind == STATE_FP8 && !w->two_scales) {
        mark_weight(f, weight, STATE_FOREIGN,
                    f->out->described[0] ? f->out->described : "FP8 in a form of its own");
    }
    if (!made_here || from_fp8) {
        mark_part(f, i, word->role, weight);
    }
}

static void find_fp8_part(finder *f, size_t i)
{
    const unsigned kinds = 1U << STATE_FP8 | 1U << STATE_BLOCK_FP8 | 1U << STATE_FOREIGN;
    size_t base = 0;
    const state_word *const word =
        is_plain(f, i) ? state_find_word(component_of(f, i), &base) : NULL;
    const size_t weight = word ? find_weight(f, i, base, kinds) : STATE_NONE;
    if (weight != STATE_NONE) {
        take_fp8_part(f, i, word, weight);
    }
}

/* ---- the rest -------------------------------------------------- */

/* Scales of activations belong to no single weight (self_attn.k_scale); next to plain weights they
 * are learned numbers. Names that only scales of weights have tell of a weight that is missing. */
static void find_rest(finder *f, size_t i)
{
    size_t base = 0;
    const named_tensor *const t = &f->list.items[i];
    const state_word *const word =
        is_plain(f, i) ? state_find_word(component_of(f, i), &base) : NULL;
    const bool telling =
        word && ((word->telling && base == 0) || strcmp(word->word, "scale_inv") == 0);
    if (telling || (word && word->role != ROLE_WEIGHT && f->quantized)) {
        mark_part(f, i, word->role, STATE_NONE);
    } else if (is_plain(f, i) && state_is_fp8_type(t->type)) {
        mark_weight(f, i, STATE_FP8,
                    t->type == DTYPE_F8_E8M0 ? "F8_E8M0" : fp8_method(t->type, false));
    }
}

static void count_states(finder *f)
{
    for (size_t i = 0; i < f->list.count; i++) {
        const state_kind kind = f->out->of[i].kind;
        const bool other = kind == STATE_FP8 && f->list.items[i].type != DTYPE_F8_E4M3;
        f->out->foreign += kind == STATE_FOREIGN || other;
        f->out->any = f->out->any || kind != STATE_PLAIN;
    }
}

static void begin(finder *f)
{
    for (size_t i = 0; i < f->list.count; i++) {
        const named_tensor *const t = &f->list.items[i];
        f->out->of[i] = (tensor_state){.weight = STATE_NONE, .scales = STATE_NONE};
        f->list.stacks = f->list.stacks || strchr(t->name, '*') != NULL;
        if (t->known) {
            f->out->of[i].kind = STATE_BLOCK_FP8;
            f->quantized = f->quantized || t->type == DTYPE_F8_E4M3;
        }
    }
}

static err_code run_passes(finder *f, const monitor *m, err *e)
{
    static pass *const passes[] = {find_foreign_weight, find_foreign_part, find_fp8_weight,
                                   find_fp8_part, find_rest};
    for (size_t k = 0; k < sizeof passes / sizeof passes[0]; k++) {
        for (size_t i = 0; i < f->list.count; i++) {
            TRY(monitor_step(m, i, e));
            passes[k](f, i);
        }
    }
    return OK;
}

err_code tensor_states_find(const named_tensor *list, size_t count, const char *described,
                            const monitor *m, tensor_states *out, err *e)
{
    *out = (tensor_states){
        .of = calloc(count + 1, sizeof *out->of), .count = count, .described = strdup(described)};
    if (!out->of || !out->described) {
        return err_set(e, ERR_MEMORY, "no memory for %zu tensors", count);
    }
    finder f = {.list = {.items = list, .count = count}, .out = out};
    begin(&f);
    TRY(run_passes(&f, m, e));
    count_states(&f);
    return OK;
}

void tensor_states_free(tensor_states *s)
{
    free(s->of);
    free(s->described);
    *s = (tensor_states){0};
}
