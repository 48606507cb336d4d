#include "verify/integrity/section_rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/archive/embed_tar.h"
#include "format/json/json.h"
#include "format/pack/pack_evidence.h"
#include "quant/recipe/recipe.h"

static err_code check_files(const char *data, size_t bytes, err *e)
{
    member *members = NULL;
    size_t count = 0;
    const err_code code = archive_unpack(data, bytes, &members, &count, e);
    members_free(members, count);
    return code;
}

/* Parse the recipe and write it again: if the bytes are the same, the form is canonical and no key
 * is unknown or missing. */
static err_code check_recipe(const char *data, size_t bytes, err *e)
{
    recipe r = {0};
    size_t again_bytes = 0;
    char *again = NULL;
    const char *lacks = NULL;
    err_code code = OK;
    TRY_OUT(recipe_parse_packed(&r, "the recipe", data, bytes, e));
    again = recipe_json_packed(&r, &again_bytes);
    if (!again) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for the recipe"));
    }
    if (again_bytes != bytes || memcmp(again, data, bytes) != 0) {
        TRY_OUT(err_set(e, ERR_INPUT, "the recipe is not in its canonical form"));
    }
    lacks = dialect_lacks(r.dialect, DTYPE_NONE, r.scales);
    if (lacks) {
        code = err_set(e, ERR_INPUT, "the recipe: %s", lacks);
    }
out:
    free(again);
    recipe_free(&r);
    return code;
}

static err_code check_stats(const unsigned char *data, uint64_t bytes, err *e)
{
    for (uint64_t at = 0; at + PACK_STAT_BYTES <= bytes; at += PACK_STAT_BYTES) {
        pack_stat ignored;
        if (!pack_stat_decode(data + at, &ignored)) {
            return err_set(e, ERR_INPUT,
                           "row %" PRIu64 ": a number is not finite, or reserved bytes are not "
                           "zero",
                           at / PACK_STAT_BYTES);
        }
    }
    return OK;
}

static bool is_sha256_hex(const json_t *value)
{
    const char *const text = json_string_value(value);
    return text && strlen(text) == (size_t)2 * SHA256_BYTES &&
           strspn(text, "0123456789abcdef") == (size_t)2 * SHA256_BYTES;
}

static bool is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* One shard of the provenance; `before` is the name of the previous shard, or empty. */
static bool shard_valid(const json_t *shard, const char *before)
{
    const json_t *const whole = json_object_get(shard, "sha256");
    const char *const name = json_string_value(json_object_get(shard, "name"));
    return name && strcmp(before, name) < 0 && is_count(json_object_get(shard, "size")) &&
           is_count(json_object_get(shard, "tensors")) &&
           is_sha256_hex(json_object_get(shard, "header_sha256")) &&
           (!whole || is_sha256_hex(whole)) && json_object_size(shard) == (whole ? 5 : 4);
}

static err_code check_shards(const json_t *shards, err *e)
{
    if (!json_is_array(shards)) {
        return err_set(e, ERR_INPUT, "the provenance has no list of shards");
    }
    const char *before = "";
    size_t i = 0;
    const json_t *shard = NULL;
    json_array_foreach(shards, i, shard)
    {
        if (!shard_valid(shard, before)) {
            return err_set(e, ERR_INPUT, "the provenance: shard %zu is malformed or out of order",
                           i);
        }
        before = json_string_value(json_object_get(shard, "name"));
    }
    return OK;
}

static bool is_one(const json_t *value)
{
    return json_integer_value(value) == 1; /* it is 0 if this is no integer */
}

static err_code check_provenance_fields(const json_t *root, err *e)
{
    const json_t *const spec = json_object_get(root, "spec");
    if (json_object_size(root) != 2 || json_object_size(spec) != 2 ||
        !is_one(json_object_get(spec, "format")) || !is_one(json_object_get(spec, "quant"))) {
        return err_set(e, ERR_INPUT, "the provenance is not of format 1 and quant 1");
    }
    return check_shards(json_object_get(root, "shards"), e);
}

static err_code check_provenance(const char *data, size_t bytes, err *e)
{
    json_t *root = NULL;
    char *canonical = NULL;
    size_t canonical_bytes = 0;
    err_code code = OK;
    TRY_OUT(json_parse("the provenance", data, bytes, JSON_EXACT, &root, e));
    TRY_OUT(check_provenance_fields(root, e));
    canonical = json_canonical(root, &canonical_bytes);
    if (!canonical) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for the provenance"));
    }
    if (canonical_bytes != bytes || memcmp(canonical, data, bytes) != 0) {
        code = err_set(e, ERR_INPUT, "the provenance is not in its canonical form");
    }
out:
    free(canonical);
    json_decref(root);
    return code;
}

err_code section_rules_check(uint32_t tag, const unsigned char *data, uint64_t bytes, err *e)
{
    switch (tag) {
    case TAG_FILE:
        return check_files((const char *)data, bytes, e);
    case TAG_RCPE:
        return check_recipe((const char *)data, bytes, e);
    case TAG_STAT:
        return check_stats(data, bytes, e);
    case TAG_PROV:
        return check_provenance((const char *)data, bytes, e);
    default:
        return OK;
    }
}
