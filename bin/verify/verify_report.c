#include "bin/verify/verify_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "quant/tile/tile.h"

enum { WORST_ROWS = 10, DIFFERENCE_LINES_MAX = 100 };

/* ---- damage ---------------------------------------------------- */

static void complain_damage(report *r, const char *path, const damage *d)
{
    char slice[40] = "", chunk[40] = "";
    if (d->slice >= 0) {
        snprintf(slice, sizeof slice, ", expert %" PRId64, d->slice);
    }
    if (d->chunk >= 0) {
        snprintf(chunk, sizeof chunk, ", chunk %" PRId64, d->chunk);
    }
    report_error(r, "%s: %s%s%s: %s (offset %" PRIu64 ", %" PRIu64 " byte%s)", path, d->place,
                 slice, chunk, d->what, d->off, d->bytes, text_s(d->bytes));
}

err_code verify_judge_damage(report *r, const char *path, const integrity_report *found, err *e)
{
    err_code worst = OK;
    for (size_t i = 0; i < found->count; i++) {
        worst = err_worse(worst, found->damages[i].code);
        if (!r->json && i < DAMAGE_LINES_MAX) {
            complain_damage(r, path, &found->damages[i]);
        }
    }
    if (!r->json && found->count > DAMAGE_LINES_MAX) {
        report_error(r, "%s: ... and %zu more places, which --json lists", path,
                     found->count - DAMAGE_LINES_MAX);
    }
    if (worst == OK) {
        return OK;
    }
    err_set(e, worst, "%s: %s in %zu place%s", path,
            worst == ERR_DAMAGED ? "damaged" : "breaks the format", found->count,
            text_s(found->count));
    if (worst == ERR_DAMAGED) {
        err_hint(e, "fetch or convert the file again");
    }
    return worst;
}

static json_t *damage_json(report *r, const damage *d)
{
    json_t *const o = json_object();
    report_put(r, o, "location", report_text(d->place));
    report_put(r, o, "message", report_text(d->what));
    report_put(r, o, "slice", d->slice < 0 ? json_null() : json_integer(d->slice));
    report_put(r, o, "chunk", d->chunk < 0 ? json_null() : json_integer(d->chunk));
    report_put(r, o, "off", report_number(d->off));
    report_put(r, o, "bytes", report_number(d->bytes));
    report_put(r, o, "code", report_text(err_name(d->code)));
    return o;
}

json_t *verify_integrity_json(report *r, const integrity_report *found, bool quick, double seconds)
{
    json_t *const o = json_object();
    json_t *const damages = json_array();
    for (size_t i = 0; i < found->count; i++) {
        report_append(r, damages, damage_json(r, &found->damages[i]));
    }
    report_put(r, o, "quick", json_boolean(quick));
    report_put(r, o, "data_checked", json_boolean(found->tensors_checked));
    report_put(r, o, "chunks_checked", report_number(found->chunks_checked));
    report_put(r, o, "bytes_checked", report_number(found->bytes_checked));
    report_put(r, o, "seconds", report_real(seconds));
    report_put(r, o, "damage", damages);
    return o;
}

/* ---- weights --------------------------------------------------- */

static uint64_t wrong_in(const weight_result *w)
{
    return w->wrong_scales + w->wrong_codes + w->wrong_bytes;
}

static void complain_tensor(report *r, const char *path, const weight_result *w)
{
    char slice[40] = "";
    if (w->first_wrong_slice >= 0) {
        snprintf(slice, sizeof slice, "expert %" PRId64 ", ", w->first_wrong_slice);
    }
    if (w->quantized) {
        report_error(r,
                     "%s: tensor %s: codes or scales do not match the specification: %" PRIu64
                     " wrong code%s, %" PRIu64 " wrong scale%s, first at %sindex %" PRIu64,
                     path, w->name, w->wrong_codes, text_s(w->wrong_codes), w->wrong_scales,
                     text_s(w->wrong_scales), slice, w->first_wrong_index);
    } else {
        report_error(r,
                     "%s: tensor %s: differs from the source in %" PRIu64
                     " byte%s, first at %sbyte %" PRIu64,
                     path, w->name, w->wrong_bytes, text_s(w->wrong_bytes), slice,
                     w->first_wrong_index);
    }
}

err_code verify_judge_weights(report *r, const char *path, const char *against,
                              const weights_report *found, err *e)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < found->difference_count; i++, lines++) {
        if (!r->json && lines < DIFFERENCE_LINES_MAX) {
            report_error(r, "%s: %s", path, found->differences[i]);
        }
    }
    for (size_t i = 0; i < found->count; i++) {
        if (wrong_in(&found->results[i]) == 0) {
            continue;
        }
        if (!r->json && lines < DIFFERENCE_LINES_MAX) {
            complain_tensor(r, path, &found->results[i]);
        }
        lines++;
    }
    if (!r->json && lines > DIFFERENCE_LINES_MAX) {
        report_error(r, "%s: ... and %" PRIu64 " more differences, which --json lists", path,
                     lines - DIFFERENCE_LINES_MAX);
    }
    if (lines == 0) {
        return OK;
    }
    return err_set(e, ERR_DIFFERENT,
                   "%s: does not match %s: %" PRIu64 " tensor%s wrong, %zu other difference%s",
                   path, against, found->wrong_tensors, text_s(found->wrong_tensors),
                   found->difference_count, text_s(found->difference_count));
}

bool verify_same_source(const weights_report *found)
{
    for (size_t i = 0; i < found->count; i++) {
        if (!found->results[i].source_same) {
            return false;
        }
    }
    return true;
}

/* Largest error first, tensors without an error last. */
static int by_sqnr(const void *left, const void *right)
{
    const weight_result *const a = *(const weight_result *const *)left;
    const weight_result *const b = *(const weight_result *const *)right;
    const double x = isnan(a->sqnr) ? INFINITY : a->sqnr;
    const double y = isnan(b->sqnr) ? INFINITY : b->sqnr;
    return x != y ? (x > y) - (x < y) : strcmp(a->name, b->name);
}

static void put_row(table *t, const pack_table *tensors, const weight_result *w)
{
    shown db, worst;
    const pack_record *const r = pack_table_find(tensors, w->name);
    table_cell(t, "%s", w->name);
    if (!w->quantized) {
        const char *const kept[] = {wrong_in(w) ? "differs" : "identical", "", "", ""};
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
            table_cell(t, "%s", kept[i]);
        }
        return;
    }
    table_cell(t, "%s", text_decibel(db.s, w->sqnr));
    table_cell(t, "%s", text_decibel(worst.s, w->worst_tile_sqnr));
    if (isnan(w->worst_tile_sqnr)) {
        table_cell(t, "%s", "");
    } else if (r && r->stack) {
        table_cell(t, "expert %" PRIu64 ", tile %" PRIu64 ",%" PRIu64, w->worst_slice, w->worst_row,
                   w->worst_col);
    } else {
        table_cell(t, "tile %" PRIu64 ",%" PRIu64, w->worst_row, w->worst_col);
    }
    table_cell(t, "%.2e", w->max_error);
}

/* List the rows to print in their order: all of them as in the file, or the worst ones. */
static size_t choose_rows(const weights_report *found, bool all, const weight_result **rows)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        if (all || found->results[i].quantized) {
            rows[count++] = &found->results[i];
        }
    }
    if (!all) {
        qsort(rows, count, sizeof *rows, by_sqnr);
    }
    return !all && count > WORST_ROWS ? WORST_ROWS : count;
}

err_code verify_print_weights(const pack_table *t, const weights_report *found, bool all, err *e)
{
    const char *const names[] = {all ? "tensor" : "largest errors", "SQNR dB", "worst tile", "at",
                                 "max error"};
    const weight_result **const rows = calloc(found->count + 1, sizeof *rows);
    if (!rows) {
        return err_set(e, ERR_MEMORY, "no memory for %zu results", found->count);
    }
    const size_t count = choose_rows(found, all, rows);
    table out;
    if (count > 0) {
        putchar('\n');
    }
    table_start(&out, "lrrlr");
    table_header(&out, names, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < count; i++) {
        put_row(&out, t, rows[i]);
    }
    free(rows);
    if (count == 0) {
        table_free(&out);
        return OK;
    }
    return table_finish(&out, e);
}

static json_t *result_json(report *r, const weight_result *w)
{
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(w->name));
    report_put(r, o, "quantized", json_boolean(w->quantized));
    report_put(r, o, "compared", report_number(w->compared));
    report_put(r, o, "matches", json_boolean(wrong_in(w) == 0));
    report_put(r, o, "source_matches", json_boolean(w->source_same));
    if (w->quantized) {
        report_put(r, o, "wrong_codes", report_number(w->wrong_codes));
        report_put(r, o, "wrong_scales", report_number(w->wrong_scales));
        report_put(r, o, "sqnr", report_real(w->sqnr));
        report_put(r, o, "worst_tile_sqnr", report_real(w->worst_tile_sqnr));
        report_put(r, o, "worst_slice", report_number(w->worst_slice));
        report_put(r, o, "worst_row", report_number(w->worst_row));
        report_put(r, o, "worst_col", report_number(w->worst_col));
        report_put(r, o, "max_error", report_real(w->max_error));
    } else {
        report_put(r, o, "wrong_bytes", report_number(w->wrong_bytes));
    }
    if (wrong_in(w) > 0) {
        report_put(r, o, "first_wrong_slice",
                   w->first_wrong_slice < 0 ? json_null() : json_integer(w->first_wrong_slice));
        report_put(r, o, "first_wrong_index", report_number(w->first_wrong_index));
    }
    return o;
}

json_t *verify_weights_json(report *r, const weights_report *found, const char *against,
                            double seconds)
{
    json_t *const o = json_object();
    json_t *const tensors = json_array();
    json_t *const differences = json_array();
    for (size_t i = 0; i < found->count; i++) {
        report_append(r, tensors, result_json(r, &found->results[i]));
    }
    for (size_t i = 0; i < found->difference_count; i++) {
        report_append(r, differences, report_text(found->differences[i]));
    }
    report_put(r, o, "against", report_text(against));
    report_put(r, o, "source_matches",
               found->count == 0 ? json_null() : json_boolean(verify_same_source(found)));
    report_put(r, o, "wrong_tensors", report_number(found->wrong_tensors));
    report_put(r, o, "sqnr", report_real(stats_sqnr(found->sum_sq_source, found->sum_sq_error)));
    report_put(r, o, "seconds", report_real(seconds));
    report_put(r, o, "differences", differences);
    report_put(r, o, "tensors", tensors);
    return o;
}
