#include "convert/export/export_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "format/json/json_edit.h"
#include "format/json/json.h"

static const char quantization_key[] = "quantization_config";

/* What the names of modules and the layout of experts depend on. */
static void read_model(const json_t *config, export_how *how)
{
    const json_t *const nested = json_object_get(config, "text_config");
    const char *const type = json_string_value(json_object_get(config, "model_type"));
    const char *const architecture =
        json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    const json_int_t outer = json_integer_value(json_object_get(config, "hidden_size"));
    const json_int_t inner = json_integer_value(json_object_get(nested, "hidden_size"));
    how->ring_linear = type && strcmp(type, "bailing_moe_linear") == 0;
    how->architecture[0] = '\0';
    if (architecture) {
        snprintf(how->architecture, sizeof how->architecture, "%.*s",
                 (int)utf8_beginning(architecture, sizeof how->architecture - 1), architecture);
    }
    how->hidden = outer > 0 ? (uint64_t)outer : inner > 0 ? (uint64_t)inner : 0;
}

err_code export_config_check(const char *text, size_t bytes, export_how *how, err *e)
{
    json_t *config = NULL;
    err_code code = OK;
    TRY_OUT(json_parse("embedded config.json", text, bytes, JSON_PYTHON, &config, e));
    if (!json_is_object(config)) {
        TRY_OUT(err_set(e, ERR_INPUT, "embedded config.json: not an object"));
    }
    how->described = (quantization){0};
    TRY_OUT(quantization_add(&how->described, "config.json", config, e));
    how->source_scales = how->described.pow2 ? SCALES_UE8M0 : SCALES_F32;
    read_model(config, how);
out:
    json_decref(config);
    return code;
}

/* ---- quantization_config --------------------------------------- */

static json_t *ignore_list(const export_plan *plan)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < plan->ignored_count; i++) {
        if (json_array_append_new(list, json_string(plan->ignored[i].module)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *fp8_config(const preset *p, const export_plan *plan)
{
    json_t *const config = json_pack("{s:s, s:s, s:s, s:[i, i]}", "quant_method", "fp8", "fmt",
                                     "e4m3", "activation_scheme", "dynamic", "weight_block_size",
                                     plan->block.rows, plan->block.cols);
    int failed = 0; /* jansson returns -1 without memory */
    if (plan->block.scale == SCALES_UE8M0) {
        const char *const name = scale_format_name(plan->block.scale);
        failed |= json_object_set_new(config, "scale_fmt", json_string(name));
    }
    if (plan->ignored_count > 0) {
        failed |= json_object_set_new(config, p->ignore_key, ignore_list(plan));
    }
    if (failed) {
        json_decref(config);
        return NULL;
    }
    return config;
}

static json_t *compressed_config(const preset *p, const export_plan *plan)
{
    json_t *const weights = json_pack(
        "{s:i, s:s, s:b, s:s, s:[i, i], s:b}", "num_bits", 8, "type", "float", "symmetric", 1,
        "strategy", "block", "block_structure", plan->block.rows, plan->block.cols, "dynamic", 0);
    json_t *const activations =
        json_pack("{s:i, s:s, s:b, s:s, s:i, s:b}", "num_bits", 8, "type", "float", "symmetric", 1,
                  "strategy", "group", "group_size", plan->block.cols, "dynamic", 1);
    json_t *const group =
        json_pack("{s:[s], s:s, s:o, s:o, s:n}", "targets", "Linear", "format", "float-quantized",
                  "weights", weights, "input_activations", activations, "output_activations");
    return json_pack("{s:s, s:s, s:s, s:{s:o}, s:o, s:n}", "quant_method", "compressed-tensors",
                     "format", "float-quantized", "quantization_status", "compressed",
                     "config_groups", "group_0", group, p->ignore_key, ignore_list(plan),
                     "kv_cache_scheme");
}

json_t *export_quantization(const preset *p, const export_plan *plan)
{
    return p->config == CONFIG_COMPRESSED ? compressed_config(p, plan) : fp8_config(p, plan);
}

/* ---- config.json ----------------------------------------------- */

/* If the source was FP8, its descriptions, wherever they are, are not those of this export. */
char *export_config_text(const char *text, size_t bytes, const preset *p, const export_plan *plan,
                         size_t *out_bytes)
{
    char *const shallow =
        json_edit_remove_objects(text, bytes, quantization_is_description, out_bytes);
    char *const plain =
        shallow ? json_edit_remove(shallow, *out_bytes, quantization_key, out_bytes) : NULL;
    free(shallow);
    if (!plain || plan->fp8_count == 0) {
        return plain;
    }
    json_t *const config = export_quantization(p, plan);
    char *const value = config ? json_write_text(config, JSON_INDENT(2)) : NULL;
    char *const out =
        value ? json_edit_append(plain, *out_bytes, quantization_key, value, out_bytes) : NULL;
    json_decref(config);
    free(value);
    free(plain);
    return out;
}

/* ---- index, list ----------------------------------------------- */

char *export_index_text(const export_plan *plan, size_t *bytes)
{
    json_t *const map = json_object();
    int failed = 0; /* jansson returns -1 without memory */
    for (uint64_t i = 0; i < plan->tensor_count && !failed; i++) {
        char shard[SHARD_NAME_BYTES];
        export_shard_name(plan, plan->tensors[i].shard, shard);
        failed |= json_object_set_new(map, plan->tensors[i].name, json_string(shard));
    }
    json_t *const index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                                    (json_int_t)plan->total_bytes, "weight_map", map);
    char *const text =
        index && !failed ? json_write_text(index, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    *bytes = text ? strlen(text) : 0;
    json_decref(index);
    return text;
}

void export_list_members(const preset *p, const unsigned char root[SHA256_BYTES],
                         char text[LIST_MEMBERS_BYTES])
{
    char hex[2 * SHA256_BYTES + 1];
    hex_encode(root, SHA256_BYTES, hex);
    snprintf(text, LIST_MEMBERS_BYTES, "{\"octavo_export\":1,\"for\":\"%s\",\"root\":\"%s\"}",
             preset_name(p), hex);
}
