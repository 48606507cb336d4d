/* Archives that are truncated or damaged, or whose headers contradict their data: an error, always.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/aid/made_archive.h"

/* Where the mark at the end of a tar begins: two blocks of zeros after the last member. */
static size_t end_of(const kind *k, const unsigned char *bytes, size_t length)
{
    while (k->format != ARCHIVE_FORMAT_ZIP && k->in_place && bytes[length - 1] == 0) {
        length--;
    }
    return length;
}

/* Truncated anywhere: an error, and nothing else happens. */
START_TEST(cut_off)
{
    const kind *const k = &kinds[_i];
    const content last[] = {usual[1], usual[2], {"zzz", 0, NULL, 7}};
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    make(k, last, 3);
    expect_ok(io_read_file(scratch("a"), 1 << 30, &data, &bytes, &e), &e);
    const size_t end = end_of(k, (unsigned char *)data, bytes);
    for (size_t length = 3; length < end; length += length < end - 1200 ? 1777 : 13) {
        archive_index *b = NULL;
        scratch_write("a", data, length);
        const err_code code = archive_open(scratch("a"), NULL, &b, &e);
        ck_assert_msg(code == ERR_INPUT, "%zu of %zu bytes: %s", length, end, err_name(code));
        ck_assert(strstr(e.text, "/a: ") != NULL);
        e = (err){0};
    }
    free(data);
}
END_TEST

/* Flip one bit of the compressed data: either it does not matter, or it is an error. Libarchive
 * writes zstd without checksums. */
START_TEST(flipped)
{
    const kind *const k = &kinds[3 + _i];
    const content few[] = {{"model.safetensors", 0, NULL, 3000}, {"config.json", 0, NULL, 20}};
    char *data = NULL;
    size_t bytes = 0;
    size_t told = 0;
    err e = {0};
    make(k, few, 2);
    expect_ok(io_read_file(scratch("a"), 1 << 30, &data, &bytes, &e), &e);
    for (size_t at = 3; at < bytes; at++) {
        archive_index *b = NULL;
        data[at] ^= 4;
        scratch_write("a", data, bytes);
        const err_code code = archive_open(scratch("a"), NULL, &b, &e);
        ck_assert(code == OK || code == ERR_INPUT);
        told += code != OK;
        if (code == OK && k->filter != ARCHIVE_FILTER_ZSTD && archive_member_of(b, few[0].name)) {
            expect_content(b, few[0].name, &few[0]);
        }
        archive_close(b);
        e = (err){0};
        data[at] ^= 4;
    }
    ck_assert_uint_gt(told, k->filter == ARCHIVE_FILTER_ZSTD ? 0 : bytes / 2);
    free(data);
}
END_TEST

/* Replace every occurrence of these bytes. */
static void patch(const void *from, const void *to, size_t count)
{
    char *data = NULL;
    size_t bytes = 0;
    size_t found = 0;
    err e = {0};
    expect_ok(io_read_file(scratch("a"), 1 << 30, &data, &bytes, &e), &e);
    for (size_t i = 0; i + count <= bytes; i++) {
        if (memcmp(data + i, from, count) == 0) {
            memcpy(data + i, to, count);
            found++;
        }
    }
    ck_assert_uint_gt(found, 0);
    scratch_write("a", data, bytes);
    free(data);
}

/* A zip that gives a smaller, or larger, size for a member than its compressed data has. */
START_TEST(other_sizes_than_said)
{
    static const unsigned char size[4] = {0x77, 0x33, 0, 0};
    static const unsigned char smaller[4] = {0x77, 0x13, 0, 0};
    static const unsigned char larger[4] = {0x77, 0x53, 0, 0};
    const content one = {"model.safetensors", 0, NULL, 0x3377};
    for (int i = 0; i < 2; i++) {
        make(&kinds[8], &one, 1);
        patch(size, i ? larger : smaller, 4);
        archive_index *b = NULL;
        err e = {0};
        ck_assert_int_eq(archive_open(scratch("a"), NULL, &b, &e), ERR_INPUT);
        ck_assert_ptr_null(b);
    }
}
END_TEST

/* A member that is read in place must be where the archive says, all of it. */
START_TEST(stored_beyond_the_end)
{
    static const unsigned char size[4] = {0x77, 0x33, 0, 0};
    static const unsigned char larger[4] = {0x77, 0x33, 0x40, 0};
    const content one = {"model.safetensors", 0, NULL, 0x3377};
    make(&ZIP, &one, 1);
    patch(size, larger, 4);
    archive_index *b = NULL;
    err e = {0};
    ck_assert_int_eq(archive_open(scratch("a"), NULL, &b, &e), ERR_INPUT);
}
END_TEST

/* Several gzip streams count as one; zeros after them are ignored, anything else is an error. */
START_TEST(gzip_in_parts)
{
    char *first = NULL;
    char *second = NULL;
    size_t bytes[2];
    err e = {0};
    make(&TGZ, usual, COUNT(usual));
    expect_ok(io_read_file(scratch("a"), 1 << 30, &first, &bytes[0], &e), &e);
    make(&TGZ, NULL, 0);
    expect_ok(io_read_file(scratch("a"), 1 << 30, &second, &bytes[1], &e), &e);
    char *const both = calloc(1, bytes[0] + bytes[1] + 600000);
    memcpy(both, first, bytes[0]);
    memcpy(both + bytes[0], second, bytes[1]);
    scratch_write("a", both, bytes[0] + bytes[1]);
    archive_index *b = open_good();
    expect_usual(b);
    archive_close(b);
    scratch_write("a", both, bytes[0] + bytes[1] + 600000);
    b = open_good();
    archive_close(b);
    both[bytes[0] + bytes[1] + 599999] = 'x';
    scratch_write("a", both, bytes[0] + bytes[1] + 600000);
    open_bad(ERR_INPUT, "cannot be unpacked");
    free(first);
    free(second);
    free(both);
}
END_TEST

START_TEST(compressed_but_no_tar)
{
    const content one = {"ignored", 0, NULL, 5000};
    const kind raw = {ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP, NULL, false};
    make(&raw, &one, 1);
    open_bad(ERR_INPUT, "the compressed data is not a tar archive");
}
END_TEST

/* No space to unpack, and nothing is left behind. */
START_TEST(no_temporary_file)
{
    make(&TGZ, usual, COUNT(usual));
    setenv("TMPDIR", scratch("none"), 1);
    open_bad(ERR_IO, "cannot create a temporary file");
    setenv("TMPDIR", scratch(""), 1);
    archive_index *const b = open_good();
    expect_usual(b);
    archive_close(b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("archive_scan");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, cut_off, 0, COUNT(kinds));
    tcase_add_loop_test(tc, flipped, 0, 4);
    tcase_add_test(tc, other_sizes_than_said);
    tcase_add_test(tc, stored_beyond_the_end);
    tcase_add_test(tc, gzip_in_parts);
    tcase_add_test(tc, compressed_but_no_tar);
    tcase_add_test(tc, no_temporary_file);
    return run_tests("archive_scan", tc);
}
