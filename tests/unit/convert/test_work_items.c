/* The work list: every chunk of codes and kept records once, in file order, none too large. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "convert/stream/work_items.h"
#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static void place(pack_table *t)
{
    err e = {0};
    expect_ok(pack_table_place(t, 65536, &e), &e);
}

static uint64_t source_bytes(const pack_record *r, uint64_t chunk)
{
    return pack_record_chunk(r, chunk).bytes * dtype_bits(r->src_type) / dtype_bits(r->type);
}

/* Every chunk's source begins at a multiple of 64; for chunks of 128 KiB or more, at a multiple of
 * 4096, and with a page more. The floats of FP8 that is requantized come before it. */
static uint64_t room_bytes(const pack_record *r, uint64_t chunk)
{
    const uint64_t unit = source_bytes(r, 0) < 131072 ? 64 : 4096;
    const uint64_t bytes = source_bytes(r, chunk);
    const bool floats = r->origin == ORIGIN_QUANTIZED && r->src_type == DTYPE_F8_E4M3;
    return (floats ? (4 * bytes + unit - 1) / unit * unit : 0) + (bytes + unit - 1) / unit * unit +
           (bytes < 131072 ? 0 : 4096);
}

/* The bytes of a slot that an item takes. */
static void item_size(const pack_record *r, const work_item *w, uint64_t *in, uint64_t *out,
                      uint64_t *tiles)
{
    *in = *out = *tiles = 0;
    for (uint32_t i = 0; i < w->chunks; i++) {
        const pack_chunk c = pack_record_chunk(r, w->chunk + i);
        *in += room_bytes(r, w->chunk + i);
        *out += c.bytes;
        if (r->cls == CLASS_CODES && r->origin == ORIGIN_QUANTIZED) {
            const uint64_t cols = r->shape[r->ndim - 1];
            *tiles += (c.bytes / cols + 127) / 128 * ((cols + 127) / 128);
        }
        ck_assert_uint_eq(item_chunk_in_bytes(r, &c), room_bytes(r, w->chunk + i));
    }
}

static void check_list(const pack_table *t, const work_list *w, uint64_t in_bytes,
                       uint64_t out_bytes)
{
    uint64_t next = 0;
    uint64_t max_chunks = 0;
    uint64_t max_tiles = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        uint64_t chunk = 0;
        const bool computed = r->cls == CLASS_SCALES && r->origin == ORIGIN_QUANTIZED;
        while (!computed && chunk < r->chunk_count) {
            uint64_t in = 0;
            uint64_t out = 0;
            uint64_t tiles = 0;
            ck_assert_uint_lt(next, w->count);
            const work_item *const item = &w->items[next++];
            ck_assert_uint_eq(item->record, i);
            ck_assert_uint_eq(item->chunk, chunk);
            ck_assert_uint_ge(item->chunks, 1);
            item_size(r, item, &in, &out, &tiles);
            ck_assert_uint_le(in, in_bytes);
            ck_assert_uint_le(out, out_bytes);
            chunk += item->chunks;
            max_chunks = num_max(max_chunks, item->chunks);
            max_tiles = num_max(max_tiles, tiles);
            if (chunk < r->chunk_count) { /* one more would not have fitted */
                const work_item more = {i, item->chunks + 1, item->chunk};
                item_size(r, &more, &in, &out, &tiles);
                ck_assert(in > in_bytes || out > out_bytes);
            }
        }
    }
    ck_assert_uint_eq(next, w->count);
    ck_assert_uint_eq(max_chunks, w->max_chunks);
    ck_assert_uint_eq(max_tiles, w->max_tiles);
}

START_TEST(random_table_is_cut)
{
    uint64_t state = random_seed(_i);
    pack_table t = table_random(&state, 1 + (uint32_t)table_up_to(&state, 30));
    uint64_t in_bytes = 0;
    uint64_t out_bytes = 0;
    err e = {0};
    place(&t);
    items_largest_chunk(&t, &in_bytes, &out_bytes);
    if (_i % 2) { /* space for more than the largest chunk */
        in_bytes += table_up_to(&state, 8 << 20);
        out_bytes += table_up_to(&state, 8 << 20);
    }
    work_list w;
    expect_ok(work_list_make(&t, in_bytes, out_bytes, &w, &e), &e);
    check_list(&t, &w, in_bytes, out_bytes);
    work_list_free(&w);
    work_list_free(&w);
    pack_table_free(&t);
}
END_TEST

START_TEST(largest_chunk_is_found)
{
    pack_table t = table_with_room(8);
    uint64_t in = 7;
    uint64_t out = 7;
    err e = {0};
    items_largest_chunk(&t, &in, &out);
    ck_assert_uint_eq(in + out, 0);
    table_add(&t, "empty", DTYPE_F32, 2, (uint64_t[]){0, 5});
    table_add_codes(&t, "w", DTYPE_F32, 2, (uint64_t[]){3, 5});
    expect_ok(pack_table_sort(&t, &e), &e);
    place(&t);
    items_largest_chunk(&t, &in, &out);
    ck_assert_uint_eq(in, 64); /* 60 bytes of source */
    ck_assert_uint_eq(out, 15);
    table_add_codes(&t, "v", DTYPE_BF16, 2,
                    (uint64_t[]){1000, 20000}); /* one row of tiles is more */
    expect_ok(pack_table_sort(&t, &e), &e);
    place(&t);
    items_largest_chunk(&t, &in, &out);
    ck_assert_uint_eq(out, 128 * 20000);
    ck_assert_uint_eq(in, 2 * 128 * 20000 + 4096);
    pack_table_free(&t);
}
END_TEST

START_TEST(no_records_no_items)
{
    pack_table t = table_with_room(3);
    work_list w;
    err e = {0};
    table_add(&t, "empty", DTYPE_F32, 2, (uint64_t[]){0, 5});
    table_add(&t, "experts.*.empty", DTYPE_F32, 3, (uint64_t[]){9, 0, 5});
    expect_ok(pack_table_sort(&t, &e), &e);
    place(&t);
    expect_ok(work_list_make(&t, 64, 64, &w, &e), &e);
    ck_assert_uint_eq(w.count, 0);
    ck_assert_uint_eq(w.max_chunks, 0);
    work_list_free(&w);
    pack_table_free(&t);
}
END_TEST

/* Thousands of small experts go together, as many as fit. */
START_TEST(small_members_go_together)
{
    pack_table t = table_with_room(2);
    work_list w;
    err e = {0};
    table_add(&t, "experts.*.b", DTYPE_U8, 3, (uint64_t[]){1000, 1, 65}); /* 128 in a slot */
    expect_ok(pack_table_sort(&t, &e), &e);
    place(&t);
    expect_ok(work_list_make(&t, 128 * 300, 65 * 1000, &w, &e), &e);
    ck_assert_uint_eq(w.count, 4);
    ck_assert_uint_eq(w.items[0].chunks, 300);
    ck_assert_uint_eq(w.items[3].chunks, 100);
    work_list_free(&w);
    expect_ok(work_list_make(&t, 128 * 1000, 65 * 300, &w, &e), &e); /* the output is the limit */
    ck_assert_uint_eq(w.items[0].chunks, 300);
    work_list_free(&w);
    pack_table_free(&t);
}
END_TEST

/* But with a limit, because each also takes an entry in tables. */
START_TEST(an_item_has_so_many_chunks)
{
    pack_table t = table_with_room(2);
    work_list w;
    err e = {0};
    table_add(&t, "experts.*.b", DTYPE_U8, 3, (uint64_t[]){2500, 1, 1});
    expect_ok(pack_table_sort(&t, &e), &e);
    place(&t);
    expect_ok(work_list_make(&t, 1 << 20, 1 << 20, &w, &e), &e);
    ck_assert_uint_eq(w.count, 3);
    ck_assert_uint_eq(w.max_chunks, ITEM_CHUNKS_MAX);
    ck_assert_uint_eq(w.items[2].chunks, 2500 - 2 * ITEM_CHUNKS_MAX);
    work_list_free(&w);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("work_items");
    tcase_add_loop_test(tc, random_table_is_cut, 0, 40);
    tcase_add_test(tc, largest_chunk_is_found);
    tcase_add_test(tc, no_records_no_items);
    tcase_add_test(tc, small_members_go_together);
    tcase_add_test(tc, an_item_has_so_many_chunks);
    return run_tests("work_items", tc);
}
