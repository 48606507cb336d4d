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
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "convert/stream/convert.h"
#include "quant/engine/engine_cpu.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/scratch.h"
#include "verify/integrity/read_back.h"

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
    return (conversion){.options = {.digest = DIGEST_XXH3,
                                    .threads = threads,
                                    .memory = memory,
                                    .check = integrity_read_back}};
}

static inline err_code conversion_run_job(conversion *r, convert_job *job)
{
    engine *g = NULL;
    err_code code = engine_cpu_open(r->options.threads, job->slots.count, job->slots.in_bytes,
                                    job->slots.out_bytes, &g, &r->e);
    r->slots = job->slots;
    ck_assert_uint_le(job->slots.total_bytes, r->options.memory);
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

/* A shard for each tensor in scratch("in"); layers 0 to 2 have codes, layer 3 has none. */
static inline void conversion_make_small(made_checkpoint *made)
{
    uint64_t state = random_seed(0);
    made_fill(made_add(made, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){300, 200}, true), &state,
              MADE_NARROW);
    made_fill(made_add(made, "h.1.w1", DTYPE_F32, 2, (uint64_t[]){30, 20}, true), &state,
              MADE_NARROW);
    made_fill(made_add(made, "h.2.w1", DTYPE_F16, 2, (uint64_t[]){30, 20}, true), &state,
              MADE_NARROW);
    made_fill(made_add(made, "h.3.norm", DTYPE_F32, 1, (uint64_t[]){3000}, false), &state,
              MADE_NARROW);
    made_write(made, scratch("in"), 4);
}

/* Does something to the files when a stage begins, or after so many reports of progress. */
typedef struct saboteur {
    const char *stage; /* NULL: at the first progress */
    void (*act)(void);
    atomic_int acted;
} saboteur;

static inline void sabotage(saboteur *s)
{
    if (atomic_fetch_add(&s->acted, 1) == 0) {
        s->act();
    }
}

static inline void at_stage(void *ctx, const char *name, uint64_t total_bytes)
{
    saboteur *const s = ctx;
    (void)total_bytes;
    if (s->stage && strcmp(name, s->stage) == 0) {
        sabotage(s);
    }
}

static inline void at_progress(void *ctx, uint64_t bytes)
{
    saboteur *const s = ctx;
    (void)bytes;
    if (!s->stage) {
        sabotage(s);
    }
}

/* False, with the reason printed, where this system does not let us mount. */
static inline bool conversion_mount(const char *options)
{
    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("disk", scratch("out"), "tmpfs", 0, options) != 0) {
        printf("skipped: cannot mount: %s\n", strerror(errno));
        return false;
    }
    return true;
}

#endif
