/* Integrity: is every byte of a packed file what was written? (spec/format.md section 11)
 *
 *     integrity_report r;
 *     if (integrity_check(fd, path, &options, m, &r, e) == OK && r.count == 0)
 *         ... the file is whole
 *     integrity_report_free(&r);
 *
 * Goes on behind the first damage: what one broken structure does not hide is checked all the same,
 * and every damaged place is reported with its section or tensor, chunk and offset. A place is
 * named only for what is wrong in itself: a digest that disagrees because the bytes below it are
 * damaged is no damage of its own. */
#ifndef INTEGRITY_H
#define INTEGRITY_H

#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

typedef struct damage {
    char *place;   /* "superblock", "section TENS", "padding", "tensor NAME", "trailer", "file",
                      "head" (its digest, with nothing wrong that would explain it) */
    char *what;    /* one sentence */
    int64_t slice; /* expert number, -1: not a stack or unknown */
    int64_t chunk; /* number within the record, -1: none; the first one if several are merged */
    uint64_t off, bytes; /* where in the file */
    err_code code;       /* ERR_DAMAGED, or ERR_INPUT for an illegal field under right digests */
} damage;

typedef struct integrity_report {
    damage *damages; /* ordered by offset; adjacent chunks of one slice are merged, and what is
                        wrong within one gap of padding (first to last byte that is not zero) */
    size_t count;
    uint64_t chunks_checked, bytes_checked;
    bool tensors_checked; /* false: quick, or the table or its digests could not be trusted */
} integrity_report;

typedef struct integrity_options {
    bool quick; /* structure only: everything but FILE (unless the head's digest disagrees), tail
                   sections' contents, chunks, and padding between tensors */
    const char *tensor_glob; /* NULL: all; else only chunks of records (or stack members) that
                                match, and no padding between tensors */
    unsigned threads;        /* >= 1 */
    uint64_t memory;         /* for the buffers that tensor data is read into, bytes */
} integrity_options;

/* Check an open descriptor (exhaustive tests use it in process). Returns OK when the check could be
 * done, whatever it found. Errors: ERR_INPUT this is no packed file at all; ERR_USAGE tensor_glob
 * matches nothing; ERR_MEMORY, ERR_IO, ERR_CANCELLED. Free the report in every case. */
MUST_CHECK err_code integrity_check(int fd, const char *path, const integrity_options *options,
                                    const monitor *m, integrity_report *out, err *e);

/* The same for a stream, which is read once, to its end, in bounded memory: `options` ask for all.
 * *ends is a file that lies in memory, the caller's to close (-1: none): what was read, with a hole
 * in the place of tensor data; pack_open takes it if nothing was found. A damaged superblock hides
 * all the rest, because a stream does not come back. */
MUST_CHECK err_code integrity_check_stream(int fd, const char *name,
                                           const integrity_options *options, const monitor *m,
                                           integrity_report *out, int *ends, err *e);

void integrity_report_free(integrity_report *r);

#endif
