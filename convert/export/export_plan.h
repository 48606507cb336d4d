/* The plan of an export: what becomes of every record, which file it goes to, what the list of
 * modules that are not FP8 says. Everything is known from the head of the packed file.
 *
 *     export_plan_make(&packed->table, &how, &plan, e);
 *     plan.tensors[plan.order[plan.shards[s].first + i]]     tensor i of shard s, as it lies there
 *     export_plan_free(&plan);
 */
#ifndef EXPORT_PLAN_H
#define EXPORT_PLAN_H

#include "convert/export/preset.h"
#include "format/pack/pack_table.h"

typedef enum export_form {
    FORM_SAME,        /* bit for bit */
    FORM_NUMBERS,     /* codes: what they stand for, in the dtype of the source */
    FORM_BF16_SCALES, /* scales that are exact in BF16 */
    FORM_F16_SCALES,  /* likewise in F16 */
    FORM_NOTHING      /* scales of codes that become numbers */
} export_form;

/* A record becomes `parts` tensors of as many bytes each: the members of a stack, or itself. */
typedef struct export_record {
    export_form form;
    const char *why;     /* codes that become numbers: the reason */
    const char *keep;    /* and a glob with which convert would have kept them */
    uint64_t first;      /* number of its first tensor */
    uint64_t parts;      /* 0: FORM_NOTHING */
    uint64_t part_bytes; /* of the record */
} export_record;

typedef struct export_tensor {
    const char *name; /* owned by the plan */
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t bytes;
    uint32_t shard, place; /* which shard, and the how manieth there */
} export_tensor;

typedef struct export_shard {
    uint64_t first, count; /* of plan.order */
    uint64_t bytes;        /* of its tensors */
} export_shard;

/* A module of the list. */
typedef struct export_ignored {
    char *module;
    const char *why;
} export_ignored;

typedef struct export_plan {
    export_record *records; /* as the table has them */
    export_tensor *tensors;
    uint64_t tensor_count;
    uint64_t *order; /* [tensor_count] tensors shard by shard, wide elements first */
    export_shard *shards;
    uint32_t shard_count;
    export_ignored *ignored; /* sorted, none twice */
    size_t ignored_count;
    uint64_t total_bytes;             /* of all tensors: total_size of the index */
    uint64_t fp8_count, number_count; /* tensors that stay FP8, and that become numbers */
    uint64_t odd_count;               /* of fp8_count: clipped tiles, or in three dimensions */
    block_format block;               /* of all that stays FP8; ue8m0: all scales are such */
    bool check_pow2;                  /* of carried ones only the config says so */
    char *names;
} export_plan;

typedef struct export_how {
    const preset *preset;
    bool dequantize;            /* codes that the runtime does not read may become numbers */
    bool ring_linear;           /* the model is of that kind (preset.h) */
    scale_format source_scales; /* of FP8 that was taken over, as the config says */
    uint64_t shard_bytes;       /* a shard of several tensors is no larger, its header included */
} export_how;

/* Errors: ERR_INPUT the runtime does not read what is in the file (a hint says what helps), or a
 * name that is too long; ERR_MEMORY. export_plan_free after an error, too. */
MUST_CHECK err_code export_plan_make(const pack_table *t, const export_how *how, export_plan *out,
                                     err *e);
void export_plan_free(export_plan *p);

enum { SHARD_NAME_BYTES = 48 };
void export_shard_name(const export_plan *p, uint32_t shard, char name[SHARD_NAME_BYTES]);

/* The steps of export_plan_make. ---- */

/* export_forms.c: fill in form, why and keep of every record. */
MUST_CHECK err_code export_forms_choose(const pack_table *t, const export_how *how,
                                        export_plan *plan, err *e);

/* export_ignore.c: the list, from the forms. */
MUST_CHECK err_code export_ignore_make(const pack_table *t, const export_how *how,
                                       export_plan *plan, err *e);

/* The tensor is the weight of a module, or of experts in three dimensions. */
bool export_is_weight(const pack_record *r);

/* How much of its name is that of the module: without ".weight"; of experts up to the component
 * `experts`, for they are one module. *experts may be NULL. */
size_t export_module_bytes(const pack_record *r, bool *experts);

#endif
