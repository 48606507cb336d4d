/* Archives of every kind: their members are found, byte by byte; names and links that lead
 * elsewhere are not followed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/made_archive.h"

START_TEST(every_kind)
{
    const kind *const k = &kinds[_i];
    make(k, usual, COUNT(usual));
    archive_index *const b = open_good();
    ck_assert_uint_eq(b->count, COUNT(usual));
    expect_usual(b);
    ck_assert_int_eq(b->spilled == NULL, k->in_place);
    for (size_t i = 0; i < b->count; i++) {
        ck_assert(b->members[i].kind == ARCHIVE_DIRECTORY || b->members[i].bytes == 0 ||
                  b->members[i].unpacked == !k->in_place);
        ck_assert(!b->members[i].unpacked || b->members[i].base % 4096 == 0);
    }
    expect_none(b, "top/other", NULL);
    expect_none(b, "top", "not a regular file");
    archive_close(b);
}
END_TEST

/* ---- recognizing ----------------------------------------------- */

static bool recognizes(const void *bytes, size_t count)
{
    bool found = false;
    err e = {0};
    scratch_write("f", bytes, count);
    expect_ok(archive_probe(scratch("f"), &found, &e), &e);
    return found;
}

START_TEST(what_is_none)
{
    static const char gzip_like[] = "\x1f\x8b\x08\0\0\0\0\0{\"a\"";
    static unsigned char zeros[2048];
    ck_assert(!recognizes("", 0));
    ck_assert(!recognizes("\x1f\x8b", 2));
    ck_assert(!recognizes(gzip_like, sizeof gzip_like));
    ck_assert(!recognizes(zeros, sizeof zeros));
    ck_assert(!recognizes("{\"a\":1}", 7));
    bool found = true;
    err e = {0};
    expect_error(archive_probe(scratch(""), &found, &e), ERR_IO, &e, "not a regular file");
    ck_assert(!found);
    e = (err){0};
    expect_error(archive_probe(scratch("none"), &found, &e), ERR_IO, &e, "No such file");
    ck_assert(recognizes("\x1f\x8b\x08\0\0\0\0\0\2\3", 10));
    ck_assert(recognizes("PK\3\4....", 8));
    scratch_text("a", "something else, and long enough");
    open_bad(ERR_INPUT, "not an archive");
}
END_TEST

/* A tar of the oldest kind has no magic, only a checksum. */
START_TEST(old_tar)
{
    static unsigned char block[2048];
    unsigned sum = 0;
    memcpy(block, "file", 4);
    memcpy(block + 100, "0000644\0000000000\0000000000\00000000000005\00000000000000", 48);
    memset(block + 148, ' ', 8);
    for (int i = 0; i < 512; i++) {
        sum += block[i];
    }
    snprintf((char *)block + 148, 8, "%06o", sum);
    memcpy(block + 512, "fghij", 5);
    scratch_write("a", block, sizeof block);
    archive_index *const b = open_good();
    archive_place place;
    err e = {0};
    expect_ok(archive_find(b, "file", &place, &e), &e);
    ck_assert_uint_eq(place.base, 512);
    ck_assert_uint_eq(place.bytes, 5);
    archive_close(b);
}
END_TEST

/* ---- names and links ------------------------------------------- */

START_TEST(names_that_lead_elsewhere)
{
    static const char *const names[] = {"/etc/passwd", "../x", "top/../../x",
                                        "top/..",      "..",   "a/../b"};
    for (int i = 0; i < COUNT(names); i++) {
        for (int k = 0; k < COUNT(kinds); k++) {
            const content two[] = {usual[1], {names[i], 0, NULL, 5}};
            make(&kinds[k], two, 2);
            open_bad(ERR_INPUT, "unsafe member name");
        }
    }
}
END_TEST

START_TEST(names_that_are_there_twice)
{
    const content twice[] = {usual[1], usual[6], {"top/model-1.safetensors", 0, NULL, 7}};
    for (int k = 0; k < COUNT(kinds); k++) {
        make(&kinds[k], twice, 3);
        open_bad(ERR_INPUT, "duplicate member top/model-1.safetensors");
    }
    const content directories[] = {{"top/", AE_IFDIR, NULL, 0}, {"top", AE_IFDIR, NULL, 0}};
    make(&TAR, directories, 2);
    archive_close(open_good());
}
END_TEST

START_TEST(links)
{
    const content all[] = {
        {"blobs/x", 0, NULL, 5000},
        {"top/model.safetensors", AE_IFLNK, "../blobs/x", 0},
        {"top/again", AE_IFLNK, "model.safetensors", 0},
        {"top/hard", 0, "blobs/x", 0},
        {"top/out", AE_IFLNK, "../../x", 0},
        {"top/absolute", AE_IFLNK, "/etc/passwd", 0},
        {"top/nowhere", AE_IFLNK, "none", 0},
        {"top/loop", AE_IFLNK, "loop", 0},
        {"top/fifo", AE_IFIFO, NULL, 0},
    };
    for (int k = 0; k < 4; k++) { /* zip has no hard links and no pipes */
        make(&kinds[k], all, COUNT(all));
        archive_index *const b = open_good();
        expect_content(b, "top/model.safetensors", &all[0]);
        expect_content(b, "top/again", &all[0]);
        expect_content(b, "top/hard", &all[0]);
        expect_none(b, "top/out", "target is not in the archive");
        expect_none(b, "top/absolute", "target is not in the archive");
        expect_none(b, "top/nowhere", "target is not in the archive");
        expect_none(b, "top/loop", "target is not in the archive");
        expect_none(b, "top/fifo", "not a regular file");
        archive_close(b);
    }
}
END_TEST

START_TEST(wanted)
{
    const uint64_t limit = (uint64_t)64 << 20;
    ck_assert(archive_wants("a/b/c/d.safetensors", UINT64_MAX));
    ck_assert(archive_wants("config.json", limit));
    ck_assert(archive_wants("top/config.json", limit));
    ck_assert(!archive_wants("top/config.json", limit + 1));
    ck_assert(archive_wants("top/sub/config.json", 1));
    ck_assert(!archive_wants("top/sub/sub/config.json", 1));
}
END_TEST

START_TEST(not_wanted_is_not_unpacked)
{
    const content all[] = {{"top/sub/sub/notes", 0, NULL, 5000}, usual[1]};
    make(&TGZ, all, 2);
    archive_index *const b = open_good();
    expect_none(b, "top/sub/sub/notes", "not unpacked");
    expect_content(b, "top/model-1.safetensors", &usual[1]);
    archive_close(b);
    make(&TAR, all, 2);
    archive_index *const in_place = open_good();
    expect_content(in_place, "top/sub/sub/notes", &all[0]);
    archive_close(in_place);
}
END_TEST

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(cancelled)
{
    const monitor m = {.cancelled = always};
    archive_index *b = NULL;
    err e = {0};
    make(&kinds[_i], usual, COUNT(usual));
    expect_error(archive_open(scratch("a"), &m, &b, &e), ERR_CANCELLED, &e, "interrupted");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("archive_index");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, every_kind, 0, COUNT(kinds));
    tcase_add_test(tc, what_is_none);
    tcase_add_test(tc, old_tar);
    tcase_add_test(tc, names_that_lead_elsewhere);
    tcase_add_test(tc, names_that_are_there_twice);
    tcase_add_test(tc, links);
    tcase_add_test(tc, wanted);
    tcase_add_test(tc, not_wanted_is_not_unpacked);
    tcase_add_loop_test(tc, cancelled, 0, COUNT(kinds));
    return run_tests("archive_index", tc);
}
