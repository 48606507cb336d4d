#include "verify/model/model_config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/json/json_memory.h"
#include "format/base/text_list.h"
#include "format/json/json_value.h"
#include "verify/model/model_arch.h"
#include "verify/model/rope_config.h"

#define CONFIG "config.json"

/* ---- keys that all architectures have -------------------------- */

static const config_field common[] = {
    {"hidden_size", SIZE(hidden)},
    {"num_hidden_layers", SIZE(layers)},
    {"num_attention_heads", SIZE(heads)},
    {"vocab_size", SIZE(vocab)},
    {"max_position_embeddings", FIELD(max_positions, FIELD_COUNT, 1, MODEL_MAX_POSITIONS)},
    {"rms_norm_eps", REAL(eps, 1)},
    {0},
};

/* Members that are not read as fields, with the keys by which differences are reported. */
static const config_field identity[] = {
    {"architectures", FIELD(architecture, FIELD_TEXT, 0, 0)},
    {"model_type", FIELD(model_type, FIELD_TEXT, 0, 0)},
    {0},
};
static const config_field rope[] = {
    {"rope_theta", FIELD(rope_theta, FIELD_DOUBLE, 0, 0)},
    {"partial_rotary_factor (channels)", FIELD(rotary_dim, FIELD_COUNT, 0, 0)},
    {"rope type yarn", FIELD(yarn, FIELD_FLAG, 0, 0)},
    {"rope factor", FIELD(yarn_factor, FIELD_DOUBLE, 0, 0)},
    {"rope original_max_position_embeddings", FIELD(yarn_original, FIELD_COUNT, 0, 0)},
    {"rope beta_fast", FIELD(yarn_beta_fast, FIELD_DOUBLE, 0, 0)},
    {"rope beta_slow", FIELD(yarn_beta_slow, FIELD_DOUBLE, 0, 0)},
    {"rope attention_factor", FIELD(yarn_attention, FIELD_DOUBLE, 0, 0)},
    {0},
};

/* Keys that do not matter for the forward pass of any architecture. */
static const char *const ignored[] = {
    "_attn_implementation",
    "_name_or_path",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "initializer_range",
    "name_or_path",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "return_dict",
    "sep_token_id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    NULL,
};

/* ---- reading --------------------------------------------------- */

static err_code refuse_architecture(const char *what, const char *name,
                                    const model_arch *const *archs, err *e)
{
    text_list list = {0};
    for (; *archs; archs++) {
        for (unsigned i = 0; i < ARCH_NAMES && (*archs)->names[i].architecture; i++) {
            text_list_add(&list, "%s", (*archs)->names[i].architecture);
        }
    }
    return err_set(e, ERR_INPUT,
                   "%s: the forward pass does not support the architecture %.100s, only these: %s",
                   what, name, text_list_end(&list));
}

/* Read the only name in the list of architectures. */
static err_code read_name(const char *what, const json_t *json, const char **name, err *e)
{
    char found[CONFIG_SHOWN_BYTES];
    const json_t *const list = json_object_get(json, "architectures");
    const json_t *const only = json_array_get(list, 0);
    if (list && (json_array_size(list) != 1 || !json_is_string(only))) {
        TRY(config_show(list, found, e));
        return err_set(e, ERR_INPUT, "%s: architectures: expected a list of one name, found %s",
                       what, found);
    }
    return config_string(what, "architectures", only, name, e);
}

/* Find an architecture by its name and set c->arch. Returns its model_type; NULL: not found. */
static const char *find_type(const char *name, const model_arch *const *archs, model_config *c)
{
    for (; *archs; archs++) {
        for (unsigned i = 0; i < ARCH_NAMES && (*archs)->names[i].architecture; i++) {
            if (strcmp((*archs)->names[i].architecture, name) == 0) {
                c->arch = *archs;
                return (*archs)->names[i].model_type;
            }
        }
    }
    return NULL;
}

static err_code read_architecture(const char *what, const json_t *json,
                                  const model_arch *const *archs, model_config *c, err *e)
{
    const char *name = NULL;
    const char *type = NULL;
    TRY(read_name(what, json, &name, e));
    const char *const expected = find_type(name, archs, c);
    if (!expected) {
        return refuse_architecture(what, name, archs, e);
    }
    TRY(config_string(what, "model_type", json_object_get(json, "model_type"), &type, e));
    if (strcmp(type, expected) != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: architectures and model_type contradict each other: %s is %s, not "
                       "%.100s",
                       what, name, expected, type);
    }
    snprintf(c->architecture, sizeof c->architecture, "%s", name);
    snprintf(c->model_type, sizeof c->model_type, "%s", type);
    return OK;
}

static bool is_of(const config_field *f, const model_config *c)
{
    return !f->when || f->when(c);
}

static err_code read_float(const char *what, const config_field *f, const json_t *value, float *out,
                           err *e)
{
    double number = 0;
    TRY(config_real(what, f->key, value, f->low, f->high, &number, e));
    *out = (float)number;
    return *out > 0 && isfinite(*out) && *out < f->high
               ? OK
               : err_set(e, ERR_INPUT, "%s: %s: %g does not fit float32", what, f->key, number);
}

static err_code read_field(const char *what, const config_field *f, const json_t *value,
                           model_config *c, err *e)
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
        return err_set(e, ERR_INTERNAL, "%s: %s: not read as a field", what, f->key);
    }
}

static err_code read_fields(const char *what, const json_t *json, const config_field *f,
                            model_config *c, err *e)
{
    for (; f->key; f++) {
        if (is_of(f, c) && (!f->optional || config_given(json, f->key))) {
            TRY(read_field(what, f, json_object_get(json, f->key), c, e));
        }
    }
    return OK;
}

static err_code compare_fixed(const fixed_key *f, const json_t *value, bool *same, err *e)
{
    char found[CONFIG_SHOWN_BYTES];
    TRY(config_show(value, found, e));
    *same = strcmp(found, f->value) == 0;
    return OK;
}

static err_code find_fixed(const fixed_key *f, const json_t *value, bool *right, err *e)
{
    *right = true;
    if (!json_is_array(value)) {
        return compare_fixed(f, value, right, e);
    }
    for (size_t i = 0; i < json_array_size(value) && *right; i++) {
        TRY(compare_fixed(f, json_array_get(value, i), right, e));
    }
    return OK;
}

static err_code check_fixed(const char *what, const json_t *json, const fixed_key *f, err *e)
{
    for (; f->key; f++) {
        char found[CONFIG_SHOWN_BYTES];
        bool right = true;
        const json_t *const value = json_object_get(json, f->key);
        if (!value && f->required) {
            return err_set(e, ERR_INPUT, "%s: %s is missing", what, f->key);
        }
        TRY(value ? find_fixed(f, value, &right, e) : OK);
        if (!right) {
            TRY(config_show(value, found, e));
            return err_set(e, ERR_INPUT, "%s: %s: %s is not supported, only %s", what, f->key,
                           found, f->value);
        }
    }
    return OK;
}

static err_code check_dtypes(const char *what, const json_t *json, err *e)
{
    const json_t *const a = config_given(json, "torch_dtype");
    const json_t *const b = config_given(json, "dtype");
    return a && b && !config_same(a, b)
               ? err_set(e, ERR_INPUT, "%s: torch_dtype and dtype contradict each other", what)
               : OK;
}

/* ---- unknown keys ---------------------------------------------- */

static bool is_field(const model_config *c, const config_field *f, const char *key)
{
    while (f->key && (strcmp(f->key, key) != 0 || !is_of(f, c))) {
        f++;
    }
    return f->key;
}

static bool is_fixed(const fixed_key *f, const char *key)
{
    while (f->key && strcmp(f->key, key) != 0) {
        f++;
    }
    return f->key;
}

static bool is_listed(const char *const *list, const char *key)
{
    while (*list && strcmp(*list, key) != 0) {
        list++;
    }
    return *list;
}

static bool is_known(const model_config *c, const char *key)
{
    const model_arch *const a = c->arch;
    return model_rope_key(key) || is_field(c, identity, key) || is_field(c, common, key) ||
           is_field(c, a->fields, key) || is_fixed(a->fixed, key) || is_listed(ignored, key) ||
           is_listed(a->ignored, key);
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
        monitor_note(m, "%s: keys that the forward pass does not know and ignores: %s", what,
                     text_list_end(&list));
    }
}

/* ---- the whole ------------------------------------------------- */

static err_code read_all(const char *what, json_t *json, const model_arch *const *archs,
                         model_config *c, err *e)
{
    if (!json_is_object(json)) {
        return err_set(e, ERR_INPUT, "%s: not a JSON object", what);
    }
    TRY(read_architecture(what, json, archs, c, e));
    TRY(read_fields(what, json, common, c, e));
    TRY(read_fields(what, json, c->arch->fields, c, e));
    TRY(check_fixed(what, json, c->arch->fixed, e));
    if (c->arch->complete) {
        TRY(c->arch->complete(what, c, e));
    }
    TRY(model_config_check_attention(what, c, e));
    TRY(model_rope_read(what, json, c, e));
    return check_dtypes(what, json, e);
}

err_code model_config_parse(const char *what, const char *text, size_t bytes,
                            const model_arch *const *archs, const monitor *m, model_config *out,
                            err *e)
{
    json_t *json = NULL;
    *out = (model_config){.yarn_attention = NAN};
    err_code code = OK;
    TRY_OUT(json_parse(what, text, bytes, JSON_PYTHON, &json, e));
    TRY_OUT(read_all(what, json, archs, out, e));
    note_unknown(what, json, out, m);
out:
    json_decref(json);
    return code;
}

err_code model_config_read(const store *s, const model_arch *const *archs, const monitor *m,
                           model_config *out, err *e)
{
    char *text = NULL;
    char *what = NULL;
    size_t bytes = 0;
    err_code code = OK;
    TRY_OUT(store_file(s, CONFIG, &text, &bytes, e));
    if (!text) {
        TRY_OUT(
            err_set(e, ERR_INPUT, "%s: has no " CONFIG ", which the forward pass needs", s->path));
    }
    if (asprintf(&what, "%s: " CONFIG, s->path) < 0) {
        what = NULL;
        TRY_OUT(err_set(e, ERR_MEMORY, "%s: no memory", s->path));
    }
    TRY_OUT(model_config_parse(what, text, bytes, archs, m, out, e));
out:
    free(what);
    free(text);
    return code;
}

/* ---- layers ---------------------------------------------------- */

layer_kind model_layer_kind(const model_config *c, unsigned layer)
{
    return c->arch->kind ? c->arch->kind(c, layer) : LAYER_SOFTMAX;
}

bool model_has_experts(const model_config *c, unsigned layer)
{
    return c->arch->has_experts && c->arch->has_experts(c, layer);
}

unsigned model_count_experts(const model_config *c, unsigned end)
{
    unsigned count = 0;
    for (unsigned i = 0; i < end; i++) {
        count += model_has_experts(c, i);
    }
    return count;
}

bool model_has_linear(const model_config *c)
{
    unsigned layer = 0;
    while (layer < c->layers && model_layer_kind(c, layer) != LAYER_LINEAR) {
        layer++;
    }
    return layer < c->layers;
}

/* ---- comparison ------------------------------------------------ */

enum { VALUE_BYTES = 80 };

/* A value as text, with all digits of a float or double. NaN means that the key is not given. */
static void show_field(const config_field *f, const model_config *c, char text[VALUE_BYTES])
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

static bool compare_fields(const config_field *f, const model_config *a, const model_config *b,
                           model_difference *each, void *ctx)
{
    bool same = true;
    for (; f->key; f++) {
        char x[VALUE_BYTES];
        char y[VALUE_BYTES];
        show_field(f, a, x);
        show_field(f, b, y);
        if (strcmp(x, y) != 0) {
            same = false;
            if (each) {
                each(ctx, f->key, x, y);
            }
        }
    }
    return same;
}

bool model_config_same(const model_config *a, const model_config *b, model_difference *each,
                       void *ctx)
{
    const config_field *const tables[] = {identity, common, a->arch->fields, rope};
    bool same = true;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        same = compare_fields(tables[i], a, b, each, ctx) && same;
    }
    return same;
}
