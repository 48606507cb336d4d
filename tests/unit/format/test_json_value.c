/* Values of configuration files: which are accepted, and what is said of the others. */
#include "tests/aid/scarce.h"

#include <math.h>

#include "format/json/json_value.h"

static json_t *json_of(const char *text)
{
    json_t *const value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    ck_assert_msg(!text || value, "%s", text);
    return value;
}

/* ---- numbers --------------------------------------------------- */

static const struct {
    const char *text;  /* NULL: the key is missing */
    const char *error; /* NULL: accepted */
    unsigned value;
} counts[] = {
    {"1", NULL, 1},
    {"4096", NULL, 4096},
    {"128.0", NULL, 128},
    {"0", "c: k: expected a whole number from 1 to 4096, found 0", 0},
    {"4097", "found 4097", 0},
    {"-1", "found -1", 0},
    {"1.5", "found 1.5", 0},
    {"1e30", "found 1e30", 0},
    {"true", "found true", 0},
    {"\"1\"", "found \"1\"", 0},
    {"null", "found null", 0},
    {"[1]", "found [1]", 0},
    {NULL, "c: k is missing", 0},
};

START_TEST(whole_numbers)
{
    json_t *const value = json_of(counts[_i].text);
    unsigned found = 0;
    err e = {0};
    const err_code code = config_count("c", "k", value, 1, 4096, &found, &e);
    if (counts[_i].error) {
        expect_error(code, ERR_INPUT, &e, counts[_i].error);
    } else {
        expect_ok(code, &e);
        ck_assert_uint_eq(found, counts[_i].value);
    }
    json_decref(value);
}
END_TEST

static const struct {
    const char *text;
    double low, high;
    const char *error;
} reals[] = {
    {"0.5", 0, 1, NULL},
    {"1", 0, INFINITY, NULL},
    {"1e308", 0, INFINITY, NULL},
    {"0", 0, 1, "c: k: expected a number between 0 and 1, found 0"},
    {"1.0", 0, 1, "found 1.0"},
    {"0.0", 0, INFINITY, "c: k: expected a number above 0, found 0.0"},
    {"\"0.5\"", 0, 1, "found \"0.5\""},
    {NULL, 0, 1, "c: k is missing"},
};

START_TEST(real_numbers)
{
    json_t *const value = json_of(reals[_i].text);
    double found = 0;
    err e = {0};
    const err_code code = config_real("c", "k", value, reals[_i].low, reals[_i].high, &found, &e);
    if (reals[_i].error) {
        expect_error(code, ERR_INPUT, &e, reals[_i].error);
    } else {
        expect_ok(code, &e);
        ck_assert_double_eq(found, json_number_value(value));
    }
    json_decref(value);
}
END_TEST

/* ---- others ---------------------------------------------------- */

START_TEST(flags_and_strings)
{
    json_t *const o = json_of("{\"yes\":true,\"no\":false,\"word\":\"x\",\"none\":null}");
    bool flag = false;
    const char *word = NULL;
    err e = {0};
    expect_ok(config_flag("c", "yes", json_object_get(o, "yes"), &flag, &e), &e);
    ck_assert(flag);
    expect_ok(config_flag("c", "no", json_object_get(o, "no"), &flag, &e), &e);
    ck_assert(!flag);
    expect_error(config_flag("c", "word", json_object_get(o, "word"), &flag, &e), ERR_INPUT, &e,
                 "c: word: expected true or false, found \"x\"");
    expect_ok(config_string("c", "word", json_object_get(o, "word"), &word, &e), &e);
    ck_assert_str_eq(word, "x");
    expect_error(config_string("c", "yes", json_object_get(o, "yes"), &word, &e), ERR_INPUT, &e,
                 "c: yes: expected a string, found true");
    expect_error(config_string("c", "x", json_object_get(o, "x"), &word, &e), ERR_INPUT, &e,
                 "c: x is missing");
    ck_assert_ptr_nonnull(config_given(o, "no"));
    ck_assert_ptr_null(config_given(o, "none"));
    ck_assert_ptr_null(config_given(o, "x"));
    json_decref(o);
}
END_TEST

START_TEST(one_is_one_point_zero)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {{"1", "1.0", true},   {"1", "1", true},         {"1", "2.0", false},
                 {"1", "true", false}, {"[1]", "[1]", true},     {"[1]", "[2]", false},
                 {"null", "0", false}, {"\"a\"", "\"a\"", true}, {"0.5", "0.5", true}};
    for (int i = 0; i < COUNT(pairs); i++) {
        json_t *const a = json_of(pairs[i].a);
        json_t *const b = json_of(pairs[i].b);
        ck_assert_int_eq(config_same(a, b), pairs[i].same);
        ck_assert_int_eq(config_same(b, a), pairs[i].same);
        json_decref(b);
        json_decref(a);
    }
}
END_TEST

START_TEST(long_values_are_cut)
{
    char text[200], shown[CONFIG_SHOWN_BYTES];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = '\0';
    json_t *const value = json_of(text);
    expect_ok(config_show(value, shown, NULL), NULL);
    ck_assert_uint_eq(strlen(shown), CONFIG_SHOWN_BYTES - 1);
    ck_assert_int_eq(strncmp(shown, text, CONFIG_SHOWN_BYTES - 1), 0);
    json_decref(value);
}
END_TEST

/* A value that cannot be shown for lack of memory is not called wrong. */
static err_code refuse_word(void *value, err *e)
{
    unsigned count = 0;
    err why = {0};
    const err_code code = config_count("c", "k", value, 1, 2, &count, &why);
    return code == ERR_INPUT && strstr(why.text, "found \"word\"")
               ? OK
               : err_set(e, code, "%s", why.text);
}

START_TEST(without_memory)
{
    json_t *const value = json_of("\"word\"");
    expect_scarce(refuse_word, value);
    json_decref(value);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("json_value");
    tcase_add_loop_test(tc, whole_numbers, 0, COUNT(counts));
    tcase_add_loop_test(tc, real_numbers, 0, COUNT(reals));
    tcase_add_test(tc, flags_and_strings);
    tcase_add_test(tc, one_is_one_point_zero);
    tcase_add_test(tc, long_values_are_cut);
    tcase_add_test(tc, without_memory);
    return run_tests("json_value", tc);
}
