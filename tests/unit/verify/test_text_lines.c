/* Lines of plain and compressed files: their ends, long ones, and many. Changes: test_text_stream.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/text_case.h"
#include "verify/tokenizer/text_lines.h"

/* All lines, each in brackets. */
static const char *shown(const char *name)
{
    static char text[512];
    text_lines *l = NULL;
    const char *line = NULL;
    size_t bytes = 0, used = 0;
    err e = {0};
    text[0] = '\0';
    expect_ok(text_lines_open(scratch(name), NULL, &l, &e), &e);
    for (size_t number = 1;; number++) {
        bool ended = false;
        expect_ok(text_lines_next(l, &line, &bytes, &e), &e);
        if (!line) {
            break;
        }
        ck_assert_uint_eq(text_lines_number(l), number);
        used += (size_t)snprintf(text + used, sizeof text - used, "[%.*s]", (int)bytes, line);
        expect_ok(text_lines_ended(l, &ended, &e), &e);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", ended ? "." : "");
    }
    expect_ok(text_lines_check(l, OK, &e), &e);
    text_lines_close(l);
    return text;
}

static const struct {
    const char *text, *lines;
} ends[] = {
    {"", ""},
    {"\n", "[]."},
    {"a", "[a]."},
    {"a\n", "[a]."},
    {"a\nb", "[a][b]."},
    {"a\n\n", "[a][]."},
    {"\n\na", "[][][a]."},
    {"a\r\nb\r\n", "[a\r][b\r]."},
};

START_TEST(lines_end_with_a_newline)
{
    char name[16];
    for (int i = 0; i < COUNT(packings); i++) {
        snprintf(name, sizeof name, "a%s", packings[i].ending);
        scratch_packed(name, packings[i].filter, ends[_i].text, strlen(ends[_i].text));
        ck_assert_str_eq(shown(name), ends[_i].lines);
    }
}
END_TEST

enum { LINES = 600 };

/* Lines of 1, 8, 15 ... bytes, of which some are longer than a piece of the file. */
static char *make_long(size_t *bytes)
{
    char *text = NULL;
    FILE *const out = open_memstream(&text, bytes);
    for (int i = 0; i < LINES; i++) {
        fprintf(out, "%0*d\n", i % 300 == 299 ? 1200000 : 7 * i + 1, i);
    }
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static void expect_long(const char *name, const char *text, size_t total)
{
    text_lines *l = NULL;
    const char *line = NULL;
    size_t bytes = 0, at = 0;
    err e = {0};
    expect_ok(text_lines_open(scratch(name), NULL, &l, &e), &e);
    while (text_lines_next(l, &line, &bytes, &e) == OK && line) {
        ck_assert_uint_le(at + bytes, total);
        ck_assert_mem_eq(line, text + at, bytes);
        at += bytes + 1;
    }
    expect_ok(e.code, &e);
    ck_assert_uint_eq(at, total);
    ck_assert_uint_eq(text_lines_number(l), LINES);
    text_lines_close(l);
}

START_TEST(lines_may_be_longer_than_a_piece)
{
    size_t total = 0;
    char name[16];
    char *const text = make_long(&total);
    for (int i = 0; i < COUNT(packings); i++) {
        snprintf(name, sizeof name, "a%s", packings[i].ending);
        scratch_packed(name, packings[i].filter, text, total);
        expect_long(name, text, total);
    }
    free(text);
}
END_TEST

/* A line of 64 MiB is read in linear time; one that is longer is refused, and memory is bounded. */
START_TEST(a_line_has_a_limit)
{
    text_lines *l = NULL;
    const char *line = NULL;
    size_t bytes = 0;
    err e = {0};
    const size_t fits = TEXT_LINES_MAX - 2;
    scratch_text("a", "b\n");
    ck_assert_int_eq(truncate(scratch("a"), (off_t)fits), 0);
    const clock_t start = clock();
    expect_ok(text_lines_open(scratch("a"), NULL, &l, &e), &e);
    expect_ok(text_lines_next(l, &line, &bytes, &e), &e);
    expect_ok(text_lines_next(l, &line, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, fits - 2);
    text_lines_close(l);
    expect_seconds(start, 2, "a line of 64 MiB");
    ck_assert_int_eq(truncate(scratch("a"), (off_t)fits + (8 << 20)), 0);
    expect_ok(text_lines_open(scratch("a"), NULL, &l, &e), &e);
    expect_ok(text_lines_next(l, &line, &bytes, &e), &e);
    expect_error(text_lines_next(l, &line, &bytes, &e), ERR_INPUT, &e,
                 "a: line 2: more than 64 MiB");
    text_lines_close(l);
}
END_TEST

START_TEST(short_lines_take_linear_time)
{
    enum { BYTES = 4 << 20 };
    text_lines *l = NULL;
    const char *line = NULL;
    size_t bytes = 0;
    err e = {0};
    char *const text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', BYTES);
    scratch_write("a", text, BYTES);
    free(text);
    const clock_t start = clock();
    expect_ok(text_lines_open(scratch("a"), NULL, &l, &e), &e);
    while (text_lines_next(l, &line, &bytes, &e) == OK && line) {
    }
    ck_assert_uint_eq(text_lines_number(l), BYTES);
    text_lines_close(l);
    expect_seconds(start, 2, "four million lines");
}
END_TEST

static err_code read_one(const char *name, err *e)
{
    text_lines *l = NULL;
    const char *line = "";
    size_t bytes = 0;
    err_code code = text_lines_open(scratch(name), NULL, &l, e);
    while (code == OK && line) {
        code = text_lines_next(l, &line, &bytes, e);
    }
    text_lines_close(l);
    return code;
}

START_TEST(damage_is_reported)
{
    err e = {0};
    expect_error(read_one("none", &e), ERR_IO, &e, "none: cannot open");
    expect_error(read_one("", &e), ERR_IO, &e, "not a regular file");
    for (int i = 1; i < COUNT(packings); i++) {
        struct stat st;
        scratch_packed("cut", packings[i].filter, "some text, some text", 20);
        ck_assert_int_eq(stat(scratch("cut"), &st), 0);
        ck_assert_int_eq(truncate(scratch("cut"), st.st_size - 3), 0);
        e = (err){0};
        expect_error(read_one("cut", &e), ERR_INPUT, &e, "cut: cannot be unpacked: ");
    }
}
END_TEST

static err_code read_all(void *ctx, const monitor *m, err *e)
{
    text_lines *l = NULL;
    const char *line = "";
    size_t bytes = 0;
    err_code code = text_lines_open(scratch(ctx), m, &l, e);
    while (code == OK && line) {
        code = text_lines_next(l, &line, &bytes, e);
    }
    text_lines_close(l);
    return code;
}

START_TEST(reading_can_be_cancelled)
{
    char name[16];
    size_t total = 0;
    char *const text = make_long(&total);
    for (int i = 0; i < COUNT(packings); i++) {
        snprintf(name, sizeof name, "a%s", packings[i].ending);
        scratch_packed(name, packings[i].filter, text, total);
        ck_assert_uint_ge(cancel_each(read_all, name), total >> 20);
    }
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_lines");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, lines_end_with_a_newline, 0, COUNT(ends));
    tcase_add_test(tc, lines_may_be_longer_than_a_piece);
    tcase_add_test(tc, a_line_has_a_limit);
    tcase_add_test(tc, short_lines_take_linear_time);
    tcase_add_test(tc, damage_is_reported);
    tcase_add_test(tc, reading_can_be_cancelled);
    return run_tests("text_lines", tc);
}
