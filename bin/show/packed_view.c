#include "bin/show/packed_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/tensor/tensor_name.h"
#include "quant/tile/tile.h"
#include "verify/integrity/section_rules.h"

/* Whoever signs a file can put anything into it: what is shown has to keep the rules, as for verify. */
static err_code read_json(const pack_file *p, uint32_t tag, json_t **out, err *e)
{
    unsigned char *data = NULL;
    uint64_t bytes = 0;
    char name[5];
    err_code code = OK;
    pack_tag_name(tag, name);
    TRY_OUT(pack_read_section(p, tag, &data, &bytes, e));
    code = section_rules_check(tag, data, bytes, e);
    err_prefix(code == OK ? NULL : e, "%s: section %s", p->path, name);
    TRY_OUT(code);
    code = json_parse(name, (const char *)data, bytes, JSON_EXACT, out, e);
    err_prefix(code == OK ? NULL : e, "%s: section", p->path);
out:
    free(data);
    return code;
}

/* The digest of STAT matches; now every row must be one that the format allows. */
static err_code check_stats(const packed_view *v, err *e)
{
    const pack_table *const t = &v->file->table;
    for (uint64_t i = 0; i < t->stat_count; i++) {
        pack_stat s;
        if (!pack_stat_decode(pack_evidence_stat(&v->evidence, i), &s)) {
            return err_set(e, ERR_INPUT, "%s: section STAT: row %" PRIu64 " breaks the format",
                           v->file->path, i);
        }
    }
    return OK;
}

/* A description gives only the name of a method, so one that cannot be read is left to the commands
 * that need it. */
static err_code find_states(packed_view *v, err *e)
{
    quantization described;
    err why = {0};
    const err_code code = packed_quantization(v->files, v->file_count, &described, &why);
    if (code != OK && code != ERR_INPUT) {
        return err_set(e, code, "%s: %s", v->file->path, why.text);
    }
    return packed_states_find(&v->file->table, code == OK ? described.method : "", NULL, &v->states,
                              e);
}

static err_code read_all(const char *path, packed_view *v, err *e)
{
    TRY(pack_open(path, &v->file, e));
    TRY(pack_read_evidence(v->file, &v->evidence, e));
    TRY(check_stats(v, e));
    TRY(read_json(v->file, TAG_RCPE, &v->recipe, e));
    TRY(read_json(v->file, TAG_PROV, &v->provenance, e));
    TRY(pack_read_members(v->file, &v->files, &v->file_count, e));
    return find_states(v, e);
}

err_code packed_view_open(const char *path, packed_view *out, err *e)
{
    *out = (packed_view){0};
    const err_code code = read_all(path, out, e);
    if (code == ERR_DAMAGED) {
        err_hint(e, "octavo verify lists every corrupted place");
    }
    return code;
}

void packed_view_close(packed_view *v)
{
    tensor_states_free(&v->states);
    members_free(v->files, v->file_count);
    json_decref(v->recipe);
    json_decref(v->provenance);
    pack_evidence_free(&v->evidence);
    pack_close(v->file);
    *v = (packed_view){0};
}

/* Rows that break the format have been refused by packed_view_open, or never written. */
static pack_stat stat_of(const unsigned char *stats, const pack_record *r, uint64_t slice)
{
    pack_stat s = {0};
    const unsigned char *const row = stats + (r->stat_first + slice) * PACK_STAT_BYTES;
    return pack_stat_decode(row, &s) ? s : (pack_stat){0};
}

pack_stat packed_view_stat(const packed_view *v, const pack_record *r, uint64_t slice)
{
    return stat_of(v->evidence.stats, r, slice);
}

packed_quality packed_view_quality(const packed_view *v, const pack_record *r)
{
    return packed_stats_quality(v->evidence.stats, r);
}

packed_quality packed_stats_quality(const unsigned char *stats, const pack_record *r)
{
    packed_quality q = {.worst = NAN};
    const uint64_t slices = pack_record_has_stats(r) ? pack_record_slices(r) : 0;
    for (uint64_t i = 0; i < slices; i++) {
        const pack_stat s = stat_of(stats, r, i);
        q.sum_sq_source += s.sum_sq_source;
        q.sum_sq_error += s.sum_sq_error;
        q.worst = fmin(q.worst, stats_sqnr(s.sum_sq_source, s.sum_sq_error));
    }
    return q;
}

uint64_t packed_count_matches(const pack_record *r, const char *glob)
{
    const uint64_t members = r->stack ? pack_record_slices(r) : 1;
    if (!glob || glob_match(glob, r->name)) {
        return members;
    }
    uint64_t count = 0;
    for (uint64_t i = 0; r->stack && i < members; i++) {
        char name[NAME_MAX_BYTES + 1];
        count += name_expand_stack(r->name, i, name) && glob_match(glob, name);
    }
    return count;
}

const pack_record *packed_scales(const pack_table *t, const pack_record *r)
{
    return r->scale_idx == PACK_NO_SCALE ? NULL : &t->records[r->scale_idx];
}

const char *packed_class_name(pack_class c)
{
    static const char *const names[] = {
        [CLASS_KEPT] = "kept", [CLASS_CODES] = "codes", [CLASS_SCALES] = "scales"};
    return names[c];
}

const char *packed_origin_name(pack_origin o)
{
    static const char *const names[] = {
        [ORIGIN_KEPT] = "kept", [ORIGIN_QUANTIZED] = "quantized", [ORIGIN_CARRIED] = "carried"};
    return names[o];
}
