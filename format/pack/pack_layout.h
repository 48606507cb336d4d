/* The fixed structures of a packed file: superblock, section entries, trailer (spec/format.md 3, 4,
 * 10).
 *
 * Encoding and decoding use buffers of PACK_BLOCK bytes. Decoding checks everything that can be
 * checked within one structure; checks that need the other structure or the file are in
 * pack_file.h. */
#ifndef PACK_LAYOUT_H
#define PACK_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/base/digest.h"
#include "format/base/err.h"
#include "format/file/file_kind.h"

enum {
    PACK_BLOCK = 4096,       /* superblock, trailer; sections start at multiples of it */
    PACK_ALIGN = 65536,      /* large tensors start at multiples of it */
    PACK_SMALL_ALIGN = 256,  /* small tensors at multiples of this */
    PACK_CHUNK = 2 << 20,    /* nominal chunk */
    PACK_DIR_OFF = 512,      /* the directory in superblock and trailer */
    PACK_ENTRY_BYTES = 64,   /* section entry */
    PACK_RECORD_BYTES = 128, /* tensor record */
    PACK_STAT_BYTES = 64,    /* statistics row */
    PACK_MAX_HEAD_SECTIONS = 16,
    PACK_MAX_SECTIONS = 48,
    PACK_MAX_TENSORS = 1 << 20,
    PACK_MAX_FILES = 256 << 20, /* bytes of FILE */
    PACK_MAX_JSON = 16 << 20,   /* RCPE, PROV */
};

#define PACK_MAX_OFFSET    ((uint64_t)1 << 62)
#define PACK_MAX_CHUNKS    ((uint64_t)1 << 22) /* 8 TiB, or small slices of experts */
#define PACK_MAX_DIMENSION ((uint64_t)1 << 40) /* every dimension is smaller */

/* Section tags as they are stored, with the first letter in the lowest byte. */
#define PACK_TAG(a, b, c, d)                                                                       \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

typedef enum pack_tag {
    TAG_TENS = PACK_TAG('T', 'E', 'N', 'S'),
    TAG_NIDX = PACK_TAG('N', 'I', 'D', 'X'),
    TAG_STRS = PACK_TAG('S', 'T', 'R', 'S'),
    TAG_FILE = PACK_TAG('F', 'I', 'L', 'E'),
    TAG_RCPE = PACK_TAG('R', 'C', 'P', 'E'),
    TAG_CHNK = PACK_TAG('C', 'H', 'N', 'K'),
    TAG_TDIG = PACK_TAG('T', 'D', 'I', 'G'),
    TAG_SDIG = PACK_TAG('S', 'D', 'I', 'G'),
    TAG_STAT = PACK_TAG('S', 'T', 'A', 'T'),
    TAG_PROV = PACK_TAG('P', 'R', 'O', 'V'),
} pack_tag;

enum { PACK_HEAD_SECTIONS = 5, PACK_TAIL_SECTIONS = 5 };

/* The sections that every file has, in file order: head, then tail. */
extern const pack_tag pack_required_tags[PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS];

/* Four letters and a NUL; bytes that are not letters become '?'. */
void pack_tag_name(uint32_t tag, char name[5]);

typedef struct pack_section {
    uint32_t tag;
    uint64_t off, len; /* bytes, without padding */
    unsigned char sha256[SHA256_BYTES];
} pack_section;

typedef struct pack_superblock {
    uint64_t incompat, compat;
    digest_alg digest;
    uint32_t head_sections;
    uint64_t tensor_count, chunk_count;
    uint64_t data_off, data_end;
    unsigned char plan_id[XXH3_BYTES];
    pack_section dir[PACK_MAX_HEAD_SECTIONS];
} pack_superblock;

typedef struct pack_trailer {
    uint32_t sections;
    uint64_t incompat, compat;
    uint64_t file_bytes, data_end;
    unsigned char plan_id[XXH3_BYTES];
    unsigned char root[SHA256_BYTES];
    pack_section dir[PACK_MAX_SECTIONS];
} pack_trailer;

/* Fill a block of PACK_BLOCK bytes. The trailer's root is computed here, from the bytes of the
 * superblock and of the trailer itself. ERR_MEMORY. */
void pack_superblock_encode(const pack_superblock *s, unsigned char *block);
MUST_CHECK err_code pack_trailer_encode(pack_trailer *t, const unsigned char *superblock,
                                        unsigned char *block, err *e);

/* Check magic, self digest, version, flags, ranges and reserved bytes, in this order. ERR_INPUT:
 * not a packed file, or a field that breaks a rule; ERR_DAMAGED: the self digest does not match (or
 * the trailer's magic). */
MUST_CHECK err_code pack_superblock_decode(const unsigned char *block, pack_superblock *out,
                                           err *e);
MUST_CHECK err_code pack_trailer_decode(const unsigned char *block, pack_trailer *out, err *e);

/* The root digest of these two blocks. ERR_MEMORY. */
MUST_CHECK err_code pack_root(const unsigned char *superblock, const unsigned char *trailer,
                              unsigned char root[SHA256_BYTES], err *e);

/* Check a whole directory: required tags once and in order, offsets as they follow from lengths and
 * alignment, limits. `sections` are all sections of a file in file order. *file_bytes: the offset
 * at which the trailer has to end. ERR_INPUT. */
MUST_CHECK err_code pack_directory_check(const pack_section *sections, uint32_t head_count,
                                         uint32_t count, uint64_t data_off, uint64_t data_end,
                                         uint64_t *file_bytes, err *e);

/* True if all bytes are zero. */
bool pack_all_zero(const unsigned char *p, uint64_t bytes);

#endif
