#include "convert/fit/fit_model.h"

#include <stdio.h>
#include <string.h>

#include "format/base/utf8.h"
#include "format/json/json.h"

/* Multimodal models have the keys of their text model one level down. */
static const char nested[] = "text_config";

static const json_t *value_of(const json_t *config, const char *key)
{
    const json_t *const value = json_object_get(config, key);
    return value ? value : json_object_get(json_object_get(config, nested), key);
}

static uint64_t number_of(const json_t *config, const char *key)
{
    const json_int_t n = json_integer_value(value_of(config, key));
    return n > 0 && (uint64_t)n <= FIT_MAX_NUMBER ? (uint64_t)n : 0;
}

static uint64_t first_number(const json_t *config, const char *const *keys)
{
    uint64_t n = 0;
    for (; *keys && n == 0; keys++) {
        n = number_of(config, *keys);
    }
    return n;
}

static void read_heads(const json_t *config, fit_model *m)
{
    const uint64_t hidden = number_of(config, "hidden_size");
    m->heads = number_of(config, "num_attention_heads");
    m->kv_heads = number_of(config, "num_key_value_heads");
    m->head_dim = number_of(config, "head_dim");
    if (m->kv_heads == 0) {
        m->kv_heads = m->heads;
    }
    if (m->head_dim == 0 && m->heads > 0) {
        m->head_dim = hidden / m->heads;
    }
    if (number_of(config, "kv_lora_rank") > 0) {
        m->kv_heads = 0;
    }
}

/* Families write the keys of Mamba-2 differently: Mamba-2 and Nemotron-H, Bamba and its kin. */
static void read_recurrent(const json_t *config, fit_model *m)
{
    static const char *const heads[] = {"mamba_num_heads", "mamba_n_heads", NULL};
    static const char *const dims[] = {"mamba_head_dim", "mamba_d_head", NULL};
    static const char *const groups[] = {"mamba_n_groups", "n_groups", NULL};
    static const char *const states[] = {"ssm_state_size", "mamba_d_state", NULL};
    m->delta_k =
        number_of(config, "linear_num_key_heads") * number_of(config, "linear_key_head_dim");
    m->delta_v =
        number_of(config, "linear_num_value_heads") * number_of(config, "linear_value_head_dim");
    m->mamba_heads = first_number(config, heads);
    m->mamba_inner = m->mamba_heads * first_number(config, dims);
    m->mamba_state = first_number(config, groups) * first_number(config, states);
}

/* Runtimes take a missing group_norm_size for 1. */
static void read_norm_groups(const json_t *config, fit_model *m)
{
    m->norm_groups = number_of(config, "group_norm_size");
    if (m->norm_groups == 0 && m->ring_linear) {
        m->norm_groups = 1;
    }
}

/* A name that is too long is cut, and longer than all that are known (known_names.c). */
static void read_name(const json_t *value, char *out, size_t size)
{
    const char *const name = json_string_value(value);
    if (name) {
        snprintf(out, size, "%.*s", (int)utf8_beginning(name, size - 1), name);
    }
}

static void read_all(const json_t *config, fit_model *m)
{
    static const char *const experts[] = {"num_experts", "n_routed_experts", "num_local_experts",
                                          "moe_num_experts", NULL};
    const json_t *const tied = value_of(config, "tie_word_embeddings");
    m->known = true;
    read_name(json_object_get(config, "model_type"), m->model_type, sizeof m->model_type);
    read_name(json_array_get(json_object_get(config, "architectures"), 0), m->architecture,
              sizeof m->architecture);
    m->ring_linear = strcmp(m->model_type, "bailing_moe_linear") == 0;
    m->own_code = json_object_get(config, "auto_map") != NULL;
    m->layers = number_of(config, "num_hidden_layers");
    m->mtp_layers = number_of(config, "num_nextn_predict_layers");
    m->experts = first_number(config, experts);
    m->tied = json_is_true(tied) ? TIED_YES : json_is_false(tied) ? TIED_NO : TIED_UNSAID;
    read_heads(config, m);
    read_norm_groups(config, m);
    read_recurrent(config, m);
}

err_code fit_model_parse(const char *text, size_t bytes, fit_model *out, err *e)
{
    json_t *config = NULL;
    *out = (fit_model){0};
    err_code code = OK;
    TRY_OUT(json_parse("config.json", text, bytes, JSON_PYTHON, &config, e));
    if (!json_is_object(config)) {
        TRY_OUT(err_set(e, ERR_INPUT, "config.json: not an object"));
    }
    read_all(config, out);
out:
    json_decref(config);
    return code;
}
