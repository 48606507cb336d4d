/* The plan: records, sources and offsets from headers alone, and what cannot be planned. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/plan/plan.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/scratch.h"

/* A checkpoint, its recipe and its plan; `made` is written before the checkpoint is opened. */
typedef struct job {
    made_checkpoint made;
    checkpoint *cp;
    recipe recipe;
    embed_list embed;
    plan plan;
} job;

static void open_written(job *j)
{
    err e = {0};
    expect_ok(checkpoint_open(scratch(""), NULL, &j->cp, &e), &e);
    expect_ok(embed_choose(j->cp->folder, NULL, 0, NULL, &j->embed, &e), &e);
}

static void open_job(job *j, size_t shards)
{
    made_write(&j->made, scratch(""), shards);
    open_written(j);
}

static err_code make_plan(job *j, err *e)
{
    const plan_options o = {.recipe = &j->recipe, .embed = &j->embed, .digest = DIGEST_XXH3};
    return plan_make(j->cp, &o, &j->plan, e);
}

static void close_job(job *j)
{
    plan_free(&j->plan);
    recipe_free(&j->recipe);
    embed_list_free(&j->embed);
    checkpoint_close(j->cp);
    made_free(&j->made);
}

static void add(job *j, const char *name, dtype type, uint64_t rows, uint64_t cols)
{
    const uint64_t shape[] = {rows, cols};
    made_add(&j->made, name, type, 2, shape, true);
}

static void rule(job *j, const char *glob, bool quantize)
{
    err e = {0};
    expect_ok(recipe_add_rule(&j->recipe, glob, quantize, true, &e), &e);
}

static void expect_unplanned(job *j, err_code code, const char *part)
{
    err e = {0};
    expect_error(make_plan(j, &e), code, &e, part);
    ck_assert_ptr_null(j->plan.head.bytes);
    ck_assert_ptr_null(j->plan.provenance);
    close_job(j);
}

static const plan_record *planned(const job *j, const char *name, pack_class cls)
{
    const pack_record *const r = pack_table_find(&j->plan.table, name);
    ck_assert_msg(r != NULL, "no record %s", name);
    ck_assert_int_eq(r->cls, cls);
    return &j->plan.records[r - j->plan.table.records];
}

/* ---- what is planned ------------------------------------------- */

START_TEST(records_and_their_sources)
{
    job j = {0};
    err e = {0};
    add(&j, "lm_head.weight", DTYPE_F32, 3, 3);
    add(&j, "h.0.experts.10.w1", DTYPE_BF16, 200, 300); /* members in no order */
    for (int i = 9; i >= 0; i--) {
        char name[32];
        snprintf(name, sizeof name, "h.0.experts.%d.w1", i);
        add(&j, name, DTYPE_BF16, 200, 300);
    }
    add(&j, "h.0.experts.0.gate", DTYPE_I8, 2, 2);
    add(&j, "h.0.experts.1.gate", DTYPE_I8, 2, 2);
    add(&j, "h.1.experts.0.w1", DTYPE_BF16, 200, 300); /* one expert: no stack */
    made_add(&j.made, "h.1.experts.w2", DTYPE_F16, 3, (uint64_t[]){4, 128, 129}, true);
    open_job(&j, 1);
    expect_ok(make_plan(&j, &e), &e);
    const plan *const p = &j.plan;
    ck_assert_uint_eq(p->table.count, 8);
    ck_assert_uint_eq(p->quantized_count, 11 + 1 + 1);
    ck_assert_uint_eq(p->kept_count, 1 + 2);
    ck_assert_uint_eq(p->tiles, 12 * 2 * 3 + 4 * 2);
    ck_assert_uint_eq(p->clipped_tiles, 12 * (6 - 2) + 4 * 1);
    ck_assert_uint_eq(p->quantized_elements, 12 * 60000 + 4 * 128 * 129);
    ck_assert_uint_eq(p->source_bytes, 36 + 12 * 120000 + 8 + 2 * 4 * 128 * 129);
    ck_assert_int_eq(planned(&j, "lm_head.weight", CLASS_KEPT)->reason, REASON_HEAD);
    ck_assert_int_eq(planned(&j, "h.0.experts.*.gate", CLASS_KEPT)->reason, REASON_DTYPE);
    ck_assert_int_eq(planned(&j, "h.1.experts.0.w1", CLASS_CODES)->reason, REASON_LINEAR);
    planned(&j, "h.0.experts.*.w1_scale_inv", CLASS_SCALES);
    planned(&j, "h.1.experts.w2", CLASS_CODES);
    const uint64_t first = planned(&j, "h.0.experts.*.w1", CLASS_CODES)->member_first;
    for (unsigned i = 0; i <= 10; i++) { /* 2 before 10 */
        char name[32];
        snprintf(name, sizeof name, "h.0.experts.%u.w1", i);
        ck_assert_str_eq(p->members[first + i]->name, name);
    }
    ck_assert_uint_eq(p->table.source_count, 16);
    close_job(&j);
}
END_TEST

/* The head depends on names, shapes, types, recipe and embedded files, not on how it is sharded,
 * nor on the order of tensors in the shards. */
START_TEST(shards_do_not_show)
{
    uint64_t state = random_seed(_i);
    job a = {0};
    job b = {0};
    err e = {0};
    made_random(&a.made, &state);
    open_job(&a, 1);
    expect_ok(make_plan(&a, &e), &e);
    checkpoint_close(a.cp);
    a.cp = NULL;
    for (size_t i = 1; i < a.made.count; i++) {
        const size_t k = (oracle_random(&state) >> 20) % (i + 1);
        const made_tensor t = a.made.tensors[i];
        a.made.tensors[i] = a.made.tensors[k];
        a.made.tensors[k] = t;
    }
    ck_assert_int_eq(remove(scratch("model.safetensors")), 0); /* else there are two models */
    made_write(&a.made, scratch(""), 3);
    open_written(&b);
    expect_ok(make_plan(&b, &e), &e);
    ck_assert_uint_eq(b.cp->shard_count, 3);
    ck_assert_uint_eq(a.plan.head.length, b.plan.head.length);
    ck_assert_mem_eq(a.plan.head.bytes, b.plan.head.bytes, a.plan.head.length);
    ck_assert_str_ne(a.plan.provenance, b.plan.provenance);
    close_job(&a);
    close_job(&b);
}
END_TEST

START_TEST(decisions_are_as_expected)
{
    uint64_t state = random_seed(_i);
    job j = {0};
    err e = {0};
    uint64_t quantized = 0;
    made_random(&j.made, &state);
    open_job(&j, 1);
    expect_ok(make_plan(&j, &e), &e);
    for (uint32_t i = 0; i < j.plan.table.count; i++) {
        const pack_record *const r = &j.plan.table.records[i];
        for (uint64_t k = 0; k < pack_record_sources(r); k++) {
            const tensor *const t = j.plan.members[r->source_first + k];
            const made_tensor *const m = made_find(&j.made, t->name);
            ck_assert_msg(m && m->quantize == (r->cls == CLASS_CODES), "%s", t->name);
            quantized += m->quantize;
        }
    }
    ck_assert_uint_eq(j.plan.quantized_count, quantized);
    ck_assert_uint_eq(j.plan.kept_count, j.made.count - quantized);
    close_job(&j);
}
END_TEST

/* Changing the decision for one member breaks the stack up. */
START_TEST(decision_breaks_a_stack)
{
    job j = {0};
    err e = {0};
    add(&j, "h.0.experts.0.w1", DTYPE_BF16, 2, 3);
    add(&j, "h.0.experts.1.w1", DTYPE_BF16, 2, 3);
    add(&j, "h.0.experts.2.w1", DTYPE_BF16, 2, 3);
    rule(&j, "*.1.w1", false);
    open_job(&j, 1);
    expect_ok(make_plan(&j, &e), &e);
    ck_assert_ptr_null(pack_table_find(&j.plan.table, "h.0.experts.*.w1"));
    ck_assert_int_eq(planned(&j, "h.0.experts.1.w1", CLASS_KEPT)->reason, REASON_RULE);
    planned(&j, "h.0.experts.2.w1", CLASS_CODES);
    close_job(&j);
}
END_TEST

START_TEST(powers_of_two_are_flagged)
{
    for (int k = 0; k < SCALE_FORMAT_COUNT; k++) {
        const scale_format scales = (scale_format)k;
        job j = {.recipe = {.scales = scales}};
        err e = {0};
        add(&j, "h.0.w1", DTYPE_BF16, 2, 3);
        add(&j, "h.0.norm", DTYPE_BF16, 2, 3);
        open_job(&j, 1);
        expect_ok(make_plan(&j, &e), &e);
        const char *const both[] = {"h.0.w1", "h.0.w1_scale_inv"};
        for (int i = 0; i < 2; i++) {
            const block_format b = pack_table_find(&j.plan.table, both[i])->block;
            ck_assert(block_same_size(b, block_fp8(scales)) && b.code == DTYPE_F8_E4M3);
            ck_assert_int_eq(b.scale, scales);
        }
        ck_assert_int_eq(pack_table_find(&j.plan.table, "h.0.norm")->block.code, DTYPE_NONE);
        close_job(&j);
    }
}
END_TEST

/* Canonical JSON with an object for each shard; space for digests of whole shards is reserved. */
START_TEST(provenance_names_the_shards)
{
    job j = {0};
    err e = {0};
    add(&j, "h.0.w1", DTYPE_BF16, 2, 3);
    add(&j, "h.0.w2", DTYPE_BF16, 2, 3);
    open_job(&j, 2);
    expect_ok(make_plan(&j, &e), &e);
    char hex[2][65];
    char expected[1024];
    for (size_t i = 0; i < 2; i++) {
        hex_encode(j.cp->shards[i].header_sha256, 32, hex[i]);
    }
    snprintf(expected, sizeof expected,
             "{\"shards\":[{\"header_sha256\":\"%s\",\"name\":\"model-00001-of-00002.safetensors\","
             "\"size\":%llu,\"tensors\":1},{\"header_sha256\":\"%s\","
             "\"name\":\"model-00002-of-00002.safetensors\",\"size\":%llu,\"tensors\":1}],"
             "\"spec\":{\"format\":1,\"quant\":1}}",
             hex[0], (unsigned long long)j.cp->shards[0].bytes, hex[1],
             (unsigned long long)j.cp->shards[1].bytes);
    ck_assert_str_eq(j.plan.provenance, expected);
    ck_assert_uint_eq(j.plan.provenance_bytes, strlen(expected));
    plan_free(&j.plan);
    const plan_options o = {
        .recipe = &j.recipe, .embed = &j.embed, .digest = DIGEST_XXH3, .source_sha256 = true};
    expect_ok(plan_make(j.cp, &o, &j.plan, &e), &e);
    const size_t before = j.plan.provenance_bytes;
    unsigned char digests[2 * 32];
    memset(digests, 0xab, sizeof digests);
    expect_ok(plan_set_shard_digests(&j.plan, j.cp, digests, &e), &e);
    ck_assert_uint_eq(j.plan.provenance_bytes, before);
    ck_assert_ptr_nonnull(strstr(j.plan.provenance, "\"sha256\":\"abababab"));
    close_job(&j);
}
END_TEST

/* ---- what cannot be planned ------------------------------------ */

START_TEST(nothing_to_quantize)
{
    job j = {0};
    add(&j, "lm_head.weight", DTYPE_F32, 3, 3);
    open_job(&j, 1);
    const plan_options o = {
        .recipe = &j.recipe, .embed = &j.embed, .digest = DIGEST_XXH3, .allow_none = true};
    err e = {0};
    expect_ok(plan_make(j.cp, &o, &j.plan, &e), &e);
    ck_assert_uint_eq(j.plan.quantized_count, 0);
    plan_free(&j.plan);
    expect_unplanned(&j, ERR_INPUT, "nothing to quantize");
}
END_TEST

START_TEST(glob_without_match)
{
    job j = {0};
    add(&j, "h.0.w1", DTYPE_F32, 3, 3);
    rule(&j, "h.*", true);
    rule(&j, "w1", false);
    open_job(&j, 1);
    expect_unplanned(&j, ERR_USAGE, "no tensor matches 'w1'");
    static const char text[] =
        "{\"octavo_recipe\":1,\"rules\":[{\"match\":\"w1\",\"action\":\"keep\"}]}";
    job other = {0}; /* a recipe file may be made for several models */
    err e = {0};
    add(&other, "h.0.w1", DTYPE_F32, 3, 3);
    expect_ok(recipe_parse(&other.recipe, "r", text, strlen(text), &e), &e);
    open_job(&other, 1);
    expect_ok(make_plan(&other, &e), &e);
    close_job(&other);
}
END_TEST

START_TEST(rule_for_what_cannot_be)
{
    job j = {0};
    add(&j, "h.0.w1", DTYPE_F32, 3, 3);
    made_add(&j.made, "h.0.norm", DTYPE_F32, 1, (uint64_t[]){3}, false);
    rule(&j, "h.*", true);
    open_job(&j, 1);
    expect_unplanned(&j, ERR_USAGE, "tensor h.0.norm: cannot be quantized");
}
END_TEST

START_TEST(name_of_scales_is_taken)
{
    job j = {0};
    add(&j, "h.0.w1", DTYPE_F32, 3, 3);
    add(&j, "h.0.w1_scale_inv", DTYPE_F32, 1, 1);
    open_job(&j, 1);
    rule(&j, "h.0.w1_scale_inv", false);
    expect_unplanned(&j, ERR_INPUT, "tensor h.0.w1: its scales would be called h.0.w1_scale_inv");
    job s = {0};
    add(&s, "h.0.experts.0.w1", DTYPE_F32, 3, 3);
    add(&s, "h.0.experts.1.w1", DTYPE_F32, 3, 3);
    add(&s, "h.0.experts.1.w1_scale_inv", DTYPE_F32, 1, 1);
    open_job(&s, 1);
    rule(&s, "h.0.experts.1.w1_scale_inv", false);
    expect_unplanned(&s, ERR_INPUT, "its scales would be called h.0.experts.1.w1_scale_inv");
    job kept = {0}; /* FP8 checkpoints have such tensors: kept with what they scale, if asked for */
    err e = {0};
    add(&kept, "h.0.w1", DTYPE_F8_E4M3, 3, 3);
    add(&kept, "h.0.w1_scale_inv", DTYPE_F32, 1, 1);
    add(&kept, "h.0.w2", DTYPE_F32, 3, 3);
    open_job(&kept, 1);
    rule(&kept, "h.0.w1", false);
    rule(&kept, "h.0.w2", true); /* otherwise it would be kept, because there is FP8 */
    expect_ok(make_plan(&kept, &e), &e);
    planned(&kept, "h.0.w1", CLASS_KEPT);
    planned(&kept, "h.0.w1_scale_inv", CLASS_KEPT);
    close_job(&kept);
}
END_TEST

/* "_scale_inv" is appended to the name: if that ends with the number of a layer or an expert, the
 * scales would belong to no layer, or to no expert. */
START_TEST(name_that_ends_with_a_number)
{
    static const char *const names[][2] = {
        {"model.layers.3", NULL},
        {"blocks.0", NULL},
        {"layers.1.experts.0", "layers.1.experts.1"},
        {"experts.0", "experts.1"},
    };
    job j = {0};
    add(&j, "layers.0.w1", DTYPE_F32, 3, 3);
    add(&j, "layers.7.w1", DTYPE_F32, 3, 3);
    for (int k = 0; k < 2 && names[_i][k]; k++) {
        add(&j, names[_i][k], DTYPE_F32, 3, 3);
    }
    rule(&j, names[_i][0], true);
    if (names[_i][1]) {
        rule(&j, names[_i][1], true);
    }
    open_job(&j, 1);
    expect_unplanned(&j, ERR_USAGE, "ends with the number");
}
END_TEST

START_TEST(expert_alone_may_end_with_its_number)
{
    job j = {0};
    err e = {0};
    add(&j, "layers.1.experts.4", DTYPE_F32, 3, 3);
    rule(&j, "*", true);
    open_job(&j, 1);
    expect_ok(make_plan(&j, &e), &e);
    planned(&j, "layers.1.experts.4_scale_inv", CLASS_SCALES);
    close_job(&j);
}
END_TEST

/* 245 bytes and "_scale_inv" are 255, of each member of a stack too. */
START_TEST(long_names)
{
    for (int length = 244; length <= 255; length++) {
        for (int stack = 0; stack < 2; stack++) {
            job j = {0};
            err e = {0};
            char name[256];
            for (int i = 0; i < (stack ? 11 : 1); i++) { /* the last name has one byte more */
                char number[32];
                memset(name, 'n', sizeof name);
                const int n = snprintf(number, sizeof number, "h.0.experts.%d.", i);
                memcpy(name, stack ? number : "h.0.mlp.experts", 15);
                if (stack) {
                    memset(name + n, 'n', 3);
                }
                snprintf(name + length - 3 - stack + (i >= 10), 4, ".w1");
                if (strlen(name) <= 255) {
                    add(&j, name, DTYPE_F32, 1, 1);
                }
            }
            open_job(&j, 1);
            if (length <= 245) {
                expect_ok(make_plan(&j, &e), &e);
                close_job(&j);
            } else {
                expect_unplanned(&j, ERR_INPUT, "bytes, more than 245");
            }
        }
    }
}
END_TEST

START_TEST(kept_names_may_be_longer)
{
    job j = {0};
    err e = {0};
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    add(&j, name, DTYPE_F32, 1, 1);
    add(&j, "h.0.w1", DTYPE_F32, 1, 1);
    open_job(&j, 1);
    expect_ok(make_plan(&j, &e), &e);
    planned(&j, name, CLASS_KEPT);
    close_job(&j);
}
END_TEST

/* A header may have a dimension of 2^40 if another one is 0; a packed file cannot. */
START_TEST(large_dimension_is_refused)
{
    job j = {0};
    add(&j, "empty", DTYPE_F32, 0, 1ull << 40);
    add(&j, "h.0.w1", DTYPE_F32, 1, 1);
    open_job(&j, 1);
    expect_unplanned(&j, ERR_INPUT, "tensor empty: too large for a packed file");
}
END_TEST

/* PROV holds the shards' names, as JSON. */
START_TEST(shard_name_that_is_not_utf8)
{
    job j = {0};
    err e = {0};
    add(&j, "h.0.w1", DTYPE_F32, 1, 1);
    made_write(&j.made, scratch(""), 1);
    ck_assert_int_eq(rename(scratch("model.safetensors"), scratch("caf\xe9.safetensors")), 0);
    if (checkpoint_open(scratch("caf\xe9.safetensors"), NULL, &j.cp, &e) == OK) {
        expect_unplanned(&j, ERR_INPUT, "UTF-8");
    } else {
        expect_error(e.code, ERR_INPUT, &e, "UTF-8");
        made_free(&j.made);
    }
}
END_TEST

/* More shards than fit into PROV: a reader would refuse the file. */
START_TEST(provenance_is_limited)
{
    enum { SHARDS = 150000 };
    job j = {0};
    add(&j, "h.0.w1", DTYPE_F32, 1, 1);
    open_job(&j, 1);
    checkpoint many = *j.cp;
    many.shards = calloc(SHARDS, sizeof *many.shards);
    many.shard_count = SHARDS;
    for (size_t i = 0; i < SHARDS; i++) {
        many.shards[i] = j.cp->shards[0];
    }
    const plan_options o = {.recipe = &j.recipe, .embed = &j.embed, .digest = DIGEST_XXH3};
    err e = {0};
    expect_error(plan_make(&many, &o, &j.plan, &e), ERR_INPUT, &e, "16 MiB");
    free(many.shards);
    close_job(&j);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("plan");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, records_and_their_sources);
    tcase_add_loop_test(tc, shards_do_not_show, 0, 5);
    tcase_add_loop_test(tc, decisions_are_as_expected, 0, 10);
    tcase_add_test(tc, decision_breaks_a_stack);
    tcase_add_test(tc, powers_of_two_are_flagged);
    tcase_add_test(tc, provenance_names_the_shards);
    tcase_add_test(tc, nothing_to_quantize);
    tcase_add_test(tc, glob_without_match);
    tcase_add_test(tc, rule_for_what_cannot_be);
    tcase_add_test(tc, name_of_scales_is_taken);
    tcase_add_loop_test(tc, name_that_ends_with_a_number, 0, 4);
    tcase_add_test(tc, expert_alone_may_end_with_its_number);
    tcase_add_test(tc, long_names);
    tcase_add_test(tc, kept_names_may_be_longer);
    tcase_add_test(tc, large_dimension_is_refused);
    tcase_add_test(tc, shard_name_that_is_not_utf8);
    tcase_add_test(tc, provenance_is_limited);
    return run_tests("plan", tc);
}
