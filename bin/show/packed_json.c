/* Every field of a packed file as JSON, under the names of spec/format.md. tests/interop compares all
 * of them with what an independent reader finds. */
#include "bin/show/state_show.h"
#include "bin/show/inspect.h"
#include "format/tensor/dtype.h"

static json_t *superblock_json(report *r, const pack_superblock *s)
{
    json_t *const o = json_object();
    report_put(r, o, "version", json_integer(1));
    report_put(r, o, "block_bytes", json_integer(PACK_BLOCK));
    report_put(r, o, "incompat", report_number(s->incompat));
    report_put(r, o, "compat", report_number(s->compat));
    report_put(r, o, "align_log2", json_integer(16));
    report_put(r, o, "chunk_log2", json_integer(21));
    report_put(r, o, "digest_alg", report_text(digest_name(s->digest)));
    report_put(r, o, "head_sections", report_number(s->head_sections));
    report_put(r, o, "tensor_count", report_number(s->tensor_count));
    report_put(r, o, "chunk_count", report_number(s->chunk_count));
    report_put(r, o, "data_off", report_number(s->data_off));
    report_put(r, o, "data_end", report_number(s->data_end));
    report_put(r, o, "plan_id", report_hex(s->plan_id, sizeof s->plan_id));
    return o;
}

static json_t *trailer_json(report *r, const pack_trailer *t)
{
    json_t *const o = json_object();
    report_put(r, o, "sections", report_number(t->sections));
    report_put(r, o, "file_bytes", report_number(t->file_bytes));
    report_put(r, o, "root", report_hex(t->root, sizeof t->root));
    return o;
}

static json_t *sections_json(report *r, const pack_trailer *t)
{
    json_t *const list = json_array();
    for (uint32_t i = 0; i < t->sections; i++) {
        const pack_section *const s = &t->dir[i];
        json_t *const o = json_object();
        char tag[5];
        pack_tag_name(s->tag, tag);
        report_put(r, o, "tag", report_text(tag));
        report_put(r, o, "off", report_number(s->off));
        report_put(r, o, "len", report_number(s->len));
        report_put(r, o, "sha256", report_hex(s->sha256, sizeof s->sha256));
        report_append(r, list, o);
    }
    return list;
}

static json_t *stats_json(report *r, const packed_view *v, const pack_record *record)
{
    json_t *const list = json_array();
    for (uint64_t i = 0; i < pack_record_slices(record); i++) {
        const pack_stat s = packed_view_stat(v, record, i);
        json_t *const o = json_object();
        report_put(r, o, "amax", report_real((double)s.amax));
        report_put(r, o, "scale_min", report_real((double)s.scale_min));
        report_put(r, o, "scale_max", report_real((double)s.scale_max));
        report_put(r, o, "saturated", report_number(s.saturated));
        report_put(r, o, "zero", report_number(s.zero));
        report_put(r, o, "flushed", report_number(s.flushed));
        report_put(r, o, "sum_sq_source", report_real(s.sum_sq_source));
        report_put(r, o, "sum_sq_error", report_real(s.sum_sq_error));
        report_append(r, list, o);
    }
    return list;
}

static json_t *source_digests_json(report *r, const packed_view *v, const pack_record *record)
{
    json_t *const list = json_array();
    for (uint64_t i = 0; i < pack_record_sources(record); i++) {
        const unsigned char *const digest =
            pack_evidence_source(&v->evidence, record->source_first + i);
        report_append(r, list, report_hex(digest, XXH3_BYTES));
    }
    return list;
}

static json_t *tensor_json(report *r, const packed_view *v, uint32_t number)
{
    const pack_record *const t = &v->file->table.records[number];
    const pack_record *const scales = packed_scales(&v->file->table, t);
    const bool pow2 = t->cls == CLASS_SCALES && t->block.scale == SCALES_UE8M0;
    json_t *const block = json_array();
    json_t *const o = json_object();
    const block_format of_codes = t->cls == CLASS_CODES ? t->block : (block_format){0};
    report_append(r, block, report_number(of_codes.rows));
    report_append(r, block, report_number(of_codes.cols));
    report_put(r, o, "name", report_text(t->name));
    report_put(r, o, "dtype", report_text(dtype_name(t->type)));
    report_put(r, o, "shape", report_shape(r, t->shape, t->ndim));
    report_put(r, o, "off", report_number(t->off));
    report_put(r, o, "len", report_number(t->len));
    report_put(r, o, "chunk_bytes", report_number(t->chunk_bytes));
    report_put(r, o, "chunk_first", report_number(t->chunk_first));
    report_put(r, o, "chunk_count", report_number(t->chunk_count));
    report_put(r, o, "scale", report_text(scales ? scales->name : NULL));
    report_put(r, o, "layer", t->layer < 0 ? json_null() : json_integer(t->layer));
    report_put(r, o, "block", block);
    report_put(r, o, "src_dtype", report_text(dtype_name(t->src_type)));
    report_put(r, o, "origin", report_text(packed_origin_name(t->origin)));
    report_put(r, o, "dialect", report_text(dialect_name(t->dialect)));
    report_put(r, o, "pow2", json_boolean(pow2));
    report_put(r, o, "class", report_text(packed_class_name(t->cls)));
    state_put(r, o, &v->states.of[number]);
    report_put(
        r, o, "digest",
        report_hex(pack_evidence_tensor(&v->evidence, number), digest_bytes(v->evidence.alg)));
    if (t->cls != CLASS_SCALES || t->origin == ORIGIN_CARRIED) {
        report_put(r, o, "source_digests", source_digests_json(r, v, t));
    }
    if (pack_record_has_stats(t)) {
        report_put(r, o, "stats", stats_json(r, v, t));
    }
    return o;
}

static json_t *files_json(report *r, const packed_view *v)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < v->file_count; i++) {
        json_t *const o = json_object();
        report_put(r, o, "name", report_text(v->files[i].name));
        report_put(r, o, "bytes", report_number(v->files[i].bytes));
        report_append(r, list, o);
    }
    return list;
}

err_code packed_json(const packed_view *v, const char *glob, report *r, err *e)
{
    const pack_table *const t = &v->file->table;
    json_t *const tensors = json_array();
    for (uint32_t i = 0; i < t->count; i++) {
        if (packed_count_matches(&t->records[i], glob) > 0) {
            report_append(r, tensors, tensor_json(r, v, i));
        }
    }
    if (glob && json_array_size(tensors) == 0) {
        json_decref(tensors);
        return inspect_no_match(v->file->path, glob, e);
    }
    report_put(r, r->root, "kind", report_text("packed"));
    report_put(r, r->root, "path", report_text(v->file->path));
    report_put(r, r->root, "superblock", superblock_json(r, &v->file->superblock));
    report_put(r, r->root, "trailer", trailer_json(r, &v->file->trailer));
    report_put(r, r->root, "sections", sections_json(r, &v->file->trailer));
    report_put(r, r->root, "tensors", tensors);
    report_put(r, r->root, "files", files_json(r, v));
    report_put(r, r->root, "recipe", json_incref(v->recipe));
    report_put(r, r->root, "provenance", json_incref(v->provenance));
    return OK;
}
