/* The differences between two models, each a packed file or a checkpoint.
 *
 *     store_open(path_a, m, &a, e); store_open(path_b, m, &b, e);
 *     diff_run(a, b, &options, m, &report, e);
 *     ... report.results[i].what, report.files ...
 *     diff_report_free(&report);                  before the stores are closed
 *
 * Tensors are paired by their names in the source. The kinds of the two decide how they are
 * compared:
 *
 *     plain, plain          the bits of every element
 *     codes, codes          codes and scales; a checkpoint's scales are the tensor NAME_scale_inv
 *     codes, plain          are the codes the plain numbers, rounded? (as in verify/weights)
 *
 * Chunks read from a packed file are checked against their digests. Of two packed files, chunks
 * whose digests agree are not read. The report does not depend on the number of threads. */
#ifndef DIFF_H
#define DIFF_H

#include "verify/rule/difference_list.h"
#include "format/store/model_store.h"

/* What differs in a pair. */
enum {
    DIFF_ONLY_A = 1,
    DIFF_ONLY_B = 2,
    DIFF_DTYPE = 4,     /* stored dtypes, or the dtypes from which codes were made */
    DIFF_SHAPE = 8,     /* then data is not compared */
    DIFF_BITS = 16,     /* elements of plain tensors */
    DIFF_CODES = 32,    /* of two quantized tensors */
    DIFF_SCALES = 64,   /* of two quantized tensors */
    DIFF_ROUNDING = 128 /* codes or scales are not what spec/quant.md yields for the numbers */
};

typedef struct diff_result {
    const char *name;
    const store_tensor *a, *b; /* NULL: missing */
    unsigned what;             /* set of DIFF_…; 0: equal */
    bool measured;     /* codes against plain numbers: sqnr and the members after it are set */
    uint64_t elements; /* of one side, if data was compared */
    uint64_t different, first; /* elements or codes; index of the first, row-major. Elements smaller
                                  than a byte are counted as the bytes that hold them */
    uint64_t different_scales, first_scale;
    double largest; /* difference of two numbers; NAN: no numbers differ */
    double sqnr;    /* dB over the tensor; NAN: no error at all */
    double worst_tile_sqnr;
    uint64_t worst_slice, worst_row, worst_col; /* tile, counted in tiles */
} diff_result;

typedef struct diff_report {
    diff_result *results; /* one for each selected name of either side, sorted by name */
    size_t count;
    uint64_t alike, different, only_a, only_b; /* tensors */
    uint64_t files_alike, files_different;     /* embedded files, and files next to shards */
    difference_list files;                     /* differences of those files and of recipes */
    double sum_sq_source, sum_sq_error;        /* over all codes against plain numbers */
    uint64_t bytes_read;
} diff_report;

typedef struct diff_options {
    const char *tensor_glob; /* NULL: all tensors and files; else tensors that match, no files */
    bool full;               /* read also what is equal by its digests */
    unsigned threads;        /* >= 1 */
    uint64_t memory;         /* for buffers, bytes */
} diff_options;

/* OK if the comparison could be made, whatever it found. Errors: ERR_USAGE the glob matches nothing
 * on either side; ERR_DAMAGED a digest does not match; ERR_INPUT a side cannot be read; ERR_MEMORY,
 * ERR_IO, ERR_CANCELLED. Free the report in every case. */
MUST_CHECK err_code diff_run(const store *a, const store *b, const diff_options *options,
                             const monitor *m, diff_report *out, err *e);

void diff_report_free(diff_report *r);

#endif
