/* The steps of weights_check. Internal to verify/weights/.
 *
 *     compare_lists     which source tensor belongs to which record, and does the recipe agree?
 *     compare_configs   config.json on both sides
 *     compare_chunks    every chunk of the file against its source, on several threads
 *     compare_judge     from results of chunks to results of records
 *
 * A step adds what it finds to the list of differences. It fails only if it could not look. */
#ifndef COMPARE_STEPS_H
#define COMPARE_STEPS_H

#include "quant/recipe/decide.h"
#include "verify/rule/difference_list.h"
#include "verify/weights/weights.h"

/* The result of one chunk. Indices count within the slice. */
typedef struct chunk_result {
    uint64_t wrong_scales, first_wrong_scale;
    uint64_t wrong, first_wrong; /* codes, or bytes of a kept tensor */
    double sum_sq_source, sum_sq_error, max_error;
    double worst_sqnr; /* INFINITY: no tile has an error */
    uint64_t worst_row, worst_col;
    float amax, scale_min, scale_max;
    uint64_t saturated, zero, flushed;
    unsigned char digest[XXH3_BYTES]; /* of the piece of the source */
} chunk_result;

typedef struct compare {
    const pack_file *p;
    const pack_table *table; /* of p */
    checkpoint *cp;
    const weights_options *options;
    const monitor *monitor;
    recipe recipe;          /* the file's own */
    fp8_pairs pairs;        /* of cp */
    pack_evidence evidence; /* SDIG and STAT count here */
    const tensor **sources; /* [table->source_count] NULL: not selected, missing, or of another
                               dtype or shape */
    chunk_result *chunks;   /* [table->chunk_count] set if the chunk has a source */
    difference_list differences;
} compare;

/* The name of source tensor `member` of a record. `name` holds NAME_MAX_BYTES + 1 bytes. */
void compare_source_name(const pack_record *r, uint64_t member, char *name);

MUST_CHECK err_code compare_lists(compare *c, err *e);
MUST_CHECK err_code compare_configs(compare *c, err *e);
MUST_CHECK err_code compare_chunks(compare *c, err *e);
MUST_CHECK err_code compare_judge(compare *c, weights_report *out, err *e);

#endif
