/* A packed file for people: a summary, then all tensors with their errors, identical layers folded.
 * Scales have no rows: their shape and bytes are in the row of their codes. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bin/show/layer_groups.h"
#include "bin/show/inspect.h"
#include "bin/show/state_show.h"
#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "format/base/num.h"
#include "format/base/printable.h"
#include "quant/tile/tile.h"

/* Totals over the whole file. */
typedef struct packed_totals {
    uint64_t quantized, carried, kept; /* tensors of the source */
    uint64_t fp8_elements, elements;
    double sum_sq_source, sum_sq_error;
} packed_totals;

static uint64_t elements_of(const pack_record *r)
{
    uint64_t elements = 1;
    for (unsigned i = 0; i < r->ndim; i++) {
        elements *= r->shape[i]; /* < 2^60, the table was checked */
    }
    return elements;
}

/* Was it quantized by somebody else, in a form that is only copied? */
static bool is_foreign(const packed_view *v, uint32_t i)
{
    const tensor_state *const s = &v->states.of[i];
    return s->kind == STATE_FOREIGN ||
           (s->kind == STATE_FP8 && v->file->table.records[i].src_type != DTYPE_F8_E4M3);
}

/* The scales of codes are not counted. */
static uint64_t tensors_of(const void *ctx, size_t i)
{
    const packed_view *const v = ctx;
    const pack_record *const r = &v->file->table.records[i];
    return r->cls == CLASS_SCALES ? 0 : pack_record_sources(r);
}

static packed_totals add_up(const packed_view *v)
{
    const pack_table *const t = &v->file->table;
    packed_totals sum = {0};
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        if (r->cls == CLASS_SCALES) {
            continue;
        }
        const packed_quality q = packed_view_quality(v, r);
        const uint64_t elements = elements_of(r);
        sum.elements += elements;
        sum.fp8_elements += r->cls == CLASS_CODES ? elements : 0;
        *(pack_record_has_stats(r)                          ? &sum.quantized
          : r->origin == ORIGIN_CARRIED || is_foreign(v, i) ? &sum.carried
                                                            : &sum.kept) += pack_record_sources(r);
        sum.sum_sq_source += q.sum_sq_source;
        sum.sum_sq_error += q.sum_sq_error;
    }
    return sum;
}

static layer_item item_of(const packed_view *v, uint32_t number)
{
    const pack_record *const r = &v->file->table.records[number];
    const pack_record *const scales = packed_scales(&v->file->table, r);
    const packed_quality q = packed_view_quality(v, r);
    layer_item item = {.name = r->name,
                       .type = r->type,
                       .from = r->src_type,
                       .ndim = r->ndim,
                       .shape = r->shape,
                       .mark = (unsigned)r->cls << 8 | v->states.of[number].kind,
                       .bytes = r->len + (scales ? scales->len : 0),
                       .tensors = pack_record_sources(r),
                       .sum_sq_source = q.sum_sq_source,
                       .sum_sq_error = q.sum_sq_error,
                       .worst = q.worst,
                       .index = number};
    return item;
}

/* A row is wanted if the glob matches its tensor, a member of it, or its scales. */
static bool is_wanted(const packed_view *v, const pack_record *r, const char *glob)
{
    const pack_record *const scales = packed_scales(&v->file->table, r);
    return r->cls != CLASS_SCALES && (packed_count_matches(r, glob) > 0 ||
                                      (scales && packed_count_matches(scales, glob) > 0));
}

static void put_row(table *t, const packed_view *v, const layer_row *row)
{
    shown shape, scale_shape, size, overall, worst;
    const layer_item *const sum = &row->sum;
    const pack_record *const record = &v->file->table.records[sum->index];
    const pack_record *const scales = packed_scales(&v->file->table, record);
    const bool measured = pack_record_has_stats(record);
    table_cell(t, "  %s", row->name);
    table_cell(t, "%" PRIu64, sum->tensors);
    table_cell(t, "%s", dtype_name(sum->type));
    table_cell(t, "%s", text_shape(shape.s, sum->shape, sum->ndim));
    table_cell(t, "%s", scales ? text_shape(scale_shape.s, scales->shape, scales->ndim) : "");
    table_cell(t, "%s", text_size(size.s, sum->bytes));
    text_decibel(overall.s, stats_sqnr(sum->sum_sq_source, sum->sum_sq_error));
    table_cell(t, "%s", measured ? overall.s : "");
    table_cell(t, "%s", measured ? text_decibel(worst.s, sum->worst) : "");
}

static err_code print_table(const packed_view *v, const layer_item *items, size_t count, err *e)
{
    static const char *const names[] = {"tensor", "count", "dtype",   "shape",
                                        "scales", "bytes", "SQNR dB", "worst"};
    layer_groups folded;
    TRY(layer_fold(items, count, &folded, e));
    table t;
    table_start(&t, "lrlllrrr");
    table_header(&t, names, sizeof names / sizeof names[0]);
    for (size_t g = 0; g < folded.group_count; g++) {
        table_heading(&t, "%s", folded.groups[g].title);
        for (size_t i = 0; i < folded.groups[g].row_count; i++) {
            const layer_row row = layer_group_row(&folded.groups[g], i);
            put_row(&t, v, &row);
        }
    }
    putchar('\n');
    layer_free(&folded);
    return table_finish(&t, e);
}

static uint64_t source_bytes(const json_t *provenance)
{
    uint64_t bytes = 0;
    size_t i = 0;
    const json_t *shard = NULL;
    json_array_foreach(json_object_get(provenance, "shards"), i, shard)
    {
        const uint64_t size = (uint64_t)json_integer_value(json_object_get(shard, "size"));
        bytes = num_add(bytes, size, &bytes) ? bytes : UINT64_MAX;
    }
    return bytes;
}

static err_code print_files(const packed_view *v, err *e)
{
    table t;
    table_start(&t, "llrl");
    for (size_t i = 0; i < v->file_count; i++) {
        shown size;
        const char *const dot = strrchr(v->files[i].name, '.');
        table_cell(&t, "%s", i == 0 ? "files    " : "");
        table_cell(&t, "%s", v->files[i].name);
        table_cell(&t, "%s", text_size(size.s, v->files[i].bytes));
        table_cell(&t, "%s", dot && strcmp(dot, ".py") == 0 ? "code" : "");
    }
    return table_finish(&t, e);
}

/* The embedded config.json, NULL if there is none. */
static err_code read_config(const packed_view *v, json_t **config, err *e)
{
    *config = NULL;
    for (size_t i = 0; i < v->file_count; i++) {
        const member *const m = &v->files[i];
        if (strcmp(m->name, "config.json") == 0) {
            return json_parse("embedded config.json", m->data, m->bytes, JSON_PYTHON, config, e);
        }
    }
    return OK;
}

static void print_head(const packed_view *v, const json_t *config)
{
    const pack_file *const p = v->file;
    const packed_totals sum = add_up(v);
    shown size, part, whole, db, source;
    char root[2 * SHA256_BYTES + 1], path[256];
    printable(path, sizeof path, p->path);
    hex_encode(p->trailer.root, sizeof p->trailer.root, root);
    printf("%s: packed file, %s\n\n", path, text_size(size.s, p->file_bytes));
    inspect_print_model(config);
    printf("tensors    %s\n", text_tensors(db.s, sum.quantized, sum.carried, sum.kept));
    printf("weights    %s, %s of them FP8 with %s scales\n", text_many(whole.s, sum.elements),
           text_many(part.s, sum.fp8_elements),
           json_string_value(json_object_get(v->recipe, "scales")));
    if (v->states.foreign > 0) {
        state_print_counts(&v->states, tensors_of, v);
    }
    if (sum.quantized > 0) {
        printf("error      %s over all quantized tensors\n",
               text_quality(db.s, stats_sqnr(sum.sum_sq_source, sum.sum_sq_error)));
    }
    const size_t shards = json_array_size(json_object_get(v->provenance, "shards"));
    printf("source     %s in %zu shard%s\n", text_size(source.s, source_bytes(v->provenance)),
           shards, text_s(shards));
    printf("digests    %s, %" PRIu64 " chunk%s\n", digest_name(p->superblock.digest),
           p->table.chunk_count, text_s(p->table.chunk_count));
    printf("root       %s\n", root);
}

/* With -q nothing is printed, but a glob without a match and a malformed config.json still fail. */
static err_code print_packed(const packed_view *v, const char *glob, report *r, err *e)
{
    const pack_table *const t = &v->file->table;
    json_t *config = NULL;
    size_t count = 0;
    err_code code = OK;
    layer_item *const items = calloc((size_t)t->count + 1, sizeof *items);
    if (!items) {
        return err_set(e, ERR_MEMORY, "no memory for %u tensors", t->count);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_wanted(v, &t->records[i], glob)) {
            items[count++] = item_of(v, i);
        }
    }
    if (glob && count == 0) {
        TRY_OUT(inspect_no_match(v->file->path, glob, e));
    }
    TRY_OUT(read_config(v, &config, e));
    if (report_says(r, LEVEL_NORMAL)) {
        print_head(v, config);
        TRY_OUT(print_files(v, e));
        TRY_OUT(print_table(v, items, count, e));
    }
out:
    json_decref(config);
    free(items);
    return code;
}

err_code inspect_packed(const char *path, const char *glob, report *r, err *e)
{
    packed_view v;
    err_code code = OK;
    TRY_OUT(packed_view_open(path, &v, e));
    TRY_OUT(r->json ? packed_json(&v, glob, r, e) : print_packed(&v, glob, r, e));
out:
    packed_view_close(&v);
    return code;
}
