/* Bytes of plain and compressed files, and files that change while they are read. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/aid/expect.h"
#include "tests/aid/text_case.h"
#include "verify/tokenizer/text_stream.h"

enum { TEXT_BYTES = 5 << 18 };

static char *make_text(char first)
{
    char *const text = malloc(TEXT_BYTES);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        text[i] = (char)(first + (char)(i * i / 1000 % 26));
    }
    return text;
}

static char note[1024];

static void keep_note(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(note, sizeof note, "%s", text);
}

static const monitor listener = {.note = keep_note};

/* Read up to `most` pieces. Returns the bytes. */
static size_t read_some(text_stream *s, const char *text, size_t most)
{
    const unsigned char *piece = NULL;
    size_t bytes = 1, done = 0;
    err e = {0};
    for (size_t i = 0; i < most && bytes > 0; i++) {
        expect_ok(text_stream_read(s, &piece, &bytes, &e), &e);
        ck_assert_uint_le(done + bytes, TEXT_BYTES);
        ck_assert_mem_eq(piece, text + done, bytes);
        done += bytes;
    }
    return done;
}

/* Compressed, with the time `seconds`. */
static void write_at(int packing, const char *text, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    scratch_packed("a", packings[packing].filter, text, TEXT_BYTES);
    ck_assert_int_eq(utimensat(AT_FDCWD, scratch("a"), times, 0), 0);
}

static text_stream *open_stream(void)
{
    text_stream *s = NULL;
    err e = {0};
    note[0] = '\0';
    expect_ok(text_stream_open(scratch("a"), &listener, &s, &e), &e);
    return s;
}

START_TEST(all_bytes_are_read)
{
    char *const text = make_text('a');
    err e = {0};
    write_at(_i, text, 1);
    text_stream *const s = open_stream();
    ck_assert_uint_eq(read_some(s, text, SIZE_MAX), TEXT_BYTES);
    expect_ok(text_stream_check(s, OK, &e), &e);
    ck_assert_str_eq(note, "");
    text_stream_close(s);
    free(text);
}
END_TEST

/* Not to its end either; and reading may go on after that. */
START_TEST(other_permissions_are_a_note)
{
    char *const text = make_text('a');
    err e = {0};
    write_at(_i, text, 1);
    text_stream *const s = open_stream();
    const size_t done = read_some(s, text, 1);
    ck_assert_int_eq(chmod(scratch("a"), 0400), 0);
    expect_ok(text_stream_check(s, OK, &e), &e);
    ck_assert_ptr_nonnull(strstr(note, "a: permissions, owner or links changed during the run"));
    ck_assert_uint_eq(read_some(s, text + done, SIZE_MAX), TEXT_BYTES - done);
    note[0] = '\0';
    ck_assert_int_eq(text_stream_check(s, err_set(&e, ERR_INPUT, "x"), &e), ERR_INPUT);
    ck_assert_str_eq(note, "");
    text_stream_close(s);
    free(text);
}
END_TEST

/* The same size and the same modification time: only the bytes tell. A plain file is written in place;
 * a compressed one would hardly keep its size. */
START_TEST(other_bytes_are_found)
{
    char *const text = make_text('a');
    char *const other = make_text('A');
    err e = {0};
    write_at(0, text, 1);
    text_stream *const s = open_stream();
    read_some(s, text, 2);
    write_at(0, other, 1);
    expect_error(text_stream_check(s, OK, &e), ERR_IO, &e,
                 "a: changed during the run: other content with the old modification time");
    text_stream_close(s);
    free(other);
    free(text);
}
END_TEST

START_TEST(other_times_and_sizes_are_found)
{
    char *const text = make_text('a');
    err e = {0};
    for (int i = 0; i < COUNT(packings); i++) {
        write_at(i, text, 1);
        text_stream *s = open_stream();
        write_at(i, text, 2);
        e = (err){0};
        expect_error(text_stream_check(s, OK, &e), ERR_IO, &e, "a: changed during the run: it has");
        text_stream_close(s);
        s = open_stream();
        ck_assert_int_eq(truncate(scratch("a"), 100), 0);
        e = (err){0};
        expect_error(text_stream_check(s, OK, &e), ERR_IO, &e,
                     "a: changed during the run: expected");
        e = (err){0};
        err_set(&e, ERR_INPUT, "a verdict");
        expect_error(text_stream_check(s, ERR_INPUT, &e), ERR_IO, &e, "a: changed");
        e = (err){0};
        err_set(&e, ERR_MEMORY, "no verdict");
        ck_assert_int_eq(text_stream_check(s, ERR_MEMORY, &e), ERR_MEMORY);
        text_stream_close(s);
    }
    free(text);
}
END_TEST

START_TEST(a_file_that_shrinks_is_no_end)
{
    const unsigned char *piece = NULL;
    size_t bytes = 0;
    char *const text = make_text('a');
    err e = {0};
    write_at(0, text, 1);
    text_stream *const s = open_stream();
    read_some(s, text, 1);
    ck_assert_int_eq(truncate(scratch("a"), (1 << 20) + 5), 0);
    expect_error(text_stream_read(s, &piece, &bytes, &e), ERR_IO, &e, "a: ends at offset");
    text_stream_close(s);
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_stream");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, all_bytes_are_read, 0, COUNT(packings));
    tcase_add_loop_test(tc, other_permissions_are_a_note, 0, COUNT(packings));
    tcase_add_test(tc, other_bytes_are_found);
    tcase_add_test(tc, other_times_and_sizes_are_found);
    tcase_add_test(tc, a_file_that_shrinks_is_no_end);
    return run_tests("text_stream", tc);
}
