/* Compressed texts in memory: what is recognized, what is not, limits and damage. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/file/io.h"
#include "tests/aid/expect.h"
#include "tests/aid/text_case.h"
#include "verify/tokenizer/text_packed.h"

static const struct {
    const char *data;
    size_t bytes;
    bool packed;
} starts[] = {
    {"", 0, false},
    {"\x1f\x8b", 2, true},
    {"\x28\xb5\x2f\xfd", 4, true},
    {"\x28\xb5\x2f", 3, false},
    {"\xfd\x37\x7a\x58\x5a", 5, true},
    {"BZh91AY&SY", 10, true},
    {"BZh9\x17\x72\x45\x38\x50\x90", 10, true},
    {"BZh91AY&S", 9, false},
    {"BZh01AY&SY", 10, false},
    {"BZhurnal, a text", 16, false},
    {"(text)", 6, false},
};

START_TEST(the_content_decides)
{
    ck_assert_int_eq(text_is_packed(starts[_i].data, starts[_i].bytes), starts[_i].packed);
}
END_TEST

enum { BYTES = 5 << 18 };

static void make_text(char *text)
{
    for (size_t i = 0; i < BYTES; i++) {
        text[i] = (char)('a' + i * i / 1000 % 26);
    }
}

START_TEST(texts_are_unpacked)
{
    char *const text = malloc(BYTES);
    char *packed = NULL, *out = NULL;
    size_t bytes = 0, out_bytes = 0;
    err e = {0};
    ck_assert_ptr_nonnull(text);
    make_text(text);
    scratch_packed("a", packings[_i].filter, text, BYTES);
    expect_ok(io_read_file(scratch("a"), 1 << 30, &packed, &bytes, &e), &e);
    ck_assert(text_is_packed(packed, bytes));
    expect_ok(text_unpack("a", packed, bytes, BYTES, NULL, &out, &out_bytes, &e), &e);
    ck_assert_uint_eq(out_bytes, BYTES);
    ck_assert_mem_eq(out, text, BYTES);
    ck_assert_int_eq(out[BYTES], '\0');
    free(out);
    expect_error(text_unpack("a", packed, bytes, BYTES - 1, NULL, &out, &out_bytes, &e), ERR_INPUT,
                 &e, "a: more than the limit of 1310719 bytes when unpacked");
    ck_assert_ptr_null(out);
    e = (err){0};
    expect_error(text_unpack("a", packed, bytes - 1, BYTES, NULL, &out, &out_bytes, &e), ERR_INPUT,
                 &e, "a: ");
    ck_assert_ptr_null(out);
    free(packed);
    free(text);
}
END_TEST

/* No beginning of a compressed text is a text, also if it ends before the first byte of it, or if there
 * is none. */
START_TEST(beginnings_are_refused)
{
    static const char *const texts[] = {"", "some text, some text"};
    for (int i = 0; i < COUNT(texts); i++) {
        char *packed = NULL, *out = NULL;
        size_t bytes = 0, out_bytes = 1;
        err e = {0};
        scratch_packed("a", packings[_i].filter, texts[i], strlen(texts[i]));
        expect_ok(io_read_file(scratch("a"), 1 << 20, &packed, &bytes, &e), &e);
        expect_ok(text_unpack("a", packed, bytes, 100, NULL, &out, &out_bytes, &e), &e);
        ck_assert_str_eq(out, texts[i]);
        ck_assert_uint_eq(out_bytes, strlen(texts[i]));
        free(out);
        for (size_t cut = 1; cut < bytes; cut++) {
            e = (err){0};
            const err_code code = text_unpack("a", packed, cut, 100, NULL, &out, &out_bytes, &e);
            ck_assert_msg(code == ERR_INPUT && !out, "%s: %zu of %zu bytes", packings[_i].ending,
                          cut, bytes);
        }
        free(packed);
    }
}
END_TEST

/* A damaged text may be another one of the same length, where there is no checksum, but not a shorter
 * one. */
START_TEST(damage_shortens_no_text)
{
    static const char text[] = "some text, some text";
    char *packed = NULL, *out = NULL;
    size_t bytes = 0, out_bytes = 1;
    err e = {0};
    scratch_packed("a", packings[_i].filter, text, strlen(text));
    expect_ok(io_read_file(scratch("a"), 1 << 20, &packed, &bytes, &e), &e);
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        packed[bit / 8] = (char)(packed[bit / 8] ^ 1 << bit % 8);
        if (text_unpack("a", packed, bytes, 100, NULL, &out, &out_bytes, NULL) == OK) {
            ck_assert_msg(out_bytes == strlen(text), "%s: bit %zu: %zu bytes", packings[_i].ending,
                          bit, out_bytes);
        }
        free(out);
        packed[bit / 8] = (char)(packed[bit / 8] ^ 1 << bit % 8);
    }
    free(packed);
}
END_TEST

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(only_cancellation_is_asked_for)
{
    int ctx = 0;
    const monitor m = {.cancelled = always, .ctx = &ctx};
    const monitor quiet = text_quiet(&m);
    ck_assert(quiet.cancelled == always && quiet.ctx == &ctx && !quiet.advance && !quiet.note);
    ck_assert(!text_quiet(NULL).cancelled);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_packed");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, the_content_decides, 0, COUNT(starts));
    tcase_add_loop_test(tc, texts_are_unpacked, 1, COUNT(packings));
    tcase_add_loop_test(tc, beginnings_are_refused, 1, COUNT(packings));
    tcase_add_loop_test(tc, damage_shortens_no_text, 1, COUNT(packings));
    tcase_add_test(tc, only_cancellation_is_asked_for);
    return run_tests("text_packed", tc);
}
