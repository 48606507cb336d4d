/* The plan of an export: the form of every record, the file it goes to, and the list of modules that
 * are not FP8. The head of the packed file is all it needs.
 *
 *     export_plan_make(&packed->table, &how, &plan, e);
 *     plan.tensors[plan.order[plan.shards[s].first + i]]     tensor i of shard s, in file order
 *     export_plan_free(&plan);
 *
 * The table must outlive the plan. Nothing changes a plan; threads may read it in parallel. */
#ifndef EXPORT_PLAN_H
#define EXPORT_PLAN_H

#include "convert/export/preset.h"
#include "convert/export/preset_plain.h"
#include "format/base/monitor.h"
#include "format/quantized/quantization.h"
#include "format/pack/pack_table.h"

typedef enum export_form {
    FORM_SAME,        /* the same bytes */
    FORM_NUMBERS,     /* codes: dequantized, in the dtype of the source */
    FORM_BF16_SCALES, /* scales in BF16, where they are exact */
    FORM_F16_SCALES,  /* the same in F16 */
    FORM_NOTHING      /* not exported: scales of dequantized codes, scales that nothing reads */
} export_form;

/* A record becomes `parts` tensors of equal size: the members of a stack, or itself. */
typedef struct export_record {
    export_form form;
    const char *why;     /* FORM_NUMBERS: the reason */
    const char *keep;    /* FORM_NUMBERS: a glob with which convert would have kept the tensor */
    uint64_t first;      /* index of its first tensor */
    uint64_t parts;      /* 0: FORM_NOTHING */
    uint64_t part_bytes; /* bytes of the record that become one tensor */
} export_record;

typedef struct export_tensor {
    const char *name; /* owned by the plan */
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t bytes;
    uint32_t shard, place; /* which shard, and its position in it */
} export_tensor;

typedef struct export_shard {
    uint64_t first, count; /* its part of plan.order */
    uint64_t bytes;        /* of its tensors, without the header */
} export_shard;

/* An entry of the list of modules that are not FP8. */
typedef struct export_ignored {
    char *module;
    const char *why;
} export_ignored;

typedef struct export_plan {
    export_record *records; /* [table.count], same order */
    export_tensor *tensors;
    uint64_t tensor_count;
    uint64_t *order; /* [tensor_count] tensors shard by shard, wide elements first */
    export_shard *shards;
    uint32_t shard_count;
    export_ignored *ignored; /* sorted, without duplicates */
    size_t ignored_count;
    uint64_t total_bytes;             /* of all tensors: total_size of the index */
    uint64_t fp8_count, number_count; /* tensors that stay FP8, tensors that are dequantized */
    uint64_t unread_count;            /* scales of activations, which are not exported */
    uint32_t unread_first;            /* record of the first of them */
    uint64_t odd_count;               /* of fp8_count: with clipped tiles or three dimensions */
    block_format block;               /* of all that stays FP8; ue8m0: all scales are powers of 2 */
    bool check_pow2;                  /* for carried scales only the config says that they are */
    const char *not_pow2;             /* the first scales that are not after all; NULL: none */
    char *names;                      /* storage for the names of `tensors` */
} export_plan;

typedef struct export_how {
    const preset *preset;
    bool dequantize;            /* allow dequantizing codes that the runtime does not read */
    bool ring_linear;           /* the model is one of Ring-linear (preset.h) */
    char architecture[64];      /* the beginning of the first of `architectures`; "": none */
    uint64_t hidden;            /* hidden_size; 0: unknown */
    scale_format source_scales; /* of carried FP8, according to the config */
    quantization described;     /* what the config says about the source */
    bool refused;               /* already; plan what could be exported otherwise */
    uint64_t shard_bytes;       /* the most for a shard of several tensors, header included */
    const monitor *monitor;     /* is asked for cancellation; may be NULL */
} export_how;

/* Errors: ERR_INPUT the runtime cannot read something in the file (a hint says what helps), there is
 * no tensor, or a name is too long; ERR_MEMORY; ERR_CANCELLED. Free with export_plan_free, also
 * after an error. */
MUST_CHECK err_code export_plan_make(const pack_table *t, const export_how *how, export_plan *out,
                                     err *e);
void export_plan_free(export_plan *p);

enum { SHARD_NAME_BYTES = 48 };
void export_shard_name(const export_plan *p, uint32_t shard, char name[SHARD_NAME_BYTES]);

/* The steps of export_plan_make. ---- */

/* export_states.c: refuse kept tensors that are not plain numbers, and set FORM_NOTHING for scales of
 * activations that the runtime does not read. */
MUST_CHECK err_code export_states_judge(const pack_table *t, const export_how *how,
                                        export_plan *plan, err *e);

/* export_forms.c: fill in form, why and keep of every record, and what follows from all of them:
 * odd_count, block, check_pow2. */
MUST_CHECK err_code export_forms_choose(const pack_table *t, const export_how *how,
                                        export_plan *plan, err *e);

/* export_numbers.c: ERR_INPUT if codes would have to be dequantized, with the options that keep them
 * unchanged. */
MUST_CHECK err_code export_numbers_refuse(const pack_table *t, const preset *p,
                                          const export_plan *plan, err *e);

/* export_ignore.c: the list, from the forms. */
MUST_CHECK err_code export_ignore_make(const pack_table *t, const export_how *how,
                                       export_plan *plan, err *e);

/* Is this the weight of a linear layer, or of experts in three dimensions? */
bool export_is_weight(const pack_record *r);

/* Write the name of its module: the tensor's without ".weight"; for experts, which are one module,
 * all up to the component `experts`, which stacks under other names (moe.up_proj.weight) get.
 * Returns whether it is an expert. */
bool export_module(const pack_record *r, char module[NAME_MAX_BYTES + 1]);

/* Call `emit` with the module of expert `index` in a record that export_module takes for experts; of
 * a stack that is stored merged, with those of its parts. False: `emit` returned false, or a name is
 * too long. */
bool export_expert(const pack_record *r, uint64_t index, preset_emit emit, void *ctx);

/* Where a module is, as far as its spelling depends on it. Refers to *how. */
preset_place export_place(const pack_table *t, const export_how *how, const char *module);

/* Why the runtime does not read this tensor in FP8; NULL: it does. */
const plain_rule *export_plain(const pack_table *t, const export_how *how, const char *tensor);

/* A wide matrix that needs no entry in the list, because the runtime never builds a quantized
 * module for it. */
bool export_is_unlisted(const pack_table *t, const preset *p, const pack_record *r,
                        const char *module);

#endif
