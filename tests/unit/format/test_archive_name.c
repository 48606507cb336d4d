/* Names in archives, and the targets of links. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/made_archive.h"

START_TEST(clean_names)
{
    static const char *const pairs[][2] = {{"a", "a"},       {"./a", "a"},         {"a//b/", "a/b"},
                                           {"a/./b", "a/b"}, {".a/..b", ".a/..b"}, {"...", "..."}};
    static const char *const bad[] = {"", ".", "./", "/", "/a", "..", "a/..", "a/../b", "../a"};
    char name[64];
    bool no_memory = false;
    for (int i = 0; i < COUNT(pairs); i++) {
        clean(pairs[i][0], name, sizeof name);
        ck_assert_str_eq(name, pairs[i][1]);
    }
    for (int i = 0; i < COUNT(bad); i++) {
        ck_assert_ptr_null(archive_clean_name(bad[i], &no_memory));
        ck_assert(!no_memory);
    }
}
END_TEST

START_TEST(link_targets)
{
    static const char *const rows[][3] = {
        {"a", "b", "b"},          {"d/a", "b", "d/b"},        {"d/a", "../b", "b"},
        {"d/e/a", "../b", "d/b"}, {"d/a", "./b/../c", "d/c"}, {"d/a", "../../b", NULL},
        {"a", "../b", NULL},      {"a", "/b", NULL},          {"d/a", "..", NULL},
        {"a", "", NULL},          {"d/a", "b//c/", "d/b/c"}};
    for (int i = 0; i < COUNT(rows); i++) {
        bool no_memory = false;
        char *const found = archive_link_target(rows[i][0], rows[i][1], &no_memory);
        ck_assert_msg(found && rows[i][2] ? strcmp(found, rows[i][2]) == 0 : !found && !rows[i][2],
                      "%s -> %s: %s", rows[i][0], rows[i][1], found ? found : "none");
        free(found);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("archive_name");
    tcase_add_test(tc, clean_names);
    tcase_add_test(tc, link_targets);
    return run_tests("archive_name", tc);
}
