/* The steps of diff_run. Internal to verify/diff/.
 *
 *     diff_pairs        which tensors belong together, and how they differ by their headers
 *     diff_files        embedded files, files next to shards, and recipes
 *     diff_units        data, in pieces, on several threads
 */
#ifndef DIFF_JOB_H
#define DIFF_JOB_H

#include "format/pack/pack_read.h"
#include "verify/rule/code_check.h"
#include "verify/diff/diff.h"

/* How the data of a pair is compared. */
typedef enum diff_way {
    DIFF_NOT,    /* not at all */
    DIFF_PLAIN,  /* two tensors of one dtype */
    DIFF_CODED,  /* codes with scales on both sides */
    DIFF_ROUNDED /* codes on one side, plain numbers on the other */
} diff_way;

/* Two tensors of one name. Their data is read in units, cut as a packed file cuts its chunks. */
typedef struct diff_pair {
    const store_tensor *side[2]; /* NULL: missing */
    diff_way way;
    unsigned coded;                 /* DIFF_ROUNDED: the side with codes */
    uint64_t slices;                /* no tile spans two slices */
    uint64_t slice_size, unit_size; /* DIFF_PLAIN: bytes; else elements */
} diff_pair;

/* The block format of the codes. If both sides have codes, their blocks have the same size. */
static inline block_format diff_block(const diff_pair *p)
{
    return p->side[p->coded]->block;
}

typedef struct diff_unit {
    size_t pair;
    uint64_t slice, begin, size; /* begin within the slice */
} diff_unit;

/* The result of one unit. Indices count within the tensor. */
typedef struct diff_finding {
    uint64_t different, first;
    uint64_t different_scales, first_scale;
    double largest; /* < 0: none */
    double sum_sq_source, sum_sq_error;
    double worst_sqnr; /* INFINITY: no tile has an error */
    uint64_t worst_row, worst_col;
} diff_finding;

typedef struct diff_job {
    const store *stores[2];
    const diff_options *options;
    const monitor *monitor;
    pack_evidence evidence[2]; /* of packed files */
    code_rules rules;
    diff_pair *pairs; /* [report->count], parallel to report->results */
    diff_report *report;
} diff_job;

MUST_CHECK err_code diff_pairs(diff_job *j, err *e);
MUST_CHECK err_code diff_units(diff_job *j, err *e);
MUST_CHECK err_code diff_files(diff_job *j, err *e);

/* The data of one unit, as stored, by side. */
typedef struct diff_data {
    const unsigned char *data[2];
    const unsigned char *scales[2]; /* NULL: a side without codes */
} diff_data;

/* Compare one unit. ERR_CANCELLED: a unit may be as long as a row of tiles. */
MUST_CHECK err_code diff_compare(const diff_job *j, const diff_unit *u, const diff_data *d,
                                 diff_finding *out, err *e);

/* Compare `count` elements of two plain tensors and add what differs to `out`; the first element
 * has this `index` in its tensor. For dtypes smaller than a byte, both count bytes. */
MUST_CHECK err_code diff_elements(dtype type, const unsigned char *a, const unsigned char *b,
                                  uint64_t count, uint64_t index, const monitor *m,
                                  diff_finding *out, err *e);

/* Tiles in a row of tiles, and in `elements` elements, which are whole rows of a slice. */
uint64_t diff_tiles_across(const diff_pair *p);
uint64_t diff_tiles(const diff_pair *p, uint64_t elements);

#endif
