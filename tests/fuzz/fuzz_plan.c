/* Plans: two bytes of options, then config.json, a NUL, hf_quant_config.json, a NUL, a recipe, a NUL,
 * and lines that name the tensors of a checkpoint (fuzz_aid.h). A plan has every tensor once, and its
 * head decodes to the same table; so does what would be exported of it, and whether it fits. */
#include <inttypes.h>

#include "convert/export/export_config.h"
#include "convert/fit/fit.h"
#include "convert/plan/plan.h"
#include "format/base/num.h"
#include "format/json/json.h"
#include "format/pack/pack_record.h"
#include "tests/fuzz/fuzz_dir.h"

enum { MOST_HEADER = 1 << 15, SHARD_BYTES = 1 << 20 };

/* model.safetensors with these tensors, one after another. */
static void put_tensors(const fuzz_tensors *list)
{
    static char text[8 + MOST_HEADER];
    size_t at = 8;
    uint64_t off = 0;
    text[at++] = '{';
    for (size_t i = 0; i < list->count && at < MOST_HEADER / 2; i++) {
        const fuzz_tensor *const t = &list->all[i];
        char shape[SHAPE_TEXT_BYTES];
        at += (size_t)snprintf(
            text + at, sizeof text - at,
            "%s\"%.400s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%" PRIu64 ",%" PRIu64
            "]}",
            i ? "," : "", t->name, dtype_name(t->type), dtype_shape_text(t->shape, t->ndim, shape),
            off, off + t->bytes);
        off += t->bytes;
    }
    text[at++] = '}';
    le64_store((unsigned char *)text, at - 8);
    fuzz_dir_put("model.safetensors", text, at, at + off);
}

/* ---- the packed file ------------------------------------------- */

static void check_head(const plan *p)
{
    const pack_superblock *const s = &p->head.superblock;
    const unsigned char *const b = p->head.bytes;
    pack_superblock decoded;
    pack_table t = {0};
    err e = {0};
    require(pack_superblock_decode(b, &decoded, &e) == OK && decoded.data_off == p->head.length);
    require(pack_table_decode(b + s->dir[0].off, s->dir[0].len, b + s->dir[1].off, s->dir[1].len,
                              b + s->dir[2].off, s->dir[2].len, &decoded, &t, &e) == OK);
    require(t.count == p->table.count && t.data_end == p->table.data_end);
    for (uint32_t i = 0; i < t.count; i++) {
        const pack_record *const x = &t.records[i];
        const pack_record *const y = &p->table.records[i];
        require(strcmp(x->name, y->name) == 0 && x->off == y->off && x->len == y->len);
        require(x->cls == y->cls && x->origin == y->origin && x->type == y->type);
    }
    pack_table_free(&t);
}

static void check_plan(const plan *p, const checkpoint *cp)
{
    uint64_t sources = 0;
    for (uint32_t i = 0; i < p->table.count; i++) {
        sources += pack_record_sources(&p->table.records[i]);
        require(p->records[i].reason < REASON_COUNT);
    }
    require(sources == p->table.source_count && sources <= cp->tensor_count);
    for (uint64_t i = 0; i < sources; i++) {
        require(p->members[i] >= cp->tensors && p->members[i] < cp->tensors + cp->tensor_count);
    }
    require(p->quantized_count + p->kept_count + p->carried_count <= cp->tensor_count);
    require(p->file_bytes > p->table.data_end && p->file_bytes % PACK_BLOCK == 0);
    check_head(p);
}

/* ---- the export ------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_export(const export_plan *x)
{
    uint64_t total = 0;
    const char **const names = calloc(x->tensor_count + 1, sizeof *names);
    require(names != NULL);
    for (uint64_t i = 0; i < x->tensor_count; i++) {
        const export_tensor *const t = &x->tensors[i];
        names[i] = t->name;
        total += t->bytes;
        require(t->shard < x->shard_count && t->place < x->shards[t->shard].count);
        require(x->order[x->shards[t->shard].first + t->place] == i);
    }
    require(total == x->total_bytes);
    qsort(names, x->tensor_count, sizeof *names, compare_names);
    for (uint64_t i = 1; i < x->tensor_count; i++) {
        require(strcmp(names[i - 1], names[i]) < 0);
    }
    for (size_t i = 1; i < x->ignored_count; i++) {
        require(strcmp(x->ignored[i - 1].module, x->ignored[i].module) < 0);
    }
    free(names);
}

static void plan_export(const plan *p, const char *config, size_t bytes, unsigned options)
{
    const preset *const runtime = &preset_table[options % PRESET_COUNT];
    export_how how = {
        .preset = runtime, .dequantize = (options & 8) != 0, .shard_bytes = SHARD_BYTES};
    export_plan x = {0};
    fit f = {0};
    err e = {0};
    err_code code = export_config_check(config, bytes, &how, &e);
    check_code(code, &e);
    if (code == OK) {
        code = export_plan_make(&p->table, &how, &x, &e);
        check_code(code, &e);
        require(code == OK || code == ERR_INPUT);
    }
    if (code == OK) {
        size_t text_bytes = 0;
        char *const text = export_config_text(config, bytes, runtime, &x, &text_bytes);
        json_t *again = NULL;
        check_export(&x);
        require(text && json_parse("c", text, text_bytes, JSON_PYTHON, &again, NULL) == OK);
        json_decref(again);
        free(text);
    }
    const fit_question q = {.table = &p->table,
                            .config = bytes ? config : NULL,
                            .config_bytes = bytes,
                            .preset = runtime,
                            .exported = code == OK ? &x : NULL,
                            .tp = {{1, 2, 8}, 3},
                            .ep = {{1, 4}, 2}};
    err why = {0};
    check_code(fit_make(&q, &f, &why), &why);
    require(why.code == OK || why.code == ERR_INPUT);
    fit_free(&f);
    export_plan_free(&x);
}

/* ---- one input ------------------------------------------------- */

static void make_plan(const recipe *r, unsigned flags, unsigned options, const char *config,
                      size_t bytes)
{
    checkpoint *cp = NULL;
    embed_list embed = {0};
    plan p = {0};
    err e = {0};
    err_code code = checkpoint_open(fuzz_dir_path(), NULL, &cp, &e);
    check_code(code, &e);
    if (code == OK) {
        const plan_options how = {.recipe = r,
                                  .embed = &embed,
                                  .digest = flags & 2 ? DIGEST_SHA256 : DIGEST_XXH3,
                                  .allow_none = (flags & 1) != 0,
                                  .source_sha256 = (flags & 4) != 0};
        require(embed_choose(cp->folder, NULL, 0, NULL, &embed, &e) == OK);
        code = plan_make(cp, &how, &p, &e);
        check_code(code, &e);
        require(code == OK || code == ERR_INPUT || code == ERR_USAGE);
    }
    if (code == OK) {
        check_plan(&p, cp);
        plan_export(&p, config, bytes, options);
    }
    plan_free(&p);
    embed_list_free(&embed);
    checkpoint_close(cp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    recipe r = {0};
    fuzz_tensors list;
    size_t bytes = 0;
    size_t config_bytes = 0;
    const unsigned flags = take_byte(&in);
    const unsigned options = take_byte(&in);
    char *const config = take_text(&in, &config_bytes);
    fuzz_dir_set("config.json", config, config_bytes);
    char *const other = take_text(&in, &bytes);
    fuzz_dir_set("hf_quant_config.json", other, bytes);
    char *const rules = take_text(&in, &bytes);
    const bool usable = bytes == 0 || recipe_parse(&r, "r", rules, bytes, NULL) == OK;
    char *const lines = take_text(&in, &bytes);
    read_tensors(lines, &list);
    r.requantize = r.requantize || (flags & 8) != 0;
    r.scales = flags & 16 ? SCALES_UE8M0 : r.scales;
    if (usable) {
        put_tensors(&list);
        make_plan(&r, flags, options, config, config_bytes);
    }
    recipe_free(&r);
    free(lines);
    free(rules);
    free(other);
    free(config);
    return 0;
}
