/* Directories that break the format although the digests of their blocks match, sections of the
 * wrong length, and memory that runs out while contents are judged. */
#include "tests/aid/scarce.h"

#include "format/base/num.h"
#include "tests/aid/scan_case.h"

static unsigned char *trailer(void)
{
    return pack.bytes + pack.length - PACK_BLOCK;
}

/* Make the digests of both blocks match again, and nothing else. */
static void seal(void)
{
    digest_xxh3(pack.bytes, 4080, pack.bytes + 4080);
    expect_ok(pack_root(pack.bytes, trailer(), trailer() + 64, NULL), NULL);
    digest_xxh3(trailer(), 4080, trailer() + 4080);
}

/* Change a field of 8 bytes of a section in the directory of the trailer, or of both blocks. */
static void change_entry(unsigned section, unsigned field, uint64_t more)
{
    const uint64_t at = PACK_DIR_OFF + section * PACK_ENTRY_BYTES + field;
    const uint64_t value = le64_load(trailer() + at) + more;
    le64_store(trailer() + at, value);
    if (section < PACK_HEAD_SECTIONS) {
        le64_store(pack.bytes + at, value);
    }
    seal();
}

enum { OFF = 8, LEN = 16 };

static const struct {
    unsigned section, field;
    uint64_t more;
    const char *place, *what;
} entries[] = {
    {1, OFF, 4096, "superblock", "section NIDX: offset, expected"},
    {4, LEN, 16 << 20, "superblock", "section RCPE: 16777"},
    {5, OFF, 4096, "trailer", "section CHNK: offset, expected"},
    {9, LEN, 16 << 20, "trailer", "section PROV: 16777"},
    {9, LEN, 8192, "trailer", "the sections end at"},
};

START_TEST(illegal_directory_is_named)
{
    change_entry(entries[_i].section, entries[_i].field, entries[_i].more);
    check();
    EXPECT(ERR_INPUT, entries[_i].place);
    expect_what(0, entries[_i].what);
}
END_TEST

/* Six empty sections that a reader may ignore, in the superblock alone: the head then has more
 * sections than the trailer. */
START_TEST(trailer_with_less_than_the_head)
{
    pack_superblock s;
    err e = {0};
    expect_ok(pack_superblock_decode(pack.bytes, &s, &e), &e);
    const pack_section last = s.dir[4];
    for (; s.head_sections < 11; s.head_sections++) {
        pack_section *const more = &s.dir[s.head_sections];
        *more = (pack_section){.tag = PACK_TAG('n', 'o', 't', 'e'),
                               .off = (last.off + last.len + 4095) / 4096 * 4096};
        expect_ok(digest_sha256("", 0, more->sha256, &e), &e);
    }
    pack_superblock_encode(&s, pack.bytes);
    check();
    EXPECT(ERR_DAMAGED, "trailer");
    expect_what(0, "its directory differs from the superblock's");
    ck_assert(!report.tensors_checked);
}
END_TEST

/* One element too few in a section of the tail, whose digest matches. Without CHNK the tensors are
 * checked by TDIG. */
START_TEST(section_of_another_length)
{
    static const uint32_t tags[] = {TAG_CHNK, TAG_TDIG, TAG_SDIG, TAG_STAT};
    char place[16] = "section ";
    const pack_section *const s = small_pack_section(&pack, tags[_i]);
    pack_tag_name(s->tag, place + strlen(place));
    const uint64_t cut = s->tag == TAG_STAT ? PACK_STAT_BYTES : XXH3_BYTES;
    memset(pack.bytes + s->off + s->len - cut, 0, cut);
    const unsigned entry = (unsigned)(PACK_HEAD_SECTIONS + _i);
    expect_ok(digest_sha256(pack.bytes + s->off, s->len - cut,
                            trailer() + PACK_DIR_OFF + entry * PACK_ENTRY_BYTES + 32, NULL),
              NULL);
    change_entry(entry, LEN, -cut);
    check();
    EXPECT(ERR_INPUT, place);
    expect_what(0, "length, expected");
    ck_assert(report.tensors_checked);
    flip(record(EMBED)->off);
    check();
    ck_assert_uint_eq(report.count, 2);
    ck_assert_str_eq(report.damages[0].place, "tensor " EMBED);
}
END_TEST

/* Lack of memory is no verdict: the check ends with it, or it was complete. */
static err_code check_all(void *ctx, err *e)
{
    (void)ctx;
    TRY(check_with(&whole, e));
    return report.count == 0 && report.tensors_checked ? OK : ERR_INTERNAL;
}

START_TEST(memory_runs_out)
{
    expect_scarce(check_all, NULL);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("scan_sections");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, scan_setup, scan_teardown);
    tcase_add_loop_test(t, illegal_directory_is_named, 0, COUNT(entries));
    tcase_add_test(t, trailer_with_less_than_the_head);
    tcase_add_loop_test(t, section_of_another_length, 0, 4);
    tcase_add_test(t, memory_runs_out);
    return run_tests("scan_sections", t);
}
