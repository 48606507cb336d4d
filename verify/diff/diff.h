/* What is different between two models, each a packed file or a checkpoint?
 *
 *     store_open(path_a, m, &a, e); store_open(path_b, m, &b, e);
 *     diff_run(a, b, &options, m, &report, e);
 *     ... report.results[i].what, report.files ...
 *     diff_report_free(&report);                  before the stores are closed
 *
 * Tensors are paired by the names of the source. How a pair is compared follows from what it is:
 *
 *     plain, plain          element by element, by their bits
 *     codes, codes          codes and scales; a checkpoint's scales are the tensor NAME_scale_inv
 *     codes, plain number   as the rounding of that number (verify/weights/weights.h does the same)
 *
 * What is read of a packed file is checked against its digests. Two packed files need not be read
 * where digests of the same chunk agree. The report does not depend on the number of threads. */
#ifndef DIFF_H
#define DIFF_H

#include "verify/rule/difference_list.h"
#include "format/store/model_store.h"

/* What differs in a pair. */
enum {
    DIFF_ONLY_A = 1,
    DIFF_ONLY_B = 2,
    DIFF_DTYPE = 4,     /* what is stored, or what codes were made of */
    DIFF_SHAPE = 8,     /* nothing else is compared then */
    DIFF_BITS = 16,     /* elements of plain tensors */
    DIFF_CODES = 32,    /* of two quantized tensors */
    DIFF_SCALES = 64,   /* likewise */
    DIFF_ROUNDING = 128 /* codes or scales are not those that are defined */
};

typedef struct diff_result {
    const char *name;
    const store_tensor *a, *b; /* NULL: missing */
    unsigned what;             /* 0: alike */
    bool measured;             /* sqnr and the members behind it mean something */
    uint64_t elements;         /* of each side, if their data was compared */
    uint64_t different, first; /* elements or codes; index of the first, row-major. Elements of less
                                  than a byte count as the bytes that hold them */
    uint64_t different_scales, first_scale;
    double largest; /* difference of two numbers; NAN: none, or not of numbers */
    double sqnr;    /* codes against plain numbers: dB, NAN: no error at all */
    double worst_tile_sqnr;
    uint64_t worst_slice, worst_row, worst_col; /* tile, counted in tiles */
} diff_result;

typedef struct diff_report {
    diff_result *results; /* one for each name of either side that was chosen, by name */
    size_t count;
    uint64_t alike, different, only_a, only_b; /* tensors */
    uint64_t files_alike, files_different;     /* embedded files, and those beside shards */
    difference_list files;                     /* what differs in them, and in the recipes */
    double sum_sq_source, sum_sq_error;        /* over all codes against plain numbers */
    uint64_t bytes_read;
} diff_report;

typedef struct diff_options {
    const char *tensor_glob; /* NULL: all, and files; else tensors that match, and no files */
    bool full;               /* read what digests say is alike, too */
    unsigned threads;        /* >= 1 */
    uint64_t memory;         /* for buffers, bytes */
} diff_options;

/* OK when the comparison could be done, whatever it found. Errors: ERR_USAGE the glob matches
 * nothing on either side; ERR_DAMAGED a digest does not match; ERR_INPUT a side that cannot be
 * read; ERR_MEMORY, ERR_IO, ERR_CANCELLED. Free the report in every case. */
MUST_CHECK err_code diff_run(const store *a, const store *b, const diff_options *options,
                             const monitor *m, diff_report *out, err *e);

void diff_report_free(diff_report *r);

#endif
