/* Every allocation of jansson fails in turn: the answer is right, or it is lack of memory. */
#include <check.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/json/json_edit.h"
#include "format/json/json_memory.h"

static json_malloc_t counted; /* what counts the failures */
static unsigned left;         /* allocations until the one that fails */

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void *fail_once(size_t bytes)
{
    return counted(left > 0 && --left == 0 ? SIZE_MAX / 4 : bytes);
}

static void setup(void)
{
    json_free_t unused = NULL;
    json_get_alloc_funcs(&counted, &unused);
    json_set_alloc_funcs(fail_once, free);
}

static const char text[] = "{\"name\": \"value\", \"\\u00e4\": [1, 2.5, null, {\"b\": true}], "
                           "\"a name of some length\": 1e30}";

START_TEST(parsing)
{
    unsigned n = 1;
    for (json_t *root = NULL; !root; n++) {
        err e = {0};
        const unsigned long before = json_failed_allocations();
        left = n;
        const err_code code = json_parse("it", text, sizeof text - 1, JSON_PYTHON, &root, &e);
        ck_assert_msg(code == OK || code == ERR_MEMORY, "allocation %u: %s", n, e.text);
        ck_assert_int_eq(code == OK, root != NULL);
        ck_assert_int_eq(code == OK, json_failed_allocations() == before);
        json_decref(root);
    }
    ck_assert_uint_gt(n, 20);
    left = 0;
    json_t *root = NULL;
    err e = {0};
    ck_assert_int_eq(json_parse("it", "[1,]", 4, JSON_EXACT, &root, &e), ERR_INPUT);
    ck_assert_str_eq(e.text, "it: line 1: unexpected token near ']'");
}
END_TEST

START_TEST(removing_a_member)
{
    static const char with[] = "{\"a\": 1, \"b\": 2, \"c\": 3}";
    unsigned n = 1;
    for (char *without = NULL; !without; n++) {
        size_t bytes = 0;
        left = n;
        without = json_edit_remove(with, sizeof with - 1, "b", &bytes);
        if (without) {
            ck_assert_str_eq(without, "{\"a\": 1, \"c\": 3}");
        }
        free(without);
    }
    ck_assert_uint_gt(n, 4);
}
END_TEST

int main(void)
{
    Suite *const s = suite_create("json_memory");
    TCase *const t = tcase_create("json_memory");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, parsing);
    tcase_add_test(t, removing_a_member);
    suite_add_tcase(s, t);
    SRunner *const r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
