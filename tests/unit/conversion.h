/* A conversion of the checkpoint in scratch("in") to scratch("out/p") by the CPU engine.
 *
 *     tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
 *     conversion r = conversion_with(2, PLENTY * MIB);       threads, memory
 *     r.recipe.scales = SCALES_UE8M0;
 *     conversion_succeeds(&r);
 *     conversion_fails(&r, ERR_INPUT, "tensor h.0.w1");      and the output directory is empty
 */
#ifndef CONVERSION_H
#define CONVERSION_H

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "convert/convert.h"
#include "quant/engine_cpu.h"
#include "tests/unit/expect.h"
#include "tests/unit/scratch.h"

enum { PLENTY = 64 }; /* MiB: enough for all slots of a few threads */

typedef struct conversion {
    recipe recipe;
    convert_options options; /* source, output: NULL for the usual ones */
    monitor m;
    void (*prepared)(convert_job *job); /* called between preparation and run */
    engine *(*wrap)(engine *inner);     /* an engine to use instead */
    convert_slots slots;
    convert_report report;
    err e;
} conversion;

static inline void conversion_setup(void)
{
    scratch_make();
    ck_assert_int_eq(mkdir(scratch("in"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("out"), 0777), 0);
}

static inline conversion conversion_with(unsigned threads, uint64_t memory)
{
    return (conversion){
        .options = {
            .digest = DIGEST_XXH3, .threads = threads, .memory = memory, .read_back = true}};
}

static inline err_code conversion_run_job(conversion *r, convert_job *job)
{
    engine *g = NULL;
    err_code code = engine_cpu_open(r->options.threads, job->slots.count, job->slots.in_bytes,
                                    job->slots.out_bytes, &g, &r->e);
    r->slots = job->slots;
    if (r->prepared) {
        r->prepared(job);
    }
    if (code == OK) {
        code = convert_run(job, r->wrap ? r->wrap(g) : g, &r->m, &r->report, &r->e);
    }
    engine_close(g);
    return code;
}

static inline err_code conversion_run(conversion *r)
{
    convert_job job = {0};
    char source[512];
    char target[512];
    const convert_options before = r->options;
    snprintf(source, sizeof source, "%s", before.source ? before.source : scratch("in"));
    snprintf(target, sizeof target, "%s", before.output ? before.output : scratch("out/p"));
    r->options.source = source;
    r->options.output = target;
    r->options.recipe = &r->recipe;
    r->e = (err){0};
    err_code code = convert_prepare(&r->options, &r->m, &job, &r->e);
    if (code == OK) {
        code = conversion_run_job(r, &job);
        convert_close(&job);
    }
    r->options = before;
    return code;
}

/* Entries of a directory below scratch(""). */
static inline int conversion_entries(const char *dir)
{
    DIR *const d = opendir(scratch(dir));
    int count = -2; /* "." and ".." */
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) {
        count++;
    }
    closedir(d);
    return count;
}

static inline void conversion_succeeds(conversion *r)
{
    expect_ok(conversion_run(r), &r->e);
}

static inline void conversion_fails(conversion *r, err_code code, const char *part)
{
    expect_error(conversion_run(r), code, &r->e, part);
    ck_assert_int_eq(conversion_entries("out"), 0);
}

#endif
