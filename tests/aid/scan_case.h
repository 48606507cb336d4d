/* What the tests of the integrity check share: a small file whose bytes they change, and what was
 * found in it.
 *
 *     tcase_add_checked_fixture(tc, scan_setup, scan_teardown);
 *     flip(section_off(TAG_CHNK));
 *     check();
 *     EXPECT(ERR_DAMAGED, "section CHNK");
 */
#ifndef SCAN_CASE_H
#define SCAN_CASE_H

#include <unistd.h>

#include "tests/aid/expect.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/integrity.h"

static const integrity_options whole = {.threads = 1, .memory = 16 << 20};

static small_pack pack;
static integrity_report report;

static inline void scan_setup(void)
{
    small_pack_build(&small_model_default, &(small_options){0}, &pack);
}

static inline void scan_teardown(void)
{
    integrity_report_free(&report);
    small_pack_free(&pack);
}

static inline err_code check_with(const integrity_options *options, err *e)
{
    const int fd = small_memfd(pack.bytes, pack.length);
    integrity_report_free(&report);
    const err_code code = integrity_check(fd, "small", options, NULL, &report, e);
    close(fd);
    return code;
}

static inline void check(void)
{
    err e = {0};
    ck_assert_msg(check_with(&whole, &e) == OK, "%s", e.text);
}

/* The report names these places, in file order, and no others. */
static inline void expect(err_code code, const char *const *places, size_t count)
{
    for (size_t i = 0; i < report.count && i < count; i++) {
        ck_assert_msg(strcmp(report.damages[i].place, places[i]) == 0,
                      "%zu: expected %s, got %s: %s", i, places[i], report.damages[i].place,
                      report.damages[i].what);
        ck_assert_int_eq(report.damages[i].code, code);
    }
    ck_assert_uint_eq(report.count, count);
}

#define EXPECT(code, ...)                                                                          \
    expect(code, (const char *const[]){__VA_ARGS__},                                               \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* What is wrong with place `i` is told with these words. */
static inline void expect_what(size_t i, const char *part)
{
    ck_assert_uint_lt(i, report.count);
    ck_assert_msg(strstr(report.damages[i].what, part) != NULL, "no '%s' in '%s'", part,
                  report.damages[i].what);
}

static inline void flip(uint64_t at)
{
    pack.bytes[at] ^= 4;
}

static inline uint64_t section_off(uint32_t tag)
{
    return small_pack_section(&pack, tag)->off;
}

#define EMBED "model.embed_tokens.weight"
#define DOWN  "model.layers.0.mlp.experts.*.down_proj.weight"

static inline const pack_record *record(const char *name)
{
    const pack_record *const r = pack_table_find(&pack.table, name);
    ck_assert_ptr_nonnull(r);
    return r;
}

#endif
