/* Everything in a packed file except the weights: head, evidence, recipe, provenance, embedded
 * files, as the commands show them.
 *
 *     packed_view v;
 *     if (packed_view_open(path, &v, e) == OK)
 *         ... packed_view_quality(&v, &v.file->table.records[i]) ...
 *     packed_view_close(&v);                            in every case
 *
 * All members belong to the view, and the tensor data is never read. Once open, a view does not
 * change: several threads may read it. */
#ifndef PACKED_VIEW_H
#define PACKED_VIEW_H

#include "format/archive/embed_tar.h"
#include "format/json/json.h"
#include "format/pack/pack_file.h"
#include "format/store/packed_states.h"

typedef struct packed_view {
    pack_file *file;
    pack_evidence evidence;
    json_t *recipe, *provenance;
    member *files;
    size_t file_count;
    tensor_states states; /* of the records */
} packed_view;

/* How well a record of codes represents its source. */
typedef struct packed_quality {
    double sum_sq_source, sum_sq_error;
    double worst; /* SQNR of the worst slice, dB; NAN: no error */
} packed_quality;

/* Open the file, read and check its small sections. Errors: those of pack_open; ERR_DAMAGED or
 * ERR_INPUT for a section; ERR_MEMORY. Close the view in every case. */
MUST_CHECK err_code packed_view_open(const char *path, packed_view *out, err *e);
void packed_view_close(packed_view *v);

/* Quality over all slices of a record; sums of zero if it has no statistics. `stats`: all rows of
 * STAT, of the file that has the record. */
packed_quality packed_stats_quality(const unsigned char *stats, const pack_record *r);
packed_quality packed_view_quality(const packed_view *v, const pack_record *r);

/* The statistics of one slice. The record must have statistics (pack_record_has_stats). */
pack_stat packed_view_stat(const packed_view *v, const pack_record *r, uint64_t slice);

/* The number of tensors in a record that a glob (NULL: any name) matches: all of them if it matches
 * the name of the record, else the members of a stack whose own names match. */
uint64_t packed_count_matches(const pack_record *r, const char *glob);

/* The record that holds the scales of `r`; NULL if there is none. */
const pack_record *packed_scales(const pack_table *t, const pack_record *r);

/* The words that JSON has for them. */
const char *packed_class_name(pack_class c);
const char *packed_origin_name(pack_origin o);

#endif
