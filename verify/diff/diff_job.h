/* The comparison that diff.c makes, step by step. Internal to verify/.
 *
 *     diff_pairs        which tensors belong together, and what headers tell
 *     diff_units        data, in pieces, on several threads
 *     diff_files        embedded files and those beside shards, and recipes
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
    DIFF_ROUNDED /* codes on one side, numbers on the other */
} diff_way;

/* A unit is the piece that is read at a time: a chunk of a packed file, wherever there is one. */
typedef struct diff_pair {
    const store_tensor *side[2]; /* NULL: missing */
    diff_way way;
    unsigned coded;                 /* DIFF_ROUNDED: the side with codes */
    uint64_t slices;                /* that have tiles of their own */
    uint64_t slice_size, unit_size; /* DIFF_PLAIN: bytes, else elements */
} diff_pair;

/* Of the codes: on both sides, where both have some, it is of one size. */
static inline block_format diff_block(const diff_pair *p)
{
    return p->side[p->coded]->block;
}

typedef struct diff_unit {
    size_t pair;
    uint64_t slice, begin, size; /* begin within the slice */
} diff_unit;

/* What the comparison of one unit leaves. Indices count within the tensor. */
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
    diff_pair *pairs; /* [report->count], as results */
    diff_report *report;
} diff_job;

MUST_CHECK err_code diff_pairs(diff_job *j, err *e);
MUST_CHECK err_code diff_units(diff_job *j, err *e);
MUST_CHECK err_code diff_files(diff_job *j, err *e);

/* Data of one unit as it lies in buffers. */
typedef struct diff_data {
    const unsigned char *data[2];
    const unsigned char *scales[2]; /* as stored; of sides with codes */
} diff_data;

/* Compare one unit. */
void diff_compare(const diff_job *j, const diff_unit *u, const diff_data *d, diff_finding *out);

/* Elements [0, count) of two plain tensors: adds to `out`, indices from `index` on. Of dtypes of
 * less than a byte `count` is bytes. */
void diff_elements(dtype type, const unsigned char *a, const unsigned char *b, uint64_t count,
                   uint64_t index, diff_finding *out);

/* Tiles across and down of `elements` elements of a pair of codes; both exact for whole rows. */
uint64_t diff_tiles_across(const diff_pair *p);
uint64_t diff_tiles(const diff_pair *p, uint64_t elements);

#endif
