/* Recipes as JSON: what is refused, the canonical form, and what is kept from text to text. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "quant/recipe/recipe.h"
#include "tests/aid/expect.h"

static const struct {
    const char *text, *part;
} wrong_json[] = {
    {"", ""},
    {"{", ""},
    {"[]", "not a recipe"},
    {"{}", "not a recipe"},
    {"null", ""},
    {"{\"octavo_recipe\":2}", "must be 1"},
    {"{\"octavo_recipe\":\"1\"}", "must be 1"},
    {"{\"octavo_recipe\":1.0}", "must be 1"},
    {"{\"octavo_recipe\":true}", "must be 1"},
    {"{\"octavo_recipe\":1,\"octavo_recipe\":1}", ""},
    {"{\"octavo_recipe\":1,\"rule\":[]}", "unknown key \"rule\""},
    {"{\"octavo_recipe\":1,\"Scales\":\"f32\"}", "unknown key \"Scales\""},
    {"{\"octavo_recipe\":1,\"scales\":\"e8m0\"}", "\"scales\" is"},
    {"{\"octavo_recipe\":1,\"scales\":null}", "\"scales\" is"},
    {"{\"octavo_recipe\":1,\"dialect\":\"vllm\"}", "\"dialect\" is one of ieee, deepgemm"},
    {"{\"octavo_recipe\":1,\"dialect\":\"none\"}", "\"dialect\" is"},
    {"{\"octavo_recipe\":1,\"dialect\":1}", "\"dialect\" is"},
    {"{\"octavo_recipe\":1,\"rules\":{}}", "not a list"},
    {"{\"octavo_recipe\":1,\"rules\":[1]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[[]]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{}]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"*\"}]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"action\":\"keep\"}]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":1,\"action\":\"keep\"}]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"*\",\"action\":\"drop\"}]}", "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"*\",\"action\":\"keep\",\"why\":\"x\"}]}",
     "a rule is"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"[\",\"action\":\"keep\"}]}",
     "r.json: invalid glob '['"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"\",\"action\":\"keep\"}]}", "invalid glob"},
    {"{\"octavo_recipe\":1,\"rules\":[{\"match\":\"a\\u0000b\",\"action\":\"keep\"}]}", ""},
    {"{\"octavo_recipe\":1,\"built_in\":0}", "from 1 to 2"},
    {"{\"octavo_recipe\":1,\"built_in\":3}", "from 1 to 2"},
    {"{\"octavo_recipe\":1,\"built_in\":4294967297}", "from 1 to 2"},
    {"{\"octavo_recipe\":1,\"built_in\":\"1\"}", "\"built_in\" is"},
    {"{\"octavo_recipe\":1,\"built_in\":1.0}", "\"built_in\" is"},
    {"{\"octavo_recipe\":1} x", ""},
};

START_TEST(wrong_json_is_refused)
{
    recipe r = {0};
    err e = {0};
    const char *const text = wrong_json[_i].text;
    const err_code code = recipe_parse(&r, "r.json", text, strlen(text), &e);
    ck_assert_msg(strncmp(e.text, "r.json: ", 8) == 0, "%s", e.text);
    expect_error(code, ERR_INPUT, &e, wrong_json[_i].part);
    recipe_free(&r);
}
END_TEST

static void add(recipe *r, const char *glob, bool quantize)
{
    err e = {0};
    expect_ok(recipe_add_rule(r, glob, quantize, true, &e), &e);
}

static void parse(recipe *r, const char *text)
{
    err e = {0};
    expect_ok(recipe_parse(r, "r.json", text, strlen(text), &e), &e);
}

static void expect_json(const recipe *r, const char *expected)
{
    size_t bytes = 0;
    char *const text = recipe_json(r, &bytes);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(bytes, strlen(expected));
    free(text);
}

START_TEST(json_is_canonical)
{
    recipe r = {0};
    expect_json(&r, "{\"built_in\":2,\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}");
    parse(&r, " { \"scales\" : \"ue8m0\", \"octavo_recipe\" : 1, \"rules\" : [\n"
              "{\"match\":\"*.\\u00e9\\\"\\\\\",\"action\":\"keep\"}, "
              "{\"action\":\"quantize\",\"match\":\"b\"} ] } \n");
    static const char expected[] =
        "{\"built_in\":2,\"octavo_recipe\":1,"
        "\"rules\":[{\"action\":\"keep\",\"match\":\"*.\\u00E9\\\"\\\\\"},"
        "{\"action\":\"quantize\",\"match\":\"b\"}],\"scales\":\"ue8m0\"}";
    expect_json(&r, expected);
    recipe again = {0};
    parse(&again, expected);
    expect_json(&again, expected);
    ck_assert_int_eq(again.scales, SCALES_UE8M0);
    ck_assert(!again.rules[0].quantize && again.rules[1].quantize);
    ck_assert(!again.rules[0].from_option);
    recipe_free(&again);
    recipe_free(&r);
}
END_TEST

/* ieee is not written, as in files from before other dialects existed. */
START_TEST(json_has_a_dialect)
{
    recipe r = {0};
    ck_assert_int_eq(recipe_dialect(&r), DIALECT_IEEE);
    parse(&r, "{\"octavo_recipe\":1,\"dialect\":\"linghe\"}");
    ck_assert_int_eq(recipe_dialect(&r), DIALECT_LINGHE);
    expect_json(&r, "{\"built_in\":2,\"dialect\":\"linghe\",\"octavo_recipe\":1,\"rules\":[],"
                    "\"scales\":\"f32\"}");
    parse(&r, "{\"octavo_recipe\":1}"); /* not given: unchanged */
    ck_assert_int_eq(recipe_dialect(&r), DIALECT_LINGHE);
    parse(&r, "{\"octavo_recipe\":1,\"dialect\":\"ieee\"}");
    expect_json(&r, "{\"built_in\":2,\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}");
    recipe_free(&r);
}
END_TEST

static void expect_packed_json(const recipe *r, const char *expected)
{
    size_t bytes = 0;
    char *const text = recipe_json_packed(r, &bytes);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(bytes, strlen(expected));
    free(text);
}

/* A packed file without a number was made under set 1, and stays what it was, byte for byte. A
 * recipe of a user without a number means the newest set. */
START_TEST(rule_sets_have_numbers)
{
    static const char set1[] = "{\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}";
    static const char set2[] =
        "{\"built_in\":2,\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}";
    recipe r = {0};
    err e = {0};
    ck_assert_uint_eq(recipe_rule_set(&r), 2);
    expect_packed_json(&r, set2);
    parse(&r, set1);
    ck_assert_uint_eq(recipe_rule_set(&r), 2);
    expect_ok(recipe_parse_packed(&r, "RCPE", set1, strlen(set1), &e), &e);
    ck_assert_uint_eq(recipe_rule_set(&r), 1);
    expect_packed_json(&r, set1);
    expect_json(&r, "{\"built_in\":1,\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}");
    parse(&r, "{\"octavo_recipe\":1}"); /* not given: unchanged */
    ck_assert_uint_eq(recipe_rule_set(&r), 1);
    expect_ok(recipe_parse_packed(&r, "RCPE", set2, strlen(set2), &e), &e);
    ck_assert_uint_eq(recipe_rule_set(&r), 2);
    expect_packed_json(&r, set2);
    recipe_free(&r);
}
END_TEST

static void expect_decision(const recipe *r, const char *name, bool quantize)
{
    static const uint64_t shape[] = {256, 128};
    const recipe_tensor t = {.name = name, .type = DTYPE_BF16, .shape = shape, .ndim = 2};
    decision d = {ACTION_CARRY, REASON_COUNT};
    err e = {0};
    expect_ok(recipe_decide(r, &t, NULL, &d, &e), &e);
    ck_assert_msg(d.action == (quantize ? ACTION_QUANTIZE : ACTION_KEEP), "%s: %s", name,
                  recipe_action_name(d.action));
}

/* The order on the command line is the order of the rules, wherever they come from. */
START_TEST(rules_are_appended)
{
    recipe r = {0};
    add(&r, "*", false);
    parse(&r, "{\"octavo_recipe\":1,\"rules\":[{\"match\":\"b*\",\"action\":\"quantize\"}],"
              "\"scales\":\"ue8m0\"}");
    parse(&r, "{\"octavo_recipe\":1}"); /* scales not given: unchanged */
    add(&r, "bc", false);
    expect_decision(&r, "a", false);
    expect_decision(&r, "b", true);
    expect_decision(&r, "bc", false);
    ck_assert_int_eq(r.scales, SCALES_UE8M0);
    ck_assert(r.rules[0].from_option && !r.rules[1].from_option && r.rules[2].from_option);
    parse(&r, "{\"octavo_recipe\":1,\"scales\":\"f32\"}");
    ck_assert_int_eq(r.scales, SCALES_F32);
    recipe_free(&r);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recipe_json");
    tcase_add_loop_test(tc, wrong_json_is_refused, 0, COUNT(wrong_json));
    tcase_add_test(tc, json_is_canonical);
    tcase_add_test(tc, json_has_a_dialect);
    tcase_add_test(tc, rule_sets_have_numbers);
    tcase_add_test(tc, rules_are_appended);
    return run_tests("recipe_json", tc);
}
