/* The scan of a packed file, step by step, for integrity.c and integrity_stream.c. Internal to verify/.
 *
 *     scan_ends       superblock and trailer; each is repaired from the other one where that is sure
 *     scan_sections   directory, head, padding around sections, what the sections must hold, table
 *     scan_length     is the file as long as it has to be?
 *     scan_data       tensor data against its digests, padding between tensors
 *
 * The steps return what keeps them from looking (ERR_IO, ERR_MEMORY, ERR_CANCELLED); what they find
 * goes to the list of damages. Members are believed only where the comment says so. */
#ifndef SCAN_H
#define SCAN_H

#include "format/thread/sequencer.h"
#include "verify/integrity/damage.h"

/* A packed file that comes from front to back, once. */
typedef struct scan_stream {
    int fd;
    const char *name; /* for messages */
    const monitor *monitor;
    sequencer turns; /* of batches of tensor data: guards what is below */
    uint64_t at;     /* bytes read */
    bool ended;
} scan_stream;

typedef struct data_scan data_scan;

typedef struct scan {
    int fd;
    const char *path;
    const integrity_options *options;
    const monitor *monitor;
    uint64_t file_bytes; /* as the file system has it */
    uint64_t bytes_checked, chunks_checked;
    bool tensors_checked;
    damage_list damages;

    /* scan_ends */
    bool has_superblock, has_trailer; /* believed: right as found, or repaired */
    bool trailer_reported;            /* it was found, but is damaged */
    unsigned char front[PACK_BLOCK], back[PACK_BLOCK];
    pack_superblock superblock;
    pack_trailer trailer;

    /* scan_sections: the directory was checked; without a trailer it has the head's sections only
     */
    pack_section dir[PACK_MAX_SECTIONS];
    bool intact[PACK_MAX_SECTIONS]; /* the section's own digest was checked and is right */
    uint32_t head_count, section_count;
    unsigned char *head; /* bytes [PACK_BLOCK, data_off) of the file, as far as it has them */
    uint64_t head_bytes;
    bool has_table;
    pack_table table;
    /* CHNK and TDIG. NULL: not there, or not of the length that the table asks for. */
    unsigned char *chunk_digests, *tensor_digests;
    bool chunk_digests_intact, tensor_digests_intact;
} scan;

MUST_CHECK err_code scan_ends(scan *s, err *e);
MUST_CHECK err_code scan_sections(scan *s, err *e);
void scan_length(scan *s);
MUST_CHECK err_code scan_data(scan *s, err *e);

/* The table alone, of a file that has a superblock and a head and may not have more yet. */
MUST_CHECK err_code scan_table(scan *s, err *e);

/* The steps of scan_data, for data that is gone before the digests come that it has to have:
 *
 *     data_scan_begin     with a table and an algorithm that stay where they are
 *     data_scan_read      digests of all chunks, from s->fd, or from a stream that
 *                         stands at data_off
 *     data_scan_judge     what they mean, when s->chunk_digests and s->tensor_digests
 *                         are there
 *
 * Of a stream that ends too soon the chunks that are whole are judged. */
MUST_CHECK err_code data_scan_begin(scan *s, const pack_table *t, digest_alg alg,
                                    scan_stream *stream, data_scan **out, err *e);
MUST_CHECK err_code data_scan_read(data_scan *d, err *e);
MUST_CHECK err_code data_scan_judge(data_scan *d, err *e);
void data_scan_free(data_scan *d); /* NULL is fine */

/* Where the data of the last tensor ends. */
uint64_t scan_last_end(const pack_table *t);

/* Report what is not zero in `bytes` bytes of padding that stand at `off` in the file. Any thread.
 */
void scan_padding(damage_list *to, const unsigned char *padding, uint64_t off, uint64_t bytes);

/* The same for at most PACK_BLOCK bytes that have to be read first. */
MUST_CHECK err_code scan_padding_at(scan *s, uint64_t off, uint64_t end, err *e);

#endif
