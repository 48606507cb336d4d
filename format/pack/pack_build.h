/* Builds the head and the tail of a packed file (spec/format.md 2 to 10): the bytes before and
 * after the tensor data.
 *
 *     pack_head_build(&table, alg, files, recipe, &head, e)      fixes every offset
 *     ... write tensor data where table.records[i].off says, fill a pack_evidence ...
 *     pack_tail_build(&head, &table, &evidence, prov, &tail, e)
 *
 * The same table, evidence and texts always give the same bytes. */
#ifndef PACK_BUILD_H
#define PACK_BUILD_H

#include "format/pack/pack_evidence.h"

typedef struct pack_text {
    const char *data;
    size_t bytes;
} pack_text;

typedef struct pack_head {
    unsigned char *bytes; /* [0, data_off) of the file */
    uint64_t length;      /* = superblock.data_off */
    pack_superblock superblock;
} pack_head;

typedef struct pack_tail {
    unsigned char *bytes; /* [data_end, file_bytes) of the file */
    uint64_t length;
    unsigned char root[SHA256_BYTES];
} pack_tail;

/* `t` is sorted; its offsets are computed here. `files`: the archive; `recipe`: canonical JSON. The
 * caller frees head->bytes by free(). ERR_INPUT: too large; ERR_MEMORY. */
MUST_CHECK err_code pack_head_build(pack_table *t, digest_alg alg, pack_text files,
                                    pack_text recipe, pack_head *out, err *e);

/* Length of the whole file if its provenance has `prov_bytes` bytes. */
uint64_t pack_file_bytes(const pack_table *t, digest_alg alg, size_t prov_bytes);

/* Allocate the tail before anything is written, so that memory cannot be lacking when hours of work
 * are done. The caller frees tail->bytes by free(). ERR_MEMORY. */
MUST_CHECK err_code pack_tail_reserve(const pack_table *t, digest_alg alg, size_t prov_bytes,
                                      pack_tail *out, err *e);

/* Also computes the tensor digests of `v` from those of the chunks. Uses what pack_tail_reserve has
 * allocated, or allocates it if out->bytes is NULL; after an error, *out is empty. The caller frees
 * tail->bytes by free(). ERR_MEMORY; ERR_INTERNAL if another length was reserved. */
MUST_CHECK err_code pack_tail_build(const pack_head *head, const pack_table *t, pack_evidence *v,
                                    pack_text prov, pack_tail *out, err *e);

#endif
