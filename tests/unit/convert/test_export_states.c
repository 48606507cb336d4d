/* What no export may have, for any runtime, and which scales are left out. */
#include <check.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table table;
static export_plan plan;
static export_how how;
static err e;

static void setup(void)
{
    table = table_with_room(32);
    plan = (export_plan){0};
    how = (export_how){.shard_bytes = 1 << 30};
    e = (err){0};
}

static void teardown(void)
{
    export_plan_free(&plan);
    pack_table_free(&table);
}

static void kept(const char *name, dtype type, uint64_t rows, uint64_t cols)
{
    table_add(&table, name, type, 2, (uint64_t[]){rows, cols});
}

static void codes(const char *name, dtype source)
{
    table_add_codes(&table, name, source, 2, (uint64_t[]){256, 256});
}

static err_code make(preset_id id)
{
    how.preset = &preset_table[id];
    export_plan_free(&plan);
    return export_plan_make(&table, &how, &plan, &e);
}

static void finish_table(void)
{
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(pack_table_place(&table, 65536, &e), &e);
}

/* Every runtime refuses it with these words, whatever is allowed. */
static void is_refused(const char *why, const char *hint)
{
    finish_table();
    for (int id = 0; id < PRESET_COUNT; id++) {
        for (int dequantize = 0; dequantize < 2; dequantize++) {
            e = (err){0};
            how.dequantize = dequantize;
            const err_code code = make((preset_id)id);
            ck_assert_msg(strstr(e.hint, hint) != NULL, "hint: %s", e.hint);
            expect_error(code, ERR_INPUT, &e, why);
        }
    }
}

static void is_exported(preset_id id)
{
    e = (err){0};
    expect_ok(make(id), &e);
}

static export_form form_of(const char *name)
{
    const pack_record *const r = pack_table_find(&table, name);
    ck_assert_ptr_nonnull(r);
    return plan.records[r - table.records].form;
}

/* Also in a file that an earlier version made, in which something was quantized. */
START_TEST(another_method)
{
    codes("h.0.self_attn.q_proj.weight", DTYPE_BF16);
    table_add(&table, "h.0.mlp.experts.*.up_proj.weight", DTYPE_U8, 3, (uint64_t[]){4, 256, 64});
    table_add(&table, "h.0.mlp.experts.*.up_proj.weight_scale", DTYPE_F8_E4M3, 3,
              (uint64_t[]){4, 256, 16});
    table_add(&table, "h.0.mlp.experts.0.up_proj.weight_scale_2", DTYPE_F32, 0, NULL);
    is_refused("tensor h.0.mlp.experts.*.up_proj.weight and 3 more: quantized by NVFP4",
               "use the checkpoint itself");
}
END_TEST

START_TEST(other_dtypes)
{
    kept("h.0.mlp.up_proj.weight", DTYPE_F8_E5M2, 256, 256);
    kept("h.0.mlp.up_proj.weight_scale_inv", DTYPE_F32, 2, 2);
    is_refused("tensor h.0.mlp.up_proj.weight: quantized by FP8 (F8_E5M2)",
               "use the checkpoint itself");
}
END_TEST

static const struct {
    uint64_t rows, cols; /* of the scales of 256 x 256 */
    const char *hint;
} forms[] = {
    {2, 2, "then it is carried over"},
    {256, 1, "--requantize"},
    {1, 1, "--requantize"},
};

START_TEST(kept_apart_from_its_scales)
{
    kept("h.0.mlp.up_proj.weight", DTYPE_F8_E4M3, 256, 256);
    kept("h.0.mlp.up_proj.scale", DTYPE_BF16, forms[_i].rows, forms[_i].cols);
    is_refused("tensor h.0.mlp.up_proj.weight: FP8 kept apart from its scales", forms[_i].hint);
}
END_TEST

/* The same for experts: a stack, whose scales may be one, too. */
static const struct {
    const char *name;
    unsigned ndim;
    uint64_t shape[3];
    const char *hint;
} expert_scales[] = {
    {"h.0.mlp.experts.*.up_proj.weight_scale", 3, {4, 2, 2}, "then it is carried over"},
    {"h.0.mlp.experts.*.up_proj.weight_scale", 3, {4, 256, 1}, "--requantize"},
    {"h.0.mlp.experts.*.up_proj.weight_scale", 2, {4, 256}, "--requantize"},
    {"h.0.mlp.experts.*.up_proj.weight_scale", 3, {4, 1, 1}, "--requantize"},
    {"h.0.mlp.experts.0.up_proj.weight_scale", 0, {0}, "--requantize"},
    {"h.0.mlp.experts.*.up_proj.weight_scale", 3, {4, 3, 1}, "use the checkpoint itself"},
};

START_TEST(experts_apart_from_their_scales)
{
    table_add(&table, "h.0.mlp.experts.*.up_proj.weight", DTYPE_F8_E4M3, 3,
              (uint64_t[]){4, 256, 256});
    table_add(&table, expert_scales[_i].name, DTYPE_F32, expert_scales[_i].ndim,
              expert_scales[_i].shape);
    is_refused("FP8 kept apart from its scales", expert_scales[_i].hint);
}
END_TEST

START_TEST(without_scales)
{
    kept("h.0.mlp.up_proj.weight", DTYPE_F8_E4M3, 256, 256);
    kept("model.extra", DTYPE_F8_E4M3, 3, 3);
    is_refused("tensor model.extra and 1 more: FP8 without scales", "the checkpoint itself");
}
END_TEST

/* Next to plain numbers, and next to codes made of them, whose scales are others. */
START_TEST(stray_scales)
{
    if (_i) {
        codes("h.0.mlp.up_proj.weight", DTYPE_BF16);
    } else {
        kept("h.0.mlp.up_proj.weight", DTYPE_BF16, 256, 256);
    }
    kept("h.0.mlp.up_proj.weight_scale", DTYPE_F32, 256, 1);
    is_refused("tensor h.0.mlp.up_proj.weight_scale: scales of a weight that is not there",
               "remove them");
}
END_TEST

START_TEST(only_described)
{
    codes("h.0.mlp.up_proj.weight", DTYPE_BF16);
    how.described = (quantization){.count = 1, .method = "x", .place = "config.json: text_config"};
    is_refused("embedded config.json: text_config: says that the model is quantized (x)",
               "remove the quantization_config");
    how.refused = true; /* what could be exported is still planned */
    is_exported(PRESET_BF16);
}
END_TEST

/* Which runtimes read scales of the KV cache is in the table of presets. */
START_TEST(scales_of_activations)
{
    const preset *const p = &preset_table[_i];
    codes("h.0.self_attn.k_proj.weight", DTYPE_F8_E4M3);
    table_add(&table, "h.0.self_attn.k_proj.input_scale", DTYPE_F32, 0, NULL);
    table_add(&table, "h.0.self_attn.k_proj.k_scale", DTYPE_F32, 0, NULL);
    table_add(&table, "h.0.self_attn.q_scale", DTYPE_F32, 0, NULL);
    kept("h.0.self_attn.norm", DTYPE_F32, 1, 4);
    for (uint32_t i = 0; i < table.count; i++) { /* exact in 16 bits */
        table.records[i].block.scale =
            table.records[i].cls == CLASS_KEPT ? SCALES_F32 : SCALES_UE8M0;
    }
    finish_table();
    is_exported((preset_id)_i);
    const bool kv = _i == PRESET_VLLM || _i == PRESET_SGLANG;
    ck_assert(p->reads_kv_scales == kv);
    ck_assert_int_eq(form_of("h.0.self_attn.k_proj.input_scale"), FORM_NOTHING);
    ck_assert_int_eq(form_of("h.0.self_attn.q_scale"), FORM_NOTHING);
    ck_assert_int_eq(form_of("h.0.self_attn.k_proj.k_scale"), kv ? FORM_SAME : FORM_NOTHING);
    ck_assert_int_eq(form_of("h.0.self_attn.norm"), FORM_SAME);
    ck_assert_uint_eq(plan.unread_count, kv ? 2 : 3);
    for (uint64_t i = 0; i < plan.tensor_count; i++) {
        ck_assert_msg(!strstr(plan.tensors[i].name, "input_scale"), "%s", plan.tensors[i].name);
    }
}
END_TEST

/* Next to numbers only, the same names are learned parameters. */
START_TEST(learned_scales)
{
    codes("h.0.self_attn.k_proj.weight", DTYPE_BF16);
    table_add(&table, "h.0.self_attn.k_scale", DTYPE_F32, 0, NULL);
    kept("h.0.ln.scale", DTYPE_F32, 1, 4);
    finish_table();
    is_exported(PRESET_HF);
    ck_assert_uint_eq(plan.unread_count, 0);
    ck_assert_int_eq(form_of("h.0.self_attn.k_scale"), FORM_SAME);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("export_states");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, another_method);
    tcase_add_test(tc, other_dtypes);
    tcase_add_loop_test(tc, kept_apart_from_its_scales, 0, COUNT(forms));
    tcase_add_loop_test(tc, experts_apart_from_their_scales, 0, COUNT(expert_scales));
    tcase_add_test(tc, without_scales);
    tcase_add_loop_test(tc, stray_scales, 0, 2);
    tcase_add_test(tc, only_described);
    tcase_add_loop_test(tc, scales_of_activations, 0, PRESET_COUNT);
    tcase_add_test(tc, learned_scales);
    return run_tests("export_states", tc);
}
