/* Archives that a test makes with libarchive, as scratch("a"), and what must be found in them.
 *
 *     make(&TGZ, usual, COUNT(usual));
 *     archive_index *b = open_good();
 *     expect_usual(b);                                  or open_bad(ERR_INPUT, "duplicate member")
 */
#ifndef MADE_ARCHIVE_H
#define MADE_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/archive/archive_index.h"
#include "format/archive/archive_name.h"
#include "format/file/io.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

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

static inline unsigned char byte_of(const content *c, size_t i)
{
    return (unsigned char)((size_t)c->name[0] + i * (i >> 8 | 1));
}

static inline void put_member(struct archive *a, const content *c)
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
static inline void make(const kind *k, const content *contents, size_t count)
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

static inline archive_index *open_good(void)
{
    archive_index *b = NULL;
    bool found = false;
    err e = {0};
    expect_ok(archive_probe(scratch("a"), &found, &e), &e);
    ck_assert(found);
    expect_ok(archive_open(scratch("a"), NULL, &b, &e), &e);
    return b;
}

static inline void open_bad(err_code code, const char *part)
{
    archive_index *b = NULL;
    err e = {0};
    expect_error(archive_open(scratch("a"), NULL, &b, &e), code, &e, part);
    ck_assert_ptr_null(b);
}

static inline void expect_content(const archive_index *b, const char *name, const content *c)
{
    archive_place place;
    err e = {0};
    int fd = -1;
    expect_ok(archive_find(b, name, &place, &e), &e);
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

static inline void expect_none(const archive_index *b, const char *name, const char *part)
{
    archive_place place;
    err e = {0};
    if (part) {
        expect_error(archive_find(b, name, &place, &e), ERR_INPUT, &e, part);
    } else {
        expect_ok(archive_find(b, name, &place, &e), &e);
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

static inline void clean(const char *name, char *to, size_t room)
{
    bool no_memory = false;
    char *const text = archive_clean_name(name, &no_memory);
    ck_assert_ptr_nonnull(text);
    snprintf(to, room, "%s", text);
    free(text);
}

static inline void expect_usual(const archive_index *b)
{
    char name[256];
    for (int i = 1; i < COUNT(usual); i++) {
        clean(usual[i].name, name, sizeof name);
        expect_content(b, name, &usual[i]);
    }
}

#endif
