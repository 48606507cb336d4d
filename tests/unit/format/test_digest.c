/* Digests: published vectors, pieces, and streams. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/digest.h"
#include "tests/aid/expect.h"

/* ---- whole data ------------------------------------------------ */

static const char *hex_of(digest_alg alg, const void *data, size_t bytes)
{
    static char hex[2 * DIGEST_MAX + 1];
    unsigned char out[DIGEST_MAX];
    expect_ok(digest_of(alg, data, bytes, out, NULL), NULL);
    hex_encode(out, digest_bytes(alg), hex);
    return hex;
}

START_TEST(sha256_vectors)
{
    ck_assert_str_eq(hex_of(DIGEST_SHA256, "", 0),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_eq(hex_of(DIGEST_SHA256, "abc", 3),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

/* The canonical form is the 128-bit number in big-endian order: as xxhsum -H2 prints it. */
START_TEST(xxh3_vectors)
{
    ck_assert_str_eq(hex_of(DIGEST_XXH3, "", 0), "99aa06d3014798d86001c324468d497f");
    ck_assert_str_eq(hex_of(DIGEST_XXH3, "abc", 3), "06b05ab6733a618578af5f94892f3950");
}
END_TEST

START_TEST(names_and_sizes)
{
    ck_assert_uint_eq(digest_bytes(DIGEST_XXH3), 16);
    ck_assert_uint_eq(digest_bytes(DIGEST_SHA256), 32);
    ck_assert_str_eq(digest_name(DIGEST_XXH3), "xxh3");
    ck_assert_str_eq(digest_name(DIGEST_SHA256), "sha256");
    ck_assert_int_eq(DIGEST_XXH3, 1); /* these numbers are stored in files */
    ck_assert_int_eq(DIGEST_SHA256, 2);
}
END_TEST

START_TEST(list_is_what_is_known)
{
    unsigned known = 0;
    for (unsigned number = 0; number < 300; number++) {
        known += digest_known(number);
    }
    ck_assert_uint_eq(known, DIGEST_COUNT);
    for (int i = 0; i < DIGEST_COUNT; i++) {
        ck_assert(digest_known((unsigned)digest_algs[i]));
        ck_assert_uint_le(digest_bytes(digest_algs[i]), DIGEST_MAX);
    }
}
END_TEST

START_TEST(of_is_one_of_them)
{
    unsigned char a[DIGEST_MAX];
    unsigned char b[DIGEST_MAX];
    expect_ok(digest_of(DIGEST_XXH3, "octavo", 6, a, NULL), NULL);
    digest_xxh3("octavo", 6, b);
    ck_assert_mem_eq(a, b, XXH3_BYTES);
    expect_ok(digest_of(DIGEST_SHA256, "octavo", 6, a, NULL), NULL);
    expect_ok(digest_sha256("octavo", 6, b, NULL), NULL);
    ck_assert_mem_eq(a, b, SHA256_BYTES);
}
END_TEST

static bool count_down(void *ctx)
{
    int *const left = ctx;
    return --*left < 0;
}

/* The same digest, unless somebody asks to stop. */
START_TEST(long_data_can_be_cancelled)
{
    enum { BYTES = 9 << 20 };
    unsigned char *const data = calloc(BYTES, 1);
    unsigned char a[DIGEST_MAX];
    unsigned char b[DIGEST_MAX];
    err e = {0};
    int left = 1;
    const monitor m = {.cancelled = count_down, .ctx = &left};
    ck_assert_ptr_nonnull(data);
    expect_error(digest_long(DIGEST_SHA256, data, BYTES, &m, a, &e), ERR_CANCELLED, &e, "inter");
    left = 2;
    expect_ok(digest_long(DIGEST_SHA256, data, BYTES, &m, a, &e), &e);
    expect_ok(digest_sha256(data, BYTES, b, &e), &e);
    ck_assert_mem_eq(a, b, SHA256_BYTES);
    expect_ok(digest_long(DIGEST_XXH3, data, BYTES, &m, a, &e), &e);
    digest_xxh3(data, BYTES, b);
    ck_assert_mem_eq(a, b, XXH3_BYTES);
    free(data);
}
END_TEST

/* One piece: its own digest. None or several: the digest of the digests, end to end. */
START_TEST(pieces_are_combined)
{
    static const digest_alg algs[] = {DIGEST_XXH3, DIGEST_SHA256};
    for (int i = 0; i < COUNT(algs); i++) {
        const size_t each = digest_bytes(algs[i]);
        unsigned char pieces[3 * DIGEST_MAX];
        unsigned char out[DIGEST_MAX];
        unsigned char expected[DIGEST_MAX];
        for (size_t k = 0; k < sizeof pieces; k++) {
            pieces[k] = (unsigned char)(k * 37);
        }
        expect_ok(digest_combine(algs[i], pieces, 1, out, NULL), NULL);
        ck_assert_mem_eq(out, pieces, each);
        expect_ok(digest_combine(algs[i], pieces, 3, out, NULL), NULL);
        expect_ok(digest_of(algs[i], pieces, 3 * each, expected, NULL), NULL);
        ck_assert_mem_eq(out, expected, each);
        expect_ok(digest_combine(algs[i], pieces, 0, out, NULL), NULL);
        expect_ok(digest_of(algs[i], "", 0, expected, NULL), NULL);
        ck_assert_mem_eq(out, expected, each);
    }
}
END_TEST

enum { STREAM_BYTES = 100000 };

/* The data in steps, with empty additions in between, after a false start and a finished one. */
static void stream(digest_alg alg, size_t step, const unsigned char *data, unsigned char *out)
{
    digest_stream *s = NULL;
    err e = {0};
    expect_ok(digest_open(alg, &s, &e), &e);
    expect_ok(digest_add(s, "false", 5, &e), &e);
    expect_ok(digest_restart(s, &e), &e);
    expect_ok(digest_add(s, "another", 7, &e), &e);
    expect_ok(digest_finish(s, out, &e), &e);
    expect_ok(digest_restart(s, &e), &e);
    for (size_t at = 0; at < STREAM_BYTES; at += step) {
        const size_t n = step < STREAM_BYTES - at ? step : STREAM_BYTES - at;
        expect_ok(digest_add(s, data + at, n, &e), &e);
        expect_ok(digest_add(s, data, 0, &e), &e);
    }
    expect_ok(digest_finish(s, out, &e), &e);
    digest_close(s);
}

START_TEST(stream_equals_whole)
{
    static const size_t steps[] = {1, 63, 64, 65, 240, 4096, 99999, STREAM_BYTES};
    unsigned char *const data = malloc(STREAM_BYTES);
    unsigned char whole[2][DIGEST_MAX];
    unsigned char parts[2][DIGEST_MAX];
    for (size_t i = 0; i < STREAM_BYTES; i++) {
        data[i] = (unsigned char)(i * i >> 3);
    }
    expect_ok(digest_sha256(data, STREAM_BYTES, whole[0], NULL), NULL);
    digest_xxh3(data, STREAM_BYTES, whole[1]);
    for (int i = 0; i < COUNT(steps); i++) {
        stream(DIGEST_SHA256, steps[i], data, parts[0]);
        stream(DIGEST_XXH3, steps[i], data, parts[1]);
        ck_assert_mem_eq(parts[0], whole[0], SHA256_BYTES);
        ck_assert_mem_eq(parts[1], whole[1], XXH3_BYTES);
    }
    free(data);
}
END_TEST

START_TEST(stream_may_be_dropped)
{
    digest_close(NULL);
    digest_stream *s = NULL;
    expect_ok(digest_open(DIGEST_SHA256, &s, NULL), NULL);
    expect_ok(digest_add(s, "x", 1, NULL), NULL);
    digest_close(s);
}
END_TEST

START_TEST(hex_is_lower_case)
{
    char hex[9] = "????????";
    hex_encode((const unsigned char *)"\x00\x9f\xab\xff", 4, hex);
    ck_assert_str_eq(hex, "009fabff");
    hex_encode(NULL, 0, hex);
    ck_assert_str_eq(hex, "");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("digest");
    tcase_add_test(tc, sha256_vectors);
    tcase_add_test(tc, xxh3_vectors);
    tcase_add_test(tc, names_and_sizes);
    tcase_add_test(tc, long_data_can_be_cancelled);
    tcase_add_test(tc, list_is_what_is_known);
    tcase_add_test(tc, of_is_one_of_them);
    tcase_add_test(tc, pieces_are_combined);
    tcase_add_test(tc, stream_equals_whole);
    tcase_add_test(tc, stream_may_be_dropped);
    tcase_add_test(tc, hex_is_lower_case);
    return run_tests("digest", tc);
}
