/* Untrusted JSON: what is refused, what becomes of large integers, and the canonical form byte for
 * byte. */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "format/json/json.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static json_t *parse(const char *text, json_form form)
{
    json_t *value = NULL;
    err e = {0};
    ck_assert_msg(json_parse("t.json", text, strlen(text), form, &value, &e) == OK, "%s", e.text);
    return value;
}

static const struct {
    const char *text;
    const char *says; /* part of the message */
} bad[] = {
    {"", "t.json"},
    {"{", "t.json: line 1"},
    {"{}}", "t.json"},
    {"{}\n{}", "line 2"},
    {"\xef\xbb\xbf{}", "t.json"}, /* byte order mark */
    {"[1,]", "t.json"},
    {"[01]", "t.json"},
    {"{\"a\":1,\"a\":2}", "duplicate"},
    {"{\"a\":1,\"\\u0061\":2}", "duplicate"},
    {"{'a':1}", "t.json"},
    {"[\"\xff\"]", "unable to decode byte 0xff"},
    {"[\"\\ud800\"]", "t.json"},
    {"[\"a\\u0000\"]", "t.json"},
    {"[\"a\nb\"]", "t.json"},
    {"[NaN]", "t.json"},
    {"[1e999]", "t.json"},
    {"1", "t.json"},
    {"[9223372036854775808]", "big integer"},
    {"[-9223372036854775809]", "integer"},
    {"[100000000000000000000]", "big integer"},
};

START_TEST(bad_text_is_refused)
{
    json_t *value = NULL;
    err e = {0};
    ck_assert_int_eq(
        json_parse("t.json", bad[_i].text, strlen(bad[_i].text), JSON_EXACT, &value, &e),
        ERR_INPUT);
    ck_assert_msg(strstr(e.text, bad[_i].says) != NULL, "%s", e.text);
    ck_assert_ptr_null(value);
}
END_TEST

/* Wherever a NUL stands: jansson overlooks it after a number. */
START_TEST(nul_is_refused_anywhere)
{
    static const char text[] = "{\"a\":1,\n\"b\":[-2.5e1 ,true],\"c\":{}}";
    char with[sizeof text];
    for (size_t at = 0; at < sizeof text; at++) {
        memcpy(with, text, at);
        with[at] = '\0';
        memcpy(with + at + 1, text + at, sizeof text - 1 - at);
        json_t *value = NULL;
        err e = {0};
        const json_form form = at % 2 ? JSON_EXACT : JSON_PYTHON;
        ck_assert_int_eq(json_parse("t.json", with, sizeof text, form, &value, &e), ERR_INPUT);
        ck_assert_ptr_null(value);
        ck_assert_str_eq(e.text, at < 8 ? "t.json: line 1: NUL byte" : "t.json: line 2: NUL byte");
    }
}
END_TEST

START_TEST(integers_stay_integers)
{
    json_t *v = parse("[9223372036854775807,-9223372036854775808,0,-1,1.0]", JSON_PYTHON);
    ck_assert(json_is_integer(json_array_get(v, 0)));
    ck_assert_int_eq(json_integer_value(json_array_get(v, 0)), INT64_MAX);
    ck_assert_int_eq(json_integer_value(json_array_get(v, 1)), INT64_MIN);
    ck_assert(json_is_integer(json_array_get(v, 2)));
    ck_assert(json_is_integer(json_array_get(v, 3)));
    ck_assert(json_is_real(json_array_get(v, 4)));
    json_decref(v);
}
END_TEST

/* As in most tokenizer_config.json: int(1e30). The neighbours must stay what they are. */
START_TEST(huge_integers_become_reals)
{
    json_t *v = parse(
        "{\"model_max_length\": 1000000000000000019884624838656, \"a\": 7, \"b\": "
        "\"1000000000000000019884624838656\", \"c\": [9223372036854775808,-9223372036854775809]}",
        JSON_PYTHON);
    const json_t *length = json_object_get(v, "model_max_length");
    ck_assert(json_is_real(length));
    ck_assert_double_eq(json_real_value(length), 1e30);
    ck_assert_int_eq(json_integer_value(json_object_get(v, "a")), 7);
    ck_assert_str_eq(json_string_value(json_object_get(v, "b")), "1000000000000000019884624838656");
    ck_assert_double_eq(json_real_value(json_array_get(json_object_get(v, "c"), 0)),
                        9223372036854775808.0);
    ck_assert_double_eq(json_real_value(json_array_get(json_object_get(v, "c"), 1)),
                        -9223372036854775808.0);
    json_decref(v);
}
END_TEST

/* As Python's json.dump writes float("inf") and float("nan"), in time_step_limit of Mamba-2. */
START_TEST(literals_of_python_become_strings)
{
    json_t *v =
        parse("{\"limit\": [0.0, Infinity,-Infinity , NaN], \"Infinity\": \"NaN\", \"a\": 7}",
              JSON_PYTHON);
    const json_t *const limit = json_object_get(v, "limit");
    ck_assert(json_is_real(json_array_get(limit, 0)));
    ck_assert_str_eq(json_string_value(json_array_get(limit, 1)), "Infinity");
    ck_assert_str_eq(json_string_value(json_array_get(limit, 2)), "-Infinity");
    ck_assert_str_eq(json_string_value(json_array_get(limit, 3)), "NaN");
    ck_assert_str_eq(json_string_value(json_object_get(v, "Infinity")), "NaN");
    ck_assert_int_eq(json_integer_value(json_object_get(v, "a")), 7);
    json_decref(v);
}
END_TEST

static const char *const not_python[] = {
    "[Infinit]",     "[Infinityx]", "[xInfinity]",  "[-NaN]",
    "[--Infinity]",  "[+Infinity]", "[infinity]",   "[nan]",
    "{Infinity: 1}", "{NaN :1}",    "[-1Infinity]", "[Infinity NaN]",
    "[InfinityNaN]", "[\"a\"NaN]",  "[Infinity",    "{\"a\": NaN, \"a\": NaN}",
};

START_TEST(nothing_else_becomes_a_string)
{
    json_t *value = NULL;
    err e = {0};
    const char *const text = not_python[_i];
    ck_assert_int_eq(json_parse("t", text, strlen(text), JSON_PYTHON, &value, &e), ERR_INPUT);
    ck_assert_ptr_null(value);
}
END_TEST

START_TEST(standard_json_has_no_literals)
{
    json_t *value = NULL;
    err e = {0};
    ck_assert_int_eq(json_parse("t", "[Infinity]", 10, JSON_EXACT, &value, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "t: line 1: invalid token near 'Infinity'"), "%s", e.text);
}
END_TEST

START_TEST(reals_do_not_excuse_errors)
{
    static const char *const texts[] = {"[99999999999999999999", "[099999999999999999999]",
                                        "[99999999999999999999x]", "[-]",
                                        "{\"a\":99999999999999999999,\"a\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *value = NULL;
        err e = {0};
        ck_assert_int_eq(json_parse("t", texts[i], strlen(texts[i]), JSON_PYTHON, &value, &e),
                         ERR_INPUT);
    }
}
END_TEST

static err_code parse_repeated(json_form form, const char *open, const char *item, size_t count,
                               const char *close, err *e)
{
    const size_t item_bytes = strlen(item);
    const size_t bytes = strlen(open) + count * item_bytes + strlen(close);
    char *text = malloc(bytes + 1);
    ck_assert_ptr_nonnull(text);
    char *p = stpcpy(text, open);
    for (size_t i = 0; i < count; i++, p += item_bytes) {
        memcpy(p, item, item_bytes);
    }
    memcpy(p, close, strlen(close) + 1);
    json_t *value = NULL;
    const err_code code = json_parse("t.json", text, bytes, form, &value, e);
    json_decref(value);
    free(text);
    return code;
}

START_TEST(depth_is_bounded)
{
    char open[JSON_MAX_DEPTH + 2];
    char close[JSON_MAX_DEPTH + 2];
    for (size_t depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        memset(open, '[', depth);
        memset(close, ']', depth);
        open[depth] = close[depth] = '\0';
        err e = {0};
        ck_assert_int_eq(parse_repeated(JSON_EXACT, open, "", 0, close, &e),
                         depth > JSON_MAX_DEPTH ? ERR_INPUT : OK);
    }
    /* Brackets in strings do not count. */
    err e = {0};
    ck_assert_int_eq(parse_repeated(JSON_EXACT, "[\"", "[\\\"{", 100, "\"]", &e), OK);
}
END_TEST

/* Without the bounds each of these costs gigabytes. */
START_TEST(hostile_sizes_are_refused_early)
{
    err e = {0};
    ck_assert_int_eq(parse_repeated(JSON_EXACT, "[", "[],", 20 << 20, "[]]", &e), ERR_INPUT);
    e = (err){0};
    ck_assert_int_eq(parse_repeated(JSON_EXACT, "[", "1,", 30 << 20, "1]", &e), ERR_INPUT);
    e = (err){0};
    ck_assert_int_eq(parse_repeated(JSON_EXACT, "", "[", 60 << 20, "", &e), ERR_INPUT);
    e = (err){0};
    ck_assert_int_eq(parse_repeated(JSON_EXACT, "[\"", "aaaaaaaaaaaaaaaa", 5 << 20, "\"]", &e),
                     ERR_INPUT);
    ck_assert_msg(strstr(e.text, "at most 67108864") != NULL, "%s", e.text);
    struct rusage used;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &used), 0);
    printf("hostile sizes: %ld MiB\n", used.ru_maxrss >> 10);
    ck_assert_int_lt(used.ru_maxrss >> 10, 1024);
}
END_TEST

START_TEST(a_large_tokenizer_passes)
{
    err e = {0};
    ck_assert_int_eq(
        parse_repeated(JSON_EXACT | JSON_LARGE, "[", "[\"ab\",\"c\"],", 600000, "0]", &e), OK);
}
END_TEST

/* Within the memory that a large tree may take. */
START_TEST(values_are_counted)
{
    static const struct {
        const char *item;
        size_t count;
    } large[] = {{"[],", JSON_MAX_NESTS}, {"{},", JSON_MAX_NESTS}, {"1,", JSON_MAX_VALUES + 1}};
    err e = {0};
    ck_assert_int_eq(
        parse_repeated(JSON_EXACT | JSON_LARGE, "[", large[_i].item, large[_i].count, "0]", &e),
        ERR_INPUT);
    ck_assert_str_eq(e.text,
                     "t.json: JSON of more than 1048576 objects and arrays or 2097152 values");
}
END_TEST

/* Texts that take the same memory in different ways: the estimate is never less than what they take,
 * and is not much more. */
START_TEST(memory_of_trees_is_bounded)
{
    static const struct {
        const char *item;
        size_t least, most; /* items that fit, and that do not */
    } trees[] = {{"[],", 360000, 390000},
                 {"{},", 220000, 240000},
                 {"{\"a\":1},", 150000, 180000},
                 {"1,", 1390000, 1400000},
                 {"\"\",", 440000, 470000}};
    err e = {0};
    for (size_t count = trees[_i].least; count <= trees[_i].most;
         count += trees[_i].most - trees[_i].least) {
        const bool fits = count == trees[_i].least;
        ck_assert_int_eq(parse_repeated(JSON_PYTHON, "[", trees[_i].item, count, "0]", &e),
                         fits ? OK : ERR_INPUT);
        ck_assert(fits || strstr(e.text, "MiB of memory; at most 64 MiB are allowed"));
        ck_assert(fits || strstr(e.hint, "--max-expand"));
    }
#if !SANITIZED /* which takes more */
    struct rusage used;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &used), 0);
    ck_assert_int_lt(used.ru_maxrss >> 10, 64 + 16 + 16); /* the tree, its text, the program */
#endif
}
END_TEST

START_TEST(other_kinds_of_files_are_named)
{
    static const char text[] = "version https://git-lfs.github.com/spec/v1\n"
                               "oid sha256:0000\nsize 1\n";
    json_t *value = NULL;
    err e = {0};
    ck_assert_int_eq(json_parse("a.json", text, sizeof text - 1, JSON_EXACT, &value, &e),
                     ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(e.text, "a.json: a Git LFS pointer, not JSON"));
    ck_assert_ptr_nonnull(strstr(e.hint, "git lfs pull"));
}
END_TEST

START_TEST(files_are_read)
{
    json_t *value = NULL;
    err e = {0};
    scratch_text("a.json", "{\"k\": [1]}\n");
    ck_assert_int_eq(json_parse_file(scratch("a.json"), JSON_EXACT, &value, &e), OK);
    ck_assert_uint_eq(json_array_size(json_object_get(value, "k")), 1);
    json_decref(value);
    scratch_text("b.json", "{\n\"k\": ]}");
    ck_assert_int_eq(json_parse_file(scratch("b.json"), JSON_EXACT, &value, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "b.json: line 2") != NULL, "%s", e.text);
    ck_assert_ptr_null(value);
    e = (err){0};
    ck_assert_int_eq(json_parse_file(scratch("none.json"), JSON_EXACT, &value, &e), ERR_IO);
    ck_assert_ptr_null(value);
}
END_TEST

static void check_canonical(json_t *value, const char *expected)
{
    size_t bytes = 0;
    char *text = json_canonical(value, &bytes);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(bytes, strlen(expected));
    free(text);
}

static const struct {
    const char *text;
    const char *canonical;
} forms[] = {
    {"{}", "{}"},
    {"[ ]", "[]"},
    {" { \"b\" : 1 , \"a\" : [ 1 , -2 ] }\n", "{\"a\":[1,-2],\"b\":1}"},
    {"[9223372036854775807,-9223372036854775808,0,-0]",
     "[9223372036854775807,-9223372036854775808,0,0]"},
    {"[\"a/b\"]", "[\"a/b\"]"},
    {"[\"\\/\"]", "[\"/\"]"},
    {"[\"\\\"\\\\\"]", "[\"\\\"\\\\\"]"},
    {"[\"\\\\n\"]", "[\"\\\\n\"]"},
    {"[\"\\b\\t\\n\\f\\r\"]", "[\"\\u0008\\u0009\\u000A\\u000C\\u000D\"]"},
    {"[\"\\u0001\\u001f\\u007f ~\"]", "[\"\\u0001\\u001F\x7f ~\"]"},
    {"[\"\xc3\xa9\\u00e9\"]", "[\"\\u00E9\\u00E9\"]"},
    {"[\"\\u20ac\\uffff\"]", "[\"\\u20AC\\uFFFF\"]"},
    {"[\"\\ud83d\\ude00\"]", "[\"\\uD83D\\uDE00\"]"},
    {"[\"true false null 1.5 e\"]", "[\"true false null 1.5 e\"]"},
    /* By bytes of UTF-8: shorter first, upper case first, U+FFFF before U+10000 (UTF-16 would turn
       them). */
    {"{\"ab\":1,\"a\":2,\"B\":3,\"\":4}", "{\"\":4,\"B\":3,\"a\":2,\"ab\":1}"},
    {"{\"\\ud800\\udc00\":1,\"\\uffff\":2}", "{\"\\uFFFF\":2,\"\\uD800\\uDC00\":1}"},
    {"{\"\\n\":1,\"\\\"\":2,\" \":3}", "{\"\\u000A\":1,\" \":3,\"\\\"\":2}"},
    {"{\"z\":{\"y\":{\"b\":[{}],\"a\":[[]]}}}", "{\"z\":{\"y\":{\"a\":[[]],\"b\":[{}]}}}"},
};

START_TEST(canonical_form)
{
    json_t *value = parse(forms[_i].text, JSON_EXACT);
    check_canonical(value, forms[_i].canonical);
    json_decref(value);
    json_t *again = parse(forms[_i].canonical, JSON_EXACT);
    check_canonical(again, forms[_i].canonical);
    json_decref(again);
}
END_TEST

START_TEST(canonical_form_of_values_made_here)
{
    json_t *value = json_pack("[s#]", "a\0b", 3);
    check_canonical(value, "[\"a\\u0000b\"]");
    json_decref(value);
    value = json_string("tfn");
    check_canonical(value, "\"tfn\"");
    json_decref(value);
    value = json_integer(-5);
    check_canonical(value, "-5");
    json_decref(value);
}
END_TEST

START_TEST(not_every_value_has_one)
{
    static const char *const texts[] = {"[true]", "[false]", "[null]",
                                        "[1.0]",  "[1e30]",  "{\"a\":{\"b\":[null]}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *value = parse(texts[i], JSON_PYTHON);
        size_t bytes = 0;
        ck_assert_msg(json_canonical(value, &bytes) == NULL, "%s", texts[i]);
        json_decref(value);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json");
    TCase *tc = tcase_create("json");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, bad_text_is_refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tc, nul_is_refused_anywhere);
    tcase_add_test(tc, integers_stay_integers);
    tcase_add_test(tc, huge_integers_become_reals);
    tcase_add_test(tc, literals_of_python_become_strings);
    tcase_add_loop_test(tc, nothing_else_becomes_a_string, 0,
                        (int)(sizeof not_python / sizeof *not_python));
    tcase_add_test(tc, standard_json_has_no_literals);
    tcase_add_test(tc, reals_do_not_excuse_errors);
    tcase_add_test(tc, depth_is_bounded);
    tcase_add_test(tc, files_are_read);
    tcase_add_test(tc, other_kinds_of_files_are_named);
    tcase_add_loop_test(tc, canonical_form, 0, sizeof forms / sizeof *forms);
    tcase_add_test(tc, canonical_form_of_values_made_here);
    tcase_add_test(tc, not_every_value_has_one);
    suite_add_tcase(s, tc);
    TCase *large = tcase_create("large");
    tcase_set_timeout(large, 30);
    tcase_add_test(large, hostile_sizes_are_refused_early);
    tcase_add_test(large, a_large_tokenizer_passes);
    tcase_add_loop_test(large, values_are_counted, 0, 3);
    tcase_add_loop_test(large, memory_of_trees_is_bounded, 0, 5);
    suite_add_tcase(s, large);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
