/* gzip: members, the limit, and data truncated or damaged at every byte. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "format/archive/gzip.h"
#include "tests/aid/expect.h"

/* One member. */
static size_t pack(const char *text, size_t bytes, char *to, size_t room)
{
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (const Bytef *)text;
    z.avail_in = (uInt)bytes;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t packed = room - z.avail_out;
    ck_assert_int_eq(deflateEnd(&z), Z_OK);
    return packed;
}

START_TEST(members_follow_each_other)
{
    char packed[512];
    size_t bytes = pack("hello ", 6, packed, sizeof packed);
    bytes += pack("", 0, packed + bytes, sizeof packed - bytes);
    bytes += pack("world", 5, packed + bytes, sizeof packed - bytes);
    ck_assert(gzip_is_compressed(packed, bytes));
    ck_assert(!gzip_is_compressed("\x1f", 1));
    ck_assert(!gzip_is_compressed("text", 4));
    char *out = NULL;
    size_t out_bytes = 0;
    err e = {0};
    expect_ok(gzip_unpack("t.gz", packed, bytes, 11, &out, &out_bytes, &e), &e);
    ck_assert_uint_eq(out_bytes, 11);
    ck_assert_str_eq(out, "hello world");
    free(out);
    expect_error(gzip_unpack("t.gz", packed, bytes, 10, &out, &out_bytes, &e), ERR_INPUT, &e,
                 "t.gz: more than the limit of 10 bytes");
    ck_assert_ptr_null(out);
}
END_TEST

START_TEST(large_data_and_the_limit)
{
    enum { BYTES = 1 << 20, PACKED = 1 << 16 };
    char *const text = calloc(1, BYTES);
    char *const packed = malloc(PACKED);
    ck_assert(text && packed);
    const size_t bytes = pack(text, BYTES, packed, PACKED);
    char *out = NULL;
    size_t out_bytes = 0;
    err e = {0};
    expect_ok(gzip_unpack("t.gz", packed, bytes, BYTES, &out, &out_bytes, &e), &e);
    ck_assert_uint_eq(out_bytes, BYTES);
    ck_assert_int_eq(memcmp(out, text, BYTES), 0);
    free(out);
    static const size_t limits[] = {0, 1, (64 << 10) - 1, 64 << 10, BYTES - 1};
    for (int i = 0; i < COUNT(limits); i++) {
        expect_error(gzip_unpack("t.gz", packed, bytes, limits[i], &out, &out_bytes, &e), ERR_INPUT,
                     &e, "more than the limit");
    }
    free(packed);
    free(text);
}
END_TEST

START_TEST(every_damage_is_found)
{
    char packed[256];
    const size_t bytes = pack("some text, some more text", 25, packed, sizeof packed);
    char *out = NULL;
    size_t out_bytes = 0;
    err e = {0};
    for (size_t i = 0; i < bytes; i++) {
        expect_error(gzip_unpack("t.gz", packed, i, 1000, &out, &out_bytes, &e), ERR_INPUT, &e,
                     "gzip data");
    }
    for (size_t i = 0; i < bytes; i++) {
        packed[i] = (char)(packed[i] ^ 1);
        /* Flags, time and system in the header do not affect the data. */
        if (gzip_unpack("t.gz", packed, bytes, 1000, &out, &out_bytes, &e) == OK) {
            ck_assert_msg(i >= 3 && i < 10, "byte %zu", i);
            free(out);
        }
        e = (err){0};
        packed[i] = (char)(packed[i] ^ 1);
    }
    packed[bytes] = 'x';
    expect_error(gzip_unpack("t.gz", packed, bytes + 1, 1000, &out, &out_bytes, &e), ERR_INPUT, &e,
                 "t.gz: ");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("gzip");
    tcase_add_test(tc, members_follow_each_other);
    tcase_add_test(tc, large_data_and_the_limit);
    tcase_add_test(tc, every_damage_is_found);
    return run_tests("gzip", tc);
}
