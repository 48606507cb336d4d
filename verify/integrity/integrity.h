/* Integrity check: is every byte of a packed file what was written? (spec/format.md section 11)
 *
 *     integrity_report r;
 *     if (integrity_check(fd, path, &options, m, &r, e) == OK && r.count == 0)
 *         ... the file is intact
 *     integrity_report_free(&r);
 *
 * The check goes on after the first finding: whatever a broken structure does not hide is still
 * checked, and every damaged place is reported with its section or tensor, chunk and offset. Only
 * the cause is reported: if a digest disagrees because the bytes that it covers are damaged, the
 * bytes are a finding and the digest is not. */
#ifndef INTEGRITY_H
#define INTEGRITY_H

#include "format/base/monitor.h"
#include "format/pack/pack_file.h"
#include "format/pack/pack_written.h"

/* One finding: a place that is damaged or illegal. */
typedef struct damage {
    char *place;   /* "superblock", "section TENS", "padding", "tensor NAME", "trailer", "file", or
                      "head": its digest disagrees although nothing wrong was found in it */
    char *what;    /* one sentence */
    int64_t slice; /* expert number; -1: not a stack, or unknown */
    int64_t chunk; /* number within the record, of merged chunks the first; -1: none */
    uint64_t off, bytes; /* position in the file */
    err_code code;       /* ERR_DAMAGED, or ERR_INPUT: illegal content whose digest matches */
} damage;

typedef struct integrity_report {
    damage *damages; /* sorted by offset. Adjacent chunks of one slice are merged; so are the
                        nonzero bytes within one gap of padding (from the first to the last) */
    size_t count;
    uint64_t chunks_checked, bytes_checked;
    bool tensors_checked; /* false: quick, or the table or its digests could not be trusted */
    bool through_cache;   /* of a file that was just written: some tensor data */
    unsigned char root[SHA256_BYTES]; /* of the trailer; zeros if there is none to trust */
} integrity_report;

typedef struct integrity_options {
    bool quick; /* structure only. Not checked: FILE (unless the head's digest disagrees), the
                   contents of the tail's sections, chunks, padding between tensors */
    const char *tensor_glob;  /* NULL: all; else only chunks of records (or members of stacks) whose
                                name matches, and no padding between tensors */
    unsigned threads;         /* >= 1 */
    uint64_t memory;          /* bytes, for the buffers that tensor data is read into */
    const file_stamp *opened; /* the file when it was opened, for integrity_check; NULL: as it is */
    const pack_written *written; /* NULL; else this file was just written: its tensor data is read
                                    past the page cache, into these buffers, one for each thread */
} integrity_options;

/* Check an open descriptor. Returns OK if the check ran to its end, whatever it found. Errors:
 * ERR_INPUT this is not a packed file at all; ERR_USAGE tensor_glob matches nothing; ERR_MEMORY,
 * ERR_IO, ERR_CANCELLED. Free the report in every case. */
MUST_CHECK err_code integrity_check(int fd, const char *path, const integrity_options *options,
                                    const monitor *m, integrity_report *out, err *e);

/* The same for a stream, which is read once, to its end, in bounded memory; `quick` and
 * `tensor_glob` are not supported. *ends is a memory file that the caller closes (-1: none): what
 * was read, with a hole in place of tensor data; pack_open accepts it if nothing was found. A
 * damaged superblock hides everything that follows, because a stream cannot be rewound. Further
 * error: ERR_DAMAGED no trailer although the stream goes on for long. */
MUST_CHECK err_code integrity_check_stream(int fd, const char *name,
                                           const integrity_options *options, const monitor *m,
                                           integrity_report *out, int *ends, err *e);

void integrity_report_free(integrity_report *r);

#endif
