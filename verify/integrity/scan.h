/* The scan of a packed file, step by step; used by integrity.c and integrity_stream.c only.
 *
 *     scan_ends       superblock and trailer; either is reconstructed from the other one where
 *                     that is provably right
 *     scan_sections   directory, head, padding around sections, contents of sections, table
 *     scan_length     is the file as long as it must be?
 *     scan_data       tensor data against its digests, padding between tensors
 *
 * The steps are called in this order by one thread. They return what keeps them from checking
 * (ERR_IO, ERR_MEMORY, ERR_CANCELLED; scan_ends also ERR_INPUT: not a packed file); what they find
 * goes to the list of damages. A member of `scan` may be trusted only as its comment says. */
#ifndef SCAN_H
#define SCAN_H

#include "format/thread/sequencer.h"
#include "verify/integrity/damage.h"

/* A packed file that is read once, from front to back. */
typedef struct scan_stream {
    int fd;
    const char *name; /* for messages */
    const monitor *monitor;
    sequencer turns; /* in the order of the batches of tensor data: guards the members below */
    uint64_t at;     /* bytes read so far */
    bool ended;
} scan_stream;

typedef struct data_scan data_scan;

typedef struct scan {
    int fd;
    const char *path;
    const integrity_options *options;
    const monitor *monitor;
    uint64_t file_bytes; /* according to the file system, or bytes read from the stream */
    uint64_t bytes_checked, chunks_checked;
    bool tensors_checked;
    bool through_cache;
    damage_list damages;

    /* Set by scan_ends. */
    bool has_superblock, has_trailer; /* trusted: right as found, or reconstructed */
    bool trailer_reported;            /* a trailer was found, and reported as damaged */
    unsigned char front[PACK_BLOCK], back[PACK_BLOCK];
    pack_superblock superblock;
    pack_trailer trailer;

    /* Set by scan_sections. The directory is legal; without a trailer it has only the head's part.
     * intact: the digest of the section was computed and matches. */
    pack_section dir[PACK_MAX_SECTIONS];
    bool intact[PACK_MAX_SECTIONS];
    uint32_t head_count, section_count;
    unsigned char *head; /* bytes [PACK_BLOCK, data_off) of the file, as far as the file goes */
    uint64_t head_bytes;
    bool has_table;
    pack_table table;
    /* CHNK and TDIG; NULL: absent, or not of the length that the table requires. */
    unsigned char *chunk_digests, *tensor_digests;
    bool chunk_digests_intact, tensor_digests_intact;
} scan;

MUST_CHECK err_code scan_ends(scan *s, err *e);
MUST_CHECK err_code scan_sections(scan *s, err *e);
void scan_length(scan *s);
MUST_CHECK err_code scan_data(scan *s, err *e);

/* Only the table, of a file that has a superblock and a head and need not have more yet. */
MUST_CHECK err_code scan_table(scan *s, err *e);

/* The parts of scan_data. For a stream they are called one by one: its tensor data passes before
 * the digests arrive that it is compared with.
 *
 *     data_scan_begin   `t` is borrowed until data_scan_free
 *     data_scan_read    computes the digests of all chunks, from s->fd, or from the stream, which
 *                       is at data_off
 *     data_scan_judge   compares them, once s->chunk_digests and s->tensor_digests are there
 *
 * If the stream ends too early, the chunks that arrived whole are judged. *out is to be freed even
 * after an error. */
MUST_CHECK err_code data_scan_begin(scan *s, const pack_table *t, digest_alg alg,
                                    scan_stream *stream, data_scan **out, err *e);
MUST_CHECK err_code data_scan_read(data_scan *d, err *e);
MUST_CHECK err_code data_scan_judge(data_scan *d, err *e);
void data_scan_free(data_scan *d); /* NULL is fine */

/* Where the data of the last tensor ends. */
uint64_t scan_last_end(const pack_table *t);

/* Report the nonzero bytes among `bytes` bytes of padding at `off` in the file. Any thread. */
void scan_padding(damage_list *to, const unsigned char *padding, uint64_t off, uint64_t bytes);

/* The same for at most PACK_BLOCK bytes, which are read first. */
MUST_CHECK err_code scan_padding_at(scan *s, uint64_t off, uint64_t end, err *e);

#endif
