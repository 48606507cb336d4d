/* Superblock and trailer: offsets of fields, what is damaged and what is malformed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/pack/pack_layout.h"
#include "tests/aid/expect.h"

enum { BLOCK = 4096, SELF = 4080, DIR = 512, DATA_OFF = 65536, DATA_END = 69632 };

static const uint32_t tags[] = {TAG_TENS, TAG_NIDX, TAG_STRS, TAG_FILE, TAG_RCPE,
                                TAG_CHNK, TAG_TDIG, TAG_SDIG, TAG_STAT, TAG_PROV};

/* Sections of ten bytes each, at aligned offsets. */
static void lay_sections(pack_section *dir)
{
    for (uint64_t i = 0; i < 10; i++) {
        dir[i] = (pack_section){
            .tag = tags[i], .off = i < 5 ? BLOCK * (1 + i) : DATA_END + BLOCK * (i - 5), .len = 10};
        memset(dir[i].sha256, (int)i + 1, sizeof dir[i].sha256);
    }
}

static pack_superblock legal_superblock(void)
{
    pack_superblock s = {.compat = 0x8000000000000001u,
                         .digest = DIGEST_SHA256,
                         .head_sections = 5,
                         .tensor_count = 3,
                         .chunk_count = 4,
                         .data_off = DATA_OFF,
                         .data_end = DATA_END};
    pack_section all[10];
    lay_sections(all);
    memcpy(s.dir, all, 5 * sizeof *all);
    memcpy(s.plan_id, "0123456789abcdef", sizeof s.plan_id);
    return s;
}

static pack_trailer legal_trailer(void)
{
    pack_trailer t = {.sections = 10,
                      .compat = 0x8000000000000001u,
                      .file_bytes = DATA_END + 6 * BLOCK,
                      .data_end = DATA_END};
    lay_sections(t.dir);
    memcpy(t.plan_id, "0123456789abcdef", sizeof t.plan_id);
    return t;
}

static void encode_both(unsigned char *front, unsigned char *back)
{
    const pack_superblock s = legal_superblock();
    pack_trailer t = legal_trailer();
    pack_superblock_encode(&s, front);
    expect_ok(pack_trailer_encode(&t, front, back, NULL), NULL);
}

static void seal(unsigned char *block)
{
    digest_xxh3(block, SELF, block + SELF);
}

static err_code decode_front(const unsigned char *block, err *e)
{
    pack_superblock s;
    return pack_superblock_decode(block, &s, e);
}

static err_code decode_back(const unsigned char *block, err *e)
{
    pack_trailer t;
    return pack_trailer_decode(block, &t, e);
}

/* ---- the bytes ------------------------------------------------- */

START_TEST(superblock_fields_stand_in_place)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    unsigned char digest[XXH3_BYTES];
    encode_both(front, back);
    ck_assert_mem_eq(front, "\xD7\x46\x38\x50\x0D\x0A\x1A\x0A", 8);
    ck_assert_uint_eq(le32_load(front + 8), 1);
    ck_assert_uint_eq(le32_load(front + 12), 4096);
    ck_assert_uint_eq(le64_load(front + 16), 0);
    ck_assert_uint_eq(le64_load(front + 24), 0x8000000000000001u);
    ck_assert_mem_eq(front + 32, "\x10\x15\x02\x00\x05\x00\x00\x00", 8);
    ck_assert_uint_eq(le64_load(front + 40), 3);
    ck_assert_uint_eq(le64_load(front + 48), 4);
    ck_assert_uint_eq(le64_load(front + 56), DATA_OFF);
    ck_assert_uint_eq(le64_load(front + 64), DATA_END);
    ck_assert_mem_eq(front + 72, "0123456789abcdef", 16);
    ck_assert(pack_all_zero(front + 88, 424));
    ck_assert_mem_eq(front + DIR + 64, "NIDX\0\0\0\0", 8);
    ck_assert_uint_eq(le64_load(front + DIR + 64 + 8), 8192);
    ck_assert_uint_eq(le64_load(front + DIR + 64 + 16), 10);
    ck_assert_uint_eq(le64_load(front + DIR + 64 + 24), 0);
    ck_assert_uint_eq(front[DIR + 64 + 32], 2);
    ck_assert_uint_eq(front[DIR + 64 + 63], 2);
    ck_assert(pack_all_zero(front + DIR + 5 * 64, SELF - DIR - 5 * 64));
    digest_xxh3(front, SELF, digest);
    ck_assert_mem_eq(front + SELF, digest, 16);
}
END_TEST

START_TEST(trailer_fields_stand_in_place)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    unsigned char both[BLOCK + SELF];
    unsigned char digest[SHA256_BYTES];
    encode_both(front, back);
    ck_assert_mem_eq(back, "\x50\x38\x46\xD7\x0A\x1A\x0A\x0D", 8);
    ck_assert_uint_eq(le32_load(back + 8), 1);
    ck_assert_uint_eq(le32_load(back + 12), 10);
    ck_assert_uint_eq(le64_load(back + 16), 0);
    ck_assert_uint_eq(le64_load(back + 24), 0x8000000000000001u);
    ck_assert_uint_eq(le64_load(back + 32), DATA_END + 6 * BLOCK);
    ck_assert_uint_eq(le64_load(back + 40), DATA_END);
    ck_assert_mem_eq(back + 48, front + 72, 16);
    ck_assert(pack_all_zero(back + 96, 416));
    ck_assert_mem_eq(back + DIR, front + DIR, 5 * 64);
    ck_assert_mem_eq(back + DIR + 9 * 64, "PROV", 4);
    ck_assert(pack_all_zero(back + DIR + 10 * 64, SELF - DIR - 10 * 64));
    memcpy(both, front, BLOCK);
    memcpy(both + BLOCK, back, SELF);
    memset(both + BLOCK + 64, 0, 32);
    expect_ok(digest_sha256(both, sizeof both, digest, NULL), NULL);
    ck_assert_mem_eq(back + 64, digest, 32);
    digest_xxh3(back, SELF, digest);
    ck_assert_mem_eq(back + SELF, digest, 16);
}
END_TEST

START_TEST(blocks_survive)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    unsigned char root[SHA256_BYTES];
    pack_superblock s;
    pack_trailer t;
    err e = {0};
    encode_both(front, back);
    expect_ok(pack_superblock_decode(front, &s, &e), &e);
    expect_ok(pack_trailer_decode(back, &t, &e), &e);
    ck_assert_int_eq(s.digest, DIGEST_SHA256);
    ck_assert_uint_eq(s.head_sections, 5);
    ck_assert_uint_eq(s.compat, 0x8000000000000001u); /* unknown and ignored */
    ck_assert_uint_eq(s.tensor_count, 3);
    ck_assert_uint_eq(s.chunk_count, 4);
    ck_assert_uint_eq(s.data_off, DATA_OFF);
    ck_assert_uint_eq(s.data_end, DATA_END);
    ck_assert_uint_eq(s.dir[4].tag, TAG_RCPE);
    ck_assert_uint_eq(s.dir[4].off, 5 * BLOCK);
    ck_assert_uint_eq(t.sections, 10);
    ck_assert_uint_eq(t.file_bytes, DATA_END + 6 * BLOCK);
    ck_assert_uint_eq(t.dir[9].sha256[31], 10);
    expect_ok(pack_root(front, back, root, NULL), NULL);
    ck_assert_mem_eq(root, t.root, SHA256_BYTES);
    unsigned char again[BLOCK];
    pack_superblock_encode(&s, again);
    ck_assert_mem_eq(again, front, BLOCK);
    expect_ok(pack_trailer_encode(&t, front, again, NULL), NULL);
    ck_assert_mem_eq(again, back, BLOCK);
}
END_TEST

/* ---- damage ---------------------------------------------------- */

/* Any flipped bit is noticed; in the magic of the superblock it makes another kind of file. */
START_TEST(every_flipped_bit_shows)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    encode_both(front, back);
    for (unsigned i = 0; i < BLOCK; i++) {
        const unsigned char bit = (unsigned char)(1u << i % 8);
        err e = {0};
        front[i] ^= bit;
        back[i] ^= bit;
        expect_error(decode_front(front, &e), i < 8 ? ERR_INPUT : ERR_DAMAGED, &e,
                     i < 8 ? "not a packed file" : "superblock: its digest does not match");
        expect_error(decode_back(back, &e), ERR_DAMAGED, &e,
                     i < 8 ? "trailer: wrong magic" : "trailer: its digest does not match");
        front[i] ^= bit;
        back[i] ^= bit;
    }
}
END_TEST

/* ---- malformed: a wrong field under a matching digest ---------- */

static const struct {
    unsigned at, bytes;
    uint64_t value;
    const char *part;
} front_patches[] = {
    {8, 4, 2, "superblock: version 2"},
    {8, 4, 0, "superblock: version 0"},
    {16, 8, 1, "superblock: needs features 0x1 "},
    {16, 8, 1ull << 63, "needs features 0x8000000000000000"},
    {12, 4, 8192, "superblock: block, alignment or chunk size"},
    {32, 1, 12, "block, alignment or chunk size"},
    {33, 1, 20, "block, alignment or chunk size"},
    {34, 1, 0, "unknown digest algorithm 0"},
    {34, 1, 3, "unknown digest algorithm 3"},
    {35, 1, 1, "reserved"},
    {36, 4, 4, "4 head sections"},
    {36, 4, 17, "17 head sections"},
    {36, 4, UINT32_MAX, "head sections"},
    {36, 4, 4, "head sections"},
    {40, 8, (1 << 20) + 1, "more tensors or chunks"},
    {40, 8, UINT64_MAX, "more tensors or chunks"},
    {48, 8, (1ull << 32) + 1, "more tensors or chunks"},
    {56, 8, DATA_OFF + 4096, "data area"},
    {56, 8, 2 * DATA_OFF, "data area"}, /* after data_end */
    {64, 8, DATA_END + 1, "data area"},
    {64, 8, (1ull << 62) + 4096, "data area"},
    {88, 1, 1, "reserved"},
    {511, 1, 1, "reserved"},
    {DIR + 4, 4, 1, "directory entry 0: reserved"},
    {DIR + 4 * 64 + 24, 8, 1, "directory entry 4: reserved"},
    {DIR + 5 * 64, 1, 1, "unused directory entries"},
    {DIR + 1023, 1, 1, "unused directory entries"},
    {1536, 1, 1, "reserved"},
    {4079, 1, 1, "reserved"},
};

START_TEST(superblock_field_is_refused)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    err e = {0};
    encode_both(front, back);
    for (unsigned i = 0; i < front_patches[_i].bytes; i++) {
        front[front_patches[_i].at + i] = (unsigned char)(front_patches[_i].value >> (8 * i));
    }
    seal(front);
    expect_error(decode_front(front, &e), ERR_INPUT, &e, front_patches[_i].part);
}
END_TEST

static const struct {
    unsigned at, bytes;
    uint64_t value;
    const char *part;
} back_patches[] = {
    {8, 4, 2, "trailer: version 2"},
    {16, 8, 4, "trailer: needs features 0x4 "},
    {12, 4, 9, "trailer: 9 sections"},
    {12, 4, 49, "trailer: 49 sections"},
    {12, 4, UINT32_MAX, "sections"},
    {96, 1, 1, "reserved"},
    {511, 1, 1, "reserved"},
    {DIR + 9 * 64 + 4, 1, 1, "directory entry 9: reserved"},
    {DIR + 10 * 64, 1, 1, "unused directory entries"},
    {3583, 1, 1, "unused directory entries"},
    {3584, 1, 1, "reserved"},
    {4079, 1, 1, "reserved"},
};

START_TEST(trailer_field_is_refused)
{
    unsigned char front[BLOCK];
    unsigned char back[BLOCK];
    err e = {0};
    encode_both(front, back);
    for (unsigned i = 0; i < back_patches[_i].bytes; i++) {
        back[back_patches[_i].at + i] = (unsigned char)(back_patches[_i].value >> (8 * i));
    }
    seal(back);
    expect_error(decode_back(back, &e), ERR_INPUT, &e, back_patches[_i].part);
}
END_TEST

START_TEST(edges_are_legal)
{
    unsigned char front[BLOCK];
    pack_superblock s = legal_superblock();
    err e = {0};
    s.tensor_count = PACK_MAX_TENSORS;
    s.chunk_count = PACK_MAX_CHUNKS;
    s.data_end = PACK_MAX_OFFSET;
    s.head_sections = PACK_MAX_HEAD_SECTIONS;
    pack_superblock_encode(&s, front);
    expect_ok(decode_front(front, &e), &e);
    s = legal_superblock();
    s.data_end = s.data_off;
    pack_superblock_encode(&s, front);
    expect_ok(decode_front(front, &e), &e);
}
END_TEST

/* ---- small ones ------------------------------------------------ */

START_TEST(tag_names_are_printable)
{
    char name[5];
    pack_tag_name(TAG_TENS, name);
    ck_assert_str_eq(name, "TENS");
    pack_tag_name(PACK_TAG('a', 0, 0xff, ' '), name);
    ck_assert_str_eq(name, "a???");
}
END_TEST

START_TEST(zeros_are_zeros)
{
    unsigned char bytes[300] = {0};
    for (uint64_t n = 0; n <= sizeof bytes; n++) {
        ck_assert(pack_all_zero(bytes, n));
    }
    for (uint64_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 0x40;
        ck_assert(!pack_all_zero(bytes, sizeof bytes));
        ck_assert(pack_all_zero(bytes, i));
        ck_assert(pack_all_zero(bytes + i + 1, sizeof bytes - i - 1));
        bytes[i] = 0;
    }
    memset(bytes, 1, sizeof bytes);
    ck_assert(!pack_all_zero(bytes, sizeof bytes));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_layout");
    tcase_add_test(tc, superblock_fields_stand_in_place);
    tcase_add_test(tc, trailer_fields_stand_in_place);
    tcase_add_test(tc, blocks_survive);
    tcase_add_test(tc, every_flipped_bit_shows);
    tcase_add_loop_test(tc, superblock_field_is_refused, 0, COUNT(front_patches));
    tcase_add_loop_test(tc, trailer_field_is_refused, 0, COUNT(back_patches));
    tcase_add_test(tc, edges_are_legal);
    tcase_add_test(tc, tag_names_are_printable);
    tcase_add_test(tc, zeros_are_zeros);
    return run_tests("pack_layout", tc);
}
