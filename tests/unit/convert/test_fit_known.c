/* What releases of runtimes know: the tables, and what is said about a model. */
#include "convert/fit/fit_known.h"
#include "format/base/utf8.h"
#include "tests/aid/expect.h"

static fit_model model(const char *architecture, const char *type)
{
    fit_model m = {.known = true};
    snprintf(m.architecture, sizeof m.architecture, "%s", architecture);
    snprintf(m.model_type, sizeof m.model_type, "%s", type);
    m.ring_linear = strcmp(type, "bailing_moe_linear") == 0;
    return m;
}

static const known_names *const tables[] = {&known_vllm, &known_sglang, &known_transformers,
                                            &known_backend};

START_TEST(words_are_sorted_once_and_found)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char before[96] = "";
        size_t count = 0;
        const char *at = tables[i]->words;
        while (*at) {
            char word[96];
            const size_t n = strcspn(at, " ");
            ck_assert_uint_gt(n, 0);
            ck_assert_uint_lt(n, sizeof((fit_model *)NULL)->architecture - 1);
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            ck_assert_str_lt(before, word);
            ck_assert(known_names_have(tables[i], word));
            snprintf(before, sizeof before, "%s", word);
            at += n;
            ck_assert(*at == '\0' || at[1] != '\0');
            at += *at == ' ';
            count++;
        }
        ck_assert_uint_gt(count, 200);
        ck_assert(!known_names_have(tables[i], ""));
        ck_assert(!known_names_have(tables[i], " "));
        ck_assert(!known_names_have(tables[i], "Llama"));
        ck_assert(!known_names_have(tables[i], "LlamaForCausalLMX"));
    }
}
END_TEST

/* The tables are those of the releases that the presets name. */
START_TEST(releases_are_those_of_the_presets)
{
    static const struct {
        preset_id id;
        const char *reader;
        const known_names *names;
    } rows[] = {{PRESET_HF, "transformers", &known_transformers},
                {PRESET_VLLM, "vLLM", &known_vllm},
                {PRESET_COMPRESSED, "vLLM", &known_vllm},
                {PRESET_SGLANG, "SGLang", &known_sglang}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        const char *const release = preset_table[rows[i].id].release;
        snprintf(text, sizeof text, "%s %s", rows[i].reader, rows[i].names->version);
        ck_assert_ptr_nonnull(release);
        ck_assert(strncmp(text, release, strlen(release)) == 0);
    }
    ck_assert_str_eq(known_backend.version, known_transformers.version);
}
END_TEST

static void expect_known(preset_id id, const char *architecture, const char *type,
                         fit_knowledge expected)
{
    const fit_model m = model(architecture, type);
    ck_assert_int_eq(fit_known(&preset_table[id], &m), expected);
}

START_TEST(architectures)
{
    expect_known(PRESET_VLLM, "LlamaForCausalLM", "llama", KNOWN);
    expect_known(PRESET_COMPRESSED, "LlamaForCausalLM", "llama", KNOWN);
    expect_known(PRESET_SGLANG, "Step3p5ForCausalLM", "step3p5", KNOWN);
    expect_known(PRESET_VLLM, "BailingMoeV2_5ForCausalLM", "bailing_hybrid", KNOWN);
    expect_known(PRESET_VLLM, "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear", KNOWN_NOT);
    expect_known(PRESET_SGLANG, "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear", KNOWN_NOT);
    expect_known(PRESET_ANT_SGLANG, "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear", KNOWN);
    expect_known(PRESET_ANT_SGLANG, "Nonsense", "nonsense", KNOWN_NOT);
    expect_known(PRESET_AREAL, "Nonsense", "nonsense", KNOWN_NOT);
    expect_known(PRESET_AREAL, "Step3p5ForCausalLM", "step3p5", KNOWN);
    expect_known(PRESET_BF16, "Nonsense", "nonsense", KNOWN);
}
END_TEST

/* What vLLM once had, or has only through transformers. Layers that are not attention have no place
 * in its backend. */
START_TEST(the_backend)
{
    expect_known(PRESET_VLLM, "Dots1ForCausalLM", "dots1", KNOWN_BACKEND);
    expect_known(PRESET_SGLANG, "Dots1ForCausalLM", "dots1", KNOWN_BACKEND);
    expect_known(PRESET_VLLM, "MiniMaxForCausalLM", "minimax", KNOWN_NOT);
    expect_known(PRESET_SGLANG, "MiniMaxForCausalLM", "minimax", KNOWN_NOT);
    expect_known(PRESET_VLLM, "BailingHybridForCausalLM", "bailing_hybrid", KNOWN_NOT);
    expect_known(PRESET_VLLM, "TransformersForCausalLM", "", KNOWN_NOT);
}
END_TEST

START_TEST(transformers_goes_by_model_type)
{
    expect_known(PRESET_HF, "Nonsense", "llama", KNOWN);
    expect_known(PRESET_HF, "LlamaForCausalLM", "nonsense", KNOWN_NOT);
    expect_known(PRESET_HF, "LlamaForCausalLM", "", KNOWN);
    expect_known(PRESET_HF, "BailingMoeV3ForCausalLM", "bailing_hybrid", KNOWN);
    fit_model m = model("Nonsense", "nonsense");
    m.own_code = true;
    ck_assert_int_eq(fit_known(&preset_table[PRESET_HF], &m), KNOWN);
    ck_assert_int_eq(fit_known(&preset_table[PRESET_VLLM], &m), KNOWN_NOT);
}
END_TEST

START_TEST(without_an_architecture)
{
    expect_known(PRESET_VLLM, "", "", KNOWN);
    expect_known(PRESET_VLLM, "", "llama", KNOWN);
    expect_known(PRESET_VLLM, "", "bailing_moe_linear", KNOWN_NOT);
}
END_TEST

/* A name that is cut is none that is known, and whole in UTF-8. */
START_TEST(long_names)
{
    for (size_t most = 60; most < 70; most++) {
        char name[128] = "";
        char text[512];
        err e = {0};
        fit_model m;
        for (size_t used = 0; used + 3 <= most; used += 3) {
            memcpy(name + used, "\xe2\x82\xac", 3);
        }
        snprintf(text, sizeof text, "{\"architectures\": [\"%s%s\"], \"model_type\": \"llama\"}",
                 name, "LlamaForCausalLM");
        expect_ok(fit_model_parse(text, strlen(text), &m, &e), &e);
        ck_assert(utf8_valid(m.architecture));
        ck_assert_uint_ge(strlen(m.architecture), 60);
        ck_assert_int_eq(fit_known(&preset_table[PRESET_VLLM], &m), KNOWN_NOT);
        snprintf(text, sizeof text, "{\"model_type\": \"%s%s\"}", name, name);
        expect_ok(fit_model_parse(text, strlen(text), &m, &e), &e);
        ck_assert_int_eq(fit_known(&preset_table[PRESET_HF], &m), KNOWN_NOT);
    }
}
END_TEST

static void expect_said(preset_id id, const char *architecture, const char *type, const char *name,
                        const char *instead)
{
    char text[128];
    const fit_model m = model(architecture, type);
    ck_assert_int_eq(fit_known_name(&preset_table[id], &m, text, sizeof text), (int)strlen(name));
    ck_assert_str_eq(text, name);
    fit_known_instead(&m, text, sizeof text);
    ck_assert_str_eq(text, instead);
}

START_TEST(what_would_do)
{
    expect_said(PRESET_VLLM, "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear",
                "BailingMoeLinearV2ForCausalLM", "ant-sglang, areal or bf16");
    expect_said(PRESET_HF, "BailingMoeLinearV2ForCausalLM", "bailing_moe_linear",
                "model_type bailing_moe_linear", "ant-sglang, areal or bf16");
    expect_said(PRESET_VLLM, "MiniMaxForCausalLM", "minimax", "MiniMaxForCausalLM", "hf or bf16");
    expect_said(PRESET_SGLANG, "BambooForCausalLM", "bamboo", "BambooForCausalLM", "");
    expect_said(PRESET_VLLM, "", "bamboo", "model_type bamboo", "");
    expect_said(PRESET_HF, "Qwen3ForCausalLM", "qwen3_x", "model_type qwen3_x",
                "vllm, sglang or bf16");
    char small[8];
    const fit_model m = model("LlamaForCausalLM", "llama");
    fit_known_instead(&m, small, sizeof small);
    ck_assert_str_eq(small, "hf, vll");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("known");
    tcase_add_test(tc, words_are_sorted_once_and_found);
    tcase_add_test(tc, releases_are_those_of_the_presets);
    tcase_add_test(tc, architectures);
    tcase_add_test(tc, the_backend);
    tcase_add_test(tc, transformers_goes_by_model_type);
    tcase_add_test(tc, without_an_architecture);
    tcase_add_test(tc, long_names);
    tcase_add_test(tc, what_would_do);
    return run_tests("fit_known", tc);
}
