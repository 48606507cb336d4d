/* What the differences between two JSON values are called, and that none is lost without a word. */
#include "tests/aid/scarce.h"

#include "verify/rule/difference_list.h"

static const char *const sides[] = {"A", "B"};

static json_t *json_of(const char *text)
{
    json_t *const value = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static void join(const difference_list *list, char *to, size_t room)
{
    to[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        const size_t used = strlen(to);
        snprintf(to + used, room - used, "%s%s", i ? "; " : "", list->items[i]);
    }
}

static const struct {
    const char *a, *b, *differences;
} cases[] = {
    {"{\"a\":1}", "{\"a\":1}", ""},
    {"{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1.0}", ""},
    {"{\"a\":1}", "{\"a\":2}", "config: a: 1 in A, 2 in B"},
    {"{\"a\":true}", "{\"a\":1}", "config: a: true in A, 1 in B"},
    {"{\"a\":null}", "{}", "config: a: only in A"},
    {"{}", "{\"a\":{\"b\":1}}", "config: a: only in B"},
    {"{\"a\":{\"b\":{\"c\":1}}}", "{\"a\":{\"b\":{\"c\":\"x\"}}}",
     "config: a.b.c: 1 in A, \"x\" in B"},
    {"{\"a\":{\"b\":1}}", "{\"a\":[1]}", "config: a: {\"b\":1} in A, [1] in B"},
    {"{\"a\":[1,2]}", "{\"a\":[1,3]}", "config: a: [1,2] in A, [1,3] in B"},
    {"{\"a\":1,\"b\":1}", "{\"b\":2,\"c\":1}",
     "config: a: only in A; config: b: 1 in A, 2 in B; config: c: only in B"},
    {"1", "\"1\"", "config: 1 in A, \"1\" in B"},
};

START_TEST(each_difference_has_a_sentence)
{
    json_t *const a = json_of(cases[_i].a);
    json_t *const b = json_of(cases[_i].b);
    difference_list list = {0};
    char found[500];
    difference_json(&list, "config", sides, a, b);
    join(&list, found, sizeof found);
    ck_assert_str_eq(found, cases[_i].differences);
    ck_assert(!list.incomplete);
    difference_list_free(&list);
    ck_assert_uint_eq(list.count, 0);
    json_decref(b);
    json_decref(a);
}
END_TEST

START_TEST(long_lists)
{
    difference_list list = {0};
    for (int i = 0; i < 100; i++) {
        difference_add(&list, "number %d", i);
    }
    ck_assert_uint_eq(list.count, 100);
    ck_assert_str_eq(list.items[0], "number 0");
    ck_assert_str_eq(list.items[99], "number 99");
    difference_list_free(&list);
}
END_TEST

/* ---- without memory -------------------------------------------- */

static json_t *pair[2];

static err_code compare(void *ctx, err *e)
{
    difference_list list = {0};
    char found[500];
    difference_json(&list, "config", sides, pair[0], pair[1]);
    join(&list, found, sizeof found);
    const bool incomplete = list.incomplete;
    difference_list_free(&list);
    return incomplete                ? ERR_MEMORY
           : strcmp(found, ctx) == 0 ? OK
                                     : err_set(e, ERR_INTERNAL, "%s", found);
}

START_TEST(nothing_is_lost_without_a_word)
{
    char usual[] = "config: a: \"x\" in A, [1] in B; config: b: only in A";
    pair[0] = json_of("{\"a\":\"x\",\"b\":1}");
    pair[1] = json_of("{\"a\":[1]}");
    expect_scarce(compare, usual);
    json_decref(pair[1]);
    json_decref(pair[0]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("difference_list");
    tcase_add_loop_test(tc, each_difference_has_a_sentence, 0, COUNT(cases));
    tcase_add_test(tc, long_lists);
    tcase_add_test(tc, nothing_is_lost_without_a_word);
    return run_tests("difference_list", tc);
}
