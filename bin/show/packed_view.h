/* A packed file as the commands show it: head, evidence, recipe, provenance, embedded files; not
 * the weights.
 *
 *     packed_view v;
 *     packed_view_open(path, &v, e);
 *     packed_view_quality(&v, &v.file->table.records[i])
 *     packed_view_close(&v);
 */
#ifndef PACKED_VIEW_H
#define PACKED_VIEW_H

#include "format/archive/embed_tar.h"
#include "format/json/json.h"
#include "format/pack/pack_file.h"

typedef struct packed_view {
    pack_file *file;
    pack_evidence evidence;
    json_t *recipe, *provenance;
    member *files;
    size_t file_count;
} packed_view;

/* How well a record of codes stands for its source; worst: of its slices, dB, NAN: no error. */
typedef struct packed_quality {
    double sum_sq_source, sum_sq_error;
    double worst;
} packed_quality;

/* Errors: those of pack_open; ERR_DAMAGED or ERR_INPUT for a section. Close in every case. */
MUST_CHECK err_code packed_view_open(const char *path, packed_view *out, err *e);
void packed_view_close(packed_view *v);

/* All zero for a record without statistics. */
packed_quality packed_view_quality(const packed_view *v, const pack_record *r);

/* The statistics of a slice of a record that has some. */
pack_stat packed_view_stat(const packed_view *v, const pack_record *r, uint64_t slice);

/* How many tensors of a record a glob (NULL: any) matches: by the record's name all of them, else
 * members of a stack by their own. */
uint64_t packed_count_matches(const pack_record *r, const char *glob);

/* The record of the scales of `r`, NULL if it has none. */
const pack_record *packed_scales(const pack_table *t, const pack_record *r);

/* As JSON has them. */
const char *packed_class_name(pack_class c);
const char *packed_origin_name(pack_origin o);

#endif
