/* Which names are embedded, which are worth a note, and which are neither. */
#include <check.h>

#include "format/checkpoint/embed_names.h"
#include "tests/aid/expect.h"

/* Names of released checkpoints. */
static const char *const known[] = {
    "config.json",
    "generation_config.json",
    "generation_config_for_text.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
    "audio_config.json",
    "thinker_config.json",
    "hf_quant_config.json",
    "quantize_config.json",
    "config_sentence_transformers.json",
    "configuration.json",
    "modules.json",
    "params.json",
    "model_args.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.tok.json",
    "tokenizer_3.json",
    "tokenizer.model",
    "tokenizer.model.v3",
    "tiktoken.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "consolidated.model.v11",
    "source.spm",
    "qwen.tiktoken",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "entity_vocab.json",
    "vocabulary.json",
    "merges.txt",
    "merges.json",
    "dict.txt",
    "chat_template.jinja",
    "chat_template.json",
    "chat_template.py",
    "tool_chat_template.jinja",
    "configuration_deepseek.py",
    "modeling_deepseek.py",
    "tokenization_kimi.py",
    "tool_declaration_ts.py",
    "media_utils.py",
    "LICENSE",
    "LICENSE-MODEL",
    "LICENSE.txt",
    "License.pdf",
    "LICENCE.md",
    "MODEL_LICENSE",
    "USE_POLICY.md",
    "Acceptable_Use_Policy.txt",
    "NOTICE",
    "Notice.txt",
    "THIRD_PARTY_NOTICES.md",
    "ThirdPartySoftware.txt",
    "COPYING",
    "COPYRIGHT",
    "README.md",
    "README_CN.md",
};

static const char *const noted[] = {
    "recipe.yaml",          "adapter_config.json", "encoder.onnx.data",
    "new_loader_file.json", "Config.toml",
};

static const char *const idle[] = {
    ".gitattributes",
    ".DS_Store",
    "logo.png",
    "bench.JPEG",
    "notes.txt",
    "report.pdf",
    "requirements.txt",
    "train.log",
    "pytorch_model.bin",
    "tokenizer.bin",
    "license_model.pt",
    "model-Q4_K_M.gguf",
    "optimizer.pt",
    "consolidated.00.pth",
    "training_args.bin",
    "trainer_state.json",
    "eval_results.json",
    "octavo-export.json",
    "model.octavo",
    "model.safetensors.incomplete",
    "pytorch_model.bin.index.json",
};

static const char *const weights[] = {
    "model.safetensors",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "consolidated.safetensors.index.json",
};

START_TEST(names_that_are_known)
{
    ck_assert_msg(embed_name_known(known[_i]), "%s", known[_i]);
    ck_assert_msg(!embed_name_matters(known[_i]), "%s", known[_i]);
    ck_assert_msg(!embed_name_weights(known[_i]), "%s", known[_i]);
}
END_TEST

START_TEST(names_that_are_noted)
{
    ck_assert_msg(!embed_name_known(noted[_i]), "%s", noted[_i]);
    ck_assert_msg(embed_name_matters(noted[_i]), "%s", noted[_i]);
}
END_TEST

START_TEST(names_that_are_idle)
{
    ck_assert_msg(!embed_name_known(idle[_i]), "%s", idle[_i]);
    ck_assert_msg(!embed_name_matters(idle[_i]), "%s", idle[_i]);
}
END_TEST

START_TEST(names_of_weights)
{
    ck_assert_msg(embed_name_weights(weights[_i]), "%s", weights[_i]);
}
END_TEST

static const struct {
    const char *glob, *name;
    bool matches;
} pairs[] = {
    {"*", "a", true},          {"*", "a/b", false},     {"a/b", "a/b", true},
    {"a*b", "a/b", false},     {"a?b", "a/b", false},   {"a[/]b", "a/b", false},
    {"*/*", "a/b", true},      {"*/*", "a", false},     {"a/*", "b/a", false},
    {"*.py/*", "x.py/", true}, {"a/b/c", "a/b", false}, {"a/", "a/b", false},
};

START_TEST(globs_by_component)
{
    ck_assert_msg(embed_glob_match(pairs[_i].glob, pairs[_i].name) == pairs[_i].matches, "%s %s",
                  pairs[_i].glob, pairs[_i].name);
}
END_TEST

START_TEST(directories)
{
    ck_assert(embed_name_known("additional_chat_templates/tool_use.jinja"));
    ck_assert(!embed_name_known("additional_chat_templates/config.json"));
    ck_assert(embed_name_known("1_Pooling/config.json"));
    ck_assert(embed_name_known("2_Dense/config.json"));
    ck_assert(embed_name_known("LICENSES/MIT.txt"));
    ck_assert(!embed_name_known("original/config.json") &&
              embed_name_matters("original/params.json"));
    ck_assert(!embed_name_known("figures/x.png") && !embed_name_matters("figures/x.png"));
    ck_assert(!embed_name_matters("original/consolidated.00.pth"));
    ck_assert(embed_name_weights("2_Dense/model.safetensors"));
    ck_assert(embed_name_enters("additional_chat_templates") && embed_name_enters("3_Normalize"));
    ck_assert(!embed_name_enters("figures") && embed_glob_enters("f*/x", "figures"));
    ck_assert(!embed_glob_enters("figures", "figures"));
}
END_TEST

/* Case counts except in the names of licenses. */
START_TEST(case_counts)
{
    ck_assert(!embed_name_known("Config.json"));
    ck_assert(!embed_name_known("TOKENIZER.JSON"));
    ck_assert(embed_name_known("lIcEnSe"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("embed_names");
    tcase_add_loop_test(tc, names_that_are_known, 0, COUNT(known));
    tcase_add_loop_test(tc, names_that_are_noted, 0, COUNT(noted));
    tcase_add_loop_test(tc, names_that_are_idle, 0, COUNT(idle));
    tcase_add_loop_test(tc, names_of_weights, 0, COUNT(weights));
    tcase_add_loop_test(tc, globs_by_component, 0, COUNT(pairs));
    tcase_add_test(tc, directories);
    tcase_add_test(tc, case_counts);
    return run_tests("embed_names", tc);
}
