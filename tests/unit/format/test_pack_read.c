/* Reading chunks with their digests: which chunks, the right bytes, and reports of damage. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/pack/pack_read.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

static err e;
static small_pack small;
static pack_file *p;
static pack_evidence evidence;

static void open_pack(bool sha256)
{
    small_pack_build(&small_model_default, &(small_options){.sha256 = sha256}, &small);
    scratch_write("p", small.bytes, small.length);
    expect_ok(pack_open(scratch("p"), &p, &e), &e);
    expect_ok(pack_read_evidence(p, &evidence, &e), &e);
}

static void setup(void)
{
    e = (err){0};
    scratch_make();
}

static void teardown(void)
{
    pack_evidence_free(&evidence);
    pack_close(p);
    p = NULL;
    small_pack_free(&small);
    scratch_remove();
}

/* A record of three slices with two chunks each: 5 and 3 bytes. */
static pack_record chunked(void)
{
    return (pack_record){.name = "x.experts.*.y",
                         .type = DTYPE_U8,
                         .ndim = 3,
                         .shape = {3, 2, 4},
                         .stack = true,
                         .off = 1000,
                         .len = 24,
                         .chunk_bytes = 5,
                         .chunk_count = 6};
}

static const struct {
    uint64_t begin, bytes, first, count, range_begin, range_bytes;
} ranges[] = {
    {0, 0, 0, 0, 0, 0},   {24, 0, 0, 0, 24, 0}, {0, 1, 0, 1, 0, 5}, {4, 1, 0, 1, 0, 5},
    {4, 2, 0, 2, 0, 8},   {5, 3, 1, 1, 5, 3},   {7, 2, 1, 2, 5, 8}, {0, 24, 0, 6, 0, 24},
    {12, 9, 2, 3, 8, 13}, {23, 1, 5, 1, 21, 3},
};

START_TEST(ranges_are_whole_chunks)
{
    const pack_record r = chunked();
    const pack_range at = pack_record_range(&r, ranges[_i].begin, ranges[_i].bytes);
    ck_assert_uint_eq(at.count, ranges[_i].count);
    ck_assert_uint_eq(at.bytes, ranges[_i].range_bytes);
    ck_assert_uint_eq(at.begin, ranges[_i].range_begin);
    ck_assert_uint_eq(at.first, ranges[_i].first);
}
END_TEST

START_TEST(bytes_are_those_of_the_file)
{
    open_pack(_i == 1);
    for (uint32_t i = 0; i < p->table.count; i++) {
        const pack_record *const r = &p->table.records[i];
        const pack_range at = pack_record_range(r, 0, r->len);
        unsigned char *const room = malloc(at.bytes + 1);
        ck_assert_uint_eq(at.bytes, r->len);
        expect_ok(pack_read_range(p, &evidence, &at, NULL, room, &e), &e);
        ck_assert(memcmp(room, small.bytes + r->off, r->len) == 0);
        free(room);
    }
}
END_TEST

START_TEST(damage_is_named)
{
    open_pack(_i == 1);
    for (uint32_t i = 0; i < p->table.count; i++) {
        const pack_record *const r = &p->table.records[i];
        if (r->len == 0) {
            continue;
        }
        unsigned char *const room = malloc(r->len);
        const uint64_t last = r->off + r->len - 1;
        small.bytes[last] ^= 1;
        scratch_write("p", small.bytes, small.length); /* the same file, open in p */
        const pack_range whole = pack_record_range(r, 0, r->len);
        char expected[NAME_MAX_BYTES + 32];
        snprintf(expected, sizeof expected, "tensor %s, chunk %llu: ", r->name,
                 (unsigned long long)r->chunk_count - 1);
        expect_error(pack_read_range(p, &evidence, &whole, NULL, room, &e), ERR_IO, &e,
                     "changed during");
        struct stat st; /* as if it had been damaged before it was opened */
        ck_assert_int_eq(fstat(p->fd, &st), 0);
        p->stamp = file_stamp_of(&st);
        expect_error(pack_read_range(p, &evidence, &whole, NULL, room, &e), ERR_DAMAGED, &e,
                     expected);
        if (r->chunk_count > 1) {
            const pack_range first = pack_record_range(r, 0, 1);
            expect_ok(pack_read_range(p, &evidence, &first, NULL, room, &e), &e);
        }
        small.bytes[last] ^= 1;
        free(room);
    }
    ck_assert_int_eq(truncate(scratch("p"), 4096), 0);
    const pack_record *const r = &p->table.records[0];
    unsigned char *const room = malloc(r->len + 1);
    const pack_range whole = pack_record_range(r, 0, r->len);
    expect_error(pack_read_range(p, &evidence, &whole, NULL, room, &e), ERR_IO, &e, "");
    free(room);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("pack_read");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, ranges_are_whole_chunks, 0, COUNT(ranges));
    tcase_add_loop_test(tc, bytes_are_those_of_the_file, 0, 2);
    tcase_add_loop_test(tc, damage_is_named, 0, 2);
    return run_tests("pack_read", tc);
}
