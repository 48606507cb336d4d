/* Decisions about checkpoints that are quantized already, in whole or in part. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/recipe/decide.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/scratch.h"

static made_checkpoint made;
static checkpoint *cp;
static fp8_pairs pairs;
static recipe rules;
static err e;

static void begin(void)
{
    scratch_make();
    made = (made_checkpoint){0};
    cp = NULL;
    pairs = (fp8_pairs){0};
    rules = (recipe){0};
    e = (err){0};
}

static void end(void)
{
    recipe_free(&rules);
    fp8_pairs_free(&pairs);
    checkpoint_close(cp);
    made_free(&made);
    scratch_remove();
}

static void add(const char *name, dtype type, uint64_t rows, uint64_t cols)
{
    made_add(&made, name, type, 2, (uint64_t[]){rows, cols}, false);
}

static void find(const char *config)
{
    made_write(&made, scratch_dir, 1);
    scratch_text("config.json", config);
    expect_ok(checkpoint_open(scratch_dir, &(monitor){0}, &cp, &e), &e);
    expect_ok(decide_pairs(&rules, cp, NULL, &pairs, &e), &e);
}

static err_code decide(const char *name, decision *out)
{
    const tensor *const t = checkpoint_find(cp, name);
    ck_assert_msg(t != NULL, "%s", name);
    return decide_tensor(&rules, cp, &pairs, (size_t)(t - cp->tensors), NULL, out, &e);
}

static void is(const char *name, recipe_action action, recipe_reason reason)
{
    decision d;
    expect_ok(decide(name, &d), &e);
    ck_assert_msg(d.action == action && d.reason == reason, "%s: %s, %s", name,
                  recipe_action_name(d.action), recipe_reason_name(d.reason));
}

/* An expert of another method, its parts, and a layer that was left wide. */
static void add_int4(void)
{
    add("h.0.mlp.up_proj.weight_packed", DTYPE_I32, 256, 32);
    add("h.0.mlp.up_proj.weight_scale", DTYPE_BF16, 256, 8);
    add("h.0.self_attn.q_proj.weight", DTYPE_BF16, 256, 256);
    add("h.0.mlp.gate.weight", DTYPE_BF16, 8, 256);
}

START_TEST(another_method)
{
    add_int4();
    find("{}");
    is("h.0.mlp.up_proj.weight_packed", ACTION_KEEP, REASON_FOREIGN);
    is("h.0.mlp.up_proj.weight_scale", ACTION_KEEP, REASON_PART);
    is("h.0.self_attn.q_proj.weight", ACTION_KEEP, REASON_SPARED);
}
END_TEST

/* Rules come first, but nothing makes numbers of what is none. */
START_TEST(rules_about_it)
{
    decision d;
    add_int4();
    find("{}");
    expect_ok(recipe_add_rule(&rules, "*q_proj.weight", true, true, &e), &e);
    expect_ok(recipe_add_rule(&rules, "*_packed", false, true, &e), &e);
    is("h.0.self_attn.q_proj.weight", ACTION_QUANTIZE, REASON_RULE);
    is("h.0.mlp.up_proj.weight_packed", ACTION_KEEP, REASON_RULE);
    expect_ok(recipe_add_rule(&rules, "*_scale", true, true, &e), &e);
    expect_error(decide("h.0.mlp.up_proj.weight_scale", &d), ERR_USAGE, &e,
                 "cannot be quantized as a rule asks");
    e = (err){0};
    expect_ok(recipe_add_rule(&rules, "*_packed", true, true, &e), &e);
    expect_error(decide("h.0.mlp.up_proj.weight_packed", &d), ERR_USAGE, &e, "not BF16");
}
END_TEST

/* Files of the first set of rules verify as they were made. */
START_TEST(first_set)
{
    add_int4();
    rules.built_in = 1;
    find("{}");
    is("h.0.mlp.up_proj.weight_packed", ACTION_KEEP, REASON_DTYPE);
    is("h.0.self_attn.q_proj.weight", ACTION_QUANTIZE, REASON_LINEAR);
}
END_TEST

/* Scales under names, and tiles in places, that the first set did not know. */
static const struct {
    const char *scales;
    dtype type;
    uint64_t rows, cols;
    const char *config;
    recipe_action action;
    recipe_reason reason;
} first[] = {
    {"scale", DTYPE_F32, 2, 2, "{}", ACTION_KEEP, REASON_FP8},
    {"qscale_weight", DTYPE_F32, 2, 2, "{}", ACTION_KEEP, REASON_FP8},
    {"weight_scale", DTYPE_F32, 2, 2, "{}", ACTION_CARRY, REASON_FP8_TILES},
    {"weight_scale_inv", DTYPE_F32, 2, 2, "{}", ACTION_CARRY, REASON_FP8_TILES},
    {"weight_scale_inv", DTYPE_F32, 2, 2,
     "{\"text_config\": {\"quantization_config\": {\"weight_block_size\": [64, 64]}}}",
     ACTION_CARRY, REASON_FP8_TILES},
    {"weight_scale_inv", DTYPE_F32, 2, 2,
     "{\"quantization_config\": {\"weight_block_size\": [128, 128]}, \"vision_config\": "
     "{\"quantization_config\": {\"weight_block_size\": [64, 64]}}}",
     ACTION_CARRY, REASON_FP8_TILES},
    {"weight_scale_inv", DTYPE_F32, 2, 2,
     "{\"quantization_config\": {\"config_groups\": {\"a\": {\"weights\": {\"num_bits\": 4}}, \"b\": "
     "{\"weights\": {\"block_structure\": [64, 64]}}}}}",
     ACTION_CARRY, REASON_FP8_TILES},
    {"weight_scale_inv", DTYPE_F8_E8M0, 256, 8,
     "{\"quantization_config\": {\"weight_block_size\": [1, 32]}}", ACTION_QUANTIZE,
     REASON_REQUANTIZED},
};

START_TEST(first_set_and_fp8)
{
    char scales[64];
    snprintf(scales, sizeof scales, "h.0.attn.wq_a.%s", first[_i].scales);
    add("h.0.attn.wq_a.weight", DTYPE_F8_E4M3, 256, 256);
    add(scales, first[_i].type, first[_i].rows, first[_i].cols);
    add("h.0.attn.wq_a.zero_point", DTYPE_F32, 1, 1);
    scratch_text("quantize_config.json", "not JSON");
    rules.built_in = 1;
    rules.requantize = true;
    find(first[_i].config);
    is("h.0.attn.wq_a.weight", first[_i].action, first[_i].reason);
    is("h.0.attn.wq_a.zero_point", ACTION_KEEP, REASON_NOT_LINEAR);
}
END_TEST

/* FP8 that would be refused by itself is copied next to what no export describes; asked for, it is
 * quantized again all the same. */
START_TEST(other_fp8_beside_it)
{
    decision d;
    const bool beside = _i == 1;
    if (beside) {
        add_int4();
    }
    add("h.0.self_attn.k_proj.weight", DTYPE_F8_E4M3, 256, 256);
    add("h.0.self_attn.k_proj.weight_scale", DTYPE_F32, 1, 1);
    add("h.0.self_attn.v_proj.weight", DTYPE_F8_E4M3, 256, 256);
    find("{}");
    if (beside) {
        is("h.0.self_attn.k_proj.weight", ACTION_KEEP, REASON_FOREIGN);
        is("h.0.self_attn.k_proj.weight_scale", ACTION_KEEP, REASON_FP8);
        is("h.0.self_attn.v_proj.weight", ACTION_KEEP, REASON_FOREIGN);
    } else {
        expect_error(decide("h.0.self_attn.k_proj.weight", &d), ERR_INPUT, &e,
                     "FP8 with one scale for the whole tensor");
        e = (err){0};
        expect_error(decide("h.0.self_attn.v_proj.weight", &d), ERR_INPUT, &e, "without scales");
    }
    rules.requantize = true;
    is("h.0.self_attn.k_proj.weight", ACTION_QUANTIZE, REASON_REQUANTIZED);
    is("h.0.self_attn.k_proj.weight_scale", ACTION_SCALES, REASON_REQUANTIZED);
}
END_TEST

/* What a hint says can be typed. */
START_TEST(names_that_are_no_globs)
{
    decision d;
    add("h.0.mlp.experts[3].weight", DTYPE_F8_E4M3, 256, 256);
    add("h.0.mlp.experts[3].weight_scale", DTYPE_F32, 256, 1);
    find("{}");
    const err_code code = decide("h.0.mlp.experts[3].weight", &d);
    ck_assert_msg(strstr(e.hint, "--keep 'h.0.mlp.experts?3].weight'") != NULL, "%s", e.hint);
    expect_error(code, ERR_INPUT, &e, "experts[3].weight: FP8");
    e = (err){0};
    expect_ok(recipe_add_rule(&rules, "h.0.mlp.experts?3].weight", false, true, &e), &e);
    is("h.0.mlp.experts[3].weight", ACTION_KEEP, REASON_RULE);
}
END_TEST

START_TEST(block_fp8_and_scales_of_activations)
{
    add("h.0.self_attn.k_proj.weight", DTYPE_F8_E4M3, 256, 256);
    add("h.0.self_attn.k_proj.scale", DTYPE_F8_E8M0, 2, 2);
    add("h.0.self_attn.k_proj.k_scale", DTYPE_F32, 1, 1);
    add("h.0.self_attn.q_proj.weight", DTYPE_BF16, 256, 256);
    find("{}");
    is("h.0.self_attn.k_proj.weight", ACTION_CARRY, REASON_FP8_TILES);
    is("h.0.self_attn.k_proj.scale", ACTION_SCALES, REASON_FP8_TILES);
    is("h.0.self_attn.k_proj.k_scale", ACTION_KEEP, REASON_PART);
    is("h.0.self_attn.q_proj.weight", ACTION_KEEP, REASON_SPARED);
}
END_TEST

/* What a description says matters only if its method would not show. */
static const struct {
    const char *config;
    recipe_reason reason;
} configs[] = {
    {"{\"quantization_config\": {\"quant_method\": \"gptq\"}}", REASON_LINEAR},
    {"{\"quantization_config\": {\"quant_method\": \"fancyquant\"}}", REASON_SPARED},
    {"{\"a_config\": {\"quantization_config\": {\"quant_method\": \"fancyquant\"}}}",
     REASON_SPARED},
};

START_TEST(descriptions)
{
    add("h.0.self_attn.q_proj.weight", DTYPE_BF16, 256, 256);
    find(configs[_i].config);
    is("h.0.self_attn.q_proj.weight",
       configs[_i].reason == REASON_LINEAR ? ACTION_QUANTIZE : ACTION_KEEP, configs[_i].reason);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("decide");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, another_method);
    tcase_add_test(tc, rules_about_it);
    tcase_add_test(tc, first_set);
    tcase_add_loop_test(tc, first_set_and_fp8, 0, COUNT(first));
    tcase_add_loop_test(tc, other_fp8_beside_it, 0, 2);
    tcase_add_test(tc, names_that_are_no_globs);
    tcase_add_test(tc, block_fp8_and_scales_of_activations);
    tcase_add_loop_test(tc, descriptions, 0, COUNT(configs));
    return run_tests("decide", tc);
}
