/* Weights: is every tensor of a packed file the right rounding of its source? (spec/quant.md)
 *
 *     pack_open(path, &p, e);
 *     checkpoint_open(dir, m, &cp, e);
 *     weights_check(p, cp, &options, m, &report, e);
 *     ... report.wrong_tensors == 0 && report.difference_count == 0: yes
 *     weights_report_free(&report);
 *
 * The check shares no code with the quantizer: scales are recomputed in float64, and a code is
 * checked against the interval of quotients that round to it. Codes are judged by the scale that
 * their tile should have; errors are measured with the stored scale. Digests of the file are only
 * checked where something is different: bytes that they do not match are damaged (ERR_DAMAGED). To find
 * all damage, check the file first (verify/integrity). */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "format/checkpoint/checkpoint.h"
#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

typedef struct weight_result {
    const char *name; /* of the record, owned by the table */
    bool quantized, carried;
    uint64_t
        compared; /* source tensors: a member of a stack may be missing, or have another shape */
    uint64_t wrong_scales, wrong_codes; /* quantized */
    uint64_t wrong_bytes;               /* kept */
    int64_t first_wrong_slice;          /* -1: nothing is wrong, or the record is not sliced */
    uint64_t first_wrong_index;         /* within the slice, row-major: of a code; of a scale if
                                           all codes are right; of a byte if kept */
    double sqnr;                        /* dB over the whole record; NAN: no error at all */
    double worst_tile_sqnr;             /* dB, NAN likewise */
    uint64_t worst_slice, worst_row, worst_col; /* tile, counted in tiles */
    double max_error;                           /* largest |code x scale - x| */
    bool source_same;                           /* SDIG matches all its source tensors */
} weight_result;

typedef struct weights_report {
    weight_result *results; /* one for each checked record of codes or kept data, in file order */
    size_t count;
    char **differences; /* sentences: tensors that only one side has; shapes, dtypes and config keys
                           that differ; tensors that the file's recipe decides otherwise; digests of
                           sources and statistics that do not match although the weights are right */
    size_t difference_count;
    uint64_t wrong_tensors; /* records with wrong scales, codes or bytes */
    double sum_sq_source, sum_sq_error;
} weights_report;

typedef struct weights_options {
    const char *tensor_glob; /* NULL: all; else records, or members of stacks, that match */
    unsigned threads;        /* >= 1 */
    uint64_t memory;         /* for buffers, bytes */
} weights_options;

/* OK if the comparison could be made, whatever it found. The report does not depend on the number
 * of threads. Errors: ERR_USAGE tensor_glob matches nothing on either side; ERR_MEMORY (the message
 * says what one chunk needs); ERR_IO, ERR_DAMAGED, ERR_INPUT a side cannot be read; ERR_CANCELLED.
 * Free the report in every case. */
MUST_CHECK err_code weights_check(const pack_file *p, checkpoint *cp,
                                  const weights_options *options, const monitor *m,
                                  weights_report *out, err *e);

void weights_report_free(weights_report *r);

#endif
