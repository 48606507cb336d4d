/* The state of each tensor of small models, as each method stores them. A case is a text: one tensor
 * per entry, "NAME DTYPE DIMENSIONS expected STATE", and which weight a part belongs to. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/quantized/tensor_state.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"

typedef struct expected {
    const char *name;
    dtype type;
    unsigned ndim;
    uint64_t shape[3];
    state_kind kind;
    const char *of; /* a part: its weight, NULL: none; otherwise the method, NULL: plain */
    bool known;
} expected;

enum { MAX_TENSORS = 12 };

#define T(type) DTYPE_##type
#define PLAIN   STATE_PLAIN, NULL, false

static const struct {
    const char *described;
    expected tensors[MAX_TENSORS]; /* sorted by name */
} cases[] = {
    {"", /* nothing but numbers, and integers that are data */
     {{"attn.bias", T(BOOL), 3, {1, 8, 8}, PLAIN},
      {"attn.mask", T(U8), 3, {1, 8, 8}, PLAIN},
      {"attn.scale", T(F32), 1, {8}, PLAIN},
      {"gate.tid2eid", T(I64), 2, {64, 8}, PLAIN},
      {"ln.input_scale", T(F32), 1, {8}, PLAIN},
      {"ln.scales", T(F32), 2, {8, 8}, PLAIN},
      {"position_ids", T(I64), 2, {1, 77}, PLAIN},
      {"q.weight", T(BF16), 2, {8, 8}, PLAIN},
      {"self_attn.k_scale", T(F32), 0, {0}, PLAIN}}},
    {"", /* NVFP4 of compressed-tensors, block FP8 beside it */
     {{"e.input_global_scale", T(F32), 1, {1}, STATE_PART, "e.weight_packed", false},
      {"e.weight_global_scale", T(F32), 1, {1}, STATE_PART, "e.weight_packed", false},
      {"e.weight_packed", T(U8), 2, {512, 128}, STATE_FOREIGN, "NVFP4", false},
      {"e.weight_scale", T(F8_E4M3), 2, {512, 16}, STATE_PART, "e.weight_packed", false},
      {"q.weight", T(F8_E4M3), 2, {256, 256}, STATE_FP8, "FP8", false},
      {"q.weight_scale", T(BF16), 2, {2, 2}, STATE_PART, "q.weight", false}}},
    {"modelopt NVFP4", /* ModelOpt, also for experts in one tensor */
     {{"a.weight", T(U8), 2, {512, 128}, STATE_FOREIGN, "NVFP4", false},
      {"a.weight_scale", T(F8_E4M3), 2, {512, 16}, STATE_PART, "a.weight", false},
      {"a.weight_scale_2", T(F32), 0, {0}, STATE_PART, "a.weight", false},
      {"experts.down_proj", T(U8), 3, {2, 512, 128}, STATE_FOREIGN, "NVFP4", false},
      {"experts.down_proj_bias", T(BF16), 2, {2, 512}, PLAIN},
      {"experts.down_proj_input_scale", T(F32), 0, {0}, STATE_PART, "experts.down_proj", false},
      {"experts.down_proj_weight_scale",
       T(F8_E4M3),
       3,
       {2, 512, 16},
       STATE_PART,
       "experts.down_proj",
       false},
      {"experts.down_proj_weight_scale_2", T(F32), 1, {2}, STATE_PART, "experts.down_proj", false},
      {"q.weight", T(BF16), 2, {8, 8}, PLAIN}}},
    {"gptq",
     {{"a.g_idx", T(I32), 1, {512}, STATE_PART, "a.qweight", false},
      {"a.qweight", T(I32), 2, {64, 512}, STATE_FOREIGN, "gptq", false},
      {"a.qzeros", T(I32), 2, {4, 64}, STATE_PART, "a.qweight", false},
      {"a.scales", T(F16), 2, {4, 512}, STATE_PART, "a.qweight", false}}},
    {"", /* the same, without a description */
     {{"a.g_idx", T(I32), 1, {512}, STATE_PART, "a.qweight", false},
      {"a.qweight", T(I32), 2, {64, 512}, STATE_FOREIGN, "GPTQ", false},
      {"b.qweight", T(I32), 2, {64, 512}, STATE_FOREIGN, "AWQ or GPTQ", false},
      {"b.qzeros", T(I32), 2, {4, 64}, STATE_PART, "b.qweight", false},
      {"b.scales", T(F16), 2, {4, 512}, STATE_PART, "b.qweight", false}}},
    {"",
     {{"a.weight", T(U8), 2, {8192, 1}, STATE_FOREIGN, "bitsandbytes", false},
      {"a.weight.absmax", T(U8), 1, {256}, STATE_PART, "a.weight", false},
      {"a.weight.nested_absmax", T(F32), 1, {4}, STATE_PART, "a.weight", false},
      {"a.weight.quant_map", T(F32), 1, {16}, STATE_PART, "a.weight", false},
      {"a.weight.quant_state.bitsandbytes__nf4", T(U8), 1, {80}, STATE_PART, "a.weight", false},
      {"b.SCB", T(F32), 1, {8}, STATE_PART, "b.weight", false},
      {"b.weight", T(I8), 2, {8, 8}, STATE_FOREIGN, "bitsandbytes", false},
      {"b.weight_format", T(U8), 0, {0}, STATE_PART, "b.weight", false}}},
    {"", /* gpt-oss */
     {{"experts.down_proj_bias", T(BF16), 2, {2, 8}, PLAIN},
      {"experts.down_proj_blocks", T(U8), 3, {2, 8, 16}, STATE_FOREIGN, "MXFP4", false},
      {"experts.down_proj_scales",
       T(U8),
       3,
       {2, 8, 1},
       STATE_PART,
       "experts.down_proj_blocks",
       false}}},
    {"w4afp8",
     {{"e.input_scale", T(F32), 1, {1}, STATE_PART, "e.weight", false},
      {"e.weight", T(I8), 2, {8, 64}, STATE_FOREIGN, "w4afp8", false},
      {"e.weight_scale_inv", T(BF16), 2, {8, 1}, STATE_PART, "e.weight", false}}},
    {"fp8", /* DeepSeek-V4; integers are not FP8, whatever the description says */
     {{"e.scale", T(F8_E8M0), 2, {8, 4}, STATE_PART, "e.weight", false},
      {"e.weight", T(I8), 2, {8, 64}, STATE_FOREIGN, "MXFP4", false},
      {"q.scale", T(F8_E8M0), 2, {1, 1}, STATE_PART, "q.weight", false},
      {"q.weight", T(F8_E4M3), 2, {128, 128}, STATE_FP8, "FP8", false},
      {"z.weight", T(I8), 2, {8, 64}, STATE_FOREIGN, "an unknown method", false}}},
    {"compressed-tensors pack-quantized",
     {{"e.weight_packed",
       T(I32),
       2,
       {8, 8},
       STATE_FOREIGN,
       "compressed-tensors pack-quantized",
       false},
      {"e.weight_scale", T(BF16), 2, {8, 2}, STATE_PART, "e.weight_packed", false},
      {"e.weight_shape", T(I32), 1, {2}, STATE_PART, "e.weight_packed", false}}},
    {"",
     {{"aqlm.codebooks", T(F16), 3, {1, 8, 8}, STATE_PART, "aqlm.codes", false},
      {"aqlm.codes", T(I16), 3, {8, 8, 1}, STATE_FOREIGN, "AQLM", false},
      {"exl2.q_scale", T(I32), 2, {8, 8}, STATE_PART, "exl2.q_weight", false},
      {"exl2.q_weight", T(I32), 2, {8, 8}, STATE_FOREIGN, "EXL2", false},
      {"exl3.svh", T(F16), 1, {8}, STATE_PART, "exl3.trellis", false},
      {"exl3.trellis", T(I16), 3, {8, 8, 64}, STATE_FOREIGN, "EXL3", false},
      {"hqq.W_q", T(U8), 2, {8, 8}, STATE_FOREIGN, "HQQ", false},
      {"hqq.scale", T(F16), 2, {8, 1}, STATE_PART, "hqq.W_q", false},
      {"hqq.zero", T(F16), 2, {8, 1}, STATE_PART, "hqq.W_q", false},
      {"mlx.biases", T(BF16), 2, {8, 1}, STATE_PART, "mlx.weight", false},
      {"mlx.scales", T(BF16), 2, {8, 1}, STATE_PART, "mlx.weight", false},
      {"mlx.weight", T(U32), 2, {8, 8}, STATE_FOREIGN, "MLX", false}}},
    {"", /* other forms of FP8 */
     {{"e5m2.weight", T(F8_E5M2), 2, {8, 8}, STATE_FP8, "FP8 (F8_E5M2)", false},
      {"e5m2.weight_scale_inv", T(F32), 2, {1, 1}, STATE_PART, "e5m2.weight", false},
      {"fnuz.weight", T(F8_E4M3FNUZ), 2, {8, 8}, STATE_FP8, "FP8 (F8_E4M3FNUZ)", false},
      {"k_proj.k_scale", T(F32), 0, {0}, STATE_PART, NULL, false},
      {"mx.weight", T(F8_E4M3), 2, {8, 64}, STATE_FOREIGN, "MXFP8", false},
      {"mx.weight_scale", T(U8), 2, {8, 2}, STATE_PART, "mx.weight", false},
      {"mx8.weight", T(F8_E4M3), 2, {8, 64}, STATE_FOREIGN, "MXFP8", false},
      {"mx8.weight_scale", T(F8_E8M0), 2, {8, 2}, STATE_PART, "mx8.weight", false},
      {"odd.weight", T(F8_E4M3), 2, {8, 8}, STATE_FOREIGN, "FP8 in a form of its own", false},
      {"odd.weight_scale", T(F32), 2, {8, 1}, STATE_PART, "odd.weight", false},
      {"odd.weight_zero_point", T(F32), 2, {8, 1}, STATE_PART, "odd.weight", false},
      {"plain.weight", T(F8_E4M3), 2, {8, 8}, STATE_FP8, "FP8 without scales", false}}},
    {"", /* what is left when a weight is gone, or has become plain numbers */
     {{"a.qzeros", T(I32), 2, {8, 8}, STATE_PART, NULL, false},
      {"a.weight_scale_inv", T(F32), 2, {1, 1}, STATE_PART, NULL, false},
      {"b.weight", T(BF16), 2, {8, 8}, PLAIN},
      {"b.weight_scale", T(F32), 2, {8, 1}, STATE_PART, NULL, false},
      {"e8m0", T(F8_E8M0), 2, {8, 8}, STATE_FP8, "F8_E8M0", false},
      {"w.weight_scale", T(F8_E4M3), 2, {8, 8}, STATE_PART, NULL, false}}},
    {"", /* a packed file: stacks, codes whose scales are records of their own */
     {{"e.experts.*.up.weight", T(U8), 2, {8, 8}, STATE_FOREIGN, "NVFP4", false},
      {"e.experts.*.up.weight_scale",
       T(F8_E4M3),
       2,
       {8, 1},
       STATE_PART,
       "e.experts.*.up.weight",
       false},
      {"e.experts.0.up.weight_scale_2", T(F32), 0, {0}, STATE_PART, "e.experts.*.up.weight", false},
      {"e.experts.7.up.weight_scale_2", T(F32), 0, {0}, STATE_PART, "e.experts.*.up.weight", false},
      {"here.input_scale", T(F32), 0, {0}, STATE_PART, NULL, false},
      {"here.scale", T(F32), 0, {0}, STATE_PART, NULL, false},
      {"here.weight", T(BF16), 2, {8, 8}, STATE_BLOCK_FP8, NULL, true},
      {"here.weight_scale", T(F32), 2, {8, 1}, STATE_PART, NULL, false},
      {"here.zero", T(F32), 0, {0}, PLAIN},
      {"q.input_scale", T(F32), 0, {0}, STATE_PART, "q.weight", false},
      {"q.weight", T(F8_E4M3), 2, {8, 8}, STATE_BLOCK_FP8, NULL, true}}},
};

static size_t count_of(const expected *x)
{
    size_t n = 0;
    while (n < MAX_TENSORS && x[n].name) {
        n++;
    }
    return n;
}

START_TEST(every_method)
{
    err e = {0};
    named_tensor list[MAX_TENSORS] = {0};
    tensor_states s;
    const expected *const x = cases[_i].tensors;
    const size_t count = count_of(x);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(i == 0 || strcmp(x[i - 1].name, x[i].name) < 0, "order of %s", x[i].name);
        list[i] = (named_tensor){x[i].name, x[i].type, x[i].ndim, x[i].shape, x[i].known};
    }
    expect_ok(tensor_states_find(list, count, cases[_i].described, NULL, &s, &e), &e);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const tensor_state *const t = &s.of[i];
        const char *const found = t->kind != STATE_PART     ? t->method
                                  : t->weight != STATE_NONE ? list[t->weight].name
                                                            : NULL;
        any = any || t->kind != STATE_PLAIN;
        ck_assert_msg(t->kind == x[i].kind, "%s: %s", x[i].name, state_name(t->kind));
        ck_assert_msg((!found && !x[i].of) || (found && x[i].of && strcmp(found, x[i].of) == 0),
                      "%s: of %s", x[i].name, found ? found : "nothing");
    }
    ck_assert(s.any == any);
    tensor_states_free(&s);
}
END_TEST

/* Every dtype that is not plain numbers is not plain as a weight. */
START_TEST(every_dtype)
{
    static const dtype plain[] = {T(BF16), T(F16), T(F32), T(F64), T(BOOL), T(C64)};
    const dtype type = (dtype)_i;
    const uint64_t shape[] = {64, 64};
    const named_tensor list[] = {{"model.layers.0.mlp.up_proj.weight", type, 2, shape, false}};
    err e = {0};
    tensor_states s;
    bool is_number = false;
    for (size_t i = 0; i < COUNT(plain); i++) {
        is_number = is_number || plain[i] == type;
    }
    expect_ok(tensor_states_find(list, 1, "", NULL, &s, &e), &e);
    ck_assert_msg((s.of[0].kind == STATE_PLAIN) == is_number, "%s", dtype_name(type));
    tensor_states_free(&s);
}
END_TEST

/* Both names of scales: the pair is not accepted, and neither tensor is plain. */
START_TEST(two_names)
{
    const uint64_t shape[] = {64, 64};
    const named_tensor list[] = {{"a.weight", T(F8_E4M3), 2, shape, false},
                                 {"a.weight_scale", T(F32), 2, shape, false},
                                 {"a.weight_scale_inv", T(F32), 2, shape, false}};
    err e = {0};
    tensor_states s;
    expect_ok(tensor_states_find(list, 3, "", NULL, &s, &e), &e);
    ck_assert(s.of[0].two_scales);
    ck_assert_int_eq(s.of[1].kind, STATE_PART);
    ck_assert_int_eq(s.of[2].kind, STATE_PART);
    tensor_states_free(&s);
}
END_TEST

static const struct {
    const char *weight;
    unsigned spelling;
    const char *scales; /* NULL: none */
} names[] = {
    {"a.weight", 0, "a.weight_scale_inv"},
    {"a.weight", 1, "a.weight_scale"},
    {"a.weight", 2, "a.scale"},
    {"weight", 3, "qscale_weight"},
    {"a.weight", 4, "a.scale_weight"},
    {"experts.up", 0, "experts.up_scale_inv"},
    {"experts.up", 2, NULL},
    {"a.weight", 5, NULL},
};

START_TEST(names_of_scales)
{
    char name[32];
    const bool is = fp8_scales_name(names[_i].weight, names[_i].spelling, name, sizeof name);
    ck_assert(is == (names[_i].scales != NULL));
    if (is) {
        ck_assert_str_eq(name, names[_i].scales);
        ck_assert(!fp8_scales_name(names[_i].weight, names[_i].spelling, name, strlen(name)));
    }
}
END_TEST

static err_code find_with(void *ctx, const monitor *m, err *e)
{
    static const named_tensor pair[] = {{.name = "a.weight", .type = DTYPE_F8_E4M3},
                                        {.name = "a.weight_scale_inv", .type = DTYPE_F32}};
    tensor_states s;
    (void)ctx;
    const err_code code = tensor_states_find(pair, 2, "", m, &s, e);
    tensor_states_free(&s);
    return code;
}

START_TEST(finding_can_be_cancelled)
{
    ck_assert_uint_eq(cancel_each(find_with, NULL), 5);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("tensor_state");
    tcase_add_test(tc, finding_can_be_cancelled);
    tcase_add_loop_test(tc, every_method, 0, COUNT(cases));
    tcase_add_loop_test(tc, every_dtype, 1, DTYPE_COUNT);
    tcase_add_test(tc, two_names);
    tcase_add_loop_test(tc, names_of_scales, 0, COUNT(names));
    return run_tests("tensor_state", tc);
}
