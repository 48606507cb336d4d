/* Numbers and names for people, and tables of them. */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "tests/aid/expect.h"

static const struct {
    uint64_t bytes;
    const char *size, *memory;
} sizes[] = {
    {0, "0 B", "0 B"},
    {999, "999 B", "999 B"},
    {1000, "1.00 kB", "1000 B"},
    {1024, "1.02 kB", "1 KiB"},
    {1536, "1.54 kB", "1.50 KiB"},
    {9994, "9.99 kB", "9.76 KiB"},
    {9995, "10.0 kB", "9.76 KiB"},
    {99949, "99.9 kB", "97.6 KiB"},
    {99950, "100 kB", "97.6 KiB"},
    {999499, "999 kB", "976 KiB"},
    {999500, "1.00 MB", "976 KiB"},
    {1048575, "1.05 MB", "1.00 MiB"},
    {(uint64_t)512 << 20, "537 MB", "512 MiB"},
    {(uint64_t)1536 << 20, "1.61 GB", "1536 MiB"},
    {32800000000, "32.8 GB", "30.5 GiB"},
    {UINT64_MAX, "18.4 EB", "16.0 EiB"},
};

START_TEST(sizes_have_three_digits)
{
    shown s;
    ck_assert_str_eq(text_size(s.s, sizes[_i].bytes), sizes[_i].size);
    ck_assert_str_eq(text_memory(s.s, sizes[_i].bytes), sizes[_i].memory);
}
END_TEST

START_TEST(other_numbers)
{
    shown s;
    ck_assert_str_eq(text_many(s.s, 812), "812");
    ck_assert_str_eq(text_many(s.s, 16400000000), "16.4 G");
    ck_assert_str_eq(text_rate(s.s, 4440000000, 2), "2.22 GB/s");
    ck_assert_str_eq(text_rate(s.s, 1, 0), "- GB/s");
    ck_assert_str_eq(text_seconds(s.s, 0.00312), "3.1 ms");
    ck_assert_str_eq(text_seconds(s.s, 0.0312), "31 ms");
    ck_assert_str_eq(text_seconds(s.s, 0.0996), "0.10 s");
    ck_assert_str_eq(text_seconds(s.s, 12.34), "12.3 s");
    ck_assert_str_eq(text_seconds(s.s, 99.96), "1:40 min");
    ck_assert_str_eq(text_seconds(s.s, 3599.6), "1:00:00 h");
    ck_assert_str_eq(text_seconds(s.s, 7384), "2:03:04 h");
    ck_assert_str_eq(text_decibel(s.s, 31.545), "31.55");
    ck_assert_str_eq(text_decibel(s.s, (double)NAN), "exact");
    ck_assert_str_eq(text_quality(s.s, 31.5), "SQNR 31.50 dB");
    ck_assert_str_eq(text_quality(s.s, (double)NAN), "no quantization error");
    ck_assert_str_eq(text_s(1), "");
    ck_assert_str_eq(text_s(0), "s");
}
END_TEST

START_TEST(shapes)
{
    shown s;
    const uint64_t shape[] = {8, 192, 48};
    ck_assert_str_eq(text_shape(s.s, shape, 3), "[8, 192, 48]");
    ck_assert_str_eq(text_shape(s.s, shape, 1), "[8]");
    ck_assert_str_eq(text_shape(s.s, shape, 0), "[]");
    const uint64_t huge[] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, 1};
    ck_assert_uint_lt(strlen(text_shape(s.s, huge, 6)), TEXT_BYTES);
    ck_assert_int_eq(s.s[strlen(s.s) - 1], ']');
}
END_TEST

START_TEST(table_aligns)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const to = open_memstream(&text, &bytes);
    ck_assert_ptr_nonnull(to);
    table t;
    table_start(&t, "lrlr");
    const char *const cells[] = {"name", "n", "shape", "db", "gr\xc3\xbcn", "7", "[1, 2]",
                                 "",     "x", "1234",  "",   "3.5"};
    for (int i = 0; i < COUNT(cells); i++) {
        if (i == 4) {
            table_heading(&t, "a heading longer than %s", "all columns together");
        }
        table_cell(&t, "%s", cells[i]);
    }
    ck_assert(table_print(&t, to));
    table_free(&t);
    ck_assert_int_eq(fclose(to), 0);
    ck_assert_str_eq(text, "name     n  shape    db\n"
                           "a heading longer than all columns together\n"
                           "gr\xc3\xbcn     7  [1, 2]\n"
                           "x     1234          3.5\n");
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text");
    tcase_add_loop_test(tc, sizes_have_three_digits, 0, COUNT(sizes));
    tcase_add_test(tc, other_numbers);
    tcase_add_test(tc, shapes);
    tcase_add_test(tc, table_aligns);
    return run_tests("text", tc);
}
