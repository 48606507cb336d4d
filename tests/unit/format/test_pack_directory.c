/* The directory of a packed file: which sections, in what order, where, and how long. */
#include <check.h>
#include <string.h>

#include "format/pack/pack_layout.h"
#include "tests/aid/expect.h"

enum { BLOCK = 4096, DATA_OFF = 65536, DATA_END = 69632 };

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

typedef struct directory {
    pack_section dir[PACK_MAX_SECTIONS];
    uint32_t head, count;
    uint64_t data_off, data_end;
} directory;

static directory legal_directory(void)
{
    directory d = {.head = 5, .count = 10, .data_off = DATA_OFF, .data_end = DATA_END};
    lay_sections(d.dir);
    return d;
}

static err_code check(const directory *d, uint64_t *file_bytes, err *e)
{
    return pack_directory_check(d->dir, d->head, d->count, d->data_off, d->data_end, file_bytes, e);
}

static void expect_refused(const directory *d, const char *part)
{
    uint64_t file_bytes = 0;
    err e = {0};
    expect_error(check(d, &file_bytes, &e), ERR_INPUT, &e, part);
}

/* Insert a section at `at`, of the same size as the others, and move those after it. */
static void insert(directory *d, uint32_t at, uint32_t tag)
{
    const bool in_head = at < d->head || (at == d->head && (tag & 0x80000000u));
    tag &= 0x7fffffffu;
    memmove(d->dir + at + 1, d->dir + at, (d->count - at) * sizeof *d->dir);
    d->dir[at] = (pack_section){.tag = tag, .len = 10};
    d->count++;
    d->head += in_head;
    for (uint32_t i = 0; i < d->count; i++) {
        d->dir[i].off =
            i < d->head ? BLOCK * (1 + (uint64_t)i) : DATA_END + BLOCK * (uint64_t)(i - d->head);
    }
}

enum { IN_HEAD = (int)0x80000000 };

START_TEST(directory_is_legal)
{
    uint64_t file_bytes = 0;
    err e = {0};
    directory d = legal_directory();
    expect_ok(check(&d, &file_bytes, &e), &e);
    ck_assert_uint_eq(file_bytes, DATA_END + 6 * BLOCK);
    d.dir[9].len = 0; /* the trailer moves up */
    expect_ok(check(&d, &file_bytes, &e), &e);
    ck_assert_uint_eq(file_bytes, DATA_END + 5 * BLOCK);
    d.dir[9].len = 4097;
    expect_ok(check(&d, &file_bytes, &e), &e);
    ck_assert_uint_eq(file_bytes, DATA_END + 7 * BLOCK);
}
END_TEST

/* Sections of later versions that a reader may ignore, before, between and after the known ones. */
START_TEST(ignorable_sections_are_ignored)
{
    const uint32_t later = PACK_TAG('n', 'o', 't', 'E');
    for (uint32_t at = 0; at <= 10; at++) {
        uint64_t file_bytes = 0;
        err e = {0};
        directory d = legal_directory();
        insert(&d, at, later);
        expect_ok(check(&d, &file_bytes, &e), &e);
        ck_assert_uint_eq(file_bytes, DATA_END + (at < 5 ? 6 : 7) * BLOCK);
    }
    directory d = legal_directory();
    uint64_t file_bytes = 0;
    err e = {0};
    insert(&d, 5, later | (uint32_t)IN_HEAD);
    ck_assert_uint_eq(d.head, 6);
    expect_ok(check(&d, &file_bytes, &e), &e);
}
END_TEST

START_TEST(tags_are_checked)
{
    directory d = legal_directory();
    insert(&d, 3, PACK_TAG('N', 'o', 't', 'e'));
    expect_refused(&d, "section 3: Note is unknown or out of place");
    d = legal_directory();
    insert(&d, 3, PACK_TAG('n', 'o', '\x1b', 'e'));
    expect_refused(&d, "section 3: no?e is unknown");
    for (uint32_t i = 0; i < 10; i++) { /* one missing, one twice, two exchanged */
        char name[5];
        d = legal_directory();
        pack_tag_name(d.dir[i].tag, name);
        d.dir[i].tag = PACK_TAG('n', 'o', 't', 'e');
        expect_refused(&d, i < 9 ? "unknown or out of place" : "section PROV is missing");
        d = legal_directory();
        insert(&d, i, d.dir[i].tag);
        expect_refused(&d, "unknown or out of place");
        if (i > 0) {
            d = legal_directory();
            d.dir[i].tag = tags[i - 1];
            d.dir[i - 1].tag = tags[i];
            expect_refused(&d, "unknown or out of place");
        }
    }
    for (uint32_t head = 0; head <= 10; head++) { /* sections on the wrong side of the data */
        d = legal_directory();
        d.head = head;
        if (head != 5) {
            expect_refused(&d, "");
        }
    }
}
END_TEST

/* The same with offsets that match the wrong side. */
START_TEST(sides_are_checked)
{
    for (uint32_t head = 4; head <= 6; head += 2) {
        directory d = legal_directory();
        d.head = head;
        for (uint32_t i = 0; i < d.count; i++) {
            const uint64_t start = i < head ? BLOCK : DATA_END;
            d.dir[i].off = start + BLOCK * (uint64_t)(i < head ? i : i - head);
        }
        expect_refused(&d, "unknown or out of place");
    }
}
END_TEST

START_TEST(offsets_are_checked)
{
    for (uint32_t i = 0; i < 10; i++) {
        static const uint64_t wrong[] = {(uint64_t)-4096, 1, 4096, 1ull << 63};
        for (int k = 0; k < COUNT(wrong); k++) {
            directory d = legal_directory();
            d.dir[i].off += wrong[k];
            expect_refused(&d, "offset, expected");
        }
        directory d = legal_directory();
        d.dir[i].len = 4097; /* the next one, the data or the trailer has to move */
        uint64_t file_bytes = 0;
        err e = {0};
        if (i == 4 || i == 9) {
            expect_ok(check(&d, &file_bytes, &e), &e);
        } else {
            expect_refused(&d, "offset, expected");
        }
    }
    directory d = legal_directory();
    d.dir[4].len = 60 << 10;
    expect_refused(&d, "data_off: expected 131072, found 65536");
    d = legal_directory();
    d.data_off += 65536;
    expect_refused(&d, "data_off: expected 65536, found 131072");
}
END_TEST

static const struct {
    uint32_t section;
    uint64_t len;
    bool too_long;
} lengths[] = {
    {3, 256ull << 20, false},
    {3, (256ull << 20) + 1, true},
    {4, 16 << 20, false},
    {4, (16 << 20) + 1, true},
    {9, 16 << 20, false},
    {9, (16 << 20) + 1, true},
    {0, 1ull << 40, true},
    {0, UINT64_MAX, true},
    {5, UINT64_MAX - 4096, true},
    {5, (1ull << 40) + 1, true},
    {8, UINT64_MAX, true},
    {2, (1ull << 30) - 20479, true},
    {2, (1ull << 30) - 20480, false},
};

START_TEST(lengths_are_limited)
{
    directory d = legal_directory();
    const uint32_t i = lengths[_i].section;
    const uint64_t more = (lengths[_i].len + 4095) / 4096 * 4096 - 4096;
    d.dir[i].len = lengths[_i].len;
    for (uint32_t k = i + 1; k < (i < 5 ? 5 : 10); k++) {
        d.dir[k].off += more;
    }
    if (i < 5) {
        d.data_off = (d.dir[4].off + (i == 4 ? lengths[_i].len : 10) + 65535) / 65536 * 65536;
        d.data_end = d.data_off + 4096;
        for (uint32_t k = 5; k < 10; k++) {
            d.dir[k].off = d.data_end + 4096 * (k - 5);
        }
    }
    if (lengths[_i].too_long) {
        expect_refused(&d, "");
    } else {
        uint64_t file_bytes = 0;
        err e = {0};
        expect_ok(check(&d, &file_bytes, &e), &e);
    }
}
END_TEST

/* Sections of the tail, the first with `len` bytes, after tensor data that ends at `data_end`. */
static const struct {
    uint64_t data_end, len;
    const char *refused;
} ends[] = {
    {PACK_MAX_OFFSET - 5 * BLOCK, 10, NULL},
    {PACK_MAX_OFFSET - 4 * BLOCK, 10, "section PROV: 10 bytes, more than allowed"},
    {PACK_MAX_OFFSET, 10, "section CHNK: 10 bytes, more than allowed"},
    /* after which the offset of the next one would wrap around to 0 and to 4096 */
    {(uint64_t)-BLOCK, 10, "section CHNK: 10 bytes, more than allowed"},
    {(uint64_t)-BLOCK, 2 * BLOCK, "section CHNK: 8192 bytes, more than allowed"},
};

START_TEST(offsets_are_limited)
{
    directory d = legal_directory();
    d.data_end = ends[_i].data_end;
    d.dir[5].len = ends[_i].len;
    uint64_t off = d.data_end;
    for (int i = 5; i < 10; i++) {
        d.dir[i].off = off;
        off += (d.dir[i].len + BLOCK - 1) / BLOCK * BLOCK;
    }
    if (ends[_i].refused) {
        expect_refused(&d, ends[_i].refused);
    } else {
        uint64_t file_bytes = 0;
        err e = {0};
        expect_ok(check(&d, &file_bytes, &e), &e);
        ck_assert_uint_eq(file_bytes, PACK_MAX_OFFSET + BLOCK);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_directory");
    tcase_add_test(tc, directory_is_legal);
    tcase_add_test(tc, ignorable_sections_are_ignored);
    tcase_add_test(tc, tags_are_checked);
    tcase_add_test(tc, sides_are_checked);
    tcase_add_test(tc, offsets_are_checked);
    tcase_add_loop_test(tc, lengths_are_limited, 0, COUNT(lengths));
    tcase_add_loop_test(tc, offsets_are_limited, 0, COUNT(ends));
    return run_tests("pack_directory", tc);
}
