/* What files say about a quantization, wherever they say it. */
#include <check.h>
#include <string.h>

#include "format/quantized/quantization.h"
#include "tests/aid/expect.h"

static const struct {
    const char *file, *text;
    unsigned count;
    const char *method, *place;
    uint64_t rows;
} texts[] = {
    {"config.json", "{}", 0, "", "", 0},
    {"config.json", "{\"quantization_config\": null}", 0, "", "", 0},
    {"config.json", "[]", 0, "", "", 0},
    {"config.json", "{\"quantization_config\": {\"quant_method\": \"gptq\"}}", 1, "gptq",
     "config.json", 0},
    {"config.json", "{\"quantization_config\": {}}", 1, "a method without a name", "config.json",
     0},
    {"config.json",
     "{\"compression_config\": {\"quant_method\": \"compressed-tensors\", "
     "\"format\": \"pack-quantized\"}}",
     1, "compressed-tensors pack-quantized", "config.json", 0},
    {"config.json", "{\"quantization\": {\"bits\": 4}}", 1, "a method without a name",
     "config.json", 0},
    {"config.json", "{\"quantization\": 8}", 0, "", "", 0},
    {"config.json", "{\"audio_config\": {\"quantization\": {\"codebooks\": 8}}}", 0, "", "", 0},
    {"config.json",
     "{\"text_config\": {\"quantization_config\": {\"quant_method\": \"fp8\", "
     "\"weight_block_size\": [64, 64]}}}",
     1, "fp8", "config.json: text_config", 64},
    {"config.json",
     "{\"a\": [{\"thinker_config\": {\"llm_config\": {\"quantization_config\": "
     "{\"quant_method\": \"awq\"}}}}]}",
     1, "awq", "config.json: llm_config", 0},
    {"config.json",
     "{\"a_config\": {\"quantization_config\": {\"quant_method\": \"fp8\", "
     "\"weight_block_size\": [64, 64]}}, \"quantization_config\": "
     "{\"quant_method\": \"gptq\"}}",
     2, "fp8", "config.json: a_config", 64},
    {"hf_quant_config.json",
     "{\"producer\": {\"name\": \"modelopt\"}, \"quantization\": "
     "{\"quant_algo\": \"NVFP4\", \"group_size\": 16}}",
     1, "modelopt NVFP4", "hf_quant_config.json", 0},
    {"hf_quant_config.json",
     "{\"quantization\": {\"quant_algo\": \"MIXED_PRECISION\", "
     "\"quantized_layers\": {}}}",
     1, "modelopt MIXED_PRECISION", "hf_quant_config.json", 0},
    {"quantize_config.json", "{\"bits\": 4, \"group_size\": 128}", 1, "gptq",
     "quantize_config.json", 0},
    {"quant_config.json", "{\"zero_point\": true, \"w_bit\": 4}", 1, "awq", "quant_config.json", 0},
    {"params.json", "{\"dim\": 4}", 0, "", "", 0},
    {"params.json", "{\"quantization\": {\"qformat_weight\": \"fp8_e4m3\"}}", 1, "fp8_e4m3",
     "params.json", 0},
};

START_TEST(descriptions)
{
    err e = {0};
    quantization q = {0};
    const char *const text = texts[_i].text;
    expect_ok(quantization_read(&q, texts[_i].file, text, strlen(text), &e), &e);
    ck_assert_uint_eq(q.count, texts[_i].count);
    ck_assert_str_eq(q.method, texts[_i].method);
    ck_assert_str_eq(q.place, texts[_i].place);
    ck_assert_uint_eq(q.block.rows, texts[_i].rows);
}
END_TEST

/* Where tensors of a method cannot be told from plain ones, nobody may take them for plain. */
static const struct {
    const char *file, *text;
    bool unknown;
} methods[] = {
    {"config.json", "{}", false},
    {"config.json", "{\"quantization_config\": {}}", true},
    {"config.json", "{\"quantization_config\": {\"quant_method\": \"fp8\"}}", false},
    {"config.json", "{\"quantization_config\": {\"quant_method\": \"fancyquant\"}}", true},
    {"config.json", "{\"a\": {\"quantization_config\": {\"quant_method\": \"fancyquant\"}}}", true},
    {"config.json", "{\"quantization_config\": {\"quant_algo\": \"NVFP4\"}}", false},
    {"params.json", "{\"quantization\": {\"qformat_weight\": \"fp8_e4m3\"}}", false},
    {"hf_quant_config.json", "{\"quantization\": {\"quant_algo\": \"W4A8_AWQ\"}}", false},
    {"quantize_config.json", "{\"bits\": 4}", false},
};

START_TEST(unknown_methods)
{
    err e = {0};
    quantization q = {0};
    const char *const text = methods[_i].text;
    expect_ok(quantization_read(&q, methods[_i].file, text, strlen(text), &e), &e);
    ck_assert(q.unknown == methods[_i].unknown);
}
END_TEST

START_TEST(powers_of_two)
{
    err e = {0};
    quantization q = {0};
    static const char text[] =
        "{\"text_config\": {\"quantization_config\": {\"scale_fmt\": \"ue8m0\"}}}";
    expect_ok(quantization_read(&q, "config.json", text, sizeof text - 1, &e), &e);
    ck_assert(q.pow2);
}
END_TEST

/* Only transforms that a runtime has to apply count. */
START_TEST(transforms)
{
    static const struct {
        const char *text;
        bool rotated;
    } cases[] = {
        {"{\"quantization_config\": {\"transform_config\": {\"config_groups\": {\"R3\": {}}}}}",
         true},
        {"{\"quantization_config\": {\"transform_config\": {\"config_groups\": {}}}}", false},
        {"{\"quantization_config\": {\"transform_config\": {}}}", false},
        {"{\"quantization_config\": {\"transform_config\": null}}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        err e = {0};
        quantization q = {0};
        const char *const text = cases[i].text;
        expect_ok(quantization_read(&q, "config.json", text, strlen(text), &e), &e);
        ck_assert_msg(q.rotated == cases[i].rotated, "%s", text);
    }
}
END_TEST

/* Two descriptions must agree on the size of the tiles, wherever they are. */
START_TEST(tiles_of_two_sizes)
{
    err e = {0};
    quantization q = {0};
    static const char text[] = "{\"a\": {\"quantization_config\": {\"weight_block_size\": [64, 64]}"
                               "}, \"quantization_config\": {\"weight_block_size\": [128, 128]}}";
    expect_error(quantization_read(&q, "config.json", text, sizeof text - 1, &e), ERR_INPUT, &e,
                 "config.json: weight_block_size: tiles of more than one size");
}
END_TEST

/* Nothing that a terminal obeys, no half of a character. */
START_TEST(odd_names)
{
    err e = {0};
    quantization q = {0};
    static const char text[] = "{\"a\\u001b[2Jb\": {\"quantization_config\": {\"quant_method\": "
                               "\"x\\n\\u007f\\u00e9y\"}}}";
    expect_ok(quantization_read(&q, "config.json", text, sizeof text - 1, &e), &e);
    ck_assert_str_eq(q.method, "x????y");
    ck_assert_str_eq(q.place, "config.json: a?[2Jb");
}
END_TEST

/* A long name is cut, and nothing is written after the end. */
START_TEST(long_names)
{
    err e = {0};
    quantization q = {0};
    char text[2000];
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text,
             "{\"%s\": {\"quantization_config\": {\"quant_method\": \"%s\", \"format\": \"y%s\", "
             "\"quant_algo\": \"z%s\"}}}",
             name, name, name, name);
    expect_ok(quantization_read(&q, "config.json", text, strlen(text), &e), &e);
    ck_assert_uint_lt(strlen(q.method), sizeof q.method);
    ck_assert_uint_lt(strlen(q.place), sizeof q.place);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("quantization");
    tcase_add_loop_test(tc, descriptions, 0, COUNT(texts));
    tcase_add_loop_test(tc, unknown_methods, 0, COUNT(methods));
    tcase_add_test(tc, powers_of_two);
    tcase_add_test(tc, transforms);
    tcase_add_test(tc, tiles_of_two_sizes);
    tcase_add_test(tc, odd_names);
    tcase_add_test(tc, long_names);
    return run_tests("quantization", tc);
}
