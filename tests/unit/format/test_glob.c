/* Globs: a table, hostile globs, and random ones against a plain recursive matcher. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"

static const struct {
    const char *glob;
    const char *name;
    bool match;
} cases[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "ab", false},
    {"ab", "a", false},
    {"*", "", true},
    {"*", "model.layers.0", true},
    {"**", "x", true},
    {"*.weight", "a.b.weight", true},
    {"*.weight", "a.b.weights", false},
    {"model.*.up_proj.*", "model.layers.0.mlp.up_proj.weight", true},
    {"model.*.up_proj.*", "model.layers.0.mlp.up_proj", false},
    {"*a*b*c*", "xxaxxbxxcxx", true},
    {"*a*b*c*", "xxaxxcxxbxx", false},
    {"*aab", "aaaab", true},
    {"?", "a", true},
    {"?", "", false},
    {"?", ".", true},
    {"a?c", "abc", true},
    {"??", "\xc3\xa9", true},
    {"[a-c]", "b", true},
    {"[a-c]", "d", false},
    {"[!a-c]", "d", true},
    {"[!a-c]", "b", false},
    {"[!a]", "", false},
    {"[abx-z]", "y", true},
    {"[abx-z]", "c", false},
    {"[]]", "]", true},
    {"[]a]", "a", true},
    {"[!]]", "]", false},
    {"[!]]", "a", true},
    {"[a-]", "-", true},
    {"[-a]", "-", true},
    {"[a-]", "b", false},
    {"[z-a]", "m", false},
    {"[a!]", "!", true},
    {"[*]", "*", true},
    {"[*]", "x", false},
    {"[?]x", "?x", true},
    {"x[[]y", "x[y", true},
    {"[\x80-\xff]", "\xc3", true},
    {"layers.[0-9].*", "layers.7.w", true},
    {"layers.[0-9].*", "layers.17.w", false},
    {"layers.[0-9][0-9].*", "layers.17.w", true},
    {"*[0-9]", "abc7", true},
    {"*[0-9]", "abc7d", false},
    {"a]", "a]", true},
    {"\\*", "*", false},
    {"\\*", "\\x", true},
    {"", "", true},
    {"", "a", false},
    {"[a", "a", false},
    {"[", "[", false},
};

START_TEST(table_holds)
{
    ck_assert_msg(glob_match(cases[_i].glob, cases[_i].name) == cases[_i].match, "\"%s\" \"%s\"",
                  cases[_i].glob, cases[_i].name);
}
END_TEST

START_TEST(validity)
{
    static const char *const good[] = {"a", "*", "[a]", "[]]", "[!]]", "[a-z]*", "]", "a[!b]c?"};
    static const char *const bad[] = {"", "[", "[a", "[]", "[!]", "[!", "a[b]c[", "*["};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(glob_valid(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!glob_valid(bad[i]), "%s", bad[i]);
    }
}
END_TEST

/* A naive matcher needs 2^30 steps and more for this one. */
START_TEST(many_stars_end)
{
    char glob[81];
    char name[1001];
    for (size_t i = 0; i < 80; i += 2) {
        memcpy(glob + i, "*a", 2);
    }
    glob[80] = '\0';
    memset(name, 'a', 1000);
    name[1000] = '\0';
    ck_assert(glob_match(glob, name));
    name[999] = 'b';
    ck_assert(!glob_match(glob, name));
}
END_TEST

static bool judge(const char *glob, const char *name)
{
    if (!*glob) {
        return !*name;
    }
    if (*glob == '*') {
        return judge(glob + 1, name) || (*name && judge(glob, name + 1));
    }
    if (*glob == '[') {
        const bool in = *name && ((*name == 'a') != (glob[1] == '!'));
        return in && judge(glob + (glob[1] == '!' ? 4 : 3), name + 1);
    }
    return *name && (*glob == '?' || *glob == *name) && judge(glob + 1, name + 1);
}

START_TEST(random_globs_agree)
{
    static const char *const items[] = {"*", "?", "a", "b", ".", "[a]", "[!a]"};
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240501;
    printf("test_glob: SEED=%u\n", seed);
    size_t matches = 0;
    for (int round = 0; round < 200000; round++) {
        char glob[32] = "";
        size_t used = 0;
        char name[12] = "";
        for (int i = rand_r(&seed) % 7; i >= 0; i--) {
            used +=
                (size_t)snprintf(glob + used, sizeof glob - used, "%s", items[rand_r(&seed) % 7]);
        }
        const int length = rand_r(&seed) % 9;
        for (int i = 0; i < length; i++) {
            name[i] = "ab."[rand_r(&seed) % 3];
        }
        const bool expected = judge(glob, name);
        matches += expected;
        if (glob_match(glob, name) != expected || !glob_valid(glob)) {
            ck_abort_msg("\"%s\" \"%s\"", glob, name);
        }
    }
    ck_assert_uint_gt(matches, 10000);
}
END_TEST

/* Whatever a name has, its glob is valid, can be quoted, and matches it. */
START_TEST(globs_of_names)
{
    static const char bytes[] = "ab[]!*?-'.\\";
    unsigned seed = 1;
    char glob[GLOB_NAME_BYTES];
    for (int round = 0; round < 20000; round++) {
        char name[400] = "";
        const size_t length = 1 + (size_t)rand_r(&seed) % (round % 10 ? 12 : 399);
        for (size_t i = 0; i < length; i++) {
            name[i] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        }
        ck_assert_ptr_eq(glob_of_name(name, glob), glob);
        if (!glob_valid(glob) || !glob_match(glob, name) || strchr(glob, '\'')) {
            ck_abort_msg("\"%s\" \"%s\"", glob, name);
        }
    }
    ck_assert_str_eq(glob_of_name("h.0.a[1].weight", glob), "h.0.a?1].weight");
    ck_assert_str_eq(glob_of_name("h.0.mlp.up_proj.weight", glob), "h.0.mlp.up_proj.weight");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("glob");
    TCase *tc = tcase_create("glob");
    tcase_add_loop_test(tc, table_holds, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, validity);
    tcase_add_test(tc, many_stars_end);
    tcase_add_test(tc, random_globs_agree);
    tcase_add_test(tc, globs_of_names);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
