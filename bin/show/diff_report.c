#include "bin/show/diff_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "bin/cli/text.h"
#include "format/base/printable.h"
#include "quant/tile/tile.h"

enum { LINES_MAX = 100, LINE_BYTES = 1024 };

bool diff_is_alike(const diff_report *found)
{
    return found->different + found->only_a + found->only_b + found->files_different +
               found->files.count ==
           0;
}

/* ---- text ------------------------------------------------------ */

/* A line to which parts are appended; what does not fit is cut off. */
typedef struct line {
    char text[LINE_BYTES];
    size_t used;
} line;

static void add(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int bytes = vsnprintf(l->text + l->used, sizeof l->text - l->used, format, args);
    va_end(args);
    const size_t most = sizeof l->text - l->used - 1;
    l->used += bytes < 0 ? 0 : (size_t)bytes < most ? (size_t)bytes : most;
}

static const char *dtype_text(const store_tensor *t)
{
    if (!t->quantized) {
        return dtype_name(t->type);
    }
    switch (t->scale_type) {
    case DTYPE_BF16:
        return "F8_E4M3 with BF16 scales";
    case DTYPE_F16:
        return "F8_E4M3 with F16 scales";
    case DTYPE_F8_E8M0:
        return "F8_E4M3 with F8_E8M0 scales";
    default:
        return "F8_E4M3 with scales";
    }
}

static void add_headers(line *l, const diff_result *d)
{
    shown a, b;
    if (d->what & DIFF_SHAPE) {
        add(l, ", shape %s in A, %s in B", text_shape(a.s, d->a->shape, d->a->ndim),
            text_shape(b.s, d->b->shape, d->b->ndim));
    }
    if (!(d->what & DIFF_DTYPE)) {
        return;
    }
    const store_tensor *const coded = d->a->quantized ? d->a : d->b;
    add(l, ", dtype %s in A, %s in B", dtype_text(d->a), dtype_text(d->b));
    if (d->measured && coded->of_record) {
        add(l, " (codes were made from %s)", dtype_name(coded->of_record->src_type));
    }
}

static void add_rounding(line *l, const diff_result *d)
{
    shown db, worst;
    if (d->what & DIFF_ROUNDING) {
        add(l, ", not the specified rounding: %" PRIu64 " code%s and %" PRIu64 " scale%s wrong",
            d->different, text_s(d->different), d->different_scales, text_s(d->different_scales));
    }
    if (d->different > 0) {
        add(l, ", first code at %" PRIu64, d->first);
    }
    add(l, "; %s", text_quality(db.s, d->sqnr));
    if (!isnan(d->worst_tile_sqnr)) {
        add(l, ", worst tile %" PRIu64 ",%" PRIu64, d->worst_row, d->worst_col);
        if (d->worst_slice > 0) {
            add(l, " of slice %" PRIu64, d->worst_slice);
        }
        add(l, ": %s dB, largest error %.2e", text_decibel(worst.s, d->worst_tile_sqnr),
            d->largest);
    }
}

static void add_data(line *l, const diff_result *d)
{
    if (d->what & DIFF_BITS) {
        add(l, ", %" PRIu64 " of %" PRIu64 " %s differ, first at %" PRIu64, d->different,
            d->elements, dtype_bits(d->a->type) < 8 ? "bytes" : "elements", d->first);
    }
    if (d->what & DIFF_CODES) {
        add(l, ", %" PRIu64 " of %" PRIu64 " codes differ, first at %" PRIu64, d->different,
            d->elements, d->first);
    }
    if (d->what & DIFF_SCALES) {
        add(l, ", %" PRIu64 " scale%s differ%s, first at %" PRIu64, d->different_scales,
            text_s(d->different_scales), d->different_scales == 1 ? "s" : "", d->first_scale);
    }
    if (d->measured) {
        add_rounding(l, d);
    } else if (!isnan(d->largest)) {
        add(l, ", by at most %.3g", d->largest);
    }
}

static void print_result(const diff_result *d)
{
    line l = {.used = 0};
    if (!d->a || !d->b) {
        add(&l, ": only in %c", d->a ? 'A' : 'B');
    } else {
        add_headers(&l, d);
        add_data(&l, d);
    }
    char name[LINE_BYTES];
    printable(name, sizeof name, d->name);
    /* The first part begins with two bytes of punctuation, which the colon replaces. */
    printf("tensor %s: %s\n", name, l.text + 2);
}

static void print_counts(const char *const paths[2], const diff_report *found)
{
    shown db;
    char a[256], b[256];
    printable(a, sizeof a, paths[0]);
    printable(b, sizeof b, paths[1]);
    printf("%s and %s: %" PRIu64 " tensor%s equal, %" PRIu64 " different", a, b, found->alike,
           text_s(found->alike), found->different);
    printf(", %" PRIu64 " only in A, %" PRIu64 " only in B", found->only_a, found->only_b);
    if (found->files_alike + found->files_different > 0) {
        printf("; %" PRIu64 " file%s equal, %" PRIu64 " different", found->files_alike,
               text_s(found->files_alike), found->files_different);
    }
    putchar('\n');
    if (found->sum_sq_source > 0 && isfinite(found->sum_sq_source)) {
        printf("error: %s over all tensors that are quantized on one side only\n",
               text_quality(db.s, stats_sqnr(found->sum_sq_source, found->sum_sq_error)));
    }
}

void diff_print(const char *const paths[2], const diff_report *found)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < found->files.count; i++) {
        if (lines++ < LINES_MAX) {
            char text[LINE_BYTES];
            printable(text, sizeof text, found->files.items[i]);
            printf("%s\n", text);
        }
    }
    for (size_t i = 0; i < found->count; i++) {
        if (found->results[i].what != 0 && lines++ < LINES_MAX) {
            print_result(&found->results[i]);
        }
    }
    if (lines > LINES_MAX) {
        printf("... and %" PRIu64 " more differences, which --json lists\n", lines - LINES_MAX);
    }
    print_counts(paths, found);
}

/* ---- JSON ------------------------------------------------------ */

static json_t *what_json(report *r, unsigned what)
{
    static const char *const words[] = {"only-a", "only-b", "dtype",  "shape",
                                        "bits",   "codes",  "scales", "rounding"};
    json_t *const list = json_array();
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (what >> i & 1) {
            report_append(r, list, report_text(words[i]));
        }
    }
    return list;
}

static json_t *side_json(report *r, const store_tensor *t)
{
    if (!t) {
        return json_null();
    }
    json_t *const o = json_object();
    report_put(r, o, "dtype", report_text(dtype_name(t->type)));
    report_put(r, o, "shape", report_shape(r, t->shape, t->ndim));
    report_put(r, o, "quantized", json_boolean(t->quantized));
    return o;
}

static void put_data(report *r, json_t *o, const diff_result *d)
{
    const bool any = d->different > 0;
    const bool any_scale = d->different_scales > 0;
    report_put(r, o, "elements", report_number(d->elements));
    report_put(r, o, "different_elements", report_number(d->different));
    report_put(r, o, "first_index", any ? report_number(d->first) : json_null());
    report_put(r, o, "different_scales", report_number(d->different_scales));
    report_put(r, o, "first_scale_index", any_scale ? report_number(d->first_scale) : json_null());
    report_put(r, o, "max_difference", report_real(d->largest));
    if (d->measured) {
        report_put(r, o, "sqnr", report_real(d->sqnr));
        report_put(r, o, "worst_tile_sqnr", report_real(d->worst_tile_sqnr));
        report_put(r, o, "worst_slice", report_number(d->worst_slice));
        report_put(r, o, "worst_row", report_number(d->worst_row));
        report_put(r, o, "worst_col", report_number(d->worst_col));
    }
}

static json_t *result_json(report *r, const diff_result *d)
{
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(d->name));
    report_put(r, o, "differs_in", what_json(r, d->what));
    report_put(r, o, "a", side_json(r, d->a));
    report_put(r, o, "b", side_json(r, d->b));
    if (d->elements > 0) {
        put_data(r, o, d);
    }
    return o;
}

void diff_put(report *r, const diff_report *found, double seconds)
{
    json_t *const tensors = json_array();
    json_t *const files = json_array();
    for (size_t i = 0; i < found->count; i++) {
        if (found->results[i].what != 0) {
            report_append(r, tensors, result_json(r, &found->results[i]));
        }
    }
    for (size_t i = 0; i < found->files.count; i++) {
        report_append(r, files, report_text(found->files.items[i]));
    }
    report_put(r, r->root, "equal", report_number(found->alike));
    report_put(r, r->root, "different", report_number(found->different));
    report_put(r, r->root, "only_a", report_number(found->only_a));
    report_put(r, r->root, "only_b", report_number(found->only_b));
    report_put(r, r->root, "files_equal", report_number(found->files_alike));
    report_put(r, r->root, "files_different", report_number(found->files_different));
    report_put(r, r->root, "sqnr",
               report_real(stats_sqnr(found->sum_sq_source, found->sum_sq_error)));
    report_put(r, r->root, "bytes_read", report_number(found->bytes_read));
    report_put(r, r->root, "seconds", report_real(seconds));
    report_put(r, r->root, "tensors", tensors);
    report_put(r, r->root, "file_differences", files);
}
