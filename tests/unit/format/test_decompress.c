/* What a compressed file may become, and what is said when it becomes more. Damaged streams: test_gzip.c,
 * tests/cli/convert/archive_wrong.sh and the fuzzer. */
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "format/archive/decompress.h"
#include "format/base/expansion.h"
#include "format/base/num.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/text_case.h"

START_TEST(the_limit_grows_with_the_file)
{
    ck_assert_uint_eq(decompressor_limit(0), 256 * MIB);
    ck_assert_uint_eq(decompressor_limit(8 * MIB), 256 * MIB);
    ck_assert_uint_eq(decompressor_limit(9 * MIB), 288 * MIB);
    ck_assert_uint_eq(decompressor_limit(UINT64_MAX / 32 + 1), UINT64_MAX);
    expansion_raise(300 * MIB);
    ck_assert_uint_eq(decompressor_limit(0), 300 * MIB);
    ck_assert_uint_eq(decompressor_limit(10 * MIB), 320 * MIB);
}
END_TEST

/* The message says where the limit comes from. */
START_TEST(a_refusal_explains_the_limit)
{
    err e = {0};
    expect_error(decompressor_refuse("a", 1, &e), ERR_INPUT, &e,
                 "a: unpacks to more than 256 MiB: refused");
    e = (err){0};
    expect_error(decompressor_refuse("a", 9 * MIB, &e), ERR_INPUT, &e,
                 "a: unpacks to more than 288 MiB, 32 times its size: refused");
    expansion_raise(300 * MIB);
    e = (err){0};
    expect_error(decompressor_refuse("a", 9 * MIB, &e), ERR_INPUT, &e,
                 "a: unpacks to more than 300 MiB, which --max-expand allows: refused");
    e = (err){0};
    expect_error(decompressor_refuse("a", 10 * MIB, &e), ERR_INPUT, &e,
                 "a: unpacks to more than 320 MiB, 32 times its size: refused");
}
END_TEST

START_TEST(streams_are_recognized)
{
    ck_assert(decompressor_recognizes((const unsigned char *)"\x1f\x8b\x08\0\0\0"));
    ck_assert(decompressor_recognizes((const unsigned char *)"\x28\xb5\x2f\xfd\0\0"));
    ck_assert(decompressor_recognizes((const unsigned char *)"\xfd\x37\x7a\x58\x5a\0"));
    ck_assert(decompressor_recognizes((const unsigned char *)"BZh91A"));
    ck_assert(!decompressor_recognizes((const unsigned char *)"BZx91A"));
    ck_assert(!decompressor_recognizes((const unsigned char *)"\x1f\x8b\x09\0\0\0"));
}
END_TEST

enum { TEXT_BYTES = 3 << 20, HALF = TEXT_BYTES / 2 };

/* Two gzip streams in one file, zeros between and after them, as on a tape. */
static int write_streams(unsigned char *text)
{
    for (int i = 0; i < TEXT_BYTES; i++) {
        text[i] = (unsigned char)(i * 7 / 1000);
    }
    for (int i = 0; i < 2; i++) {
        const int fd = open(scratch("x.gz"),
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (i ? 0 : O_TRUNC), 0600);
        gzFile f = gzdopen(fd, "ab");
        ck_assert_int_eq(gzwrite(f, text + (size_t)i * HALF, HALF), HALF);
        ck_assert_int_eq(gzclose(f), Z_OK);
        struct stat st;
        ck_assert_int_eq(stat(scratch("x.gz"), &st), 0);
        ck_assert_int_eq(truncate(scratch("x.gz"), st.st_size + 512), 0);
    }
    return open(scratch("x.gz"), O_RDONLY | O_CLOEXEC);
}

START_TEST(streams_follow_each_other)
{
    static unsigned char text[TEXT_BYTES];
    const unsigned char *piece = NULL;
    size_t bytes = 1, done = 0;
    decompressor *f = NULL;
    err e = {0};
    const int fd = write_streams(text);
    expect_ok(decompressor_open(fd, "x.gz", NULL, &f, &e), &e);
    while (bytes > 0) {
        expect_ok(decompressor_read(f, &piece, &bytes, &e), &e);
        ck_assert_uint_le(done + bytes, TEXT_BYTES);
        ck_assert_mem_eq(piece, text + done, bytes);
        done += bytes;
    }
    ck_assert_uint_eq(done, TEXT_BYTES);
    decompressor_close(f);
    close(fd);
}
END_TEST

static err_code read_all(void *ctx, const monitor *m, err *e)
{
    const unsigned char *piece = NULL;
    size_t bytes = 1;
    decompressor *f = NULL;
    err_code code = decompressor_open(*(int *)ctx, "x", m, &f, e);
    while (code == OK && bytes > 0) {
        code = decompressor_read(f, &piece, &bytes, e);
    }
    decompressor_close(f);
    return code;
}

/* Every piece of input asks whether to stop, and every answer ends it: also the last one, which
 * libarchive asks for only to see whether another stream follows. So it is with reads that fail. */
START_TEST(no_failure_is_taken_for_the_end)
{
    enum { BYTES = 1 << 20 };
    char *const text = malloc(BYTES);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < BYTES; i++) {
        text[i] = (char)(i * i >> 7);
    }
    scratch_packed("x", packings[_i].filter, text, BYTES);
    free(text);
    int fd = open(scratch("x"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_gt(cancel_each(read_all, &fd), 2);
    close(fd);
}
END_TEST

/* An empty text, compressed, is no damage. */
START_TEST(nothing_may_be_compressed)
{
    const unsigned char *piece = NULL;
    size_t bytes = 1;
    decompressor *f = NULL;
    err e = {0};
    scratch_packed("x", packings[_i].filter, "", 0);
    const int fd = open(scratch("x"), O_RDONLY | O_CLOEXEC);
    expect_ok(decompressor_open(fd, "x", NULL, &f, &e), &e);
    for (int i = 0; i < 2; i++) {
        expect_ok(decompressor_read(f, &piece, &bytes, &e), &e);
        ck_assert_uint_eq(bytes, 0);
    }
    decompressor_close(f);
    close(fd);
}
END_TEST

/* The input may be in memory; then there is no limit. */
START_TEST(memory_may_be_unpacked)
{
    const unsigned char *piece = NULL;
    size_t bytes = 0;
    char packed[200];
    decompressor *f = NULL;
    err e = {0};
    scratch_packed("x", packings[_i].filter, "hello", 5);
    FILE *const in = fopen(scratch("x"), "rb");
    const size_t packed_bytes = fread(packed, 1, sizeof packed, in);
    ck_assert_int_eq(fclose(in), 0);
    expect_ok(decompressor_open_memory(packed, packed_bytes, "x", NULL, &f, &e), &e);
    expect_ok(decompressor_read(f, &piece, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 5);
    ck_assert_mem_eq(piece, "hello", 5);
    expect_ok(decompressor_read(f, &piece, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 0);
    decompressor_close(f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("decompress");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, the_limit_grows_with_the_file);
    tcase_add_test(tc, a_refusal_explains_the_limit);
    tcase_add_test(tc, streams_are_recognized);
    tcase_add_test(tc, streams_follow_each_other);
    tcase_add_loop_test(tc, no_failure_is_taken_for_the_end, 1, COUNT(packings));
    tcase_add_loop_test(tc, nothing_may_be_compressed, 1, COUNT(packings));
    tcase_add_loop_test(tc, memory_may_be_unpacked, 1, COUNT(packings));
    return run_tests("decompress", tc);
}
