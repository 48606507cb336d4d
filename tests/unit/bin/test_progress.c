/* Progress: the text of a line, how often it is printed, and where none is printed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/progress.h"
#include "tests/aid/expect.h"

static const struct {
    uint64_t done, total;
    double seconds;
    const char *line;
} lines[] = {
    {1230000000, 32800000000, 0.5, "convert   1.23 GB of 32.8 GB    3 %   2.46 GB/s"},
    {1230000000, 32800000000, 10, "convert   1.23 GB of 32.8 GB    3 %   0.12 GB/s  4:17 left"},
    {1000000000, 208000000000, 100, "convert   1.00 GB of 208 GB    0 %   0.01 GB/s  5:45:00 left"},
    {32800000000, 32800000000, 20, "convert   32.8 GB of 32.8 GB  100 %   1.64 GB/s  0:00 left"},
    {40000000000, 32800000000, 20, "convert   40.0 GB of 32.8 GB  100 %   2.00 GB/s  0:00 left"},
    {0, 1000, 5, "convert       0 B of 1.00 kB    0 %   0.00 GB/s"},
    {5000, 0, 2, "convert   5.00 kB   0.00 GB/s"},
    {0, 1000, 0, "convert       0 B of 1.00 kB    0 %      - GB/s"},
};

START_TEST(line_is_complete)
{
    char text[160];
    progress_line(text, sizeof text, "convert", lines[_i].done, lines[_i].total, lines[_i].seconds);
    ck_assert_str_eq(text, lines[_i].line);
}
END_TEST

START_TEST(line_fits_its_buffer)
{
    char text[16];
    memset(text, 'x', sizeof text);
    progress_line(text, 10, "convert", UINT64_MAX, UINT64_MAX, 1e9);
    ck_assert_uint_eq(strlen(text), 9);
    ck_assert_int_eq(text[10], 'x');
}
END_TEST

/* What a progress wrote to a file, line by line. */
static size_t count_lines(FILE *to)
{
    size_t count = 0;
    rewind(to);
    for (int c = getc(to); c != EOF; c = getc(to)) {
        count += c == '\n';
    }
    return count;
}

START_TEST(file_gets_a_line_a_second)
{
    FILE *const to = tmpfile();
    ck_assert_ptr_nonnull(to);
    progress p;
    progress_init(&p, to, PROGRESS_ALWAYS);
    progress_advance_at(&p, 1, 1e6); /* before the first stage: prints nothing */
    progress_stage(&p, "convert", 1000);
    const double start = progress_clock();
    for (int tenth = 1; tenth <= 49; tenth++) {
        progress_advance_at(&p, 20, start + tenth * 0.1);
    }
    progress_free(&p);
    ck_assert_uint_eq(count_lines(to), 4);
    ck_assert_int_eq(fclose(to), 0);
}
END_TEST

START_TEST(file_gets_nothing_by_default)
{
    const progress_when quiet[] = {PROGRESS_AUTO, PROGRESS_NEVER};
    for (int i = 0; i < COUNT(quiet); i++) {
        FILE *const to = tmpfile();
        ck_assert_ptr_nonnull(to);
        progress p;
        progress_init(&p, to, quiet[i]);
        progress_stage(&p, "convert", 1000);
        progress_advance_at(&p, 500, progress_clock() + 100);
        progress_clear(&p);
        progress_free(&p);
        ck_assert_int_eq(fseek(to, 0, SEEK_END), 0);
        ck_assert_int_eq(ftell(to), 0);
        ck_assert_int_eq(fclose(to), 0);
    }
}
END_TEST

START_TEST(stages_start_at_zero)
{
    FILE *const to = tmpfile();
    ck_assert_ptr_nonnull(to);
    char text[256] = "";
    progress p;
    progress_init(&p, to, PROGRESS_ALWAYS);
    progress_stage(&p, "convert", 1000);
    progress_advance(&p, 900);
    progress_stage(&p, "read back", 500);
    progress_advance_at(&p, 5, progress_clock() + 10);
    progress_free(&p);
    rewind(to);
    ck_assert_ptr_nonnull(fgets(text, sizeof text, to));
    ck_assert_msg(strncmp(text, "read back     5 B of 500 B    1 %", 33) == 0, "%s", text);
    ck_assert_ptr_null(fgets(text, sizeof text, to));
    ck_assert_int_eq(fclose(to), 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("progress");
    tcase_add_loop_test(tc, line_is_complete, 0, COUNT(lines));
    tcase_add_test(tc, line_fits_its_buffer);
    tcase_add_test(tc, file_gets_a_line_a_second);
    tcase_add_test(tc, file_gets_nothing_by_default);
    tcase_add_test(tc, stages_start_at_zero);
    return run_tests("progress", tc);
}
