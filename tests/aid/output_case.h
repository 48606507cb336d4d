/* What the tests of outputs share. Names are those of files in scratch(""). */
#ifndef OUTPUT_CASE_H
#define OUTPUT_CASE_H

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "format/output/output.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static inline void expect_text_of(const char *name, const char *text)
{
    char found[64] = "";
    FILE *const f = fopen(scratch(name), "rb");
    ck_assert_msg(f != NULL, "%s is not there", name);
    const size_t n = fread(found, 1, sizeof found - 1, f);
    found[n] = '\0';
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_str_eq(found, text);
}

static inline int count_entries(const char *name)
{
    DIR *const dir = opendir(scratch(name));
    int count = -2; /* "." and ".." */
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static inline output *opened(const char *name, bool force)
{
    output *out = NULL;
    err e = {0};
    expect_ok(output_open(scratch(name), force, &out, &e), &e);
    return out;
}

static inline void write_and_commit(const char *name, bool force, const char *text)
{
    output *out = opened(name, force);
    err e = {0};
    expect_ok(output_write(out, 0, text, strlen(text), &e), &e);
    expect_ok(output_sync(out, &e), &e);
    expect_ok(output_commit(&out, &e), &e);
    ck_assert_ptr_null(out);
}

static inline void expect_refused(const char *name, bool force, const char *why)
{
    output *out = NULL;
    err e = {0};
    expect_error(output_open(scratch(name), force, &out, &e), ERR_IO, &e, why);
    ck_assert_ptr_null(out);
}

#endif
