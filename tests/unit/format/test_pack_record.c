/* Records as bytes: an encoded table decodes to the same table, and one that breaks a rule of
 * spec/format.md section 5 as a whole is refused. Single fields are in
 * test_pack_record_fields.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/base/num.h"
#include "format/pack/pack_record.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"
#include "tests/aid/record_image.h"

/* ---- round trip ------------------------------------------------ */

static bool same_given(const pack_record *a, const pack_record *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->src_type == b->src_type &&
           a->ndim == b->ndim && memcmp(a->shape, b->shape, sizeof a->shape) == 0 &&
           a->cls == b->cls && a->origin == b->origin && a->dialect == b->dialect &&
           a->stack == b->stack && block_same_size(a->block, b->block) &&
           a->block.code == b->block.code && a->block.scale == b->block.scale &&
           a->scale_idx == b->scale_idx;
}

static bool same_computed(const pack_record *a, const pack_record *b)
{
    return a->layer == b->layer && a->off == b->off && a->len == b->len &&
           a->chunk_bytes == b->chunk_bytes && a->chunk_first == b->chunk_first &&
           a->chunk_count == b->chunk_count && a->source_first == b->source_first &&
           a->stat_first == b->stat_first;
}

START_TEST(random_table_survives)
{
    uint64_t state = random_seed(_i);
    pack_table t = table_random(&state, (uint32_t)table_up_to(&state, 40));
    image m = image_of(&t);
    pack_table back;
    err e = {0};
    expect_ok(decode(&m, &back, &e), &e);
    ck_assert_uint_eq(back.count, t.count);
    ck_assert_uint_eq(back.data_off, t.data_off);
    ck_assert_uint_eq(back.data_end, t.data_end);
    ck_assert_uint_eq(back.chunk_count, t.chunk_count);
    ck_assert_uint_eq(back.source_count, t.source_count);
    ck_assert_uint_eq(back.stat_count, t.stat_count);
    for (uint32_t i = 0; i < t.count; i++) {
        ck_assert_msg(same_given(&t.records[i], &back.records[i]), "%s", t.records[i].name);
        ck_assert_msg(same_computed(&t.records[i], &back.records[i]), "%s", t.records[i].name);
        ck_assert_uint_eq(t.by_name[i], back.by_name[i]);
        ck_assert_ptr_eq(pack_table_find(&back, t.records[i].name), &back.records[i]);
    }
    image again = image_of(&back);
    ck_assert_mem_eq(m.tens, again.tens, m.tens_bytes);
    ck_assert_mem_eq(m.nidx, again.nidx, m.nidx_bytes);
    ck_assert_mem_eq(m.strs, again.strs, m.strs_bytes);
    image_free(&again);
    image_free(&m);
    pack_table_free(&back);
    pack_table_free(&t);
}
END_TEST

/* ---- the bytes ------------------------------------------------- */

START_TEST(fields_stand_where_the_table_says)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    const pack_record *const r = pack_table_find(&t, "layers.1.experts.*.w1");
    const unsigned char *const p = record_at(&m, &t, "layers.1.experts.*.w1");
    const uint64_t name_off = le32_load(p + NAME_OFF);
    ck_assert_uint_eq(le16_load(p + NAME_LEN), 21);
    ck_assert_mem_eq(m.strs + name_off, "layers.1.experts.*.w1", 21);
    ck_assert_uint_eq(p[DTYPE], 1);
    ck_assert_uint_eq(p[NDIM], 3);
    const uint64_t shape[6] = {2, 5, 600, 0, 0, 0};
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(le64_load(p + SHAPE + 8 * i), shape[i]);
    }
    ck_assert_uint_eq(le64_load(p + OFF), r->off);
    ck_assert_uint_eq(le64_load(p + LEN), 6000);
    ck_assert_uint_eq(le64_load(p + CHUNK_BYTES), 128 * 600 * 27);
    ck_assert_uint_eq(le64_load(p + CHUNK_FIRST), r->chunk_first);
    ck_assert_uint_eq(le64_load(p + CHUNK_COUNT), 2);
    ck_assert_str_eq(t.records[le32_load(p + SCALE_IDX)].name, "layers.1.experts.*.w1_scale_inv");
    ck_assert_uint_eq(le32_load(p + LAYER), 1);
    ck_assert_uint_eq(le32_load(p + BLOCK_ROWS), 128);
    ck_assert_uint_eq(le32_load(p + BLOCK_COLS), 128);
    ck_assert_uint_eq(p[SRC_DTYPE], 4);
    ck_assert_uint_eq(p[ORIGIN], 1);
    ck_assert_uint_eq(p[DIALECT], 1);
    ck_assert_uint_eq(p[FLAGS], 0);
    ck_assert(pack_all_zero(p + RESERVED, 12));
    ck_assert_uint_eq(le32_load(record_at(&m, &t, "empty") + LAYER), UINT32_MAX);
    ck_assert_uint_eq(le32_load(record_at(&m, &t, "empty") + SCALE_IDX), UINT32_MAX);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- tables that are wrong as a whole, although each field is valid ---- */

static void expect_table_refused(pack_table *t, const char *what)
{
    image m = image_of(t);
    expect_image_refused(&m, what);
    image_free(&m);
    pack_table_free(t);
}

static void index_in_order(pack_table *t, const uint32_t *order)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->by_name[i] = order ? order[i] : i;
    }
}

static const struct {
    const char *first, *second; /* U8 without dimensions, in this order */
    uint32_t by_name[2];
} orders[] = {
    {"b", "a", {1, 0}},
    {"a", "a", {0, 1}},
    {"aa", "a", {1, 0}},
    {"layers.1.a", "layers.0.a", {1, 0}},
    {"layers.10.a", "layers.2.a", {0, 1}},
    {"layers.0.a", "z", {0, 1}},           /* no layer comes first */
    {"layers.2.a", "layers.10.a", {0, 1}}, /* in order of layers, not of names */
    {"a", "b", {1, 0}},
    {"a", "b", {0, 0}},
    {"a", "b", {1, 1}},
    {"\xc3\xa9", "z", {1, 0}}, /* by bytes, not by alphabet */
};

START_TEST(order_is_checked)
{
    pack_table t = table_with_room(2);
    table_add(&t, orders[_i].first, DTYPE_U8, 0, NULL);
    table_add(&t, orders[_i].second, DTYPE_U8, 0, NULL);
    index_in_order(&t, orders[_i].by_name);
    expect_table_refused(&t, orders[_i].first);
}
END_TEST

static const struct {
    const char *name;
    unsigned ndim;
    uint64_t shape[6];
    bool legal;
} names[] = {
    {"experts.*.w", 3, {2, 1, 1}, true},
    {"experts.*", 3, {2, 1, 1}, true},
    {"experts.*.w", 6, {2, 1, 1, 1, 1, 1}, true},
    {"a.experts.*.experts.3", 3, {2, 1, 1}, true},
    {"experts.*.w", 2, {2, 1}, false},
    {"experts.*.w", 3, {1, 1, 1}, false},
    {"experts.*.w", 0, {0}, false},
    {"experts.**.w", 3, {2, 1, 1}, false},
    {"experts.*a.w", 3, {2, 1, 1}, false},
    {"experts.a*.w", 3, {2, 1, 1}, false},
    {"*.experts.*.w", 3, {2, 1, 1}, false},
    {"experts.*.w*", 3, {2, 1, 1}, false},
    {"experts.*.*", 3, {2, 1, 1}, false},
    {"experts.3.*", 3, {2, 1, 1}, false},
    {"experts.0.experts.*", 3, {2, 1, 1}, false},
    {"xexperts.*.w", 3, {2, 1, 1}, false},
    {"*", 3, {2, 1, 1}, false},
    {"a*", 0, {0}, false},
    {"", 0, {0}, false},
    {"a\nb", 0, {0}, false},
    {"a\x7f", 0, {0}, false},
    {"\xff", 0, {0}, false},
    {"\xc0\xaf", 0, {0}, false},
};

START_TEST(name_is_checked)
{
    pack_table t = table_with_room(1);
    table_add(&t, names[_i].name, DTYPE_U8, names[_i].ndim, names[_i].shape);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    if (names[_i].legal) {
        expect_image_legal(&m);
    } else {
        expect_image_refused(&m, names[_i].name);
    }
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Two tensors of half a byte fill one byte, but a member of a stack has to fill whole bytes. */
START_TEST(members_are_whole_bytes)
{
    pack_table t = table_with_room(1);
    table_add(&t, "experts.*.w", DTYPE_F4, 3, (uint64_t[]){2, 1, 1});
    index_in_order(&t, NULL);
    err e = {0};
    if (pack_table_place(&t, DATA_OFF, &e) == OK) {
        expect_table_refused(&t, "half a byte each");
    } else {
        pack_table_free(&t);
    }
}
END_TEST

START_TEST(stack_and_member_are_refused)
{
    pack_table t = table_with_room(2);
    table_add(&t, "experts.*.w", DTYPE_U8, 3, (uint64_t[]){3, 1, 1});
    table_add(&t, "experts.2.w", DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    expect_table_refused(&t, "a member beside its stack");
    t = table_with_room(2);
    table_add(&t, "experts.*.w", DTYPE_U8, 3, (uint64_t[]){3, 1, 1});
    table_add(&t, "experts.3.w", DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    expect_image_legal(&m);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Scales with a wrong name, shared by two records, and far away. */
START_TEST(scales_belong_to_one_record)
{
    pack_table t = table_with_room(4);
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    t.records[1].name = "c_scale_inv";
    index_in_order(&t, NULL);
    expect_table_refused(&t, "scales of another name");

    t = table_with_room(4);
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    t.records[1].name = "bc_scale_inv";
    index_in_order(&t, NULL);
    expect_table_refused(&t, "scales of a longer name");

    t = table_with_room(4);
    table_add_codes(&t, "a", DTYPE_F32, 2, (uint64_t[]){1, 1});
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    err e = {0};
    expect_ok(pack_table_sort(&t, &e), &e);
    t.records[1].scale_idx = t.records[0].scale_idx;
    t.records[3].cls = CLASS_KEPT;
    expect_table_refused(&t, "scales of two");

    t = table_with_room(2);
    table_add_codes(&t, "a", DTYPE_F32, 2, (uint64_t[]){1, 1});
    t.records[0].scale_idx = 0;
    index_in_order(&t, NULL);
    expect_table_refused(&t, "its own scales");
}
END_TEST

START_TEST(longest_name_is_legal)
{
    char name[NAME_MAX_BYTES + 1];
    memset(name, 'n', NAME_MAX_BYTES);
    name[NAME_MAX_BYTES] = '\0';
    pack_table t = table_with_room(1);
    table_add(&t, name, DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    image m = image_of(&t);
    expect_image_legal(&m);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* One byte more than the longest name: a table of such names has room for 255 bytes only. */
START_TEST(longer_name_is_refused)
{
    char name[NAME_MAX_BYTES + 2];
    memset(name, 'n', NAME_MAX_BYTES + 1);
    name[NAME_MAX_BYTES + 1] = '\0';
    pack_table t = table_with_room(2);
    table_add(&t, name, DTYPE_U8, 0, NULL);
    index_in_order(&t, NULL);
    expect_table_refused(&t, "256 bytes");
}
END_TEST

static const struct {
    const char *what;
    unsigned ndim;
    uint64_t shape[4];
} odd_codes[] = {
    {"no rows", 2, {0, 5}},
    {"no matrices", 3, {0, 5, 5}},
    {"four dimensions", 4, {1, 1, 5, 5}},
};

/* Scales of the shape that such codes would have. */
START_TEST(codes_are_full_matrices)
{
    pack_table t = table_with_room(2);
    table_add_codes(&t, "a", DTYPE_F32, odd_codes[_i].ndim, odd_codes[_i].shape);
    index_in_order(&t, NULL);
    expect_table_refused(&t, odd_codes[_i].what);
}
END_TEST

START_TEST(dialect_without_such_codes_is_refused)
{
    pack_table t = table_with_room(2);
    pack_record *const w = table_add_codes(&t, "a", DTYPE_F32, 2, (uint64_t[]){300, 200});
    w[0].dialect = w[1].dialect = DIALECT_LINGHE; /* its F32 scales are for 16-bit sources */
    index_in_order(&t, NULL);
    expect_table_refused(&t, "linghe of F32");
}
END_TEST

/* The suffix alone is no name of scales: they would belong to a tensor without a name. */
START_TEST(suffix_alone_is_no_scales)
{
    pack_table t = table_with_room(1);
    table_add(&t, "_scale_inv", DTYPE_U8, 0, NULL)->origin = ORIGIN_CARRIED;
    index_in_order(&t, NULL);
    image m = image_of(&t);
    pack_table back;
    err e = {0};
    expect_error(decode(&m, &back, &e), ERR_INPUT, &e, "kept, but other fields contradict that");
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Everything is where it belongs, but the scales have another shape than {5, 3, 2}, or {3, 2} for
 * codes of two dimensions. */
static const struct {
    unsigned codes, scales; /* dimensions */
    uint64_t shape[3];
} odd_scales[] = {
    {2, 2, {4, 2}},    {2, 2, {3, 3}},    {2, 3, {1, 3, 2}}, {3, 3, {6, 3, 2}},
    {3, 3, {4, 3, 2}}, {3, 3, {5, 4, 2}}, {3, 3, {5, 3, 1}}, {3, 2, {3, 2}},
};

START_TEST(scales_have_the_shape_of_tiles)
{
    static const uint64_t shape[] = {5, 300, 200};
    pack_table t = table_with_room(2);
    table_add_codes(&t, "a", DTYPE_F32, odd_scales[_i].codes, shape + 3 - odd_scales[_i].codes);
    pack_record *const s = &t.records[1];
    s->ndim = (uint8_t)odd_scales[_i].scales;
    memcpy(s->shape, odd_scales[_i].shape, sizeof odd_scales[_i].shape);
    index_in_order(&t, NULL);
    expect_table_refused(&t, "scales of another shape");
}
END_TEST

/* A record that looks like scales, but to which no codes refer, even if a tensor has the name; the
 * codes next to it have theirs. */
START_TEST(lonely_scales_are_refused)
{
    pack_table t = table_with_room(5);
    table_add_codes(&t, "b", DTYPE_F32, 2, (uint64_t[]){1, 1});
    if (_i) {
        table_add(&t, "a", DTYPE_F32, 2, (uint64_t[]){1, 1});
    }
    pack_record *const lonely = table_add(&t, "a_scale_inv", DTYPE_F32, 2, (uint64_t[]){1, 1});
    err e = {0};
    lonely->cls = CLASS_SCALES;
    expect_ok(pack_table_sort(&t, &e), &e);
    pack_record *const r = &t.records[1 + _i]; /* what is kept, codes, then scales by name */
    ck_assert_str_eq(r->name, "a_scale_inv");
    r->origin = ORIGIN_QUANTIZED;
    r->dialect = DIALECT_IEEE;
    image m = image_of(&t);
    pack_table back;
    expect_error(decode(&m, &back, &e), ERR_INPUT, &e,
                 "a_scale_inv: scales that belong to no tensor");
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Scales whose layer appears only in their name, so that they are before all other records. */
START_TEST(scales_may_come_before_codes)
{
    pack_table t = table_with_room(4);
    table_add(&t, "layers.0.norm", DTYPE_F32, 1, (uint64_t[]){4});
    table_add_codes(&t, "layers.1", DTYPE_F32, 2, (uint64_t[]){1, 1});
    err e = {0};
    expect_ok(pack_table_sort(&t, &e), &e);
    ck_assert_str_eq(t.records[0].name, "layers.1_scale_inv");
    image m = image_of(&t);
    expect_image_legal(&m);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- in parts -------------------------------------------------- */

START_TEST(parts_make_the_same_table)
{
    pack_table t = legal_table();
    image m = image_of(&t);
    pack_table back;
    pack_decoder d;
    err e = {0};
    expect_ok(pack_decode_begin(&d, m.tens_bytes, m.nidx_bytes, m.strs, m.strs_bytes, &m.superblock,
                                &back, &e),
              &e);
    uint64_t done = 0;
    for (uint64_t n = 0; done < t.count; n++) { /* none, one, two … */
        const uint64_t count = num_min(n, t.count - done);
        expect_ok(pack_decode_records(&d, m.tens + done * 128, count, &e), &e);
        done += count;
    }
    memset(m.strs, 'x', m.strs_bytes); /* not needed any more */
    memcpy(back.by_name, m.nidx, m.nidx_bytes);
    expect_ok(pack_decode_end(&d, (const unsigned char *)back.by_name, &e), &e);
    for (uint32_t i = 0; i < t.count; i++) {
        ck_assert(same_given(&t.records[i], &back.records[i]));
        ck_assert(same_computed(&t.records[i], &back.records[i]));
        ck_assert_uint_eq(t.by_name[i], back.by_name[i]);
    }
    pack_table_free(&back);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* Names are checked several KiB at a time: one odd character is found anywhere. */
START_TEST(odd_name_is_found_among_many)
{
    enum { RECORDS = 3000 };
    pack_table t = table_large(RECORDS);
    image m = image_of(&t);
    expect_image_legal(&m);
    for (uint64_t at = 0; at < m.strs_bytes; at += 97) {
        const unsigned char before = m.strs[at];
        m.strs[at] = at % 2 ? 0x7f : '*';
        expect_image_refused(&m, "an odd name");
        m.strs[at] = before;
    }
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

/* ---- size ------------------------------------------------------ */

START_TEST(large_table_is_quick)
{
    enum { RECORDS = 100000 };
    pack_table t = table_large(RECORDS);
    image m = image_of(&t);
    pack_table back;
    err e = {0};
    const clock_t start = clock();
    expect_ok(decode(&m, &back, &e), &e);
    expect_seconds(start, 0.2, "100000 records"); /* 0.01 is the aim */
    ck_assert_uint_eq(back.count, RECORDS);
    pack_table_free(&back);
    image_free(&m);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_record");
    tcase_add_loop_test(tc, random_table_survives, 0, 60);
    tcase_add_test(tc, fields_stand_where_the_table_says);
    tcase_add_loop_test(tc, order_is_checked, 0, COUNT(orders));
    tcase_add_loop_test(tc, name_is_checked, 0, COUNT(names));
    tcase_add_test(tc, members_are_whole_bytes);
    tcase_add_test(tc, stack_and_member_are_refused);
    tcase_add_test(tc, scales_belong_to_one_record);
    tcase_add_test(tc, dialect_without_such_codes_is_refused);
    tcase_add_test(tc, suffix_alone_is_no_scales);
    tcase_add_loop_test(tc, scales_have_the_shape_of_tiles, 0, COUNT(odd_scales));
    tcase_add_loop_test(tc, lonely_scales_are_refused, 0, 2);
    tcase_add_test(tc, scales_may_come_before_codes);
    tcase_add_test(tc, longest_name_is_legal);
    tcase_add_test(tc, longer_name_is_refused);
    tcase_add_loop_test(tc, codes_are_full_matrices, 0, COUNT(odd_codes));
    tcase_add_test(tc, parts_make_the_same_table);
    tcase_add_test(tc, odd_name_is_found_among_many);
    tcase_add_test(tc, large_table_is_quick);
    return run_tests("pack_record", tc);
}
