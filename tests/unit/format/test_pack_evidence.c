/* Digests and statistics in the tail: where each is stored, and rows of STAT as bytes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/pack/pack_evidence.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table small_table(void)
{
    pack_table t = table_with_room(8);
    err e = {0};
    table_add(&t, "a", DTYPE_U8, 1, (uint64_t[]){5 << 20}); /* three chunks */
    table_add(&t, "b", DTYPE_U8, 2, (uint64_t[]){0, 3});    /* none */
    table_add(&t, "c", DTYPE_U8, 1, (uint64_t[]){1});       /* one */
    table_add(&t, "experts.*.k", DTYPE_F32, 3, (uint64_t[]){3, 2, 2});
    table_add_codes(&t, "layers.0.w", DTYPE_F32, 3, (uint64_t[]){4, 2, 2});
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_ok(pack_table_place(&t, 65536, &e), &e);
    return t;
}

START_TEST(arrays_have_the_size_of_the_table)
{
    static const digest_alg algs[] = {DIGEST_XXH3, DIGEST_SHA256};
    for (int i = 0; i < COUNT(algs); i++) {
        pack_table t = small_table();
        const size_t each = digest_bytes(algs[i]);
        pack_evidence v;
        err e = {0};
        ck_assert_uint_eq(t.chunk_count, 3 + 0 + 1 + 3 + 4 + 1);
        ck_assert_uint_eq(t.source_count, 1 + 1 + 1 + 3 + 1);
        ck_assert_uint_eq(t.stat_count, 4);
        expect_ok(pack_evidence_create(&t, algs[i], &v, &e), &e);
        ck_assert_ptr_eq(pack_evidence_chunk(&v, 7), v.chunks + 7 * each);
        ck_assert_ptr_eq(pack_evidence_tensor(&v, 5), v.tensors + 5 * each);
        ck_assert_ptr_eq(pack_evidence_source(&v, 6), v.sources + 6 * 16);
        ck_assert_ptr_eq(pack_evidence_stat(&v, 3), v.stats + 3 * 64);
        ck_assert(pack_all_zero(v.chunks, t.chunk_count * each));
        ck_assert(pack_all_zero(v.tensors, t.count * each));
        ck_assert(pack_all_zero(v.sources, t.source_count * 16));
        ck_assert(pack_all_zero(v.stats, t.stat_count * 64));
        memset(v.chunks, 1, t.chunk_count * each); /* a sanitizer sees if they are smaller */
        memset(v.tensors, 1, t.count * each);
        memset(v.sources, 1, t.source_count * 16);
        memset(v.stats, 1, t.stat_count * 64);
        pack_evidence_free(&v);
        pack_evidence_free(&v);
        pack_table_free(&t);
    }
}
END_TEST

START_TEST(tensor_digest_from_its_chunks)
{
    static const digest_alg algs[] = {DIGEST_XXH3, DIGEST_SHA256};
    for (int i = 0; i < COUNT(algs); i++) {
        pack_table t = small_table();
        const size_t each = digest_bytes(algs[i]);
        unsigned char out[DIGEST_MAX];
        unsigned char expected[DIGEST_MAX];
        pack_evidence v;
        err e = {0};
        expect_ok(pack_evidence_create(&t, algs[i], &v, &e), &e);
        for (uint64_t k = 0; k < t.chunk_count * each; k++) {
            v.chunks[k] = (unsigned char)(k * 31 + k / 16);
        }
        expect_ok(pack_tensor_digest(&v, pack_table_find(&t, "a"), out, NULL), NULL);
        expect_ok(digest_of(algs[i], v.chunks, 3 * each, expected, NULL), NULL);
        ck_assert_mem_eq(out, expected, each);
        expect_ok(pack_tensor_digest(&v, pack_table_find(&t, "b"), out, NULL), NULL);
        expect_ok(digest_of(algs[i], "", 0, expected, NULL), NULL);
        ck_assert_mem_eq(out, expected, each);
        expect_ok(pack_tensor_digest(&v, pack_table_find(&t, "c"), out, NULL), NULL);
        ck_assert_mem_eq(out, v.chunks + 3 * each, each);
        expect_ok(pack_tensor_digest(&v, pack_table_find(&t, "experts.*.k"), out, NULL), NULL);
        expect_ok(digest_of(algs[i], v.chunks + 4 * each, 3 * each, expected, NULL), NULL);
        ck_assert_mem_eq(out, expected, each);
        pack_evidence_free(&v);
        pack_table_free(&t);
    }
}
END_TEST

static const pack_stat legal = {.amax = 3.5f,
                                .scale_min = 0x1p-126f,
                                .scale_max = 0x1.fffffep119f,
                                .saturated = 1,
                                .zero = UINT64_MAX,
                                .flushed = 0x0123456789abcdef,
                                .sum_sq_source = 0x1.23456789abcdep300,
                                .sum_sq_error = 0x1p-1074};

START_TEST(row_of_statistics_as_bytes)
{
    unsigned char row[65];
    memset(row, 0xaa, sizeof row);
    pack_stat_encode(&legal, row);
    ck_assert_uint_eq(row[64], 0xaa);
    ck_assert_uint_eq(le32_load(row), 0x40600000);
    ck_assert_uint_eq(le32_load(row + 4), 0x00800000);
    ck_assert_uint_eq(le32_load(row + 8), 0x7b7fffff);
    ck_assert_uint_eq(le32_load(row + 12), 0);
    ck_assert_uint_eq(le64_load(row + 16), 1);
    ck_assert_uint_eq(le64_load(row + 24), UINT64_MAX);
    ck_assert_uint_eq(le64_load(row + 32), 0x0123456789abcdef);
    ck_assert_uint_eq(le64_load(row + 40), 0x52b23456789abcde);
    ck_assert_uint_eq(le64_load(row + 48), 1);
    ck_assert_uint_eq(le64_load(row + 56), 0);
    pack_stat back;
    unsigned char again[64];
    ck_assert(pack_stat_decode(row, &back));
    pack_stat_encode(&back, again);
    ck_assert_mem_eq(again, row, 64);
}
END_TEST

static const struct {
    unsigned at, bytes;
    uint64_t value;
} broken[] = {
    {12, 1, 1},
    {15, 1, 0x80},
    {56, 1, 1},
    {63, 1, 0x80},
    {0, 4, 0x7f800000},
    {0, 4, 0xff800000},
    {4, 4, 0x7fc00000},
    {8, 4, 0x7f800001},
    {40, 8, 0x7ff0000000000000},
    {48, 8, 0xfff8000000000000},
};

START_TEST(broken_row_is_refused)
{
    unsigned char row[64];
    pack_stat back;
    pack_stat_encode(&legal, row);
    for (unsigned i = 0; i < broken[_i].bytes; i++) {
        row[broken[_i].at + i] = (unsigned char)(broken[_i].value >> (8 * i));
    }
    ck_assert(!pack_stat_decode(row, &back));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_evidence");
    tcase_add_test(tc, arrays_have_the_size_of_the_table);
    tcase_add_test(tc, tensor_digest_from_its_chunks);
    tcase_add_test(tc, row_of_statistics_as_bytes);
    tcase_add_loop_test(tc, broken_row_is_refused, 0, COUNT(broken));
    return run_tests("pack_evidence", tc);
}
