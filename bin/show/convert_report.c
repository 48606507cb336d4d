#include "bin/show/convert_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/cli/peak_memory.h"
#include "bin/cli/text.h"
#include "bin/show/plan_report.h"
#include "format/base/printable.h"
#include "format/json/json.h"

static err_code put_recipe(report *r, const recipe *rules, err *e)
{
    size_t bytes = 0;
    json_t *value = NULL;
    char *const text = recipe_json(rules, &bytes);
    if (!text) {
        return err_set(e, ERR_MEMORY, "no memory for a recipe");
    }
    err_code code = OK;
    TRY_OUT(json_parse("recipe", text, bytes, JSON_EXACT, &value, e));
    report_put(r, r->root, "recipe", value);
out:
    free(text);
    return code;
}

/* The fields that a plan and a finished conversion have in common. */
static err_code put_job(report *r, const char *kind, const convert_job *job, err *e)
{
    report_put(r, r->root, "kind", report_text(kind));
    report_put(r, r->root, "source", report_text(job->options.source));
    report_put(r, r->root, "output", report_text(job->options.output));
    report_put(r, r->root, "plan", plan_json(r, job));
    return put_recipe(r, job->options.recipe, e);
}

static json_t *read_from_json(const convert_report *done)
{
    static const char *const names[] = {
        [READ_FROM_DISK] = "disk", [READ_FROM_CACHE] = "page cache", [READ_FROM_MEMORY] = "memory"};
    return done->read_back ? report_text(names[done->read_from]) : json_null();
}

static json_t *result_json(report *r, const convert_job *job, const compute *c,
                           const convert_report *done)
{
    const uint64_t bytes = job->plan.source_bytes;
    json_t *const o = json_object();
    report_put(r, o, "root", report_hex(done->root, sizeof done->root));
    report_put(r, o, "bytes", report_number(job->plan.file_bytes));
    report_put(r, o, "seconds", report_real(done->seconds));
    report_put(r, o, "source_gb_per_s", report_real((double)bytes / done->seconds / 1e9));
    report_put(r, o, "read_back", json_boolean(done->read_back));
    report_put(r, o, "read_back_from", read_from_json(done));
    report_put(r, o, "read_back_seconds", report_real(done->read_back_seconds));
    report_put(r, o, "sqnr", report_real(stats_sqnr(done->sum_sq_source, done->sum_sq_error)));
    report_put(r, o, "saturated", report_number(done->saturated));
    report_put(r, o, "flushed", report_number(done->flushed));
    report_put(r, o, "kept_nonfinite", report_number(done->nonfinite_kept));
    compute_put(r, o, c);
    report_put(r, o, "peak_memory_bytes", report_number(peak_memory()));
    return o;
}

static void print_result(const convert_job *job, const compute *c, const convert_report *done)
{
    const plan *const p = &job->plan;
    shown before, after, time, rate, db, again, carried;
    char root[2 * SHA256_BYTES + 1], path[256], device[300];
    compute_name(c, device, sizeof device);
    printable(path, sizeof path, job->options.output);
    hex_encode(done->root, sizeof done->root, root);
    snprintf(carried.s, sizeof carried.s, ", %" PRIu64 " carried over", p->carried_count);
    snprintf(again.s, sizeof again.s, " (%" PRIu64 " requantized)", p->requantized_count);
    printf("%s: %" PRIu64 " of %" PRIu64 " tensors quantized%s%s, %s -> %s, %s, %s (%s) on %s\n",
           path, p->quantized_count, (p->quantized_count + p->carried_count + p->kept_count),
           p->requantized_count > 0 ? again.s : "", p->carried_count > 0 ? carried.s : "",
           text_size(before.s, p->source_bytes), text_size(after.s, p->file_bytes),
           p->quantized_count > 0
               ? text_quality(db.s, stats_sqnr(done->sum_sq_source, done->sum_sq_error))
               : "nothing quantized",
           text_seconds(time.s, done->seconds), text_rate(rate.s, p->source_bytes, done->seconds),
           device);
    if (!done->read_back && !job->options.stream) {
        printf("not read back from the disk\n");
    } else if (done->read_back && done->read_from == READ_FROM_CACHE) {
        printf("read back through the page cache, not from the disk\n");
    }
    printf("root %s\n", root);
}

static void print_memory(const compute *c)
{
    shown host, gpu;
    printf("memory     peak %s", text_memory(host.s, peak_memory()));
    if (c->device_bytes > 0) {
        printf(", %s on GPUs, %" PRIu64 " tiles checked", text_memory(gpu.s, c->device_bytes),
               c->checked_tiles);
    }
    putchar('\n');
}

err_code convert_report_plan(report *r, const convert_job *job, err *e)
{
    if (r->json) {
        return put_job(r, "plan", job, e);
    }
    return report_says(r, LEVEL_NORMAL) ? plan_print(job, r->level < LEVEL_VERBOSE, e) : OK;
}

/* The file is complete: its result is reported even if memory does not suffice for the rest. */
err_code convert_report_done(report *r, const convert_job *job, const compute *c,
                             const convert_report *done, err *e)
{
    err_code code = OK;
    if (r->json) {
        code = put_job(r, "conversion", job, e);
        report_put(r, r->root, "result", result_json(r, job, c, done));
    } else if (report_says(r, LEVEL_VERBOSE)) {
        code = plan_print_tensors(job, e);
        print_memory(c);
    }
    if (report_says(r, LEVEL_NORMAL)) {
        print_result(job, c, done);
    }
    return code;
}
