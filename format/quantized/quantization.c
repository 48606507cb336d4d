#include "format/quantized/quantization.h"

#include <stdio.h>
#include <string.h>

#include "format/json/json.h"

/* ModelOpt writes hf_quant_config.json, AutoGPTQ quantize_config.json, AutoAWQ quant_config.json,
 * Mistral params.json. */
const char *const quantization_files[] = {"config.json",          "hf_quant_config.json",
                                          "quantize_config.json", "quant_config.json",
                                          "params.json",          NULL};

/* ---- tiles ----------------------------------------------------- */

/* Is it a list of two integers from 1 to 65535? */
static bool take_block(const json_t *block, block_format *out)
{
    const json_int_t r = json_integer_value(json_array_get(block, 0));
    const json_int_t c = json_integer_value(json_array_get(block, 1));
    if (json_array_size(block) != 2 || r <= 0 || c <= 0 || r > UINT16_MAX || c > UINT16_MAX) {
        return false;
    }
    *out = (block_format){(uint16_t)r, (uint16_t)c, DTYPE_F8_E4M3, SCALES_F32};
    return true;
}

static err_code add_block(quantization *q, const char *file, const char *key, block_format block,
                          err *e)
{
    if (q->block.code != DTYPE_NONE && !block_same_size(q->block, block)) {
        return err_set(e, ERR_INPUT, "%s: %s: tiles of more than one size", file, key);
    }
    q->block = block;
    return OK;
}

/* Groups of compressed-tensors that are not FP8 (NVFP4 beside block FP8) say nothing about it. */
static bool is_fp8_group(const json_t *weights)
{
    const json_t *const bits = json_object_get(weights, "num_bits");
    const char *const type = json_string_value(json_object_get(weights, "type"));
    return (!bits || json_integer_value(bits) == 8) && (!type || strcmp(type, "float") == 0);
}

static err_code add_groups(quantization *q, const char *file, const json_t *groups, err *e)
{
    const char *name = NULL;
    json_t *group = NULL;
    json_object_foreach((json_t *)groups, name, group)
    {
        const json_t *const weights = json_object_get(group, "weights");
        block_format block;
        if (take_block(json_object_get(weights, "block_structure"), &block)) {
            TRY(add_block(q, file, "config_groups", block, e));
        } else {
            q->other_fp8 = q->other_fp8 || is_fp8_group(weights);
        }
    }
    return OK;
}

static err_code add_tiles(quantization *q, const char *file, const json_t *description, err *e)
{
    const json_t *const value = json_object_get(description, "weight_block_size");
    block_format block;
    if (!value || json_is_null(value)) {
        return add_groups(q, file, json_object_get(description, "config_groups"), e);
    }
    return take_block(value, &block)
               ? add_block(q, file, "weight_block_size", block, e)
               : err_set(e, ERR_INPUT,
                         "%s: weight_block_size: expected two integers from 1 to 65535", file);
}

/* ---- method ---------------------------------------------------- */

static const char *word_of(const json_t *description, const char *key)
{
    const char *const text = json_string_value(json_object_get(description, key));
    return text ? text : "";
}

/* Names come from a file and go to terminals and into JSON: they are cut, and have only printable
 * ASCII. */
static void make_plain(char *text)
{
    for (; *text; text++) {
        *text = *text < 0x20 || *text > 0x7e ? '?' : *text;
    }
}

static void name_method(quantization *q, const char *producer, const json_t *description)
{
    static const char *const keys[] = {"quant_method", "quant_algo", "format", "qformat_weight"};
    size_t used = (size_t)snprintf(q->method, sizeof q->method, "%.30s", producer);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *const word = word_of(description, keys[i]);
        if (word[0] && !strstr(q->method, word) && used < sizeof q->method - 32) {
            used += (size_t)snprintf(q->method + used, sizeof q->method - used, "%s%.30s",
                                     used > 0 ? " " : "", word);
        }
    }
    if (used == 0) {
        snprintf(q->method, sizeof q->method, "%s", "a method without a name");
    }
    make_plain(q->method);
}

/* Methods whose tensors tensor_state.h recognizes, by the beginning of their names: where none are
 * there, the description is out of date. Tensors of any other method may look like plain numbers. */
static bool is_known_method(const json_t *description)
{
    static const char *const keys[] = {"quant_method", "quant_algo", "qformat_weight"};
    static const char *const known[] = {
        "fp8", "FP8", "fbgemm_fp8",  "compressed-tensors", "modelopt", "NVFP4", "mxfp4", "gptq",
        "awq", "hqq", "w4afp8",      "auto-round",         "quanto",   "aqlm",  "vptq",  "quark",
        "mlx", "exl", "bitsandbytes"};
    const char *name = "";
    bool any = false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !name[0]; i++) {
        name = word_of(description, keys[i]);
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0] && !any; i++) {
        any = strncmp(name, known[i], strlen(known[i])) == 0;
    }
    return any;
}

/* compressed-tensors: transforms that the runtime applies to activations, for which the weights have
 * been transformed. Those that are merged into the weights are not in the config. */
static bool has_transforms(const json_t *description)
{
    const json_t *const all = json_object_get(description, "transform_config");
    return json_object_size(json_object_get(all, "config_groups")) > 0;
}

static err_code add_description(quantization *q, const char *file, const char *where,
                                const char *producer, const json_t *description, err *e)
{
    if (q->count++ == 0) {
        name_method(q, producer, description);
        snprintf(q->place, sizeof q->place, "%s%s%.60s", file, where[0] ? ": " : "", where);
        make_plain(q->place);
    }
    q->unknown = q->unknown || (!producer[0] && !is_known_method(description));
    q->pow2 = q->pow2 || strcmp(word_of(description, "scale_fmt"), "ue8m0") == 0;
    q->rotated = q->rotated || has_transforms(description);
    return add_tiles(q, file, description, e);
}

/* ---- files ----------------------------------------------------- */

/* compression_config: compressed-tensors before 2024-09. quantization: MLX and Mistral; other models
 * have objects of this name that mean something else. */
bool quantization_is_description(const char *key, const json_t *value)
{
    const bool shared = strcmp(key, "quantization") == 0;
    const bool own =
        strcmp(key, "quantization_config") == 0 || strcmp(key, "compression_config") == 0;
    const bool describes = json_object_get(value, "bits") ||
                           json_object_get(value, "qformat_weight") ||
                           json_object_get(value, "quant_method");
    return json_is_object(value) && (own || (shared && describes));
}

/* The configs of the parts of a model lie in its config, at any depth that json_parse allows. */
static err_code search(quantization *q, const char *file, const char *where, const json_t *value,
                       err *e)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t i = 0;
    json_object_foreach((json_t *)value, key, member)
    {
        TRY(quantization_is_description(key, member)
                ? add_description(q, file, where, "", member, e)
                : search(q, file, key, member, e));
    }
    json_array_foreach(value, i, member)
    {
        TRY(search(q, file, where, member, e));
    }
    return OK;
}

/* {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", ...}} */
static err_code add_modelopt(quantization *q, const char *file, const json_t *root, err *e)
{
    const json_t *const inner = json_object_get(root, "quantization");
    const char *const producer = word_of(json_object_get(root, "producer"), "name");
    return add_description(q, file, "", producer[0] ? producer : "modelopt",
                           json_is_object(inner) ? inner : root, e);
}

/* AutoGPTQ's file has no name of a method, AutoAWQ's has "version". */
static err_code add_flat(quantization *q, const char *file, const json_t *root, err *e)
{
    const bool named = word_of(root, "quant_method")[0] != '\0';
    const bool awq = json_object_get(root, "zero_point") != NULL;
    return add_description(q, file, "", named ? "" : awq ? "awq" : "gptq", root, e);
}

err_code quantization_add(quantization *q, const char *file, const json_t *root, err *e)
{
    if (strcmp(file, "hf_quant_config.json") == 0) {
        return add_modelopt(q, file, root, e);
    }
    if (strcmp(file, "quantize_config.json") == 0 || strcmp(file, "quant_config.json") == 0) {
        return add_flat(q, file, root, e);
    }
    return search(q, file, "", root, e);
}

err_code quantization_read(quantization *q, const char *file, const char *text, size_t bytes,
                           err *e)
{
    json_t *root = NULL;
    TRY(json_parse(file, text, bytes, JSON_PYTHON, &root, e));
    const err_code code = quantization_add(q, file, root, e);
    json_decref(root);
    return code;
}

/* ---- set 1 ----------------------------------------------------- */

/* Groups gave the tiles only if all of them did, whatever their type. */
static bool all_have_tiles(const json_t *groups)
{
    const char *name = NULL;
    json_t *group = NULL;
    json_object_foreach((json_t *)groups, name, group)
    {
        block_format block;
        const json_t *const weights = json_object_get(group, "weights");
        if (!take_block(json_object_get(weights, "block_structure"), &block)) {
            return false;
        }
    }
    return true;
}

err_code quantization_tiles1(const char *text, size_t bytes, block_format *out, err *e)
{
    json_t *root = NULL;
    quantization q = {0};
    TRY(json_parse("config.json", text, bytes, JSON_PYTHON, &root, e));
    const json_t *const description = json_object_get(root, "quantization_config");
    const json_t *const size = json_object_get(description, "weight_block_size");
    const err_code code = add_tiles(&q, "config.json", description, e);
    const bool by_size = size && !json_is_null(size);
    const bool given = by_size || all_have_tiles(json_object_get(description, "config_groups"));
    *out = given ? q.block : (block_format){0};
    json_decref(root);
    return code;
}
