/* Whether a runtime would load a plan: runs, warnings, refusals, on small tables. */
#include "convert/fit/fit.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table table;
static fit found;
static err e;

static void setup(void)
{
    table = table_with_room(64);
    e = (err){0};
}

static void teardown(void)
{
    fit_free(&found);
    pack_table_free(&table);
}

static void codes(const char *name, uint64_t rows, uint64_t cols)
{
    table_add_codes(&table, name, DTYPE_BF16, 2, (uint64_t[]){rows, cols});
}

static void codes3(const char *name, uint64_t count, uint64_t rows, uint64_t cols)
{
    table_add_codes(&table, name, DTYPE_BF16, 3, (uint64_t[]){count, rows, cols});
}

static void kept(const char *name)
{
    table_add(&table, name, DTYPE_BF16, 2, (uint64_t[]){8, 8});
}

static fit_sizes sizes(size_t count, const uint64_t *numbers)
{
    fit_sizes s = {.count = count};
    memcpy(s.sizes, numbers, count * sizeof *numbers);
    return s;
}

#define SIZES(...)                                                                                 \
    sizes(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[]){__VA_ARGS__})

static err_code make(preset_id id, const char *config, fit_sizes tp, fit_sizes ep)
{
    const fit_question q = {.table = &table,
                            .config = config,
                            .config_bytes = config ? strlen(config) : 0,
                            .preset = &preset_table[id],
                            .tp = tp,
                            .ep = ep};
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(pack_table_place(&table, 65536, &e), &e);
    fit_free(&found);
    return fit_make(&q, &found, &e);
}

static void makes(preset_id id, const char *config, fit_sizes tp, fit_sizes ep)
{
    expect_ok(make(id, config, tp, ep), &e);
}

/* "tp/ep:reason:size/split ..." of everything that is wrong. */
static void expect_faults(const char *expected)
{
    char text[1024] = "";
    for (size_t i = 0; i < found.run_count; i++) {
        const fit_run *const run = &found.runs[i];
        for (size_t k = 0; k < run->count; k++) {
            const fit_fault_of_run *const x = &found.faults[run->first + k];
            const size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%d/%d:%s:%d/%d", used ? " " : "",
                     (int)run->tp, (int)run->ep, fit_reason_name(x->reason), (int)x->fault.size,
                     (int)x->fault.split);
        }
    }
    ck_assert_str_eq(text, expected);
}

static void expect_warnings(const char *expected)
{
    char text[512] = "";
    for (size_t i = 0; i < found.warning_count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s%s", used ? " " : "",
                 fit_warning_name(found.warnings[i].id), found.warnings[i].blocks ? "!" : "");
    }
    ck_assert_str_eq(text, expected);
}

static const char two_layers[] = "{\"num_hidden_layers\": 2, \"num_attention_heads\": 8, "
                                 "\"num_key_value_heads\": 2, \"head_dim\": 128}";

/* ---- runs ------------------------------------------------------ */

START_TEST(numbers_in_names_are_one_kind)
{
    codes("model.layers.0.mlp.down_proj.weight", 256, 512);
    codes("model.layers.1.mlp.down_proj.weight", 256, 512);
    codes("model.layers.2.mlp.down_proj.weight", 256, 256);
    codes3("model.layers.1.mlp.experts.*.down_proj.weight", 6, 256, 512);
    codes("model.layers.0.mlp.experts.7.down_proj.weight", 256, 512);
    makes(PRESET_VLLM, NULL, SIZES(1), SIZES(1));
    ck_assert_uint_eq(found.kind_count, 3);
    ck_assert_str_eq(found.kinds[0].module, "model.layers.*.mlp.down_proj");
    ck_assert_uint_eq(found.kinds[0].rows, 256);
    ck_assert_uint_eq(found.kinds[0].cols, 256);
    ck_assert_uint_eq(found.kinds[1].matrices, 2);
    ck_assert_str_eq(found.kinds[2].module, "model.layers.*.mlp.experts.*.down_proj");
    ck_assert_uint_eq(found.kinds[2].matrices, 7);
    ck_assert(found.kinds[2].expert && !found.kinds[1].expert);
}
END_TEST

START_TEST(many_kinds)
{
    pack_table_free(&table);
    table = table_with_room(1400);
    for (unsigned i = 0; i < 700; i++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.%u.x%u.down_proj.weight", i / 100, i % 350);
        codes(name, 128, 128);
    }
    makes(PRESET_VLLM, NULL, SIZES(2), SIZES(1));
    ck_assert_uint_eq(found.kind_count, 350);
    ck_assert_uint_eq(found.runs[0].count, 350);
    ck_assert_uint_eq(found.runs[0].matrices, 700);
}
END_TEST

/* 64 times 64 runs, in each of which no matrix fits. */
START_TEST(too_many_faults)
{
    const uint64_t kinds = FIT_MAX_FAULTS / (FIT_MAX_SIZES * FIT_MAX_SIZES);
    fit_sizes tp = {.count = FIT_MAX_SIZES};
    fit_sizes ep = {.count = FIT_MAX_SIZES};
    for (size_t i = 0; i < FIT_MAX_SIZES; i++) {
        tp.sizes[i] = 2 + i;
        ep.sizes[i] = 1;
    }
    pack_table_free(&table);
    table = table_with_room(1400);
    for (uint64_t i = 0; i <= kinds; i++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.0.x%u.down_proj.weight", (unsigned)i);
        codes(name, 128, 128);
    }
    ck_assert_int_eq(make(PRESET_VLLM, NULL, tp, ep), ERR_INPUT);
    ck_assert_str_eq(e.text, "more than 65536 reasons why runs on these devices do not fit");
    ck_assert_uint_eq(found.fault_count, FIT_MAX_FAULTS);
}
END_TEST

/* The keys of recurrent layers; the last part of a merged matrix in two runtimes. */
START_TEST(mamba_is_merged)
{
    static const char nemotron[] = "{\"mamba_num_heads\": 64, \"mamba_head_dim\": 64, "
                                   "\"n_groups\": 8, \"ssm_state_size\": 128}";
    static const char bamba[] = "{\"mamba_n_heads\": 64, \"mamba_d_head\": 64, "
                                "\"mamba_n_groups\": 8, \"mamba_d_state\": 128}";
    codes("backbone.layers.0.mixer.in_proj.weight", 10304, 256);
    makes(PRESET_SGLANG, nemotron, SIZES(1), SIZES(1));
    expect_faults("1/1:rows:64/1");
    makes(PRESET_SGLANG, bamba, SIZES(1), SIZES(1));
    expect_faults("1/1:rows:64/1");
    makes(PRESET_VLLM, bamba, SIZES(1, 2), SIZES(1));
    expect_faults("2/1:rows:64/2");
    makes(PRESET_HF, bamba, SIZES(1), SIZES(1));
    expect_faults("");
}
END_TEST

/* vLLM finds out how large tiles of an indexer's wk are; SGLang knows it. */
START_TEST(tiles_of_indexers_are_guessed)
{
    codes("model.layers.0.self_attn.indexer.wk.weight", 128, 160);
    kept("model.layers.0.self_attn.indexer.weights_proj.weight");
    makes(PRESET_VLLM, NULL, SIZES(1), SIZES(1));
    expect_faults("1/1:columns:160/1");
    makes(PRESET_SGLANG, NULL, SIZES(1), SIZES(1));
    expect_faults("");
    makes(PRESET_HF, NULL, SIZES(1), SIZES(1));
    expect_faults("");
}
END_TEST

START_TEST(every_pair_is_judged)
{
    codes("model.layers.0.self_attn.o_proj.weight", 256, 1024);
    codes("model.layers.1.mlp.shared_experts.down_proj.weight", 256, 512);
    codes3("model.layers.1.mlp.experts.*.down_proj.weight", 6, 256, 256);
    makes(PRESET_VLLM, two_layers, SIZES(1, 4, 8), SIZES(1, 8));
    ck_assert_uint_eq(found.run_count, 6);
    expect_faults("1/8:experts:6/8 "
                  "4/1:columns:256/4 "
                  "4/8:experts:6/8 "
                  "8/1:columns:256/8 8/1:columns:512/8 "
                  "8/8:experts:6/8 8/8:columns:512/8");
    ck_assert_uint_eq(found.runs[4].matrices, 7);
    ck_assert(!fit_says_yes(&found));
    makes(PRESET_VLLM, two_layers, SIZES(2), SIZES(1, 2));
    expect_faults("");
    ck_assert(fit_says_yes(&found));
}
END_TEST

START_TEST(heads_are_shared)
{
    codes("model.layers.0.self_attn.o_proj.weight", 256, 4096);
    codes("model.layers.1.self_attn.o_proj.weight", 256, 4096);
    makes(PRESET_VLLM, two_layers, SIZES(1, 2, 4, 8, 16), SIZES(1));
    expect_faults("16/1:heads:8/16");
    /* transformers never copies a head of k and v to two devices. */
    makes(PRESET_HF, two_layers, SIZES(2, 4), SIZES(1));
    expect_faults("4/1:kv-heads:2/4");
    makes(PRESET_VLLM, "{\"num_attention_heads\": 6, \"num_key_value_heads\": 4}", SIZES(2, 6),
          SIZES(1));
    expect_faults("6/1:kv-heads:4/6 6/1:columns:4096/6");
    makes(PRESET_VLLM,
          "{\"num_attention_heads\": 16, \"num_key_value_heads\": 3, \"kv_lora_rank\": 512}",
          SIZES(2, 16), SIZES(1));
    expect_faults("");
    makes(PRESET_BF16, two_layers, SIZES(8, 3), SIZES(1));
    expect_faults("3/1:heads:8/3 3/1:kv-heads:2/3");
    makes(PRESET_VLLM, "{\"text_config\": {\"num_attention_heads\": 6}}", SIZES(4), SIZES(1));
    expect_faults("4/1:heads:6/4 4/1:kv-heads:6/4");
}
END_TEST

START_TEST(groups_of_the_norm)
{
    codes("model.layers.0.attention.dense.weight", 256, 4096);
    makes(PRESET_ANT_SGLANG, "{\"group_norm_size\": 4}", SIZES(4, 8), SIZES(1));
    expect_faults("8/1:norm-groups:4/8");
    makes(PRESET_ANT_SGLANG, "{\"model_type\": \"bailing_moe_linear\"}", SIZES(1, 2), SIZES(1));
    expect_faults("2/1:norm-groups:1/2");
}
END_TEST

START_TEST(experts_are_spread)
{
    codes3("model.layers.0.mlp.experts.*.gate_proj.weight", 8, 512, 256);
    codes3("model.layers.0.mlp.experts.*.up_proj.weight", 8, 512, 256);
    makes(PRESET_VLLM, "{}", SIZES(8), SIZES(1, 2, 8));
    expect_faults("8/1:rows:512/8 8/1:rows:512/8 8/2:sizes:8/2");
    /* Among eight, two share the experts: four devices cut each. */
    makes(PRESET_SGLANG, "{}", SIZES(8), SIZES(1, 2, 8));
    expect_faults("8/1:rows:512/8 8/1:rows:512/8");
    makes(PRESET_SGLANG, "{}", SIZES(16), SIZES(2));
    expect_faults("16/2:rows:512/8 16/2:rows:512/8");
}
END_TEST

START_TEST(no_experts_to_spread)
{
    codes("model.layers.0.mlp.down_proj.weight", 512, 256);
    makes(PRESET_VLLM, "{}", SIZES(1), SIZES(1, 2));
    expect_faults("1/2:no-experts:0/2");
    makes(PRESET_VLLM, "{\"num_local_experts\": 9}", SIZES(1), SIZES(2, 3));
    expect_faults("1/2:experts:9/2");
}
END_TEST

START_TEST(joined_matrices_begin_on_tiles)
{
    codes("model.layers.0.mlp.gate_proj.weight", 320, 256);
    codes("model.layers.0.mlp.up_proj.weight", 320, 256);
    codes("model.layers.1.mlp.up_proj.weight", 320, 256);
    codes("model.layers.1.self_attn.q_a_proj.weight", 96, 256);
    codes("model.layers.1.self_attn.kv_a_proj_with_mqa.weight", 80, 256);
    makes(PRESET_SGLANG, "{}", SIZES(1), SIZES(1));
    expect_faults("1/1:rows:320/1 1/1:rows:320/1 1/1:rows:96/1");
    makes(PRESET_HF, "{}", SIZES(1), SIZES(1));
    expect_faults("");
    makes(PRESET_BF16, "{}", SIZES(1, 2), SIZES(1));
    expect_faults("");
    ck_assert_uint_eq(found.kind_count, 0);
}
END_TEST

/* ---- warnings -------------------------------------------------- */

static err_code judge(void *ctx, const monitor *m, err *out)
{
    fit_question q = *(const fit_question *)ctx;
    q.monitor = m;
    fit_free(&found);
    return fit_make(&q, &found, out);
}

/* With a configuration an export is planned first. Two runs are judged, and three modules listed. */
START_TEST(judging_can_be_cancelled)
{
    static const char llama[] = "{\"architectures\":[\"LlamaForCausalLM\"]}";
    fit_question q = {.table = &table,
                      .config = _i ? llama : NULL,
                      .config_bytes = _i ? strlen(llama) : 0,
                      .preset = &preset_table[PRESET_VLLM],
                      .tp = SIZES(1, 2)};
    codes("model.layers.0.mlp.up_proj.weight", 256, 256);
    kept("model.layers.0.mlp.down_proj.weight");
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(pack_table_place(&table, 65536, &e), &e);
    ck_assert_uint_eq(cancel_each(judge, &q), _i ? 17 : 5);
}
END_TEST

START_TEST(a_missing_config)
{
    codes("model.layers.0.attention.query_key_value.weight", 320, 256);
    makes(PRESET_SGLANG, NULL, SIZES(1), SIZES(1));
    expect_warnings("no-config! scales-rounded unknown-split");
    ck_assert(!fit_says_yes(&found));
    expect_error(make(PRESET_SGLANG, "[1]", SIZES(1), SIZES(1)), ERR_INPUT, &e, "not an object");
    expect_error(make(PRESET_SGLANG, "{", SIZES(1), SIZES(1)), ERR_INPUT, &e, "config.json");
}
END_TEST

START_TEST(an_export_that_is_refused)
{
    codes("model.layers.0.mlp.down_proj.weight", 256, 256);
    codes("model.layers.0.mlp.gate.weight", 256, 100);
    makes(PRESET_HF, "{}", SIZES(2), SIZES(1));
    expect_warnings("export-refused!");
    ck_assert_ptr_nonnull(strstr(found.warnings[0].text, "convert --keep"));
    ck_assert_uint_eq(found.kind_count, 1); /* the router is not FP8 there, so it is not checked */
    expect_faults("");
    makes(PRESET_COMPRESSED, "{}", SIZES(1), SIZES(1));
    expect_warnings("export-refused! unknown-split");
    makes(PRESET_BF16, "{\"quantization_config\": {}}", SIZES(1), SIZES(1));
    expect_warnings("export-refused!");
}
END_TEST

START_TEST(layers_behind_the_last)
{
    codes("model.layers.0.mlp.down_proj.weight", 256, 256);
    codes("model.layers.2.mlp.down_proj.weight", 256, 256);
    table_add(&table, "model.layers.2.enorm.weight", DTYPE_BF16, 1, (uint64_t[]){8});
    makes(PRESET_HF, two_layers, SIZES(1), SIZES(1));
    expect_warnings("mtp-ignored layers-missing");
    ck_assert_ptr_nonnull(strstr(found.warnings[0].text, "2 tensors"));
    ck_assert_ptr_nonnull(strstr(found.warnings[1].text, "1 of 2 layers"));
    makes(PRESET_ANT_SGLANG, two_layers, SIZES(1), SIZES(1));
    expect_warnings("mtp-draft layers-missing");
}
END_TEST

START_TEST(mtp_that_is_missing)
{
    codes("model.layers.0.mlp.down_proj.weight", 256, 256);
    makes(PRESET_HF, "{\"num_hidden_layers\": 1, \"num_nextn_predict_layers\": 1}", SIZES(1),
          SIZES(1));
    expect_warnings("mtp-missing");
    /* Some models number these layers like all others. */
    kept("model.layers.1.eh_proj.weight");
    makes(PRESET_HF, "{\"num_hidden_layers\": 2, \"num_nextn_predict_layers\": 1}", SIZES(1),
          SIZES(1));
    expect_warnings("");
    kept("mtp.layers.0.eh_proj.weight");
    makes(PRESET_HF, "{\"num_hidden_layers\": 2}", SIZES(1), SIZES(1));
    expect_warnings("mtp-ignored");
}
END_TEST

START_TEST(experts_that_are_missing_or_fused)
{
    codes3("model.layers.0.mlp.experts.*.down_proj.weight", 7, 256, 256);
    makes(PRESET_HF, "{\"num_experts\": 8}", SIZES(1), SIZES(1));
    expect_warnings("experts-missing");
    makes(PRESET_HF, "{\"num_experts\": 7}", SIZES(1), SIZES(1));
    expect_warnings("");
    codes3("model.layers.1.mlp.experts.down_proj", 7, 256, 256);
    makes(PRESET_HF, "{\"num_experts\": 7}", SIZES(1), SIZES(1));
    expect_warnings("");
    makes(PRESET_VLLM, "{\"num_experts\": 7}", SIZES(1), SIZES(1));
    expect_warnings("export-refused! fused-experts scales-rounded");
}
END_TEST

START_TEST(heads_below_other_names)
{
    /* The head of a language model counts, that of an MTP layer does not. */
    kept("mtp.lm_head.weight");
    makes(PRESET_BF16, "{\"text_config\": {\"tie_word_embeddings\": false}}", SIZES(1), SIZES(1));
    expect_warnings("mtp-draft head-missing");
    kept("language_model.lm_head.weight");
    makes(PRESET_BF16, "{\"text_config\": {\"tie_word_embeddings\": false}}", SIZES(1), SIZES(1));
    expect_warnings("mtp-draft");
    makes(PRESET_BF16, "{\"tie_word_embeddings\": true}", SIZES(1), SIZES(1));
    expect_warnings("mtp-draft head-ignored");
    ck_assert_ptr_nonnull(strstr(found.warnings[1].text, "ignores language_model.lm_head.weight"));
}
END_TEST

START_TEST(heads_that_are_tied)
{
    codes("model.layers.0.mlp.down_proj.weight", 256, 256);
    makes(PRESET_HF, "{\"tie_word_embeddings\": false}", SIZES(1), SIZES(1));
    expect_warnings("head-missing");
    makes(PRESET_HF, "{\"tie_word_embeddings\": true}", SIZES(1), SIZES(1));
    expect_warnings("");
    kept("lm_head.weight");
    makes(PRESET_HF, "{\"tie_word_embeddings\": true}", SIZES(1), SIZES(1));
    expect_warnings("head-ignored");
    makes(PRESET_HF, "{\"tie_word_embeddings\": false}", SIZES(1), SIZES(1));
    expect_warnings("");
    makes(PRESET_HF, "{}", SIZES(1), SIZES(1));
    expect_warnings("");
}
END_TEST

START_TEST(ring_linear_and_scales)
{
    static const char ring[] = "{\"model_type\": \"bailing_moe_linear\", \"architectures\": "
                               "[\"BailingMoeLinearV2ForCausalLM\"]%s}";
    char config[256];
    codes("model.layers.0.attention.dense.weight", 256, 256);
    snprintf(config, sizeof config, ring, "");
    makes(PRESET_VLLM, config, SIZES(1), SIZES(1));
    expect_warnings("architecture! scales-rounded");
    ck_assert_str_eq(found.warnings[0].text,
                     "vLLM 0.33 does not know BailingMoeLinearV2ForCausalLM; "
                     "--for ant-sglang, areal or bf16 would do");
    makes(PRESET_HF, config, SIZES(1), SIZES(1));
    expect_warnings("architecture!");
    ck_assert_str_eq(found.warnings[0].text,
                     "transformers 5.24 does not know model_type bailing_moe_linear, and "
                     "config.json has no auto_map; --for ant-sglang, areal or bf16 would do");
    makes(PRESET_ANT_SGLANG, config, SIZES(1), SIZES(1));
    expect_warnings("");
    makes(
        PRESET_VLLM,
        "{\"model_type\": \"bailing_moe_linear\", \"architectures\": [\"AAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\u00e9\"]}",
        SIZES(1), SIZES(1));
    ck_assert_ptr_nonnull(strstr(found.warnings[0].text, "vLLM 0.33 does not know AAAA"));
    ck_assert_ptr_nonnull(strstr(found.warnings[0].text, "AAAA; --for ant-sglang"));
    makes(PRESET_VLLM, "{\"architectures\": [\"Dots1ForCausalLM\"]}", SIZES(1), SIZES(1));
    expect_warnings("architecture scales-rounded");
    ck_assert_str_eq(found.warnings[0].text, "vLLM 0.33 has no code of its own for "
                                             "Dots1ForCausalLM and runs the code of transformers");
    snprintf(config, sizeof config, ring, ", \"auto_map\": {}");
    makes(PRESET_HF, config, SIZES(1), SIZES(1));
    expect_warnings("");
    ((pack_record *)pack_table_find(&table, "model.layers.0.attention.dense.weight_scale_inv"))
        ->block.scale = SCALES_UE8M0;
    makes(PRESET_VLLM, config, SIZES(1), SIZES(1));
    expect_warnings("architecture!");
    makes(PRESET_COMPRESSED, config, SIZES(1), SIZES(1));
    expect_warnings("architecture!");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("fit");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, numbers_in_names_are_one_kind);
    tcase_add_test(tc, many_kinds);
    tcase_add_test(tc, too_many_faults);
    tcase_add_test(tc, mamba_is_merged);
    tcase_add_test(tc, tiles_of_indexers_are_guessed);
    tcase_add_test(tc, every_pair_is_judged);
    tcase_add_test(tc, heads_are_shared);
    tcase_add_test(tc, groups_of_the_norm);
    tcase_add_test(tc, experts_are_spread);
    tcase_add_test(tc, no_experts_to_spread);
    tcase_add_test(tc, joined_matrices_begin_on_tiles);
    tcase_add_loop_test(tc, judging_can_be_cancelled, 0, 2);
    tcase_add_test(tc, a_missing_config);
    tcase_add_test(tc, an_export_that_is_refused);
    tcase_add_test(tc, layers_behind_the_last);
    tcase_add_test(tc, mtp_that_is_missing);
    tcase_add_test(tc, experts_that_are_missing_or_fused);
    tcase_add_test(tc, heads_below_other_names);
    tcase_add_test(tc, heads_that_are_tied);
    tcase_add_test(tc, ring_linear_and_scales);
    return run_tests("fit", tc);
}
