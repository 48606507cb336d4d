/* Archives of every kind: what is in them is found, byte by byte; and whatever is wrong with them
 * is told, not believed. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/bundle.h"
#include "format/bundle_name.h"
#include "format/io.h"
#include "tests/unit/expect.h"
#include "tests/unit/scratch.h"

typedef struct content {
    const char *name;
    unsigned type; /* 0: a regular file */
    const char *link;
    size_t bytes; /* that count up from the first letter of the name */
} content;

typedef struct kind {
    int format, filter;
    const char *option; /* of the format */
    bool in_place;
} kind;

static const kind kinds[] = {
    {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, NULL, true},
    {ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_NONE, NULL, true},
    {ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_NONE, NULL, true},
    {ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_GZIP, NULL, false},
    {ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_ZSTD, NULL, false},
    {ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_XZ, NULL, false},
    {ARCHIVE_FORMAT_TAR, ARCHIVE_FILTER_BZIP2, NULL, false},
    {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, "zip:compression=store", true},
    {ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, "zip:compression=deflate", false},
};

#define TAR kinds[0]
#define TGZ kinds[3]
#define ZIP kinds[7]

static unsigned char byte_of(const content *c, size_t i)
{
    return (unsigned char)((size_t)c->name[0] + i * (i >> 8 | 1));
}

static void put_member(struct archive *a, const content *c)
{
    struct archive_entry *const entry = archive_entry_new();
    unsigned char *const data = malloc(c->bytes + 1);
    archive_entry_set_pathname(entry, c->name);
    archive_entry_set_filetype(entry, c->type ? c->type : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    if (c->link && c->type == AE_IFLNK) {
        archive_entry_set_symlink(entry, c->link);
    } else if (c->link) {
        archive_entry_set_hardlink(entry, c->link);
    }
    archive_entry_set_size(entry, (la_int64_t)c->bytes);
    for (size_t i = 0; i < c->bytes; i++) {
        data[i] = byte_of(c, i);
    }
    ck_assert_msg(archive_write_header(a, entry) >= ARCHIVE_WARN, "%s", archive_error_string(a));
    ck_assert_int_eq(archive_write_data(a, data, c->bytes), (la_ssize_t)c->bytes);
    free(data);
    archive_entry_free(entry);
}

/* scratch("a") with these members. */
static void make(const kind *k, const content *contents, size_t count)
{
    struct archive *const a = archive_write_new();
    ck_assert_int_eq(archive_write_set_format(a, k->format), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_add_filter(a, k->filter), ARCHIVE_OK);
    if (k->option) {
        ck_assert_int_eq(archive_write_set_options(a, k->option), ARCHIVE_OK);
    }
    ck_assert_int_eq(archive_write_open_filename(a, scratch("a")), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        put_member(a, &contents[i]);
    }
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static bundle *open_good(void)
{
    bundle *b = NULL;
    err e = {0};
    ck_assert(bundle_recognizes(scratch("a")));
    expect_ok(bundle_open(scratch("a"), NULL, &b, &e), &e);
    return b;
}

static void open_bad(err_code code, const char *part)
{
    bundle *b = NULL;
    err e = {0};
    expect_error(bundle_open(scratch("a"), NULL, &b, &e), code, &e, part);
    ck_assert_ptr_null(b);
}

static void expect_content(const bundle *b, const char *name, const content *c)
{
    bundle_place place;
    err e = {0};
    int fd = -1;
    expect_ok(bundle_find(b, name, &place, &e), &e);
    ck_assert_ptr_nonnull(place.file);
    ck_assert_uint_eq(place.bytes, c->bytes);
    unsigned char *const found = malloc(c->bytes + 1);
    expect_ok(io_open_read(place.file, &fd, NULL, &e), &e);
    expect_ok(io_read_at(fd, name, place.base, found, c->bytes, &e), &e);
    for (size_t i = 0; i < c->bytes; i++) {
        ck_assert_uint_eq(found[i], byte_of(c, i));
    }
    close(fd);
    free(found);
}

static void expect_none(const bundle *b, const char *name, const char *part)
{
    bundle_place place;
    err e = {0};
    if (part) {
        expect_error(bundle_find(b, name, &place, &e), ERR_INPUT, &e, part);
    } else {
        expect_ok(bundle_find(b, name, &place, &e), &e);
    }
    ck_assert_ptr_null(place.file);
}

static const content usual[] = {
    {"./top/", AE_IFDIR, NULL, 0},
    {"./top/model-1.safetensors", 0, NULL, 300001},
    {"top//config.json", 0, NULL, 20},
    {"top/empty", 0, NULL, 0},
    {"top/./"
     "a-name-that-is-longer-than-one-hundred-bytes-with-its-directory-so-that-tar-needs-more-for-"
     "it.txt",
     0, NULL, 1000},
    {"top/model-2.safetensors", 0, NULL, 65536},
    {"readme", 0, NULL, 513},
};

static void clean(const char *name, char *to, size_t room)
{
    bool no_memory = false;
    char *const text = bundle_clean_name(name, &no_memory);
    ck_assert_ptr_nonnull(text);
    snprintf(to, room, "%s", text);
    free(text);
}

static void expect_usual(const bundle *b)
{
    char name[256];
    for (int i = 1; i < COUNT(usual); i++) {
        clean(usual[i].name, name, sizeof name);
        expect_content(b, name, &usual[i]);
    }
}

START_TEST(every_kind)
{
    const kind *const k = &kinds[_i];
    make(k, usual, COUNT(usual));
    bundle *const b = open_good();
    ck_assert_uint_eq(b->count, COUNT(usual));
    expect_usual(b);
    ck_assert_int_eq(b->spilled == NULL, k->in_place);
    for (size_t i = 0; i < b->count; i++) {
        ck_assert(b->members[i].kind == BUNDLE_DIRECTORY || b->members[i].bytes == 0 ||
                  b->members[i].unpacked == !k->in_place);
        ck_assert(!b->members[i].unpacked || b->members[i].base % 4096 == 0);
    }
    expect_none(b, "top/other", NULL);
    expect_none(b, "top", "not a regular file");
    bundle_close(b);
}
END_TEST

/* ---- recognizing ---- */

static bool recognizes(const void *bytes, size_t count)
{
    scratch_write("f", bytes, count);
    return bundle_recognizes(scratch("f"));
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
    ck_assert(!bundle_recognizes(scratch("")));
    ck_assert(!bundle_recognizes(scratch("none")));
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
    bundle *const b = open_good();
    bundle_place place;
    err e = {0};
    expect_ok(bundle_find(b, "file", &place, &e), &e);
    ck_assert_uint_eq(place.base, 512);
    ck_assert_uint_eq(place.bytes, 5);
    bundle_close(b);
}
END_TEST

/* ---- names and links ---- */

START_TEST(names_that_lead_elsewhere)
{
    static const char *const names[] = {"/etc/passwd", "../x", "top/../../x",
                                        "top/..",      "..",   "a/../b"};
    for (int i = 0; i < COUNT(names); i++) {
        for (int k = 0; k < COUNT(kinds); k++) {
            const content two[] = {usual[1], {names[i], 0, NULL, 5}};
            make(&kinds[k], two, 2);
            open_bad(ERR_INPUT, "a member is named");
        }
    }
}
END_TEST

START_TEST(names_that_are_there_twice)
{
    const content twice[] = {usual[1], usual[6], {"top/model-1.safetensors", 0, NULL, 7}};
    for (int k = 0; k < COUNT(kinds); k++) {
        make(&kinds[k], twice, 3);
        open_bad(ERR_INPUT, "top/model-1.safetensors is in it twice");
    }
    const content directories[] = {{"top/", AE_IFDIR, NULL, 0}, {"top", AE_IFDIR, NULL, 0}};
    make(&TAR, directories, 2);
    bundle_close(open_good());
}
END_TEST

START_TEST(clean_names)
{
    static const char *const pairs[][2] = {{"a", "a"},       {"./a", "a"},         {"a//b/", "a/b"},
                                           {"a/./b", "a/b"}, {".a/..b", ".a/..b"}, {"...", "..."}};
    static const char *const bad[] = {"", ".", "./", "/", "/a", "..", "a/..", "a/../b", "../a"};
    char name[64];
    bool no_memory = false;
    for (int i = 0; i < COUNT(pairs); i++) {
        clean(pairs[i][0], name, sizeof name);
        ck_assert_str_eq(name, pairs[i][1]);
    }
    for (int i = 0; i < COUNT(bad); i++) {
        ck_assert_ptr_null(bundle_clean_name(bad[i], &no_memory));
        ck_assert(!no_memory);
    }
}
END_TEST

START_TEST(link_targets)
{
    static const char *const rows[][3] = {
        {"a", "b", "b"},          {"d/a", "b", "d/b"},        {"d/a", "../b", "b"},
        {"d/e/a", "../b", "d/b"}, {"d/a", "./b/../c", "d/c"}, {"d/a", "../../b", NULL},
        {"a", "../b", NULL},      {"a", "/b", NULL},          {"d/a", "..", NULL},
        {"a", "", NULL},          {"d/a", "b//c/", "d/b/c"}};
    for (int i = 0; i < COUNT(rows); i++) {
        bool no_memory = false;
        char *const found = bundle_link_target(rows[i][0], rows[i][1], &no_memory);
        ck_assert_msg(found && rows[i][2] ? strcmp(found, rows[i][2]) == 0 : !found && !rows[i][2],
                      "%s -> %s: %s", rows[i][0], rows[i][1], found ? found : "none");
        free(found);
    }
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
        bundle *const b = open_good();
        expect_content(b, "top/model.safetensors", &all[0]);
        expect_content(b, "top/again", &all[0]);
        expect_content(b, "top/hard", &all[0]);
        expect_none(b, "top/out", "leads to nothing in the archive");
        expect_none(b, "top/absolute", "leads to nothing in the archive");
        expect_none(b, "top/nowhere", "leads to nothing in the archive");
        expect_none(b, "top/loop", "leads to nothing in the archive");
        expect_none(b, "top/fifo", "not a regular file");
        bundle_close(b);
    }
}
END_TEST

START_TEST(wanted)
{
    const uint64_t limit = (uint64_t)64 << 20;
    ck_assert(bundle_wants("a/b/c/d.safetensors", UINT64_MAX));
    ck_assert(bundle_wants("config.json", limit));
    ck_assert(bundle_wants("top/config.json", limit));
    ck_assert(!bundle_wants("top/config.json", limit + 1));
    ck_assert(!bundle_wants("top/sub/config.json", 1));
}
END_TEST

START_TEST(not_wanted_is_not_unpacked)
{
    const content all[] = {{"top/sub/notes", 0, NULL, 5000}, usual[1]};
    make(&TGZ, all, 2);
    bundle *const b = open_good();
    expect_none(b, "top/sub/notes", "not unpacked");
    expect_content(b, "top/model-1.safetensors", &usual[1]);
    bundle_close(b);
    make(&TAR, all, 2);
    bundle *const in_place = open_good();
    expect_content(in_place, "top/sub/notes", &all[0]);
    bundle_close(in_place);
}
END_TEST

/* ---- damage ---- */

/* Where a tar has its mark: two blocks of zeros behind the last member. */
static size_t end_of(const kind *k, const unsigned char *bytes, size_t length)
{
    while (k->format != ARCHIVE_FORMAT_ZIP && k->in_place && bytes[length - 1] == 0) {
        length--;
    }
    return length;
}

/* Cut off anywhere: told, and nothing else happens. */
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
        bundle *b = NULL;
        scratch_write("a", data, length);
        const err_code code = bundle_open(scratch("a"), NULL, &b, &e);
        ck_assert_msg(code == ERR_INPUT, "%zu of %zu bytes: %s", length, end, err_name(code));
        ck_assert(strstr(e.text, "/a: ") != NULL);
        e = (err){0};
    }
    free(data);
}
END_TEST

/* One bit of what is compressed: either it does not matter, or it is told. Libarchive writes zstd
 * without checksums. */
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
        bundle *b = NULL;
        data[at] ^= 4;
        scratch_write("a", data, bytes);
        const err_code code = bundle_open(scratch("a"), NULL, &b, &e);
        ck_assert(code == OK || code == ERR_INPUT);
        told += code != OK;
        if (code == OK && k->filter != ARCHIVE_FILTER_ZSTD && bundle_member_of(b, few[0].name)) {
            expect_content(b, few[0].name, &few[0]);
        }
        bundle_close(b);
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

/* A zip says of a member that it is smaller, or larger, than what is compressed. */
START_TEST(other_sizes_than_said)
{
    static const unsigned char size[4] = {0x77, 0x33, 0, 0};
    static const unsigned char smaller[4] = {0x77, 0x13, 0, 0};
    static const unsigned char larger[4] = {0x77, 0x53, 0, 0};
    const content one = {"model.safetensors", 0, NULL, 0x3377};
    for (int i = 0; i < 2; i++) {
        make(&kinds[8], &one, 1);
        patch(size, i ? larger : smaller, 4);
        bundle *b = NULL;
        err e = {0};
        ck_assert_int_eq(bundle_open(scratch("a"), NULL, &b, &e), ERR_INPUT);
        ck_assert_ptr_null(b);
    }
}
END_TEST

/* What is read in place has to be where it is said to be, all of it. */
START_TEST(stored_beyond_the_end)
{
    static const unsigned char size[4] = {0x77, 0x33, 0, 0};
    static const unsigned char larger[4] = {0x77, 0x33, 0x40, 0};
    const content one = {"model.safetensors", 0, NULL, 0x3377};
    make(&ZIP, &one, 1);
    patch(size, larger, 4);
    bundle *b = NULL;
    err e = {0};
    ck_assert_int_eq(bundle_open(scratch("a"), NULL, &b, &e), ERR_INPUT);
}
END_TEST

/* Several streams of gzip are one; zeros behind them are no matter, anything else is. */
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
    bundle *b = open_good();
    expect_usual(b);
    bundle_close(b);
    scratch_write("a", both, bytes[0] + bytes[1] + 600000);
    b = open_good();
    bundle_close(b);
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
    open_bad(ERR_INPUT, "what is compressed in it is no tar");
}
END_TEST

/* No room to unpack, and nothing left there. */
START_TEST(no_temporary_file)
{
    make(&TGZ, usual, COUNT(usual));
    setenv("TMPDIR", scratch("none"), 1);
    open_bad(ERR_IO, "cannot make a temporary file");
    setenv("TMPDIR", scratch(""), 1);
    bundle *const b = open_good();
    expect_usual(b);
    bundle_close(b);
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
    bundle *b = NULL;
    err e = {0};
    make(&kinds[_i], usual, COUNT(usual));
    expect_error(bundle_open(scratch("a"), &m, &b, &e), ERR_CANCELLED, &e, "interrupted");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("bundle");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, every_kind, 0, COUNT(kinds));
    tcase_add_test(tc, what_is_none);
    tcase_add_test(tc, old_tar);
    tcase_add_test(tc, names_that_lead_elsewhere);
    tcase_add_test(tc, names_that_are_there_twice);
    tcase_add_test(tc, clean_names);
    tcase_add_test(tc, link_targets);
    tcase_add_test(tc, links);
    tcase_add_test(tc, wanted);
    tcase_add_test(tc, not_wanted_is_not_unpacked);
    tcase_add_loop_test(tc, cut_off, 0, COUNT(kinds));
    tcase_add_loop_test(tc, flipped, 0, 4);
    tcase_add_test(tc, other_sizes_than_said);
    tcase_add_test(tc, stored_beyond_the_end);
    tcase_add_test(tc, gzip_in_parts);
    tcase_add_test(tc, compressed_but_no_tar);
    tcase_add_test(tc, no_temporary_file);
    tcase_add_loop_test(tc, cancelled, 0, COUNT(kinds));
    return run_tests("bundle", tc);
}
