/* A directory for the files of one test, and functions to fill it. Failures abort the test; then
 * the directory is left for inspection.
 *
 *     tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
 *     ... scratch_write("sub/name", data, bytes); io_open_read(scratch("sub/name"), ...)
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <check.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_dir[256];

/* The path of a file in the directory; valid for the next seven calls. */
static inline const char *scratch(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    const int bytes =
        snprintf(path, sizeof paths[0], "%s%s%s", scratch_dir, *name ? "/" : "", name);
    ck_assert_int_lt(bytes, (int)sizeof paths[0]);
    return path;
}

static inline void scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch_dir, sizeof scratch_dir, "%s/octavo-test-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch_dir));
}

static inline int scratch_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void scratch_remove(void)
{
    ck_assert_int_eq(nftw(scratch_dir, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void scratch_write(const char *name, const void *data, size_t bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s", scratch(name));
    for (char *slash = path + strlen(scratch_dir) + 1; (slash = strchr(slash, '/'));
         *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0777);
    }
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void scratch_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
}

/* A safetensors file: the length of `header`, the header, and `data_bytes` bytes that count up from
 * `first`. */
static inline void scratch_safetensors(const char *name, const char *header, size_t data_bytes,
                                       unsigned char first)
{
    const uint64_t length = strlen(header);
    unsigned char *file = malloc(8 + length + data_bytes);
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 8; i++) {
        file[i] = (unsigned char)(length >> (8 * i));
    }
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++) {
        file[8 + length + i] = (unsigned char)(first + i);
    }
    scratch_write(name, file, 8 + length + data_bytes);
    free(file);
}

#endif
