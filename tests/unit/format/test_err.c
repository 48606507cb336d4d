/* Errors: the first one wins, texts stay one printable line, and codes become exit statuses. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/err.h"
#include "tests/aid/expect.h"

START_TEST(first_error_wins)
{
    err e = {0};
    ck_assert_int_eq(err_set(&e, ERR_INPUT, "shape %d", 7), ERR_INPUT);
    ck_assert_int_eq(err_set(&e, ERR_IO, "later"), ERR_IO);
    ck_assert_int_eq(err_set_errno(&e, ERR_MEMORY, ENOMEM, "later"), ERR_MEMORY);
    ck_assert_int_eq(e.code, ERR_INPUT);
    ck_assert_str_eq(e.text, "shape 7");
    ck_assert_str_eq(e.hint, "");
}
END_TEST

START_TEST(null_is_accepted)
{
    ck_assert_int_eq(err_set(NULL, ERR_IO, "x"), ERR_IO);
    ck_assert_int_eq(err_set_errno(NULL, ERR_IO, EIO, "x"), ERR_IO);
    err_hint(NULL, "x");
    err_prefix(NULL, "x");
}
END_TEST

START_TEST(errno_is_named)
{
    err e = {0};
    ck_assert_int_eq(err_set_errno(&e, ERR_IO, ENOENT, "%s: cannot open", "a/b"), ERR_IO);
    ck_assert_str_eq(e.text, "a/b: cannot open: No such file or directory");
}
END_TEST

/* Whatever asked the system: lack of memory is no failed read. */
START_TEST(lack_of_memory_is_told_apart)
{
    err e = {0};
    ck_assert_int_eq(err_set_errno(&e, ERR_IO, ENOMEM, "a: cannot stat"), ERR_MEMORY);
    ck_assert_int_eq(e.code, ERR_MEMORY);
    ck_assert_int_eq(err_set_errno(NULL, ERR_IO, ENOMEM, "x"), ERR_MEMORY);
}
END_TEST

/* Bytes from a file, and what of them may reach a terminal. */
static const struct {
    const char *raw, *shown;
} masks[] = {
    {"plain", "plain"},
    {"two\nlines\r", "two\\x0alines\\x0d"},
    {"caf\xc3\xa9 \xe2\x80\xae", "caf\xc3\xa9 \\u202e"}, /* NOLINT(misc-misleading-bidirectional) */
    {"latin caf\xe9", "latin caf\\xe9"},
};

START_TEST(text_is_printable)
{
    err e = {0};
    err_set(&e, ERR_INPUT, "%s", masks[_i].raw);
    ck_assert_str_eq(e.text, masks[_i].shown);
    err_hint(&e, "%s", masks[_i].raw);
    ck_assert_str_eq(e.hint, masks[_i].shown);
    err_prefix(&e, "%s", masks[_i].raw);
    char both[128];
    snprintf(both, sizeof both, "%s: %s", masks[_i].shown, masks[_i].shown);
    ck_assert_str_eq(e.text, both);
    err with_errno = {0};
    err_set_errno(&with_errno, ERR_IO, EIO, "%s", masks[_i].raw);
    ck_assert_int_eq(strncmp(with_errno.text, masks[_i].shown, strlen(masks[_i].shown)), 0);
}
END_TEST

/* Lengths around the capacity: always terminated, never a half character at the end. */
START_TEST(long_texts_are_cut)
{
    enum { LONG = 3000 };
    char *const text = malloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    for (size_t n = sizeof((err *)NULL)->text - 4; n < sizeof((err *)NULL)->text - 1; n++) {
        err e = {0};
        err_set(&e, ERR_INPUT, "%.*s\xe2\x82\xac%s", (int)n, text, text);
        const bool fits = n + 3 < sizeof e.text;
        ck_assert_str_eq(e.text + n, fits ? "\xe2\x82\xac" : "");
        err_prefix(&e, "%.*s", (int)n, text);
        ck_assert_uint_le(strlen(e.text), sizeof e.text - 1);
        ck_assert_mem_eq(e.text, text, sizeof e.text - 4);
        err_hint(&e, "%s", text);
        ck_assert_uint_eq(strlen(e.hint), sizeof e.hint - 1);
        err io = {0};
        err_set_errno(&io, ERR_IO, EIO, "%.*s", (int)n, text);
        ck_assert_uint_eq(strlen(io.text), sizeof io.text - 1);
    }
    free(text);
}
END_TEST

START_TEST(prefix_goes_in_front)
{
    err e = {0};
    err_prefix(&e, "path");
    ck_assert_str_eq(e.text, "");
    err_set(&e, ERR_INPUT, "wrong");
    err_prefix(&e, "tensor %s", "w");
    err_prefix(&e, "file");
    ck_assert_str_eq(e.text, "file: tensor w: wrong");
    ck_assert_int_eq(e.code, ERR_INPUT);
}
END_TEST

START_TEST(first_hint_stays)
{
    err e = {0};
    err_set(&e, ERR_INPUT, "wrong");
    err_hint(&e, "try %d", 1);
    err_hint(&e, "try 2");
    ck_assert_str_eq(e.hint, "try 1");
}
END_TEST

START_TEST(hint_of_no_error_is_not_kept)
{
    err e = {0};
    err_hint(&e, "stray");
    err_set(&e, ERR_INPUT, "wrong");
    ck_assert_str_eq(e.hint, "");
}
END_TEST

/* Exit statuses and names are an interface: scripts and --json readers rely on them. */
static const struct {
    err_code code;
    int status;
    const char *name;
} codes[] = {
    {OK, 0, "ok"},
    {ERR_DIFFERENT, 1, "different"},
    {ERR_USAGE, 2, "usage"},
    {ERR_IO, 3, "io"},
    {ERR_DAMAGED, 4, "damaged"},
    {ERR_INPUT, 5, "input"},
    {ERR_NUMERIC, 6, "numeric"},
    {ERR_GPU, 7, "gpu"},
    {ERR_MEMORY, 8, "memory"},
    {ERR_INTERNAL, 70, "internal"},
    {ERR_CANCELLED, 130, "cancelled"},
};

START_TEST(code_has_status_and_name)
{
    ck_assert_int_eq(err_exit_status(codes[_i].code), codes[_i].status);
    ck_assert_str_eq(err_name(codes[_i].code), codes[_i].name);
    ck_assert_uint_gt(strlen(err_description(codes[_i].code)), 5);
}
END_TEST

/* Signals, then the order 70, (2,) 8, 7, 3, 4, 5, 1, 6. */
static const err_code order[] = {ERR_CANCELLED, ERR_INTERNAL, ERR_USAGE,   ERR_MEMORY,
                                 ERR_GPU,       ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                 ERR_DIFFERENT, ERR_NUMERIC,  OK};

START_TEST(worse_of_two)
{
    ck_assert_int_eq(COUNT(order), COUNT(codes));
    for (int i = 0; i < COUNT(order); i++) {
        for (int k = i; k < COUNT(order); k++) {
            ck_assert_int_eq(err_worse(order[i], order[k]), order[i]);
            ck_assert_int_eq(err_worse(order[k], order[i]), order[i]);
        }
    }
}
END_TEST

/* A file that changed meanwhile: success and verdicts on its bytes mean nothing, other failures stay. */
START_TEST(changes_overrule_verdicts)
{
    static const struct {
        err_code code;
        bool overruled;
    } cases[] = {{OK, true},          {ERR_DIFFERENT, true},  {ERR_DAMAGED, true},
                 {ERR_INPUT, true},   {ERR_NUMERIC, true},    {ERR_IO, false},
                 {ERR_MEMORY, false}, {ERR_CANCELLED, false}, {ERR_GPU, false},
                 {ERR_USAGE, false},  {ERR_INTERNAL, false}};
    for (int i = 0; i < COUNT(cases); i++) {
        err e = {0}, late = {0}, none = {0};
        const err_code code = cases[i].code;
        if (code != OK) {
            err_set(&e, code, "first");
        }
        ck_assert_int_eq(err_overrule(&e, code, &none), code);
        ck_assert_str_eq(e.text, code == OK ? "" : "first");
        err_set(&late, ERR_IO, "changed");
        err_hint(&late, "why");
        ck_assert_int_eq(err_overrule(&e, code, &late), cases[i].overruled ? ERR_IO : code);
        ck_assert_str_eq(e.text, cases[i].overruled ? "changed" : "first");
        ck_assert_str_eq(e.hint, cases[i].overruled ? "why" : "");
        ck_assert_int_eq(err_overrule(NULL, code, &late), cases[i].overruled ? ERR_IO : code);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("err");
    tcase_add_test(tc, first_error_wins);
    tcase_add_test(tc, null_is_accepted);
    tcase_add_test(tc, errno_is_named);
    tcase_add_test(tc, lack_of_memory_is_told_apart);
    tcase_add_loop_test(tc, text_is_printable, 0, COUNT(masks));
    tcase_add_test(tc, long_texts_are_cut);
    tcase_add_test(tc, prefix_goes_in_front);
    tcase_add_test(tc, first_hint_stays);
    tcase_add_test(tc, hint_of_no_error_is_not_kept);
    tcase_add_loop_test(tc, code_has_status_and_name, 0, COUNT(codes));
    tcase_add_test(tc, worse_of_two);
    tcase_add_test(tc, changes_overrule_verdicts);
    return run_tests("err", tc);
}
