/* Lists in messages: complete if short, otherwise with a count of the rest. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/text_list.h"

START_TEST(text_lists_end)
{
    text_list none = {0};
    ck_assert_str_eq(text_list_end(&none), "");
    text_list two = {0};
    ck_assert(text_list_add(&two, "a%d", 1));
    ck_assert(text_list_add(&two, "b"));
    ck_assert_str_eq(text_list_end(&two), "a1; b");
    for (int width = 1; width < 1000; width++) {
        text_list many = {0};
        for (int i = 0; i < 1000; i++) {
            text_list_add(&many, "%0*d", width, i);
        }
        ck_assert_uint_eq(many.total, 1000);
        ck_assert_uint_eq(strlen(text_list_end(&many)) < sizeof many.text, 1);
        ck_assert_ptr_nonnull(strstr(many.text, " more"));
        ck_assert_uint_eq((size_t)strtoul(strstr(many.text, "... and ") + 8, NULL, 10),
                          1000 - many.shown);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text_list");
    TCase *tc = tcase_create("text_list");
    tcase_add_test(tc, text_lists_end);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
