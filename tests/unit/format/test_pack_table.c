/* Tables of packed files: order, offsets, chunks and slices against a second computation, written
 * here from spec/format.md 5 to 8 alone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

enum { ROUNDS = 60, CHUNK = 2 << 20 };

/* ---- the second computation ------------------------------------ */

static bool is_canonical_number(const char *text, uint64_t *number)
{
    char again[24];
    char *end = NULL;
    *number = strtoull(text, &end, 10);
    snprintf(again, sizeof again, "%llu", (unsigned long long)*number);
    return strcmp(again, text) == 0 && *number < 1ull << 31;
}

static int64_t spec_layer(const char *name)
{
    char copy[NAME_MAX_BYTES + 2];
    bool follows = false;
    snprintf(copy, sizeof copy, "%s", name);
    for (char *rest = copy, *component = NULL; (component = strsep(&rest, "."));) {
        uint64_t number = 0;
        if (follows && is_canonical_number(component, &number)) {
            return (int64_t)number;
        }
        follows = strcmp(component, "layers") == 0 || strcmp(component, "h") == 0 ||
                  strcmp(component, "blocks") == 0;
    }
    return -1;
}

static uint64_t spec_bytes(const pack_record *r)
{
    uint64_t bits = dtype_bits(r->type);
    for (unsigned i = 0; i < r->ndim; i++) {
        bits *= r->shape[i];
    }
    ck_assert_uint_eq(bits % 8, 0);
    return bits / 8;
}

static uint64_t spec_slices(const pack_record *r)
{
    const bool codes = r->scale_idx != PACK_NO_SCALE;
    const bool scales = r->cls == CLASS_SCALES && r->origin == ORIGIN_QUANTIZED;
    const bool stack = strchr(r->name, '*') != NULL;
    return (stack && !scales) || (codes && r->ndim == 3) ? r->shape[0] : 1;
}

static uint64_t spec_chunk_bytes(const pack_record *r)
{
    if (r->scale_idx == PACK_NO_SCALE) {
        return CHUNK;
    }
    const uint64_t tile_row = 128 * r->shape[r->ndim - 1];
    return tile_row * (CHUNK / tile_row > 1 ? CHUNK / tile_row : 1);
}

static int spec_order(const pack_record *a, const pack_record *b)
{
    const int64_t x = spec_layer(a->name);
    const int64_t y = spec_layer(b->name);
    if (x != y) {
        return x < y ? -1 : 1;
    }
    return a->cls != b->cls ? (a->cls < b->cls ? -1 : 1) : strcmp(a->name, b->name);
}

/* Every chunk of a record, in order, and its owner. */
static void check_chunks(const pack_table *t, uint32_t i)
{
    const pack_record *const r = &t->records[i];
    const uint64_t slices = spec_slices(r);
    const uint64_t slice_bytes = spec_bytes(r) / slices;
    uint64_t number = 0;
    for (uint64_t s = 0; s < slices; s++) {
        for (uint64_t begin = 0; begin < slice_bytes; begin += spec_chunk_bytes(r)) {
            const pack_chunk c = pack_record_chunk(r, number);
            const uint64_t left = slice_bytes - begin;
            ck_assert_uint_eq(c.slice, s);
            ck_assert_uint_eq(c.begin, begin);
            ck_assert_uint_eq(c.bytes, left < spec_chunk_bytes(r) ? left : spec_chunk_bytes(r));
            ck_assert_uint_eq(c.off, r->off + s * slice_bytes + begin);
            ck_assert_uint_eq(pack_table_chunk_owner(t, r->chunk_first + number), i);
            number++;
        }
    }
    ck_assert_uint_eq(r->chunk_count, number);
}

typedef struct totals {
    uint64_t cursor, chunks, sources, stats;
} totals;

static void check_record(const pack_table *t, uint32_t i, totals *sum)
{
    const pack_record *const r = &t->records[i];
    const uint64_t bytes = spec_bytes(r);
    const bool codes = r->scale_idx != PACK_NO_SCALE;
    const uint64_t align = bytes >= 65536 ? 65536 : 256;
    if (bytes > 0) {
        sum->cursor = (sum->cursor + align - 1) / align * align;
    }
    ck_assert_int_eq(r->layer, spec_layer(r->name));
    ck_assert_uint_eq(r->len, bytes);
    ck_assert_uint_eq(r->off, sum->cursor);
    ck_assert_uint_eq(r->chunk_bytes, spec_chunk_bytes(r));
    ck_assert_uint_eq(r->chunk_first, sum->chunks);
    ck_assert_uint_eq(pack_record_slices(r), spec_slices(r));
    ck_assert_uint_eq(pack_record_slice_bytes(r) * spec_slices(r), bytes);
    check_chunks(t, i);
    const uint64_t stats = codes && r->origin == ORIGIN_QUANTIZED ? spec_slices(r) : 0;
    const bool computed = r->cls == CLASS_SCALES && r->origin == ORIGIN_QUANTIZED;
    const uint64_t sources = computed ? 0 : (strchr(r->name, '*') ? r->shape[0] : 1);
    ck_assert_uint_eq(pack_record_computed(r), computed);
    ck_assert_uint_eq(pack_record_sources(r), sources);
    ck_assert_uint_eq(pack_record_has_stats(r), stats > 0);
    ck_assert_uint_eq(pack_record_requantized(r), stats > 0 && r->src_type == DTYPE_F8_E4M3);
    ck_assert(sources == 0 || r->source_first == sum->sources);
    ck_assert(stats == 0 || r->stat_first == sum->stats);
    ck_assert_uint_eq(pack_source_bytes(r, bytes),
                      bytes * dtype_bits(r->src_type) / dtype_bits(r->type));
    sum->cursor += bytes;
    sum->chunks += r->chunk_count;
    sum->sources += sources;
    sum->stats += stats;
}

START_TEST(random_table_is_laid_out)
{
    uint64_t state = random_seed(_i);
    const uint32_t tensors = (uint32_t)table_up_to(&state, 40);
    const uint64_t data_off = 65536 * (1 + table_up_to(&state, 9));
    pack_table t = table_random(&state, tensors);
    err e = {0};
    expect_ok(pack_table_place(&t, data_off, &e), &e);
    totals sum = {.cursor = data_off};
    for (uint32_t i = 0; i < t.count; i++) {
        const pack_record *const r = &t.records[i];
        ck_assert(i == 0 || spec_order(r - 1, r) < 0);
        check_record(&t, i, &sum);
        if (r->cls == CLASS_CODES) {
            const pack_record *const s = &t.records[r->scale_idx];
            const size_t length = strlen(r->name);
            ck_assert_int_eq(s->cls, CLASS_SCALES);
            ck_assert_int_eq(strncmp(s->name, r->name, length), 0);
            ck_assert_str_eq(s->name + length, "_scale_inv");
        }
    }
    ck_assert_uint_eq(t.chunk_count, sum.chunks);
    ck_assert_uint_eq(t.source_count, sum.sources);
    ck_assert_uint_eq(t.stat_count, sum.stats);
    ck_assert_uint_eq(t.data_off, data_off);
    ck_assert_uint_eq(t.data_end, (sum.cursor + 4095) / 4096 * 4096);
    pack_table_free(&t);
}
END_TEST

/* by_name is sorted, every record is found, and similar names are not. */
START_TEST(names_are_found)
{
    uint64_t state = random_seed(_i);
    pack_table t = table_random(&state, 1 + (uint32_t)table_up_to(&state, 50));
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t.count; i++) {
        char near[NAME_MAX_BYTES + 2];
        const char *const name = t.records[i].name;
        bytes += strlen(name);
        ck_assert_ptr_eq(pack_table_find(&t, name), &t.records[i]);
        snprintf(near, sizeof near, "%s0", name);
        ck_assert_ptr_null(pack_table_find(&t, near));
        near[strlen(name) - 1] = '\0';
        ck_assert_ptr_null(pack_table_find(&t, near));
        ck_assert(i == 0 ||
                  strcmp(t.records[t.by_name[i - 1]].name, t.records[t.by_name[i]].name) < 0);
    }
    ck_assert_ptr_null(pack_table_find(&t, ""));
    ck_assert_ptr_null(pack_table_find(&t, "\xff"));
    ck_assert_uint_eq(pack_table_names_bytes(&t), bytes);
    pack_table_free(&t);
}
END_TEST

START_TEST(empty_table)
{
    pack_table t = table_with_room(0);
    err e = {0};
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_ok(pack_table_place(&t, 65536, &e), &e);
    ck_assert_uint_eq(t.data_end, 65536);
    ck_assert_uint_eq(t.chunk_count + t.source_count + t.stat_count, 0);
    ck_assert_ptr_null(pack_table_find(&t, "a"));
    pack_table_free(&t);
    pack_table_free(&t);
}
END_TEST

/* ---- edges ----------------------------------------------------- */

static const struct {
    uint64_t bytes, off_before; /* a record of that many bytes before it moves the cursor there */
    uint64_t off;
} edges[] = {
    {65535, 1, 65536 + 256}, {65536, 1, 2 * 65536},     {65537, 1, 2 * 65536},
    {1, 255, 65536 + 256},   {1, 256, 65536 + 256},     {1, 257, 65536 + 512},
    {0, 257, 65536 + 257},   {65536, 65536, 2 * 65536},
};

START_TEST(alignment_at_its_edges)
{
    pack_table t = table_with_room(2);
    err e = {0};
    table_add(&t, "a", DTYPE_U8, 1, (uint64_t[]){edges[_i].off_before});
    table_add(&t, "b", DTYPE_U8, 1, (uint64_t[]){edges[_i].bytes});
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_ok(pack_table_place(&t, 65536, &e), &e);
    ck_assert_uint_eq(t.records[1].off, edges[_i].off);
    pack_table_free(&t);
}
END_TEST

static const struct {
    uint64_t cols, chunk_bytes;
} widths[] = {
    {1, 2097152},       {128, 2097152},     {300, 54 * 38400},    {8192, 2 * 1048576},
    {8193, 1048704},    {16384, 2097152},   {16385, 128 * 16385}, {1000000, 128000000},
    {5461, 3 * 699008}, {5462, 2 * 699136},
};

START_TEST(codes_are_cut_at_tile_rows)
{
    pack_table t = table_with_room(2);
    err e = {0};
    table_add_codes(&t, "a", DTYPE_BF16, 2, (uint64_t[]){1, widths[_i].cols});
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_ok(pack_table_place(&t, 65536, &e), &e);
    ck_assert_uint_eq(t.records[0].chunk_bytes, widths[_i].chunk_bytes);
    ck_assert_uint_eq(t.records[0].chunk_bytes % (128 * widths[_i].cols), 0);
    pack_table_free(&t);
}
END_TEST

/* No columns, so no row of tiles to be cut at; and 2^60 elements in few, large chunks. */
static const uint64_t odd_codes[][2] = {{1, 0}, {1ull << 21, 1ull << 39}};

START_TEST(odd_codes_are_refused)
{
    pack_table t = table_with_room(2);
    err e = {0};
    table_add_codes(&t, "a", DTYPE_BF16, 2, odd_codes[_i]);
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_error(pack_table_place(&t, 65536, &e), ERR_INPUT, &e, "tensor a: too large");
    pack_table_free(&t);
}
END_TEST

/* A stack of tensors without elements has sources, but no chunks. */
START_TEST(empty_members_are_counted)
{
    pack_table t = table_with_room(3);
    err e = {0};
    table_add(&t, "a", DTYPE_U8, 1, (uint64_t[]){300});
    table_add(&t, "experts.*.w", DTYPE_F32, 3, (uint64_t[]){5, 0, 7});
    table_add(&t, "z", DTYPE_U8, 2, (uint64_t[]){0, 7});
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_ok(pack_table_place(&t, 65536, &e), &e);
    ck_assert_uint_eq(t.chunk_count, 1);
    ck_assert_uint_eq(t.source_count, 7);
    ck_assert_uint_eq(t.records[1].chunk_count, 0);
    ck_assert_uint_eq(t.records[1].off, 65836);
    ck_assert_uint_eq(t.data_end, 65536 + 4096);
    pack_table_free(&t);
}
END_TEST

static const struct {
    const char *what;
    dtype type;
    unsigned ndim;
    uint64_t shape[3];
} too_large[] = {
    {"elements wrap around", DTYPE_U8, 3, {1ull << 39, 1ull << 39, 1ull << 39}},
    {"2^60 elements", DTYPE_U8, 2, {1ull << 30, 1ull << 30}},
    {"2^64 bits", DTYPE_F64, 2, {1ull << 39, 1ull << 19}},
    {"a dimension of 2^40", DTYPE_U8, 1, {1ull << 40}},
    {"a dimension of 2^40, no elements", DTYPE_U8, 2, {0, 1ull << 40}},
    {"more than 2^22 chunks", DTYPE_U8, 2, {1ull << 24, 1ull << 20}},
};

START_TEST(too_large_is_refused)
{
    pack_table t = table_with_room(2);
    err e = {0};
    table_add(&t, "a", DTYPE_U8, 0, NULL);
    table_add(&t, "b", too_large[_i].type, too_large[_i].ndim, too_large[_i].shape);
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_error(pack_table_place(&t, 65536, &e), ERR_INPUT, &e,
                 "tensor b: too large for a packed file");
    pack_table_free(&t);
}
END_TEST

/* No record is too large, but all of them together are. */
START_TEST(sums_do_not_wrap)
{
    pack_table t = table_with_room(40);
    err e = {0};
    for (char name[] = "a"; name[0] < 'a' + 20; name[0]++) {
        table_add(&t, name, DTYPE_F64, 2, (uint64_t[]){1ull << 25, 1ull << 33});
    }
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_error(pack_table_place(&t, 65536, &e), ERR_INPUT, &e, "too large for a packed file");
    pack_table_free(&t);
}
END_TEST

static const struct {
    uint64_t data_off, bytes;
    bool fits;
} ends[] = {
    {PACK_MAX_OFFSET - 4096, 4096, true},
    {PACK_MAX_OFFSET, 1, false},
    {(uint64_t)-65536, 65536, false}, /* the end is 2^64 */
};

START_TEST(data_ends_within_the_limit)
{
    pack_table t = table_with_room(1);
    err e = {0};
    table_add(&t, "a", DTYPE_U8, 1, &ends[_i].bytes);
    expect_ok(pack_table_sort(&t, &e), &e);
    if (ends[_i].fits) {
        expect_ok(pack_table_place(&t, ends[_i].data_off, &e), &e);
        ck_assert_uint_eq(t.data_end, PACK_MAX_OFFSET);
    } else {
        expect_error(pack_table_place(&t, ends[_i].data_off, &e), ERR_INPUT, &e,
                     "tensor a: too large for a packed file");
    }
    pack_table_free(&t);
}
END_TEST

START_TEST(padding_does_not_wrap)
{
    pack_table t = table_with_room(0);
    err e = {0};
    expect_error(pack_table_place(&t, UINT64_MAX, &e), ERR_INPUT, &e, "too large");
    pack_table_free(&t);
}
END_TEST

/* ---- names that clash ------------------------------------------ */

START_TEST(names_stand_once)
{
    pack_table t = table_with_room(3);
    err e = {0};
    table_add(&t, "b", DTYPE_U8, 0, NULL);
    table_add(&t, "a", DTYPE_U8, 0, NULL);
    table_add(&t, "b", DTYPE_F32, 0, NULL);
    expect_error(pack_table_sort(&t, &e), ERR_INPUT, &e, "tensor b: two records of this name");
    pack_table_free(&t);
}
END_TEST

static const struct {
    const char *name;
    bool clashes;
} beside_stack[] = {
    {"experts.0.w", true},    {"experts.2.w", true},    {"experts.3.w", false},
    {"experts.02.w", false},  {"experts.2.v", false},   {"experts.2", false},
    {"x.experts.2.w", false}, {"experts.2.w.w", false}, {"experts.99999999999999999999.w", false},
};

START_TEST(stack_stands_for_its_members)
{
    pack_table t = table_with_room(2);
    err e = {0};
    table_add(&t, "experts.*.w", DTYPE_U8, 3, (uint64_t[]){3, 1, 1});
    table_add(&t, beside_stack[_i].name, DTYPE_U8, 0, NULL);
    if (beside_stack[_i].clashes) {
        expect_error(pack_table_sort(&t, &e), ERR_INPUT, &e,
                     "duplicates a member of the stack experts.*.w");
    } else {
        expect_ok(pack_table_sort(&t, &e), &e);
    }
    pack_table_free(&t);
}
END_TEST

START_TEST(codes_need_their_scales)
{
    pack_table t = table_with_room(3);
    err e = {0};
    table_add_codes(&t, "w", DTYPE_BF16, 2, (uint64_t[]){1, 1});
    t.count--;
    table_add(&t, "v_scale_inv", DTYPE_F32, 2, (uint64_t[]){1, 1});
    expect_error(pack_table_sort(&t, &e), ERR_INTERNAL, &e, "tensor w: no scales");
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_table");
    tcase_add_loop_test(tc, random_table_is_laid_out, 0, ROUNDS);
    tcase_add_loop_test(tc, names_are_found, 0, ROUNDS);
    tcase_add_test(tc, empty_table);
    tcase_add_loop_test(tc, alignment_at_its_edges, 0, COUNT(edges));
    tcase_add_loop_test(tc, codes_are_cut_at_tile_rows, 0, COUNT(widths));
    tcase_add_loop_test(tc, odd_codes_are_refused, 0, COUNT(odd_codes));
    tcase_add_test(tc, empty_members_are_counted);
    tcase_add_loop_test(tc, too_large_is_refused, 0, COUNT(too_large));
    tcase_add_test(tc, sums_do_not_wrap);
    tcase_add_loop_test(tc, data_ends_within_the_limit, 0, COUNT(ends));
    tcase_add_test(tc, padding_does_not_wrap);
    tcase_add_test(tc, names_stand_once);
    tcase_add_loop_test(tc, stack_stands_for_its_members, 0, COUNT(beside_stack));
    tcase_add_test(tc, codes_need_their_scales);
    return run_tests("pack_table", tc);
}
