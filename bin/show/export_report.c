#include "bin/show/export_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "convert/export/export_config.h"
#include "format/base/printable.h"

/* ---- text ------------------------------------------------------ */

static uint64_t files_bytes(const export_job *job)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < job->file_count; i++) {
        bytes += job->files[i].bytes;
    }
    return bytes;
}

static void put_shards(table *t, const export_job *job)
{
    for (uint32_t i = 0; i < job->plan.shard_count; i++) {
        shown size;
        char name[SHARD_NAME_BYTES];
        export_shard_name(&job->plan, i, name);
        table_cell(t, "%s", name);
        table_cell(t, "%s", text_size(size.s, job->plan.shards[i].bytes));
        table_cell(t, "%" PRIu64 " tensor%s", job->plan.shards[i].count,
                   text_s(job->plan.shards[i].count));
    }
}

static void put_files(table *t, const export_job *job)
{
    for (size_t i = 0; i < job->file_count; i++) {
        shown size;
        table_cell(t, "%s", job->files[i].name);
        table_cell(t, "%s", text_size(size.s, job->files[i].bytes));
        table_cell(t, "%s", "");
    }
}

/* One row for each record: that of a stack represents all of its experts. */
static void put_dequantized(table *t, const export_job *job)
{
    for (uint32_t i = 0; i < job->file->table.count; i++) {
        const export_record *const x = &job->plan.records[i];
        if (x->form == FORM_NUMBERS) {
            table_cell(t, "  %s", job->file->table.records[i].name);
            table_cell(t, "%s", dtype_name(job->plan.tensors[x->first].type));
            table_cell(t, "%s", x->why);
        }
    }
}

static err_code print_dequantized(const export_job *job, err *e)
{
    if (job->plan.number_count == 0 || job->options.preset->config == CONFIG_NONE) {
        return OK;
    }
    table t;
    table_start(&t, "lll");
    printf("\nDequantized, with rounding: %" PRIu64 " tensor%s\n", job->plan.number_count,
           text_s(job->plan.number_count));
    put_dequantized(&t, job);
    return table_finish(&t, e);
}

static err_code print_ignored(const export_job *job, err *e)
{
    const preset *const p = job->options.preset;
    if (job->plan.fp8_count == 0) {
        printf("\nNothing is FP8: config.json has no quantization_config\n");
        return OK;
    }
    printf("\nNot FP8, listed in %s: %zu module%s\n", p->ignore_key, job->plan.ignored_count,
           text_s(job->plan.ignored_count));
    table t;
    table_start(&t, "ll");
    for (size_t i = 0; i < job->plan.ignored_count; i++) {
        table_cell(&t, "  %s", job->plan.ignored[i].module);
        table_cell(&t, "%s", job->plan.ignored[i].why);
    }
    return table_finish(&t, e);
}

static void print_total(const export_job *job)
{
    shown size;
    const export_plan *const plan = &job->plan;
    printf("\n%" PRIu64 " tensor%s in %" PRIu32 " shard%s for %s, %s", plan->tensor_count,
           text_s(plan->tensor_count), plan->shard_count, text_s(plan->shard_count),
           job->options.preset->reader, text_size(size.s, plan->total_bytes + files_bytes(job)));
    if (plan->fp8_count > 0) {
        printf("; %" PRIu64 " weight%s in FP8 with %s scales", plan->fp8_count,
               text_s(plan->fp8_count), scale_format_name(plan->block.scale));
    }
    putchar('\n');
}

err_code export_print_plan(const export_job *job, err *e)
{
    table t;
    table_start(&t, "lrl");
    put_shards(&t, job);
    put_files(&t, job);
    TRY(table_finish(&t, e));
    TRY(print_ignored(job, e));
    TRY(print_dequantized(job, e));
    print_total(job);
    return OK;
}

void export_print_result(const export_job *job, const export_report *done)
{
    const uint64_t bytes = job->plan.total_bytes;
    shown size, time, rate;
    char path[256];
    printable(path, sizeof path, job->options.output);
    printf("%s: %" PRIu64 " tensor%s in %" PRIu32 " shard%s for %s, %s, %s (%s)\n", path,
           job->plan.tensor_count, text_s(job->plan.tensor_count), job->plan.shard_count,
           text_s(job->plan.shard_count), job->options.preset->reader, text_size(size.s, bytes),
           text_seconds(time.s, done->seconds), text_rate(rate.s, bytes, done->seconds));
}

/* ---- JSON ------------------------------------------------------ */

static json_t *shards_json(report *r, const export_job *job)
{
    json_t *const list = json_array();
    for (uint32_t i = 0; i < job->plan.shard_count; i++) {
        char name[SHARD_NAME_BYTES];
        json_t *const o = json_object();
        export_shard_name(&job->plan, i, name);
        report_put(r, o, "name", report_text(name));
        report_put(r, o, "tensors", report_number(job->plan.shards[i].count));
        report_put(r, o, "bytes", report_number(job->plan.shards[i].bytes));
        report_append(r, list, o);
    }
    return list;
}

static json_t *files_json(report *r, const export_job *job)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < job->file_count; i++) {
        json_t *const o = json_object();
        report_put(r, o, "name", report_text(job->files[i].name));
        report_put(r, o, "bytes", report_number(job->files[i].bytes));
        report_append(r, list, o);
    }
    return list;
}

static json_t *ignored_json(report *r, const export_job *job)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < job->plan.ignored_count; i++) {
        json_t *const o = json_object();
        report_put(r, o, "module", report_text(job->plan.ignored[i].module));
        report_put(r, o, "reason", report_text(job->plan.ignored[i].why));
        report_append(r, list, o);
    }
    return list;
}

static json_t *dequantized_json(report *r, const export_job *job)
{
    json_t *const list = json_array();
    for (uint32_t i = 0; i < job->file->table.count; i++) {
        const export_record *const x = &job->plan.records[i];
        if (x->form == FORM_NUMBERS) {
            json_t *const o = json_object();
            report_put(r, o, "name", report_text(job->file->table.records[i].name));
            report_put(r, o, "tensors", report_number(x->parts));
            report_put(r, o, "dtype", report_text(dtype_name(job->plan.tensors[x->first].type)));
            report_put(r, o, "reason", report_text(x->why));
            report_append(r, list, o);
        }
    }
    return list;
}

static json_t *result_json(report *r, const export_job *job, const export_report *done)
{
    json_t *const o = json_object();
    report_put(r, o, "seconds", report_real(done->seconds));
    report_put(r, o, "gb_per_s", report_real((double)job->plan.total_bytes / done->seconds / 1e9));
    return o;
}

void export_put(report *r, const export_job *job, const export_report *done)
{
    const export_plan *const plan = &job->plan;
    const preset *const p = job->options.preset;
    report_put(r, r->root, "kind", report_text(done ? "export" : "export-plan"));
    report_put(r, r->root, "path", report_text(job->options.path));
    report_put(r, r->root, "output", report_text(job->options.output));
    report_put(r, r->root, "runtime", report_text(preset_name(p)));
    report_put(r, r->root, "root",
               report_hex(job->file->trailer.root, sizeof job->file->trailer.root));
    report_put(r, r->root, "tensors", report_number(plan->tensor_count));
    report_put(r, r->root, "fp8_tensors", report_number(plan->fp8_count));
    report_put(r, r->root, "unread_tensors", report_number(plan->unread_count));
    report_put(r, r->root, "total_size", report_number(plan->total_bytes));
    report_put(r, r->root, "shards", shards_json(r, job));
    report_put(r, r->root, "files", files_json(r, job));
    report_put(r, r->root, "quantization_config",
               plan->fp8_count > 0 ? export_quantization(p, plan) : json_null());
    report_put(r, r->root, "ignored", ignored_json(r, job));
    report_put(r, r->root, "dequantized", dequantized_json(r, job));
    if (done) {
        report_put(r, r->root, "result", result_json(r, job, done));
    }
}
