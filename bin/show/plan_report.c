#include "bin/show/plan_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bin/show/layer_groups.h"
#include "bin/show/packed_view.h"
#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "bin/show/plan_notes.h"
#include "format/base/num.h"
#include "format/base/printable.h"

typedef struct tile_count {
    uint64_t all, clipped; /* clipped: at an edge of the matrix */
} tile_count;

static tile_count count_tiles(const pack_record *r)
{
    if (r->cls != CLASS_CODES) {
        return (tile_count){0};
    }
    const uint64_t rows = pack_record_rows(r), cols = pack_record_cols(r);
    const uint64_t slices = pack_record_slices(r);
    return (tile_count){.all = slices * block_count(r->block, rows, cols),
                        .clipped = slices * block_clipped(r->block, rows, cols)};
}

const char *plan_decision(const convert_job *job, uint32_t number)
{
    const pack_record *const r = &job->plan.table.records[number];
    if (job->plan.records[number].reason == REASON_FOREIGN) {
        return "carry";
    }
    return r->origin == ORIGIN_CARRIED ? "carry" : r->cls == CLASS_CODES ? "quantize" : "keep";
}

/* From the statistics that were written: by now its name may lead to another file. */
static packed_quality quality_of(const convert_job *job, uint32_t number)
{
    return job->stats ? packed_stats_quality(job->stats, &job->plan.table.records[number])
                      : (packed_quality){.worst = NAN};
}

/* ---- text ------------------------------------------------------ */

static layer_item item_of(const convert_job *job, uint32_t number)
{
    const pack_record *const r = &job->plan.table.records[number];
    const pack_record *const scales = packed_scales(&job->plan.table, r);
    const tile_count tiles = count_tiles(r);
    const packed_quality q = quality_of(job, number);
    layer_item item = {.name = r->name,
                       .type = r->type,
                       .from = r->src_type,
                       .ndim = r->ndim,
                       .shape = r->shape,
                       .mark = (unsigned)r->cls << 8 | job->plan.records[number].reason,
                       .bytes = r->len + (scales ? scales->len : 0),
                       .tensors = pack_record_sources(r),
                       .tiles = tiles.all,
                       .clipped = tiles.clipped,
                       .sum_sq_source = q.sum_sq_source,
                       .sum_sq_error = q.sum_sq_error,
                       .worst = q.worst,
                       .index = number};
    return item;
}

/* One item for each record, except for scales, whose bytes count with those of their codes. */
static err_code make_items(const convert_job *job, layer_item **out, size_t *count, err *e)
{
    const pack_table *const t = &job->plan.table;
    *count = 0;
    *out = calloc((size_t)t->count + 1, sizeof **out);
    if (!*out) {
        return err_set(e, ERR_MEMORY, "no memory for %u tensors", t->count);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->records[i].cls != CLASS_SCALES) {
            (*out)[(*count)++] = item_of(job, i);
        }
    }
    return OK;
}

static void put_reason(table *t, const plan_record *r)
{
    if (r->reason == REASON_FOREIGN && r->method) {
        table_cell(t, "quantized by %s", r->method);
    } else {
        table_cell(t, "%s", recipe_reason_text(r->reason));
    }
}

static void put_plan_row(table *t, const convert_job *job, const char *indent, const char *name,
                         const layer_item *x)
{
    const pack_record *const r = &job->plan.table.records[x->index];
    const bool quantized = pack_record_has_stats(r);
    shown shape, size;
    table_cell(t, "%s%s", indent, name);
    table_cell(t, "%" PRIu64, x->tensors);
    table_cell(t, "%s", dtype_name(x->from));
    table_cell(t, "%s", text_shape(shape.s, x->shape, x->ndim));
    table_cell(t, "%s", plan_decision(job, (uint32_t)x->index));
    if (quantized) {
        table_cell(t, "%" PRIu64, x->tiles);
        table_cell(t, "%" PRIu64, x->clipped);
    } else {
        table_cell(t, "%s", "");
        table_cell(t, "%s", "");
    }
    table_cell(t, "%s", text_size(size.s, x->bytes));
    put_reason(t, &job->plan.records[x->index]);
}

static err_code put_folded(table *t, const convert_job *job, const layer_item *items, size_t count,
                           err *e)
{
    layer_groups folded;
    TRY(layer_fold(items, count, &folded, e));
    for (size_t g = 0; g < folded.group_count; g++) {
        table_heading(t, "%s", folded.groups[g].title);
        for (size_t i = 0; i < folded.groups[g].row_count; i++) {
            const layer_row row = layer_group_row(&folded.groups[g], i);
            put_plan_row(t, job, "  ", row.name, &row.sum);
        }
    }
    layer_free(&folded);
    return OK;
}

static err_code put_rows(table *t, const convert_job *job, bool fold, const layer_item *items,
                         size_t count, err *e)
{
    if (fold) {
        return put_folded(t, job, items, count, e);
    }
    for (size_t i = 0; i < count; i++) {
        put_plan_row(t, job, "", items[i].name, &items[i]);
    }
    return OK;
}

static err_code print_plan_table(const convert_job *job, bool fold, err *e)
{
    static const char *const names[] = {"tensor", "count",   "from",  "shape", "decision",
                                        "tiles",  "clipped", "bytes", "reason"};
    layer_item *items = NULL;
    size_t count = 0;
    table t;
    TRY(make_items(job, &items, &count, e));
    table_start(&t, "lrlllrrrl");
    table_header(&t, names, sizeof names / sizeof names[0]);
    const err_code code = put_rows(&t, job, fold, items, count, e);
    free(items);
    if (code != OK) {
        table_free(&t);
        return code;
    }
    return table_finish(&t, e);
}

/* The files that are embedded, or those that are not, one per line; the label is on the first. */
static void print_files(const embed_list *list, bool embedded, const char *label)
{
    const char *head = label;
    for (size_t i = 0; i < list->count; i++) {
        if (list->files[i].embedded == embedded) {
            char name[256];
            shown size;
            printable(name, sizeof name, list->files[i].name);
            printf("%-10s %s, %s\n", head, name, text_size(size.s, list->files[i].bytes));
            head = "";
        }
    }
}

err_code plan_print(const convert_job *job, bool fold, err *e)
{
    const plan *const p = &job->plan;
    shown tensors, source, output, need, budget;
    TRY(print_plan_table(job, fold, e));
    putchar('\n');
    print_files(&job->embed, true, "embedded");
    print_files(&job->embed, false, "left out");
    printf("tensors    %s\n",
           text_tensors(tensors.s, p->quantized_count, p->carried_count, p->kept_count));
    if (p->kept_count + p->foreign_count > 0) {
        char kept[PLAN_KEPT_TEXT_BYTES];
        printf("kept       %s\n", plan_kept_text(p, REASON_COUNT, kept));
    }
    printf("tiles      %" PRIu64 ", %" PRIu64 " of them clipped at an edge\n", p->tiles,
           p->clipped_tiles);
    printf("source     %s in %zu shard%s\n", text_size(source.s, p->source_bytes),
           job->cp->shard_count, text_s(job->cp->shard_count));
    printf("output     %s (%" PRIu64 " bytes)\n", text_size(output.s, p->file_bytes),
           p->file_bytes);
    printf("memory     %s for buffers, limit %s\n", text_memory(need.s, job->slots.total_bytes),
           text_memory(budget.s, job->options.memory));
    printf("Dry run: nothing was written\n");
    return OK;
}

err_code plan_print_tensors(const convert_job *job, err *e)
{
    static const char *const names[] = {"tensor", "from", "shape", "decision", "bytes", "SQNR dB"};
    layer_item *items = NULL;
    size_t count = 0;
    TRY(make_items(job, &items, &count, e));
    table t;
    table_start(&t, "llllrr");
    table_header(&t, names, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < count; i++) {
        const layer_item *const x = &items[i];
        const pack_record *const r = &job->plan.table.records[x->index];
        shown shape, size, db;
        text_decibel(db.s, stats_sqnr(x->sum_sq_source, x->sum_sq_error));
        table_cell(&t, "%s", x->name);
        table_cell(&t, "%s", dtype_name(x->from));
        table_cell(&t, "%s", text_shape(shape.s, x->shape, x->ndim));
        table_cell(&t, "%s", plan_decision(job, (uint32_t)x->index));
        table_cell(&t, "%s", text_size(size.s, x->bytes));
        table_cell(&t, "%s", pack_record_has_stats(r) ? db.s : "");
    }
    free(items);
    return table_finish(&t, e);
}

/* ---- JSON ------------------------------------------------------ */

static void put_state(report *r, json_t *o, const plan_record *record)
{
    report_put(r, o, "state", report_text(state_name(record->state)));
    if (record->method) {
        report_put(r, o, "method", report_text(record->method));
    }
}

static json_t *record_json(report *r, const convert_job *job, uint32_t number)
{
    const pack_record *const t = &job->plan.table.records[number];
    const pack_record *const scales = packed_scales(&job->plan.table, t);
    const recipe_reason reason = job->plan.records[number].reason;
    const tile_count tiles = count_tiles(t);
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(t->name));
    report_put(r, o, "decision", report_text(plan_decision(job, number)));
    report_put(r, o, "reason", report_text(recipe_reason_name(reason)));
    put_state(r, o, &job->plan.records[number]);
    report_put(r, o, "shape", report_shape(r, t->shape, t->ndim));
    report_put(r, o, "src_dtype", report_text(dtype_name(t->src_type)));
    report_put(r, o, "dtype", report_text(dtype_name(t->type)));
    report_put(r, o, "tensors", report_number(pack_record_sources(t)));
    report_put(r, o, "tiles", report_number(tiles.all));
    report_put(r, o, "clipped_tiles", report_number(tiles.clipped));
    report_put(r, o, "bytes", report_number(t->len));
    report_put(r, o, "scale_bytes", report_number(scales ? scales->len : 0));
    if (job->stats && pack_record_has_stats(t)) {
        const packed_quality q = quality_of(job, number);
        report_put(r, o, "sqnr", report_real(stats_sqnr(q.sum_sq_source, q.sum_sq_error)));
        report_put(r, o, "worst_sqnr", report_real(q.worst));
    }
    return o;
}

static json_t *files_json(report *r, const embed_list *list)
{
    json_t *const files = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_t *const o = json_object();
        report_put(r, o, "name", report_text(list->files[i].name));
        report_put(r, o, "bytes", report_number(list->files[i].bytes));
        report_put(r, o, "embedded", json_boolean(list->files[i].embedded));
        report_append(r, files, o);
    }
    return files;
}

/* The bytes of kept tensors for each reason that has any. */
static json_t *kept_json(report *r, const plan *p)
{
    json_t *const o = json_object();
    for (int i = 0; i < REASON_COUNT; i++) {
        if (p->kept_bytes[i] > 0) {
            report_put(r, o, recipe_reason_name((recipe_reason)i), report_number(p->kept_bytes[i]));
        }
    }
    return o;
}

static json_t *unknown_json(report *r, const plan_unknown *u)
{
    json_t *const o = json_object();
    report_put(r, o, "tensors", report_number(u->count));
    report_put(r, o, "bytes", report_number(u->bytes));
    report_put(r, o, "example", u->example ? report_text(u->example) : json_null());
    return o;
}

json_t *plan_json(report *r, const convert_job *job)
{
    const plan *const p = &job->plan;
    json_t *const o = json_object();
    json_t *const records = json_array();
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (p->table.records[i].cls != CLASS_SCALES) {
            report_append(r, records, record_json(r, job, i));
        }
    }
    report_put(r, o, "tensors",
               report_number(p->quantized_count + p->carried_count + p->kept_count));
    report_put(r, o, "quantized", report_number(p->quantized_count));
    report_put(r, o, "requantized", report_number(p->requantized_count));
    report_put(r, o, "carried", report_number(p->carried_count));
    report_put(r, o, "carried_foreign", report_number(p->foreign_count));
    report_put(r, o, "kept", report_number(p->kept_count));
    report_put(r, o, "kept_bytes", kept_json(r, p));
    report_put(r, o, "unknown_matrices", unknown_json(r, &p->unknown));
    report_put(r, o, "quantized_elements", report_number(p->quantized_elements));
    report_put(r, o, "tiles", report_number(p->tiles));
    report_put(r, o, "clipped_tiles", report_number(p->clipped_tiles));
    report_put(r, o, "source_bytes", report_number(p->source_bytes));
    report_put(r, o, "output_bytes", report_number(p->file_bytes));
    report_put(r, o, "buffer_bytes", report_number(job->slots.total_bytes));
    report_put(r, o, "records", records);
    report_put(r, o, "files", files_json(r, &job->embed));
    return o;
}
