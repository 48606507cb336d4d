/* Rope in both layouts, and errors in each. */
#include <math.h>

#include "tests/aid/config_case.h"

START_TEST(both_spellings_of_rope)
{
    const model_config outside =
        silent(linear_text, "{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"beta_fast\":16,"
                            "\"original_max_position_embeddings\":512,\"attention_factor\":1.5}}");
    ck_assert(outside.yarn && outside.yarn_factor == 4 && outside.yarn_original == 512);
    ck_assert(outside.yarn_beta_fast == 16 && outside.yarn_beta_slow == 1);
    ck_assert(outside.yarn_attention == 1.5);
    const model_config inside = silent(
        linear_text,
        "{\"rope_theta\":\"-\",\"partial_rotary_factor\":\"-\",\"rope_parameters\":{"
        "\"rope_type\":\"yarn\",\"rope_theta\":1e6,\"partial_rotary_factor\":0.5,\"factor\":4.0,"
        "\"original_max_position_embeddings\":512,\"beta_fast\":16,\"beta_slow\":1,"
        "\"attention_factor\":1.5}}");
    ck_assert(model_config_same(&outside, &inside, NULL, NULL));
    const model_config both = silent(
        linear_text, "{\"rope_scaling\":{\"rope_type\":\"yarn\",\"type\":\"yarn\",\"factor\":2,"
                     "\"original_max_position_embeddings\":512,\"attention_factor\":null},"
                     "\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":1000000,"
                     "\"factor\":2,\"original_max_position_embeddings\":512,\"beta_slow\":1}}");
    ck_assert(both.yarn && both.yarn_beta_fast == 32 && isnan(both.yarn_attention));
    const model_config plain = silent(linear_text, "{}");
    const model_config none =
        silent(linear_text, "{\"rope_scaling\":{\"type\":\"default\"},\"rope_parameters\":{"
                            "\"rope_type\":\"default\",\"rope_theta\":1e6}}");
    ck_assert(model_config_same(&plain, &none, NULL, NULL));
}
END_TEST

static const bad_config bad[] = {
    {"{\"rope_theta\":\"-\"}", "rope_theta is missing"},
    {"{\"rope_theta\":1}", "rope_theta: expected a number above 1, found 1"},
    {"{\"partial_rotary_factor\":\"-\"}", "partial_rotary_factor is missing"},
    {"{\"partial_rotary_factor\":0}", "partial_rotary_factor: expected a number above 0, found 0"},
    {"{\"partial_rotary_factor\":0.55}",
     "partial_rotary_factor: 0.55 of head_dim, 32, is not an even number of channels"},
    {"{\"partial_rotary_factor\":0.01}", "0.01 of head_dim, 32, is not an even number of channels"},
    {"{\"partial_rotary_factor\":1.01}", "1.01 of head_dim, 32, is not an even number of channels"},
    {"{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":10000}}",
     "rope_theta and rope_parameters.rope_theta contradict each other"},
    {"{\"rope_parameters\":{\"rope_type\":\"default\",\"partial_rotary_factor\":1}}",
     "partial_rotary_factor and rope_parameters.partial_rotary_factor contradict each other"},
    {"{\"rope_scaling\":4}", "rope_scaling: expected an object, found 4"},
    {"{\"rope_scaling\":{}}", "rope_scaling.rope_type is missing"},
    {"{\"rope_scaling\":{\"type\":1}}", "rope_scaling.type: expected a string, found 1"},
    {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
     "rope_scaling: type \"linear\" is not supported, \"yarn\" and \"default\" are"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"rope_type\":\"default\"}}",
     "rope_scaling: type and rope_type contradict each other"},
    {"{\"rope_scaling\":{\"type\":\"default\",\"factor\":2}}",
     "rope_scaling.factor contradicts the type \"default\""},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"mscale\":1}}", "rope_scaling.mscale is not supported"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"rope_theta\":1e6}}",
     "rope_scaling.rope_theta is not supported"},
    {"{\"rope_scaling\":{\"type\":\"yarn\"}}", "rope_scaling.factor is missing"},
    {"{\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":0}}",
     "rope_parameters.factor: expected a number above 0, found 0"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}}",
     "rope_scaling.original_max_position_embeddings is missing"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512,\"beta_fast\":0}}",
     "rope_scaling.beta_fast: expected a number above 0, found 0"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512,\"beta_slow\":-1}}",
     "rope_scaling.beta_slow: expected a number above 0, found -1"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512,\"attention_factor\":0}}",
     "rope_scaling.attention_factor: expected a number above 0, found 0"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512,\"beta_slow\":64}}",
     "rope_scaling: beta_fast, 32, is less than beta_slow, 64"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512},\"rope_parameters\":{\"rope_type\":\"default\"}}",
     "rope_scaling and rope_parameters contradict each other"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2,"
     "\"original_max_position_embeddings\":512},\"rope_parameters\":{\"rope_type\":\"yarn\","
     "\"factor\":2,\"original_max_position_embeddings\":512,\"beta_fast\":31}}",
     "rope_scaling and rope_parameters contradict each other"},
};

START_TEST(every_rule)
{
    expect_bad(linear_text, &bad[_i]);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("rope_config");
    tcase_add_test(t, both_spellings_of_rope);
    tcase_add_loop_test(t, every_rule, 0, COUNT(bad));
    return run_tests("rope_config", t);
}
