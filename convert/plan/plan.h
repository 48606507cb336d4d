/* The plan of a conversion: everything that can be known from headers alone.
 *
 *     plan_make(cp, &options, &plan, e)
 *     plan.head.bytes     the head of the file
 *     plan.table          where every tensor goes
 *     plan.file_bytes     how large the file will be
 *     plan_free(&plan);
 *
 * A plan refers to the tensors of the checkpoint, which must stay open. Nothing changes a plan
 * except plan_set_shard_digests; threads may read it in parallel. */
#ifndef PLAN_H
#define PLAN_H

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/embed.h"
#include "format/pack/pack_build.h"
#include "quant/recipe/decide.h"

/* Where one record of the table comes from, and why it is what it is. */
typedef struct plan_record {
    uint64_t member_first; /* index into plan.members of its first source tensor; unused for
                              computed scales */
    recipe_reason reason;  /* of codes and kept records */
    state_kind state;      /* of its source */
    const char *method;    /* that quantized its source; NULL: none */
} plan_record;

/* Large matrices inside layers that are kept only because their name is not known: those with a
 * whole tile, which a rule could quantize. */
typedef struct plan_unknown {
    uint64_t count, bytes; /* of source tensors */
    const char *example;   /* a name of the source; NULL: there is none */
} plan_unknown;

typedef struct plan {
    pack_table table;
    plan_record *records;   /* [table.count], same order */
    const tensor **members; /* [table.source_count] source tensors in SDIG order; the tensors belong
                               to the checkpoint */
    fp8_pair *scaled;       /* [table.source_count] for members that are FP8 with scales */
    pack_head head;
    char *provenance; /* canonical JSON */
    size_t provenance_bytes;
    uint64_t file_bytes;                  /* of the packed file */
    uint64_t source_bytes;                /* of all source tensors */
    uint64_t quantized_count, kept_count; /* source tensors */
    uint64_t carried_count; /* FP8 carried over, whose scales are not counted, and foreign_count */
    uint64_t foreign_count; /* quantized by another method */
    uint64_t spared_count;  /* of kept_count: left unquantized by the makers of the checkpoint */
    uint64_t kept_bytes[REASON_COUNT]; /* of the records that are copied, for each reason */
    plan_unknown unknown;
    uint64_t requantized_count; /* those of quantized_count that were FP8 */
    uint64_t tiles, clipped_tiles;
    uint64_t quantized_elements;
    quantization described; /* what the files of the source say */
    tensor_states states;   /* of the source's tensors */
} plan;

typedef struct plan_options {
    const recipe *recipe;
    const embed_list *embed;
    digest_alg digest;
    bool allow_none;
    bool source_sha256;     /* reserve space for the SHA-256 of shards: plan_set_shard_digests */
    const monitor *monitor; /* only asked whether to stop; may be NULL */
} plan_options;

/* Errors: ERR_USAGE a glob from the command line matches nothing, or asks for a tensor that cannot
 * be quantized; ERR_INPUT a name or a size that the format cannot hold, a source that the dialect
 * does not define, a shard whose name is not UTF-8, nothing to quantize; ERR_MEMORY, ERR_CANCELLED.
 * Free with plan_free; after an error there is nothing to free. */
MUST_CHECK err_code plan_make(const checkpoint *cp, const plan_options *options, plan *out, err *e);

/* Put the SHA-256 of all shards (SHA256_BYTES each, in shard order) into the provenance, whose
 * length does not change. */
MUST_CHECK err_code plan_set_shard_digests(plan *p, const checkpoint *cp,
                                           const unsigned char *digests, err *e);

void plan_free(plan *p);

#endif
