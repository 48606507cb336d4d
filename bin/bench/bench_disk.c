/* The speed of the disk, and how close a whole conversion comes to it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/bench/bench.h"
#include "bin/bench/bench_data.h"
#include "bin/bench/bench_probe.h"
#include "format/file/io.h"
#include "format/base/num.h"

struct bench_files {
    char *dir; /* created by bench; NULL: not created */
    char *made, *packed, *probe;
    recipe recipe; /* the built-in one */
    convert_job job;
    bool prepared;
};

typedef struct bench_files bench_files;

/* ---- files ----------------------------------------------------- */

static err_code make_directory(bench *b, err *e)
{
    bench_files *const f = b->files;
    char *const name = io_join(b->dir, ".octavo-bench-XXXXXX");
    if (!name) {
        return err_set(e, ERR_MEMORY, "%s: no memory", b->dir);
    }
    if (!mkdtemp(name)) {
        const err_code code =
            err_set_errno(e, ERR_IO, errno, "%s: cannot create a directory in it", b->dir);
        free(name);
        return code;
    }
    f->dir = name;
    f->made = io_join(name, "model.safetensors");
    f->packed = io_join(name, "packed.octavo");
    f->probe = io_join(name, "probe");
    return f->made && f->packed && f->probe ? OK : err_set(e, ERR_MEMORY, "%s: no memory", b->dir);
}

static err_code prepare(bench *b, err *e)
{
    bench_files *const f = b->files;
    convert_options options = {
        .source = b->checkpoint ? b->checkpoint : f->made,
        .output = f->packed,
        .recipe = &f->recipe,
        .digest = DIGEST_XXH3,
        .force = true,
        .threads = b->job.threads,
        .memory = b->job.memory,
    };
    /* Without notes: a generated checkpoint has no config.json, which is not worth a note. */
    const monitor silent = {.cancelled = b->m->cancelled, .ctx = b->m->ctx};
    const err_code code = convert_prepare(&options, &silent, &f->job, e);
    f->prepared = code == OK;
    if (code == OK) {
        b->source_bytes = f->job.plan.source_bytes;
        b->packed_bytes = f->job.plan.file_bytes;
    }
    return code;
}

err_code bench_disk_open(bench *b, err *e)
{
    b->files = calloc(1, sizeof *b->files);
    if (!b->files) {
        return err_set(e, ERR_MEMORY, "no memory");
    }
    TRY(make_directory(b, e));
    if (!b->checkpoint) {
        TRY(weights_write(b->files->made, b->size, b->pool, b->job.threads, b->m, e));
    }
    return prepare(b, e);
}

void bench_disk_close(bench *b)
{
    bench_files *const f = b->files;
    if (!f) {
        return;
    }
    if (f->prepared) {
        convert_close(&f->job);
    }
    if (f->made && f->packed) {
        (void)unlink(f->made); /* either may be missing; the probe removes its own file */
        (void)unlink(f->packed);
    }
    if (f->dir && rmdir(f->dir) != 0) {
        monitor_note(b->m, "%s: cannot remove the directory", f->dir);
    }
    free(f->dir);
    free(f->made);
    free(f->packed);
    free(f->probe);
    free(f);
    b->files = NULL;
}

/* ---- the disk alone -------------------------------------------- */

static void drop_source(const checkpoint *cp)
{
    for (size_t i = 0; i < cp->shard_count; i++) {
        probe_drop_cache(shard_file(&cp->shards[i]));
    }
}

static double source_file_bytes(const checkpoint *cp)
{
    double bytes = 0;
    for (size_t i = 0; i < cp->shard_count; i++) {
        bytes += (double)cp->shards[i].bytes;
    }
    return bytes;
}

typedef struct disk_run {
    bench *b;
    probe_job probe;
    bool cold; /* drop the source from the cache first */
} disk_run;

static err_code run_disk(void *ctx, double *seconds, err *e)
{
    const disk_run *const r = ctx;
    if (r->cold) {
        drop_source(r->b->files->job.cp);
    }
    return probe_run(&r->probe, r->b->m, seconds, e);
}

err_code bench_disk(bench *b, err *e)
{
    const bench_files *const f = b->files;
    const probe_job nothing = {.workers = f->job.slots.count};
    const double in = source_file_bytes(f->job.cp);
    const double out = (double)b->packed_bytes;
    double seconds = 0;
    disk_run r = {.b = b, .probe = nothing};
    r.probe.path = f->probe;
    r.probe.out_bytes = b->packed_bytes;
    TRY(bench_repeat(BENCH_DISK_RUNS, run_disk, &r, &seconds, e));
    bench_result_add(b, (bench_result){.rate = out / seconds}, "disk write, synced");
    bench_stage_add(b, "disk write", out / seconds * bench_source_per_packed(b));
    r.probe = nothing;
    r.probe.cp = f->job.cp;
    r.cold = true;
    TRY(bench_repeat(BENCH_DISK_RUNS, run_disk, &r, &seconds, e));
    bench_result_add(b, (bench_result){.rate = in / seconds}, "disk read, not cached");
    bench_stage_add(b, "disk read", in / seconds);
    r.cold = false;
    TRY(bench_repeat(BENCH_DISK_RUNS, run_disk, &r, &seconds, e));
    bench_result_add(b, (bench_result){.rate = in / seconds}, "disk read, cached");
    return OK;
}

/* ---- the conversion -------------------------------------------- */

static err_code run_conversion(bench *b, bool cold, double *seconds, err *e)
{
    bench_files *const f = b->files;
    convert_report done = {0};
    if (cold) {
        drop_source(f->job.cp);
    }
    const err_code code = convert_run(&f->job, b->device.engine, b->m, &done, e);
    *seconds = done.seconds;
    (void)unlink(f->packed); /* so that no run has to replace a file */
    return code;
}

/* Measure conversion and limit alternately, because the speed of a shared disk changes within
 * minutes. Which of the two goes first alternates as well, because earlier writes slow down later
 * ones. */
static err_code run_pairs(bench *b, bool cold, double *limit, double *measured, err *e)
{
    const bench_files *const f = b->files;
    disk_run r = {.b = b,
                  .cold = cold,
                  .probe = {.cp = f->job.cp,
                            .path = f->probe,
                            .out_bytes = b->packed_bytes,
                            .workers = f->job.slots.count}};
    double limits[BENCH_RUNS] = {0};
    double runs[BENCH_RUNS] = {0};
    for (unsigned i = 0; i < 2 * BENCH_DISK_RUNS; i++) {
        TRY((i + i / 2) % 2 == 0 ? run_disk(&r, &limits[i / 2], e)
                                 : run_conversion(b, cold, &runs[i / 2], e));
    }
    *limit = bench_median(limits, BENCH_DISK_RUNS);
    *measured = bench_median(runs, BENCH_DISK_RUNS);
    return OK;
}

static err_code measure_conversion(bench *b, bool cold, err *e)
{
    const double bytes = (double)b->source_bytes;
    double limit = 0;
    double measured = 0;
    TRY(run_pairs(b, cold, &limit, &measured, e));
    const bool by_link = b->link > 0 && b->link < bytes / limit;
    bench_result_add(b,
                     (bench_result){bytes / measured, by_link ? b->link : bytes / limit,
                                    by_link ? "link, both ways" : "read and written at once"},
                     cold ? "conversion, source not cached" : "conversion, source cached");
    return OK;
}

err_code bench_conversion(bench *b, err *e)
{
    err_code code = OK;
    TRY_OUT(compute_open(&b->device, &b->request, &b->files->job.slots, b->job.threads, b->m, e));
    if (b->device.devices.count == 0) {
        bench_stage_without_gpus(b);
    }
    TRY_OUT(measure_conversion(b, true, e));
    TRY_OUT(measure_conversion(b, false, e));
out:
    compute_close(&b->device, b->m);
    return code;
}
