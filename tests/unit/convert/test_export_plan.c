/* Plans of exports: which codes may stay, what the lists say, how tensors fill shards. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table table;
static export_plan plan;
static err e;

static const uint64_t matrix[] = {300, 200};

static void setup(void)
{
    table = table_with_room(64);
    e = (err){0};
}

static void teardown(void)
{
    export_plan_free(&plan);
    pack_table_free(&table);
}

static void codes(const char *name)
{
    table_add_codes(&table, name, DTYPE_BF16, 2, matrix);
}

static void kept(const char *name)
{
    table_add(&table, name, DTYPE_BF16, 2, matrix);
}

static void finish_table(void)
{
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(pack_table_place(&table, 65536, &e), &e);
}

static err_code make(preset_id id, bool dequantize, uint64_t shard_bytes)
{
    const export_how how = {
        .preset = &preset_table[id], .dequantize = dequantize, .shard_bytes = shard_bytes};
    export_plan_free(&plan);
    return export_plan_make(&table, &how, &plan, &e);
}

static void makes(preset_id id, bool dequantize)
{
    expect_ok(make(id, dequantize, 1 << 30), &e);
}

static void refuses(preset_id id, bool dequantize, const char *why)
{
    expect_error(make(id, dequantize, 1 << 30), ERR_INPUT, &e, why);
}

static export_form form_of(const char *name)
{
    const pack_record *const r = pack_table_find(&table, name);
    ck_assert_ptr_nonnull(r);
    return plan.records[r - table.records].form;
}

static void expect_list(const char *expected)
{
    char found[2048] = "";
    for (size_t i = 0; i < plan.ignored_count; i++) {
        const size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s%s", i ? " " : "", plan.ignored[i].module);
    }
    ck_assert_str_eq(found, expected);
}

/* ---- forms ----------------------------------------------------- */

START_TEST(codes_stay_where_they_are_read)
{
    codes("model.layers.0.mlp.up_proj.weight");
    kept("model.layers.0.mlp.norm.weight");
    finish_table();
    makes(PRESET_VLLM, false);
    ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight"), FORM_SAME);
    ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight_scale_inv"), FORM_SAME);
    ck_assert_uint_eq(plan.tensor_count, 3);
    ck_assert_uint_eq(plan.fp8_count, 1);
    ck_assert_uint_eq(plan.total_bytes, 2 * 60000 + 60000 + 6 * 4);
    makes(PRESET_BF16, false);
    ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight"), FORM_NUMBERS);
    ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight_scale_inv"), FORM_NOTHING);
    ck_assert_uint_eq(plan.tensor_count, 2);
    ck_assert_uint_eq(plan.total_bytes, 4 * 60000);
    ck_assert_uint_eq(plan.ignored_count, 0);
    refuses(PRESET_COMPRESSED, false, "stores scales in BF16, which would change them");
    ((pack_record *)pack_table_find(&table, "model.layers.0.mlp.up_proj.weight_scale_inv"))
        ->block.scale = SCALES_UE8M0;
    makes(PRESET_COMPRESSED, false);
    ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight_scale_inv"), FORM_BF16_SCALES);
    ck_assert_int_eq(plan.block.scale, SCALES_UE8M0);
    ck_assert_str_eq(plan.tensors[2].name, "model.layers.0.mlp.up_proj.weight_scale");
    ck_assert_int_eq(plan.tensors[2].type, DTYPE_BF16);
}
END_TEST

/* Scales of its own dialect are exported in the dtype of the source, where they are exact. */
START_TEST(scales_of_compressed_tensors)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static const export_form forms[] = {FORM_BF16_SCALES, FORM_F16_SCALES, FORM_SAME};
    codes("model.layers.0.mlp.up_proj.weight");
    finish_table();
    pack_record *const r =
        (pack_record *)pack_table_find(&table, "model.layers.0.mlp.up_proj.weight");
    r->dialect = DIALECT_COMPRESSED_TENSORS;
    for (int i = 0; i < 3; i++) {
        r->src_type = sources[i];
        makes(PRESET_COMPRESSED, false);
        ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight_scale_inv"), forms[i]);
        ck_assert_str_eq(plan.tensors[1].name, "model.layers.0.mlp.up_proj.weight_scale");
        ck_assert_int_eq(plan.tensors[1].type, sources[i]);
        makes(PRESET_VLLM, false);
        ck_assert_int_eq(form_of("model.layers.0.mlp.up_proj.weight_scale_inv"), FORM_SAME);
    }
}
END_TEST

/* Tensors that no runtime, or not every runtime, reads in FP8. */
static const struct {
    const char *name;
    preset_id preset;
} wide[] = {
    {"lm_head.weight", PRESET_HF},
    {"model.embed_tokens.weight", PRESET_VLLM},
    {"model.layers.0.norm.weight", PRESET_SGLANG},
    {"model.layers.0.mlp.gate.weight", PRESET_VLLM},
    {"model.layers.0.up_proj", PRESET_HF},
    {"model.layers.0.mlp.shared_experts.up_proj.weight", PRESET_ANT_SGLANG},
    {"model.layers.0.attention.g_proj.weight", PRESET_AREAL},
};

START_TEST(wide_tensors_are_refused)
{
    codes(wide[_i].name);
    codes("model.layers.1.other.down_proj.weight");
    finish_table();
    refuses(wide[_i].preset, false, wide[_i].name);
    makes(wide[_i].preset, true);
    ck_assert_int_eq(form_of(wide[_i].name), FORM_NUMBERS);
    ck_assert_int_eq(form_of("model.layers.1.other.down_proj.weight"), FORM_SAME);
}
END_TEST

START_TEST(stacked_experts_are_for_transformers)
{
    table_add_codes(&table, "model.layers.0.mlp.experts.down_proj", DTYPE_BF16, 3,
                    (uint64_t[]){4, 30, 200});
    finish_table();
    makes(PRESET_HF, false);
    ck_assert_uint_eq(plan.fp8_count, 1);
    refuses(PRESET_VLLM, false, "experts in three dimensions");
    makes(PRESET_VLLM, true);
    refuses(PRESET_ANT_SGLANG, true, "reads all experts as FP8");
}
END_TEST

/* Their module has a name that no tensor has. */
START_TEST(stacks_under_other_names_are_listed_as_experts)
{
    table_add(&table, "l.0.moe.down_proj.weight", DTYPE_BF16, 3, (uint64_t[]){4, 30, 200});
    table_add(&table, "l.0.moe.up_proj.weight", DTYPE_BF16, 3, (uint64_t[]){4, 30, 200});
    codes("l.0.self_attn.o_proj.weight");
    finish_table();
    makes(PRESET_VLLM, false);
    ck_assert_uint_eq(plan.ignored_count, 1);
    ck_assert_str_eq(plan.ignored[0].module, "l.0.moe.experts");
}
END_TEST

/* One module, one precision: q and k here, but not in transformers; experts everywhere. */
START_TEST(merged_modules_agree)
{
    codes("model.layers.0.self_attn.q_proj.weight");
    kept("model.layers.0.self_attn.k_proj.weight");
    codes("model.layers.1.self_attn.q_proj.weight");
    codes("model.layers.0.self_attn.o_proj.weight");
    finish_table();
    makes(PRESET_HF, false);
    refuses(PRESET_VLLM, false, "tensor model.layers.0.self_attn.q_proj.weight: FP8, which vLLM");
    makes(PRESET_VLLM, true);
    ck_assert_int_eq(form_of("model.layers.0.self_attn.q_proj.weight"), FORM_NUMBERS);
    ck_assert_int_eq(form_of("model.layers.0.self_attn.o_proj.weight"), FORM_SAME);
    ck_assert_int_eq(form_of("model.layers.1.self_attn.q_proj.weight"), FORM_SAME);
    ck_assert_int_eq(form_of("model.layers.0.self_attn.k_proj.weight"), FORM_SAME);
}
END_TEST

START_TEST(experts_agree)
{
    codes("model.layers.0.mlp.experts.0.down_proj.weight");
    kept("model.layers.0.mlp.experts.1.down_proj.weight");
    codes("model.layers.1.mlp.experts.0.down_proj.weight");
    table_add(&table, "model.layers.1.mlp.experts.0.down_proj.bias", DTYPE_BF16, 1,
              (uint64_t[]){300});
    finish_table();
    refuses(PRESET_HF, false, "other experts of its layer are not FP8");
    makes(PRESET_HF, true);
    ck_assert_int_eq(form_of("model.layers.0.mlp.experts.0.down_proj.weight"), FORM_NUMBERS);
    ck_assert_int_eq(form_of("model.layers.1.mlp.experts.0.down_proj.weight"), FORM_SAME);
    expect_list("lm_head model.layers.0.mlp.experts");
}
END_TEST

/* If gate and up are fused, the scales of up would begin in the middle of a tile of gate. */
static const struct {
    const char *half, *other;
    uint64_t rows;
    bool ragged;
} halves[] = {
    {"gate_proj", "down_proj", 144, true},
    {"up_proj", "down_proj", 96, true},
    {"w1", "w2", 200, true},
    {"w3", "w2", 129, true},
    {"gate_proj", "down_proj", 256, false},
    {"w3", "w2", 128, false},
    {"down_proj", "other", 144, false},
    {"w2", "other", 144, false},
};

START_TEST(halves_of_experts_end_with_a_tile)
{
    char half[128];
    char other[128];
    snprintf(half, sizeof half, "h.0.experts.*.%s.weight", halves[_i].half);
    snprintf(other, sizeof other, "h.0.experts.*.%s.weight", halves[_i].other);
    table_add_codes(&table, half, DTYPE_BF16, 3, (uint64_t[]){4, halves[_i].rows, 64});
    table_add_codes(&table, other, DTYPE_BF16, 3, (uint64_t[]){4, 64, halves[_i].rows});
    codes("h.0.shared.gate_proj.weight");
    finish_table();
    makes(PRESET_VLLM, false);
    if (!halves[_i].ragged) {
        makes(PRESET_HF, false);
        return;
    }
    ck_assert_int_eq(make(PRESET_HF, false, 1 << 30), ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(e.hint, "convert --keep '*.experts.*' keeps them"));
    e = (err){0};
    makes(PRESET_HF, true);
    ck_assert_int_eq(form_of(half), FORM_NUMBERS);
    ck_assert_int_eq(form_of(other), FORM_NUMBERS);
    ck_assert_int_eq(form_of("h.0.shared.gate_proj.weight"), FORM_SAME);
    expect_list("h.0.experts lm_head");
}
END_TEST

START_TEST(what_is_read_by_some_is_counted)
{
    codes("h.0.a.weight"); /* of 300 x 200 */
    table_add_codes(&table, "h.0.b.weight", DTYPE_BF16, 2, (uint64_t[]){96, 256});
    table_add_codes(&table, "h.0.c.weight", DTYPE_BF16, 2, (uint64_t[]){128, 130});
    table_add_codes(&table, "h.0.experts.*.down_proj.weight", DTYPE_BF16, 3,
                    (uint64_t[]){5, 576, 128});
    table_add_codes(&table, "h.1.experts.gate_up_proj", DTYPE_BF16, 3, (uint64_t[]){2, 256, 128});
    codes("lm_head.weight");
    finish_table();
    makes(PRESET_HF, true);
    ck_assert_uint_eq(plan.odd_count, 1 + 1 + 5 + 1);
    makes(PRESET_BF16, false);
    ck_assert_uint_eq(plan.odd_count, 0);
}
END_TEST

/* ---- lists ----------------------------------------------------- */

static void fill_mixture(void)
{
    kept("lm_head.weight");
    kept("model.embed_tokens.weight");
    kept("projector.linear.weight");
    kept("model.layers.0.self_attn.o_proj.weight");
    codes("model.layers.0.mlp.up_proj.weight");
    codes("model.layers.0.mlp.gate_proj.weight");
    kept("model.layers.1.mlp.gate.weight"); /* a linear layer somewhere */
    kept("model.layers.2.mlp.gate.weight"); /* a class of its own */
    table_add(&table, "model.layers.2.mlp.gate.e_score_correction_bias", DTYPE_F32, 1,
              (uint64_t[]){8});
    table_add(&table, "model.layers.1.mlp.experts.*.up_proj.weight", DTYPE_BF16, 3,
              (uint64_t[]){2, 30, 40});
    table_add(&table, "model.layers.1.decay", DTYPE_BF16, 3, (uint64_t[]){2, 30, 40});
    finish_table();
}

START_TEST(lists_name_what_is_needed)
{
    fill_mixture();
    makes(PRESET_VLLM, false);
    expect_list("model.layers.0.self_attn.o_proj model.layers.1.mlp.experts "
                "model.layers.1.mlp.gate projector.linear");
    makes(PRESET_SGLANG, false);
    ck_assert_uint_eq(plan.ignored_count, 4);
    makes(PRESET_HF, false);
    expect_list("lm_head model.layers.0.self_attn.o_proj model.layers.1.mlp.experts "
                "model.layers.1.mlp.gate projector.linear");
    refuses(PRESET_ANT_SGLANG, true, "model.layers.1.mlp.experts.*.up_proj.weight: is not FP8");
    for (uint32_t i = 0; i < table.count; i++) {
        table.records[i].block.scale = SCALES_UE8M0;
    }
    makes(PRESET_COMPRESSED, false);
    expect_list("lm_head model.layers.0.self_attn.o_proj model.layers.1.mlp.experts.0.up_proj "
                "model.layers.1.mlp.experts.1.up_proj model.layers.1.mlp.gate projector.linear");
}
END_TEST

/* What a module becomes may have a name that is longer than that of its tensor. */
START_TEST(names_in_the_list_may_be_too_long)
{
    static const char q_a[] = ".q_a_proj.weight";
    char name[NAME_MAX_BYTES + 1];
    memset(name, 'x', sizeof name);
    snprintf(name + sizeof name - sizeof q_a, sizeof q_a, "%s", q_a);
    codes("h.0.mlp.up_proj.weight");
    kept(name);
    finish_table();
    refuses(PRESET_SGLANG, false, "the name of its module in SGLang has more than 255 bytes");
    e = (err){0};
    makes(PRESET_HF, false);
}
END_TEST

/* ---- shards ---------------------------------------------------- */

static void expect_shards(uint64_t limit)
{
    uint64_t seen = 0;
    for (uint32_t s = 0; s < plan.shard_count; s++) {
        unsigned bits = 64;
        uint64_t bytes = 0;
        const export_shard *const shard = &plan.shards[s];
        ck_assert_uint_eq(shard->first, seen);
        for (uint64_t i = 0; i < shard->count; i++) {
            const export_tensor *const t = &plan.tensors[plan.order[seen + i]];
            ck_assert_uint_eq(t->shard, s);
            ck_assert_uint_eq(t->place, i);
            ck_assert_uint_le(dtype_bits(t->type), bits);
            bits = dtype_bits(t->type);
            bytes += t->bytes;
        }
        ck_assert_uint_eq(bytes, shard->bytes);
        ck_assert(bytes < limit || shard->count <= 2);
        seen += shard->count;
    }
    ck_assert_uint_eq(seen, plan.tensor_count);
}

START_TEST(shards_are_filled_in_order)
{
    char name[SHARD_NAME_BYTES];
    table_add_codes(&table, "h.0.experts.*.w1.weight", DTYPE_F16, 3, (uint64_t[]){9, 130, 100});
    table_add(&table, "h.0.mask", DTYPE_I64, 1, (uint64_t[]){77});
    table_add(&table, "h.0.flags", DTYPE_BOOL, 1, (uint64_t[]){5});
    table_add(&table, "h.0.nothing", DTYPE_BF16, 2, (uint64_t[]){0, 5});
    codes("h.1.w2.weight");
    finish_table();
    static const uint64_t limits[] = {1, 20000, 30000, 40000, 1000000};
    uint32_t before = UINT32_MAX;
    for (int i = 0; i < COUNT(limits); i++) {
        expect_ok(make(PRESET_VLLM, false, limits[i]), &e);
        expect_shards(limits[i]);
        ck_assert_uint_eq(plan.tensor_count, 9 * 2 + 3 + 2);
        ck_assert_uint_le(plan.shard_count, before);
        before = plan.shard_count;
    }
    ck_assert_uint_eq(before, 1);
    expect_ok(make(PRESET_VLLM, false, 1), &e);
    ck_assert_uint_eq(plan.shard_count, 9 + 3 + 1); /* a weight and its scales stay together */
    export_shard_name(&plan, 12, name);
    ck_assert_str_eq(name, "model-00013-of-00013.safetensors");
}
END_TEST

START_TEST(nothing_is_refused)
{
    finish_table();
    refuses(PRESET_VLLM, false, "there is no tensor to export");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("export_plan");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, codes_stay_where_they_are_read);
    tcase_add_test(tc, scales_of_compressed_tensors);
    tcase_add_loop_test(tc, wide_tensors_are_refused, 0, COUNT(wide));
    tcase_add_test(tc, stacked_experts_are_for_transformers);
    tcase_add_test(tc, stacks_under_other_names_are_listed_as_experts);
    tcase_add_test(tc, merged_modules_agree);
    tcase_add_test(tc, experts_agree);
    tcase_add_loop_test(tc, halves_of_experts_end_with_a_tile, 0, COUNT(halves));
    tcase_add_test(tc, what_is_read_by_some_is_counted);
    tcase_add_test(tc, lists_name_what_is_needed);
    tcase_add_test(tc, names_in_the_list_may_be_too_long);
    tcase_add_test(tc, shards_are_filled_in_order);
    tcase_add_test(tc, nothing_is_refused);
    return run_tests("export_plan", tc);
}
