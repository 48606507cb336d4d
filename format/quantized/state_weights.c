#include "format/quantized/state_weights.h"

#include <string.h>

#include "format/tensor/tensor_name.h"

/* ---- weights of other methods ---------------------------------- */

/* Sets of dtypes, as bits. */
#define OF(t)          (1U << DTYPE_##t)
#define BYTES_OF_CODES (OF(U8) | OF(I8))
#define INTEGERS       (BYTES_OF_CODES | OF(I16) | OF(U16) | OF(I32) | OF(U32) | OF(I64) | OF(U64))
#define ANY            (~0U)

/* A form in which a method stores a weight. `name`: its last component, NULL: any. `beside`: a tensor
 * that must be there as well, NULL: none; "_…" and ".…" are appended to the whole name, others
 * replace the last component. */
typedef struct weight_form {
    const char *name, *beside;
    unsigned types;
    const char *method;
    bool shared; /* by several methods: if files give a name, that is the method */
} weight_form;

static const weight_form forms[] = {
    {"weight_packed", "weight_global_scale", ANY, "NVFP4", false},
    {"weight_packed", NULL, OF(U8), "MXFP4", true},
    {"weight_packed", NULL, ANY, "packed integers", true},
    {"qweight", "g_idx", ANY, "GPTQ", true},
    {"qweight", NULL, ANY, "AWQ or GPTQ", true},
    {"q_weight", "q_scale", INTEGERS, "EXL2", false},
    {"W_q", NULL, ANY, "HQQ", false},
    {"trellis", "svh", ANY, "EXL3", false},
    {"Qidxs", NULL, ANY, "QuIP#", false},
    {"codes", "codebooks", INTEGERS, "AQLM", false},
    {"indices", "centroids.weight", INTEGERS, "VPTQ", false},
    {"_data", "_scale", ANY, "quanto", false},
    {"_weight_qdata", NULL, ANY, "torchao", false},
    {"weight", "SCB", OF(I8), "bitsandbytes", false},
    {NULL, ".absmax", INTEGERS, "bitsandbytes", false},
    {NULL, "_scale_2", BYTES_OF_CODES | OF(F4), "NVFP4", false},
    {NULL, "_weight_scale_2", BYTES_OF_CODES | OF(F4), "NVFP4", false},
    {"weight", "scales", OF(U32) | OF(I32), "MLX", true},
    {NULL, NULL, OF(F4), "FP4", true},
    {NULL, NULL, OF(F6_E2M3) | OF(F6_E3M2), "FP6", true},
    {"weight", "weight_scale", OF(I8), "INT8", true},
};

/* Matrices of integers with the name of a weight: whatever they are, they are not plain numbers. Other
 * integers (positions, masks, tables of tokens) are data. */
static bool is_integer_matrix(const named_tensor *t, const char *component)
{
    static const char proj[] = "_proj";
    const size_t length = strlen(component);
    size_t start = 0;
    size_t bytes = 0;
    const bool named =
        strcmp(component, "weight") == 0 ||
        (length > sizeof proj && strcmp(component + length - sizeof proj + 1, proj) == 0) ||
        (t->ndim >= 3 && name_expert_slot(t->name, &start, &bytes) &&
         !state_find_word(component, &bytes));
    return t->ndim >= 2 && named && (1U << t->type & INTEGERS) != 0;
}

/* gpt-oss: X_blocks next to X_scales. */
static bool is_blocks(const tensor_list *l, size_t i, const char *component)
{
    static const char end[] = "_blocks";
    const char *const name = l->items[i].name;
    const size_t length = strlen(component);
    if (l->items[i].type != DTYPE_U8 || length < sizeof end ||
        strcmp(component + length - sizeof end + 1, end) != 0) {
        return false;
    }
    return tensor_list_near(l, i, strlen(name) - sizeof end + 1, "_scales") != STATE_NONE;
}

/* DeepSeek-V4: two numbers in each byte, and scales that are powers of two. */
static bool is_mxfp4(const tensor_list *l, size_t i, size_t parent)
{
    static const char *const names[] = {"scale", "weight_scale", "weight_scale_inv"};
    bool is = false;
    for (size_t k = 0; k < sizeof names / sizeof names[0] && !is; k++) {
        const size_t scales = tensor_list_near(l, i, parent, names[k]);
        is = scales != STATE_NONE && l->items[scales].type == DTYPE_F8_E8M0;
    }
    return is && (1U << l->items[i].type & BYTES_OF_CODES) != 0;
}

static bool has_beside(const tensor_list *l, size_t i, size_t parent, const char *beside)
{
    const bool appended = beside[0] == '.' || (beside[0] == '_' && strcmp(beside, "_scale") != 0);
    const size_t bytes = appended ? strlen(l->items[i].name) : parent;
    return tensor_list_near(l, i, bytes, beside) != STATE_NONE;
}

static bool has_form(const tensor_list *l, size_t i, size_t parent, const weight_form *f)
{
    const named_tensor *const t = &l->items[i];
    return (1U << t->type & f->types) != 0 &&
           (!f->name || strcmp(f->name, t->name + parent) == 0) &&
           (!f->beside || has_beside(l, i, parent, f->beside));
}

const char *state_weight_method(const tensor_list *l, size_t i, const char *described)
{
    const named_tensor *const t = &l->items[i];
    const size_t parent = tensor_list_parent(t->name);
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        if (has_form(l, i, parent, &forms[k])) {
            return forms[k].shared && described[0] ? described : forms[k].method;
        }
    }
    if (is_blocks(l, i, t->name + parent)) {
        return "MXFP4";
    }
    if (is_integer_matrix(t, t->name + parent)) {
        const bool says = described[0] != '\0' && strncmp(described, "fp8", 3) != 0;
        return is_mxfp4(l, i, parent) ? "MXFP4" : says ? described : "an unknown method";
    }
    return NULL;
}

bool state_is_mxfp8(const named_tensor *w, const named_tensor *scales)
{
    const bool bytes = scales->type == DTYPE_U8;
    if (!bytes && scales->type != DTYPE_F8_E8M0) {
        return false;
    }
    if (w->ndim < 2 || scales->ndim != w->ndim) {
        return bytes;
    }
    const uint64_t *const shape = scales->shape + w->ndim - 2;
    const uint64_t cols = w->shape[w->ndim - 1];
    return bytes || (shape[0] == w->shape[w->ndim - 2] && shape[1] == cols / 32 && cols > 32);
}

/* ---- names of parts -------------------------------------------- */

const char *const state_weight_names[] = {"weight",        "weight_packed", "qweight", "q_weight",
                                          "W_q",           "trellis",       "Qidxs",   "codes",
                                          "_weight_qdata", "indices",       "_data",   NULL};

/* Of several words that end a component, the first counts: longer ones come first. */
static const state_word words[] = {
    {"weight_scale_inv", ROLE_WEIGHT, true},
    {"weight_scale_2", ROLE_WEIGHT, true},
    {"weight_global_scale", ROLE_WEIGHT, true},
    {"weight_zero_point", ROLE_WEIGHT, true},
    {"weight_scale", ROLE_WEIGHT, true},
    {"weight_scales", ROLE_WEIGHT, true},
    {"weight_shape", ROLE_WEIGHT, false},
    {"weight_g_idx", ROLE_WEIGHT, true},
    {"weight_format", ROLE_WEIGHT, false},
    {"qscale_weight", ROLE_WEIGHT, true},
    {"scale_weight", ROLE_WEIGHT, true},
    {"pre_quant_scale", ROLE_WEIGHT, false},
    {"input_scale", ROLE_ACTIVATIONS, false},
    {"input_scale_inv", ROLE_ACTIVATIONS, false},
    {"input_scale_ub", ROLE_ACTIVATIONS, false},
    {"input_global_scale", ROLE_ACTIVATIONS, false},
    {"input_zero_point", ROLE_ACTIVATIONS, false},
    {"input_amax", ROLE_ACTIVATIONS, false},
    {"output_scale", ROLE_ACTIVATIONS, false},
    {"output_zero_point", ROLE_ACTIVATIONS, false},
    {"activation_scale", ROLE_ACTIVATIONS, false},
    {"act_scale", ROLE_ACTIVATIONS, false},
    {"qscale_act", ROLE_ACTIVATIONS, false},
    {"scale_input", ROLE_ACTIVATIONS, false},
    {"prob_scale", ROLE_ACTIVATIONS, false},
    {"scaled_fp8", ROLE_ACTIVATIONS, false},
    {"kv_scale", ROLE_KV_CACHE, false},
    {"k_scale", ROLE_KV_CACHE, false},
    {"v_scale", ROLE_KV_CACHE, false},
    {"q_scale", ROLE_ACTIVATIONS, false},
    {"q_scale_max", ROLE_WEIGHT, false},
    {"q_groups", ROLE_WEIGHT, false},
    {"q_group_map", ROLE_WEIGHT, false},
    {"q_invperm", ROLE_WEIGHT, false},
    {"q_perm", ROLE_WEIGHT, false},
    {"qzeros", ROLE_WEIGHT, true},
    {"g_idx", ROLE_WEIGHT, true},
    {"scales", ROLE_WEIGHT, false},
    {"scale_inv", ROLE_WEIGHT, false},
    {"scale_2", ROLE_WEIGHT, false},
    {"global_scale", ROLE_WEIGHT, false},
    {"zero_point", ROLE_WEIGHT, false},
    {"zeropoint", ROLE_WEIGHT, false},
    {"zeros", ROLE_WEIGHT, false},
    {"zero", ROLE_WEIGHT, false},
    {"scale", ROLE_WEIGHT, false},
    {"shape", ROLE_WEIGHT, false},
    {"meta", ROLE_WEIGHT, false},
    {"biases", ROLE_WEIGHT, false},
    {"SCB", ROLE_WEIGHT, true},
    {"absmax", ROLE_WEIGHT, true},
    {"quant_map", ROLE_WEIGHT, true},
    {"suh", ROLE_WEIGHT, false},
    {"svh", ROLE_WEIGHT, false},
    {"su", ROLE_WEIGHT, false},
    {"sv", ROLE_WEIGHT, false},
    {"mcg", ROLE_WEIGHT, false},
    {"mul1", ROLE_WEIGHT, false},
    {"SU", ROLE_WEIGHT, false},
    {"SV", ROLE_WEIGHT, false},
    {"codebook_id", ROLE_WEIGHT, false},
    {"codebooks", ROLE_WEIGHT, false},
};

/* Does `component` end with the word? *base: what is before it, without a '_'. */
static bool ends_with_word(const char *component, size_t length, const char *word, size_t *base)
{
    const size_t bytes = strlen(word);
    if (length < bytes || memcmp(component + length - bytes, word, bytes) != 0) {
        return false;
    }
    const size_t before = length - bytes;
    *base = before > 0 ? before - 1 : 0;
    return before == 0 || component[before - 1] == '_';
}

const state_word *state_find_word(const char *component, size_t *base)
{
    const size_t length = strlen(component);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ends_with_word(component, length, words[i].word, base)) {
            return &words[i];
        }
    }
    return NULL;
}
