/* Every allocation fails in turn: the answer is right, or it is lack of memory. */
#include <check.h>
#include <dlfcn.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/json/json_edit.h"
#include "format/json/json_memory.h"

static unsigned left; /* allocations until the one that fails; 0: none does */
static bool forever;  /* and so do all after it */

void *malloc(size_t bytes)
{
    static void *(*next)(size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "malloc");
    }
    const bool failing = left == 1;
    left -= left > 1 || (failing && !forever);
    return failing ? NULL : next(bytes);
}

/* What jansson's lexer collects in a buffer that grows at 16, 32, ... bytes: numbers whose next byte
 * decides whether they are numbers, escapes, and a string longer than what is kept in reserve. */
static const char *const texts[] = {
    "{\"name\": \"value\", \"\\u00e4\": [1, 2.5, null, {\"b\": true}], \"a name of some length\": 1e30}",
    "[1.2345678901234e-05, -0.12345678901234567, 123456789012345678, 1.23456789012345678901234567e12]",
    "[\"0123456789abcd\\u00e4\\n\\\"\", \"0123456789abcdef0123456789ab\\ud834\\udd1e\", "
    "\"0123456789abcd\xc3\xa4\"]",
    NULL, /* long_text */
};
static char long_text[3 * 8192];

static const char *text_of(int i)
{
    if (!texts[i]) {
        memset(long_text, 'x', sizeof long_text - 3);
        memcpy(long_text, "[\"", 2);
        memcpy(long_text + 4092, "\\n\\\"", 4); /* across the border of the reserve */
        memcpy(long_text + sizeof long_text - 3, "\"]", 3);
    }
    return texts[i] ? texts[i] : long_text;
}

static void parse_each(const char *text)
{
    unsigned n = 1;
    for (json_t *root = NULL; !root; n++) {
        err e = {0};
        const unsigned long before = json_failed_allocations();
        left = n;
        const err_code code = json_parse("it", text, strlen(text), JSON_PYTHON, &root, &e);
        left = 0;
        ck_assert_msg(code == OK || code == ERR_MEMORY, "allocation %u: %s", n, e.text);
        ck_assert_int_eq(code == OK, root != NULL);
        ck_assert(code == ERR_MEMORY || json_failed_allocations() == before);
        json_decref(root);
    }
    ck_assert_uint_gt(n, 6);
}

START_TEST(parsing)
{
    forever = false;
    parse_each(text_of(_i));
    forever = true;
    parse_each(text_of(_i));
}
END_TEST

START_TEST(malformed_text_is_told_apart)
{
    json_t *root = NULL;
    err e = {0};
    ck_assert_int_eq(json_parse("it", "[1,\n]", 5, JSON_EXACT, &root, &e), ERR_INPUT);
    ck_assert_str_eq(e.text, "it: line 2: unexpected token near ']'");
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
        left = 0;
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
    tcase_add_loop_test(t, parsing, 0, sizeof texts / sizeof *texts);
    tcase_add_test(t, malformed_text_is_told_apart);
    tcase_add_test(t, removing_a_member);
    suite_add_tcase(s, t);
    SRunner *const r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
