/* Members removed from the text of an object or appended to it: no other byte changes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json_edit.h"
#include "tests/aid/expect.h"

static const struct {
    const char *before, *after;
} removals[] = {
    {"{}", "{}"},
    {" { } ", " { } "},
    {"{\"q\": 1}", "{}"},
    {"{\"q\": 1 }", "{}"},
    {"{\"q\": 1, \"a\": 2}", "{\"a\": 2}"},
    {"{ \"q\" : [1, {\"q\": \"]}\"}] ,\n  \"a\": 2}", "{ \"a\": 2}"},
    {"{\"a\": 1,\n \"q\": {\"x\": {}}\n}", "{\"a\": 1\n}"},
    {"{\"a\": 1, \"q\": null, \"b\": 1e400}", "{\"a\": 1, \"b\": 1e400}"},
    {"{\"a\": {\"q\": 1}, \"b\": \"q\"}", "{\"a\": {\"q\": 1}, \"b\": \"q\"}"},
    {"{\"a\": \"\\\"q\\\": 1, {\", \"q\": \"}\\\\\"}", "{\"a\": \"\\\"q\\\": 1, {\"}"},
    {"{\"\\u0071\": true}", "{}"},
    {"{\"q\": -1.5e3}\n", "{}\n"},
    {"{\"a\":1,\"q\":2}", "{\"a\":1}"},
    {"{\"qq\":1,\"Q\":2}", "{\"qq\":1,\"Q\":2}"},
    {"{\"a\":Infinity,\"q\": NaN, \"b\":[-Infinity]}", "{\"a\":Infinity, \"b\":[-Infinity]}"},
    {"{\"q\":-Infinity}", "{}"},
};

START_TEST(member_is_removed)
{
    size_t bytes = 0;
    const char *const before = removals[_i].before;
    char *const out = json_edit_remove(before, strlen(before), "q", &bytes);
    ck_assert_str_eq(out, removals[_i].after);
    ck_assert_uint_eq(bytes, strlen(out));
    free(out);
}
END_TEST

/* Objects under the keys "q" and "r", at any depth. */
static const struct {
    const char *before, *after;
} deep_removals[] = {
    {"{}", "{}"},
    {" {\n}\n", " {\n}\n"},
    {"{\"q\": {}}", "{}"},
    {"{\"q\": null, \"r\": [1], \"a\": \"q\"}", "{\"q\": null, \"r\": [1], \"a\": \"q\"}"},
    {"{\"q\": {\"x\": 1}, \"a\": 2}", "{\"a\": 2}"},
    {"{\"a\": 2, \"q\": {\"x\": 1}}", "{\"a\": 2}"},
    {"{\"a\": 2, \"q\": {}, \"b\": 3}", "{\"a\": 2, \"b\": 3}"},
    {"{\"q\": {}, \"r\": {}, \"a\": 1}", "{\"a\": 1}"},
    {"{\"a\": 1, \"q\": {}, \"r\": {}}", "{\"a\": 1}"},
    {"{\"q\": {}, \"r\": {} }", "{}"},
    {"{\"q\": {}, \"a\": 1, \"r\": {}}", "{\"a\": 1}"},
    {"{\"t\": {\n  \"a\": 1,\n  \"q\": {\"q\": {}}\n}, \"b\": 2}",
     "{\"t\": {\n  \"a\": 1\n}, \"b\": 2}"},
    {"{\"a\": NaN, \"q\": {\"x\": [Infinity, -Infinity, NaN]}}", "{\"a\": NaN}"},
    {"{\"r\": {\"stay\": 1, \"q\": {}}}", "{\"r\": {\"stay\": 1}}"},
    {"{\"t\": {\"u\": {\"r\": {}}}, \"q\": {}}", "{\"t\": {\"u\": {}}}"},
    {"{\"t\": [ ], \"u\": [[{\"q\": {}}, 1], {\"a\": [2, {\"r\": {}, \"b\": 3}]}]}",
     "{\"t\": [ ], \"u\": [[{}, 1], {\"a\": [2, {\"b\": 3}]}]}"},
    {"{\"a\": \"{\\\"q\\\": {}}\", \"\\u0071\": {\"z\": \"}\"}, \"b\": 1e300}",
     "{\"a\": \"{\\\"q\\\": {}}\", \"b\": 1e300}"},
};

static bool is_q_or_r(const char *key, const json_t *value)
{
    ck_assert(!value || json_is_object(value));
    return strcmp(key, "q") == 0 || (strcmp(key, "r") == 0 && !json_object_get(value, "stay"));
}

START_TEST(objects_are_removed)
{
    size_t bytes = 0;
    const char *const before = deep_removals[_i].before;
    char *const out = json_edit_remove_objects(before, strlen(before), is_q_or_r, &bytes);
    ck_assert_str_eq(out, deep_removals[_i].after);
    ck_assert_uint_eq(bytes, strlen(out));
    free(out);
}
END_TEST

static const struct {
    const char *before, *after;
} appendices[] = {
    {"{}", "{\n  \"q\": {\n    \"x\": 1\n  }\n}\n"},
    {" { \n} \n", " {\n  \"q\": {\n    \"x\": 1\n  }\n}\n"},
    {"{\"a\": NaN}", "{\"a\": NaN,\n  \"q\": {\n    \"x\": 1\n  }\n}\n"},
    {"{\"a\": 1e400}", "{\"a\": 1e400,\n  \"q\": {\n    \"x\": 1\n  }\n}\n"},
    {"{\n  \"a\": {}\n}\n", "{\n  \"a\": {},\n  \"q\": {\n    \"x\": 1\n  }\n}\n"},
};

START_TEST(member_is_appended)
{
    size_t bytes = 0;
    const char *const before = appendices[_i].before;
    char *const out = json_edit_append(before, strlen(before), "q", "{\n  \"x\": 1\n}", &bytes);
    ck_assert_str_eq(out, appendices[_i].after);
    ck_assert_uint_eq(bytes, strlen(out));
    free(out);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("json_edit");
    tcase_add_loop_test(tc, member_is_removed, 0, COUNT(removals));
    tcase_add_loop_test(tc, member_is_appended, 0, COUNT(appendices));
    tcase_add_loop_test(tc, objects_are_removed, 0, COUNT(deep_removals));
    return run_tests("json_edit", tc);
}
