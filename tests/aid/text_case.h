/* Compressed texts for tests, made with libarchive.
 *
 *     scratch_packed("a.zst", ARCHIVE_FILTER_ZSTD, "hello", 5);
 */
#ifndef TEXT_CASE_H
#define TEXT_CASE_H

#include <archive.h>
#include <archive_entry.h>
#include <check.h>

#include "tests/aid/scratch.h"

static const struct {
    const char *ending;
    int filter;
} packings[] = {
    {"", ARCHIVE_FILTER_NONE},  {".gz", ARCHIVE_FILTER_GZIP},   {".zst", ARCHIVE_FILTER_ZSTD},
    {".xz", ARCHIVE_FILTER_XZ}, {".bz2", ARCHIVE_FILTER_BZIP2},
};

/* scratch(name), compressed. */
static inline void scratch_packed(const char *name, int filter, const char *data, size_t bytes)
{
    struct archive *const a = archive_write_new();
    struct archive_entry *const entry = archive_entry_new();
    scratch_text(name, ""); /* makes its directories */
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "text");
    ck_assert_int_eq(archive_write_set_format_raw(a), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_add_filter(a, filter), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_filename(a, scratch(name)), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_header(a, entry), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_data(a, data, bytes), (la_ssize_t)bytes);
    ck_assert_int_eq(archive_write_free(a), ARCHIVE_OK);
    archive_entry_free(entry);
}

#endif
