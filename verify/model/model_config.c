#include "verify/model/model_config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/base/text_list.h"
#include "format/json/json_value.h"
#include "verify/model/rope_config.h"

#define CONFIG "config.json"

/* ---- keys ------------------------------------------------------ */

typedef enum field_kind {
    FIELD_TEXT,
    FIELD_COUNT,
    FIELD_FLAG,
    FIELD_FLOAT,
    FIELD_DOUBLE
} field_kind;

typedef enum field_need {
    NEED_ALWAYS,
    NEED_LINEAR, /* another architecture does not know the key */
    NEED_DENSE,  /* only with dense layers */
    NEED_OPTIONAL,
    NEED_ELSEWHERE, /* a function of its own reads it */
    NEED_NO_KEY,    /* likewise, and the key is just how a difference is named */
} field_need;

typedef struct field {
    const char *key;
    size_t at; /* in model_config */
    field_kind kind;
    field_need need;
    double low, high; /* counts: first and last; numbers: must be above and below */
} field;

#define AT(name) offsetof(model_config, name)

static const field fields[] = {
    {"architectures", AT(architecture), FIELD_TEXT, NEED_ELSEWHERE, 0, 0},
    {"model_type", AT(model_type), FIELD_TEXT, NEED_ELSEWHERE, 0, 0},
    {"hidden_size", AT(hidden), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_hidden_layers", AT(layers), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_attention_heads", AT(heads), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_key_value_heads", AT(kv_heads), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"head_dim", AT(head_dim), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"first_k_dense_replace", AT(dense_layers), FIELD_COUNT, NEED_ALWAYS, 0, MODEL_MAX_SIZE},
    {"intermediate_size", AT(intermediate), FIELD_COUNT, NEED_DENSE, 1, MODEL_MAX_SIZE},
    {"moe_intermediate_size", AT(moe_intermediate), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_shared_experts", AT(shared_experts), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"moe_shared_expert_intermediate_size", AT(shared_intermediate), FIELD_COUNT, NEED_ELSEWHERE, 1,
     MODEL_MAX_SIZE},
    {"num_experts", AT(experts), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_experts_per_tok", AT(top_k), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"n_group", AT(groups), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"topk_group", AT(top_groups), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"num_nextn_predict_layers", AT(mtp_layers), FIELD_COUNT, NEED_OPTIONAL, 0, MODEL_MAX_SIZE},
    {"layer_group_size", AT(layer_group), FIELD_COUNT, NEED_LINEAR, 1, MODEL_MAX_SIZE},
    {"group_norm_size", AT(norm_groups), FIELD_COUNT, NEED_LINEAR, 1, MODEL_MAX_SIZE},
    {"linear_silu", AT(linear_silu), FIELD_FLAG, NEED_LINEAR, 0, 0},
    {"vocab_size", AT(vocab), FIELD_COUNT, NEED_ALWAYS, 1, MODEL_MAX_SIZE},
    {"max_position_embeddings", AT(max_positions), FIELD_COUNT, NEED_ALWAYS, 1,
     MODEL_MAX_POSITIONS},
    {"rms_norm_eps", AT(eps), FIELD_FLOAT, NEED_ALWAYS, 0, 1},
    {"routed_scaling_factor", AT(routed_scaling), FIELD_FLOAT, NEED_ALWAYS, 0, INFINITY},
    {"moe_router_enable_expert_bias", AT(expert_bias), FIELD_FLAG, NEED_ALWAYS, 0, 0},
    {"norm_topk_prob", AT(norm_topk), FIELD_FLAG, NEED_ALWAYS, 0, 0},
    {"tie_word_embeddings", AT(tied), FIELD_FLAG, NEED_ALWAYS, 0, 0},
    {"rope_theta", AT(rope_theta), FIELD_DOUBLE, NEED_ELSEWHERE, 0, 0},
    {"partial_rotary_factor (channels)", AT(rotary_dim), FIELD_COUNT, NEED_NO_KEY, 0, 0},
    {"rope type yarn", AT(yarn), FIELD_FLAG, NEED_NO_KEY, 0, 0},
    {"rope factor", AT(yarn_factor), FIELD_DOUBLE, NEED_NO_KEY, 0, 0},
    {"rope original_max_position_embeddings", AT(yarn_original), FIELD_COUNT, NEED_NO_KEY, 0, 0},
    {"rope beta_fast", AT(yarn_beta_fast), FIELD_DOUBLE, NEED_NO_KEY, 0, 0},
    {"rope beta_slow", AT(yarn_beta_slow), FIELD_DOUBLE, NEED_NO_KEY, 0, 0},
    {"rope attention_factor", AT(yarn_attention), FIELD_DOUBLE, NEED_NO_KEY, 0, 0},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

/* Keys that have just one value here, as JSON. */
static const struct fixed {
    const char *key, *value;
    bool required;
} fixed[] = {
    {"score_function", "\"sigmoid\"", true},
    {"hidden_act", "\"silu\"", true},
    {"use_qk_norm", "true", true},
    {"use_bias", "false", false},
    {"use_qkv_bias", "false", false},
    {"attention_bias", "false", false},
    {"use_rmsnorm", "true", false},
    {"router_dtype", "\"fp32\"", false},
    {"linear_rope", "true", false},
    {"norm_head", "false", false},
    {"using_split_qkv_in_self_attention", "false", false},
    {"use_sliding_window", "false", false},
    {"sliding_window", "null", false},
};
enum { FIXED = sizeof fixed / sizeof fixed[0] };

/* Keys without influence on what is computed here. */
static const char *const ignored[] = {
    "_attn_implementation",
    "_name_or_path",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "embedding_dropout",
    "eos_token_id",
    "hidden_dropout",
    "initializer_range",
    "max_window_layers", /* of a sliding window, which is refused */
    "mtp_loss_scaling_factor",
    "name_or_path",
    "output_attentions",
    "output_dropout",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "return_dict",
    "router_aux_loss_coef",
    "sep_token_id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
};
enum { IGNORED = sizeof ignored / sizeof ignored[0] };

static const struct supported {
    const char *architecture, *model_type;
    bool linear;
} supported[] = {
    {"BailingMoeLinearV2ForCausalLM", "bailing_moe_linear", true},
    {"BailingMoeV2ForCausalLM", "bailing_moe", false},
};
enum { SUPPORTED = sizeof supported / sizeof supported[0] };

/* ---- reading --------------------------------------------------- */

static err_code refuse_architecture(const char *what, const char *name, err *e)
{
    text_list list = {0};
    for (unsigned i = 0; i < SUPPORTED; i++) {
        text_list_add(&list, "%s", supported[i].architecture);
    }
    return err_set(e, ERR_INPUT,
                   "%s: the forward pass does not support the architecture %.100s, only these: %s",
                   what, name, text_list_end(&list));
}

static err_code read_architecture(const char *what, const json_t *json, model_config *c, err *e)
{
    char found[CONFIG_SHOWN_BYTES];
    const char *name = NULL;
    const char *type = NULL;
    const json_t *const list = json_object_get(json, "architectures");
    const json_t *const only = json_array_get(list, 0);
    if (list && (json_array_size(list) != 1 || !json_is_string(only))) {
        return err_set(e, ERR_INPUT, "%s: architectures: expected a list of one name, found %s",
                       what, config_show(list, found));
    }
    err_code code = config_string(what, "architectures", only, &name, e);
    const struct supported *s = supported;
    while (code == OK && strcmp(s->architecture, name) != 0) {
        if (++s == supported + SUPPORTED) {
            code = refuse_architecture(what, name, e);
        }
    }
    if (code == OK) {
        code = config_string(what, "model_type", json_object_get(json, "model_type"), &type, e);
    }
    if (code == OK && strcmp(type, s->model_type) != 0) {
        code = err_set(e, ERR_INPUT,
                       "%s: architectures and model_type contradict each other: %s is %s, not "
                       "%.100s",
                       what, name, s->model_type, type);
    }
    if (code == OK) {
        snprintf(c->architecture, sizeof c->architecture, "%s", name);
        snprintf(c->model_type, sizeof c->model_type, "%s", type);
        c->linear = s->linear;
    }
    return code;
}

/* Is the key read for this model? */
static bool is_wanted(const field *f, const model_config *c)
{
    return f->need == NEED_ALWAYS || (f->need == NEED_LINEAR && c->linear) ||
           (f->need == NEED_DENSE && c->dense_layers > 0);
}

static err_code read_float(const char *what, const field *f, const json_t *value, float *out,
                           err *e)
{
    double number = 0;
    const err_code code = config_real(what, f->key, value, f->low, f->high, &number, e);
    if (code != OK) {
        return code;
    }
    *out = (float)number;
    return *out > 0 && isfinite(*out) && *out < f->high
               ? OK
               : err_set(e, ERR_INPUT, "%s: %s: %g does not fit float32", what, f->key, number);
}

static err_code read_field(const char *what, const field *f, const json_t *value, model_config *c,
                           err *e)
{
    void *const to = (char *)c + f->at;
    switch (f->kind) {
    case FIELD_COUNT:
        return config_count(what, f->key, value, (uint64_t)f->low, (uint64_t)f->high, to, e);
    case FIELD_FLAG:
        return config_flag(what, f->key, value, to, e);
    case FIELD_FLOAT:
        return read_float(what, f, value, to, e);
    default:
        return err_set(e, ERR_INTERNAL, "%s: %s: is read elsewhere", what, f->key);
    }
}

static err_code read_fields(const char *what, const json_t *json, model_config *c, err *e)
{
    err_code code = OK;
    for (unsigned i = 0; i < FIELDS && code == OK; i++) {
        const field *const f = &fields[i];
        if (is_wanted(f, c) || (f->need == NEED_OPTIONAL && config_given(json, f->key))) {
            code = read_field(what, f, json_object_get(json, f->key), c, e);
        }
    }
    return code;
}

static err_code check_fixed(const char *what, const json_t *json, err *e)
{
    for (unsigned i = 0; i < FIXED; i++) {
        char found[CONFIG_SHOWN_BYTES];
        const json_t *const value = json_object_get(json, fixed[i].key);
        if (!value && fixed[i].required) {
            return err_set(e, ERR_INPUT, "%s: %s is missing", what, fixed[i].key);
        }
        if (value && strcmp(config_show(value, found), fixed[i].value) != 0) {
            return err_set(e, ERR_INPUT, "%s: %s: %s is not supported, only %s", what, fixed[i].key,
                           found, fixed[i].value);
        }
    }
    return OK;
}

/* All shared experts are one MLP, as wide as all of them. */
static err_code read_shared(const char *what, const json_t *json, model_config *c, err *e)
{
    static const char key[] = "moe_shared_expert_intermediate_size";
    unsigned each = c->moe_intermediate;
    const json_t *const given = config_given(json, key);
    const err_code code = given ? config_count(what, key, given, 1, MODEL_MAX_SIZE, &each, e) : OK;
    const uint64_t all = (uint64_t)each * c->shared_experts;
    if (code == OK && all > MODEL_MAX_SIZE) {
        return err_set(e, ERR_INPUT, "%s: %u shared experts of size %u are too large together",
                       what, c->shared_experts, each);
    }
    c->shared_intermediate = (unsigned)all;
    return code;
}

static err_code check_dtypes(const char *what, const json_t *json, err *e)
{
    const json_t *const a = config_given(json, "torch_dtype");
    const json_t *const b = config_given(json, "dtype");
    return a && b && !config_same(a, b)
               ? err_set(e, ERR_INPUT, "%s: torch_dtype and dtype contradict each other", what)
               : OK;
}

/* ---- rules ----------------------------------------------------- */

static err_code check_attention(const char *what, const model_config *c, err *e)
{
    const uint64_t width = (uint64_t)c->heads * c->head_dim;
    if (width > MODEL_MAX_SIZE || (uint64_t)c->hidden * c->heads > (uint64_t)1 << 31) {
        return err_set(e, ERR_INPUT,
                       "%s: num_attention_heads: %u heads of head_dim %u are too large together",
                       what, c->heads, c->head_dim);
    }
    if (c->heads % c->kv_heads != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: num_attention_heads, %u, is no multiple of num_key_value_heads, %u",
                       what, c->heads, c->kv_heads);
    }
    if (c->linear && width % c->norm_groups != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: group_norm_size, %u, does not divide the %" PRIu64
                       " channels of all heads",
                       what, c->norm_groups, width);
    }
    return OK;
}

static err_code check_experts(const char *what, const model_config *c, err *e)
{
    if (c->dense_layers > c->layers) {
        return err_set(e, ERR_INPUT,
                       "%s: first_k_dense_replace, %u, is more than num_hidden_layers, %u", what,
                       c->dense_layers, c->layers);
    }
    if ((uint64_t)c->layers * c->experts > MODEL_MAX_SIZE) {
        return err_set(e, ERR_INPUT, "%s: num_experts: %u layers of %u experts are too many", what,
                       c->layers, c->experts);
    }
    if (c->experts % c->groups != 0) {
        return err_set(e, ERR_INPUT, "%s: num_experts, %u, is no multiple of n_group, %u", what,
                       c->experts, c->groups);
    }
    if (c->top_groups > c->groups) {
        return err_set(e, ERR_INPUT, "%s: topk_group, %u, is more than n_group, %u", what,
                       c->top_groups, c->groups);
    }
    const unsigned candidates = c->top_groups * (c->experts / c->groups);
    if (c->top_k > candidates) {
        return err_set(e, ERR_INPUT,
                       "%s: num_experts_per_tok, %u, is more than the %u experts of topk_group "
                       "groups",
                       what, c->top_k, candidates);
    }
    return OK;
}

/* ---- unknown keys ---------------------------------------------- */

static bool is_known(const model_config *c, const char *key)
{
    bool known = model_rope_key(key);
    for (unsigned i = 0; i < FIELDS && !known; i++) {
        known = strcmp(fields[i].key, key) == 0 && fields[i].need != NEED_NO_KEY &&
                (fields[i].need != NEED_LINEAR || c->linear);
    }
    for (unsigned i = 0; i < FIXED && !known; i++) {
        known = strcmp(fixed[i].key, key) == 0;
    }
    for (unsigned i = 0; i < IGNORED && !known; i++) {
        known = strcmp(ignored[i], key) == 0;
    }
    return known;
}

static void note_unknown(const char *what, json_t *json, const model_config *c, const monitor *m)
{
    text_list list = {0};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json, key, value)
    {
        if (!is_known(c, key)) {
            text_list_add(&list, "%s", key);
        }
    }
    if (list.total > 0) {
        monitor_note(m, "%s: keys that the forward pass does not know, and ignores: %s", what,
                     text_list_end(&list));
    }
}

/* ---- the whole ------------------------------------------------- */

static err_code read_all(const char *what, json_t *json, model_config *c, err *e)
{
    if (!json_is_object(json)) {
        return err_set(e, ERR_INPUT, "%s: not a JSON object", what);
    }
    err_code code = read_architecture(what, json, c, e);
    if (code == OK) {
        code = read_fields(what, json, c, e);
    }
    if (code == OK) {
        code = check_fixed(what, json, e);
    }
    if (code == OK) {
        code = read_shared(what, json, c, e);
    }
    if (code == OK) {
        code = model_rope_read(what, json, c, e);
    }
    if (code == OK) {
        code = check_dtypes(what, json, e);
    }
    if (code == OK) {
        code = check_attention(what, c, e);
    }
    return code == OK ? check_experts(what, c, e) : code;
}

err_code model_config_parse(const char *what, const char *text, size_t bytes, const monitor *m,
                            model_config *out, err *e)
{
    json_t *json = NULL;
    *out = (model_config){.yarn_attention = NAN};
    err_code code = json_parse(what, text, bytes, true, &json, e);
    if (code == OK) {
        code = read_all(what, json, out, e);
    }
    if (code == OK) {
        note_unknown(what, json, out, m);
    }
    json_decref(json);
    return code;
}

err_code model_config_read(const store *s, const monitor *m, model_config *out, err *e)
{
    char *text = NULL;
    char *what = NULL;
    size_t bytes = 0;
    err_code code = store_file(s, CONFIG, &text, &bytes, e);
    if (code == OK && !text) {
        code =
            err_set(e, ERR_INPUT, "%s: has no " CONFIG ", which the forward pass needs", s->path);
    }
    if (code == OK && asprintf(&what, "%s: " CONFIG, s->path) < 0) {
        what = NULL;
        code = err_set(e, ERR_MEMORY, "%s: no memory", s->path);
    }
    if (code == OK) {
        code = model_config_parse(what, text, bytes, m, out, e);
    }
    free(what);
    free(text);
    return code;
}

layer_kind model_layer_kind(const model_config *c, unsigned layer)
{
    if (!c->linear) {
        return LAYER_SOFTMAX;
    }
    const unsigned whole = c->layers / c->layer_group * c->layer_group; /* in whole groups */
    return (layer + 1) % c->layer_group == 0 || layer >= whole ? LAYER_SOFTMAX : LAYER_LINEAR;
}

/* ---- comparison ------------------------------------------------ */

enum { VALUE_BYTES = 80 };

/* All that is in a double or a float; a NaN stands for a value that is not given. */
static void show_field(const field *f, const model_config *c, char text[VALUE_BYTES])
{
    const void *const from = (const char *)c + f->at;
    double number = 0;
    switch (f->kind) {
    case FIELD_TEXT:
        snprintf(text, VALUE_BYTES, "%s", (const char *)from);
        return;
    case FIELD_COUNT:
        snprintf(text, VALUE_BYTES, "%u", *(const unsigned *)from);
        return;
    case FIELD_FLAG:
        snprintf(text, VALUE_BYTES, "%s", *(const bool *)from ? "true" : "false");
        return;
    case FIELD_FLOAT:
        snprintf(text, VALUE_BYTES, "%.9g", (double)*(const float *)from);
        return;
    case FIELD_DOUBLE:
        number = *(const double *)from;
        snprintf(text, VALUE_BYTES, isnan(number) ? "not given" : "%.17g", number);
        return;
    }
}

bool model_config_same(const model_config *a, const model_config *b, model_difference *each,
                       void *ctx)
{
    bool same = true;
    for (unsigned i = 0; i < FIELDS; i++) {
        char x[VALUE_BYTES];
        char y[VALUE_BYTES];
        show_field(&fields[i], a, x);
        show_field(&fields[i], b, y);
        if (strcmp(x, y) != 0) {
            same = false;
            if (each) {
                each(ctx, fields[i].key, x, y);
            }
        }
    }
    return same;
}
