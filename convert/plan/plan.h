/* The plan of a conversion: everything that can be known from headers alone.
 *
 *     plan_make(cp, &recipe, &embed, alg, &plan, e)
 *     plan.head.bytes     the head of the file
 *     plan.table          where every tensor goes
 *     plan.file_bytes     how large the file gets
 */
#ifndef PLAN_H
#define PLAN_H

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/embed.h"
#include "format/pack/pack_build.h"
#include "quant/recipe/decide.h"

/* What becomes of one record of the table. */
typedef struct plan_record {
    uint64_t member_first; /* but for scales that are computed: index into plan.members of its first
                              source tensor */
    recipe_reason reason;  /* codes and kept */
} plan_record;

typedef struct plan {
    pack_table table;
    plan_record *records; /* [table.count], same order */
    const tensor *
        *members; /* [table.source_count] source tensors in SDIG order, owned by the checkpoint */
    fp8_pair *scaled; /* [table.source_count] of members that are FP8 with scales */
    pack_head head;
    char *provenance; /* canonical JSON */
    size_t provenance_bytes;
    uint64_t file_bytes;                  /* of the packed file */
    uint64_t source_bytes;                /* of all source tensors */
    uint64_t quantized_count, kept_count; /* source tensors */
    uint64_t carried_count;               /* FP8 taken over, without the scales */
    uint64_t requantized_count;           /* FP8 before, among quantized_count */
    uint64_t tiles, clipped_tiles;
    uint64_t quantized_elements;
} plan;

typedef struct plan_options {
    const recipe *recipe;
    const embed_list *embed;
    digest_alg digest;
    bool allow_none;
    bool source_sha256; /* leave room for the SHA-256 of whole shards: plan_set_shard_digests */
} plan_options;

/* Errors: ERR_USAGE a glob from the command line matches nothing, or would quantize what cannot be;
 * ERR_INPUT a name or a size the format cannot hold, a source that the dialect does not know, a
 * shard whose name is not UTF-8, nothing to quantize. Free with plan_free. */
MUST_CHECK err_code plan_make(const checkpoint *cp, const plan_options *options, plan *out, err *e);

/* Put the shards' SHA-256 (SHA256_BYTES each, in shard order) into the provenance; its length does
 * not change. */
MUST_CHECK err_code plan_set_shard_digests(plan *p, const checkpoint *cp,
                                           const unsigned char *digests, err *e);

void plan_free(plan *p);

#endif
