/* A packed file and a checkpoint, compared: for tests of weights_check and its steps.
 *
 *     tcase_add_checked_fixture(t, scratch_make, weights_case_end);
 *     compare_ok(&packed, &(small_options){0}, &source);
 *     ... report ...
 */
#ifndef WEIGHTS_CASE_H
#define WEIGHTS_CASE_H

#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"
#include "verify/weights/weights.h"

/* Names in the report belong to the file, so the file stays open. */
static weights_report report;
static pack_file *file;

/* Write `source` as a checkpoint and `packed` as a file that small_options made; compare. */
static inline err_code compare(const small_model *packed, const small_options *options,
                               const small_model *source, const weights_options *how, err *e)
{
    small_pack p;
    checkpoint *cp = NULL;
    small_pack_build(packed, options, &p);
    scratch_write("a.octavo", p.bytes, p.length);
    small_pack_free(&p);
    mkdir(scratch("source"), 0777);
    small_checkpoint_write(source, scratch("source"));
    pack_close(file);
    expect_ok(pack_open(scratch("a.octavo"), &file, e), e);
    expect_ok(checkpoint_open(scratch("source"), NULL, &cp, e), e);
    weights_report_free(&report);
    const err_code code = weights_check(file, cp, how, NULL, &report, e);
    checkpoint_close(cp);
    return code;
}

static const weights_options plain = {.threads = 2, .memory = 64 << 20};

static inline void compare_ok(const small_model *packed, const small_options *options,
                              const small_model *source)
{
    err e = {0};
    expect_ok(compare(packed, options, source, &plain, &e), &e);
}

static inline const weight_result *result_of(const char *name)
{
    for (size_t i = 0; i < report.count; i++) {
        if (strcmp(report.results[i].name, name) == 0) {
            return &report.results[i];
        }
    }
    ck_abort_msg("no result for %s", name);
    return NULL;
}

/* The first difference contains these texts. */
static inline void expect_difference(const char *const *parts, size_t count)
{
    ck_assert_uint_gt(report.difference_count, 0);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(strstr(report.differences[0], parts[i]) != NULL, "no '%s' in '%s'", parts[i],
                      report.differences[0]);
    }
}

#define EXPECT_DIFFERENCE(...)                                                                     \
    expect_difference((const char *const[]){__VA_ARGS__},                                          \
                      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static inline void weights_case_end(void)
{
    weights_report_free(&report);
    pack_close(file);
    scratch_remove();
}

#endif
