/* octavo bench: how fast this machine is, how much of that a conversion achieves, and what limits
 * it. */
#include <stdio.h>
#include <stdlib.h>

#include "bin/bench/bench.h"
#include "bin/bench/bench_data.h"
#include "bin/cmd.h"
#include "bin/cli/job_options.h"
#include "bin/cli/text.h"
#include "bin/cli/value.h"
#include "format/base/num.h"
#include "format/base/printable.h"

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    bench *const b = ctx;
    switch (o->id) {
    case OPTION_DEVICE:
    case OPTION_GPU_MEMORY:
    case OPTION_CHECK_DEVICE:
        return compute_on_option(&b->request, o, value, e);
    case OPTION_SIZE:
        return value_size("--size", value, &b->size, e);
    case OPTION_CHECKPOINT:
        b->checkpoint = value;
        return OK;
    default:
        return job_on_option(&b->job, o, value, e);
    }
}

static void print_head(const bench *b)
{
    char device[300], path[256];
    shown size;
    compute_name(&b->device, device, sizeof device);
    text_size(size.s, b->source_bytes);
    if (b->checkpoint) {
        printf("%s: %s", printable(path, sizeof path, b->checkpoint), size.s);
    } else {
        printf("%s of BF16", size.s);
    }
    printf(", %u thread%s, on %s\n", b->job.threads, text_s(b->job.threads), device);
}

static void report_head(bench *b)
{
    if (report_says(b->report, LEVEL_NORMAL)) {
        print_head(b);
    }
    if (b->report->json) {
        json_t *const root = b->report->root;
        report_put(b->report, root, "kind", report_text("bench"));
        report_put(b->report, root, "dir", report_text(b->dir));
        report_put(b->report, root, "checkpoint", report_text(b->checkpoint));
        report_put(b->report, root, "source_bytes", report_number(b->source_bytes));
        report_put(b->report, root, "packed_bytes", report_number(b->packed_bytes));
        report_put(b->report, root, "threads", report_number(b->job.threads));
        b->measurements = json_array();
        report_put(b->report, root, "measurements", b->measurements);
    }
}

static void report_bottleneck(bench *b)
{
    report *const r = b->report;
    const bench_stage *const slowest = bench_bottleneck(b);
    if (r->json) {
        json_t *const stages = json_object();
        for (unsigned i = 0; i < b->stage_count; i++) {
            report_put(r, stages, b->stages[i].name, report_real(b->stages[i].rate / 1e9));
        }
        report_put(r, r->root, "stage_gb_per_s", stages);
        report_put(r, r->root, "bottleneck", report_text(slowest->name));
        compute_put(r, r->root, &b->device);
    } else if (report_says(r, LEVEL_NORMAL)) {
        printf("bottleneck: %s\n", slowest->name);
    }
}

typedef err_code (*part_fn)(bench *b, err *e);

static err_code measure(bench *b, err *e)
{
    static const part_fn parts[] = {bench_disk, bench_memory, bench_gpus, bench_conversion};
    err_code code = OK;
    TRY_OUT(bench_disk_open(b, e));
    report_head(b);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        TRY_OUT(parts[i](b, e));
    }
out:
    bench_disk_close(b);
    return code;
}

static err_code bench_all(bench *b, err *e)
{
    err_code code = OK;
    TRY(compute_find(&b->request, b->m, &b->device, e));
    b->pool = weights_pool();
    if (!b->pool) {
        return err_set(e, ERR_MEMORY, "no memory for weights");
    }
    TRY_OUT(measure(b, e));
    report_bottleneck(b);
out:
    free(b->pool);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    bench b = {.report = r, .request = COMPUTE_DEFAULT, .job = job_defaults()};
    command_line line;
    TRY(options_parse(COMMAND_BENCH, argc, argv, on_option, &b, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_BENCH, r, e);
    }
    if (b.size > 0 && b.checkpoint) {
        return err_set(e, ERR_USAGE, "--size and --checkpoint cannot be combined");
    }
    b.size = b.size > 0 ? b.size : GIB;
    /* Measurements are printed at once; a progress line between them would only be in the way. */
    b.job.progress = PROGRESS_NEVER;
    b.m = job_start(&b.job, r);
    b.dir = line.operand_count > 0 ? line.operands[0] : ".";
    return bench_all(&b, e);
}

const command cmd_bench = {.run = run, .on_option = on_option, .request_bytes = sizeof(bench)};
