#include "convert/export_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

static const char quantization_key[] = "quantization_config";

err_code export_config_check(const char *text, size_t bytes, bool *ring_linear, err *e)
{
    json_t *config = NULL;
    err_code code = json_parse("embedded config.json", text, bytes, true, &config, e);
    if (code == OK && !json_is_object(config)) {
        code = err_set(e, ERR_INPUT, "embedded config.json: not an object");
    }
    if (code == OK && json_object_get(config, quantization_key)) {
        code = err_set(e, ERR_INPUT, "embedded config.json: has a %s: its source was quantized",
                       quantization_key);
    }
    const char *const type = json_string_value(json_object_get(config, "model_type"));
    *ring_linear = code == OK && type && strcmp(type, "bailing_moe_linear") == 0;
    json_decref(config);
    return code;
}

/* ---- quantization_config ---- */

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
    json_t *const config =
        json_pack("{s:s, s:s, s:s, s:[i, i]}", "quant_method", "fp8", "fmt", "e4m3",
                  "activation_scheme", "dynamic", "weight_block_size", PACK_TILE, PACK_TILE);
    int failed = 0; /* jansson returns -1 without memory */
    if (plan->pow2) {
        failed |= json_object_set_new(config, "scale_fmt", json_string("ue8m0"));
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
    json_t *const weights = json_pack("{s:i, s:s, s:b, s:s, s:[i, i], s:b}", "num_bits", 8, "type",
                                      "float", "symmetric", 1, "strategy", "block",
                                      "block_structure", PACK_TILE, PACK_TILE, "dynamic", 0);
    json_t *const activations =
        json_pack("{s:i, s:s, s:b, s:s, s:i, s:b}", "num_bits", 8, "type", "float", "symmetric", 1,
                  "strategy", "group", "group_size", PACK_TILE, "dynamic", 1);
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

/* ---- config.json ---- */

/* Copy `text` with two more spaces behind every line end. Returns behind its last byte. */
static char *copy_indented(char *to, const char *text)
{
    for (; *text; text++) {
        *to++ = *text;
        if (*text == '\n') {
            *to++ = ' ';
            *to++ = ' ';
        }
    }
    return to;
}

/* The text was parsed: its last byte but white space is the '}' of the whole. What stands before it
 * keeps every byte, for numbers written anew could read otherwise. */
static char *splice(const char *text, size_t bytes, const char *value, size_t *out_bytes)
{
    static const char space[] = " \t\r\n";
    size_t end = bytes;
    while (text[end - 1] != '}') {
        end--;
    }
    end--;
    while (strchr(space, text[end - 1])) {
        end--;
    }
    char *const out = malloc(end + 3 * strlen(value) + 64);
    if (!out) {
        return NULL;
    }
    memcpy(out, text, end);
    char *to = out + end;
    const char *const before = text[end - 1] == '{' ? "\n  \"" : ",\n  \"";
    to += snprintf(to, 48, "%s%s\": ", before, quantization_key);
    to = copy_indented(to, value);
    memcpy(to, "\n}\n", 4);
    *out_bytes = (size_t)(to - out) + 3;
    return out;
}

char *export_config_text(const char *text, size_t bytes, const preset *p, const export_plan *plan,
                         size_t *out_bytes)
{
    if (plan->fp8_count == 0) {
        char *const copy = malloc(bytes + 1);
        if (copy) {
            memcpy(copy, text, bytes);
            copy[bytes] = '\0';
            *out_bytes = bytes;
        }
        return copy;
    }
    json_t *const config = export_quantization(p, plan);
    char *const value = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    char *const out = value ? splice(text, bytes, value, out_bytes) : NULL;
    json_decref(config);
    free(value);
    return out;
}

/* ---- index, list ---- */

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
    char *const text = index && !failed ? json_dumps(index, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
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
             p->name, hex);
}
