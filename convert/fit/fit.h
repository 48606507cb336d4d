/* Would a runtime load a model, and on how many devices? Decided from names, shapes and config.json
 * alone, before anything is converted (spec/export.md section 8).
 *
 *     const fit_question q = {.table = &plan.table, .config = text, .preset = PRESET_VLLM, ...};
 *     fit_make(&q, &fit, e);
 *     for (size_t i = 0; i < fit.run_count; i++)
 *         ... fit.runs[i].tp, fit.faults[fit.runs[i].first] ...
 *     fit_free(&fit);
 *
 * Nothing here reads or writes files. A fit refers to no other object once it is made, except to the
 * preset, which is constant. */
#ifndef FIT_H
#define FIT_H

#include "convert/export/export_plan.h"
#include "convert/fit/fit_split.h"

/* What is wrong with a run: code, name in JSON */
#define FIT_REASONS(X)                                                                             \
    X(FIT_ROWS, "rows")               /* a piece of a matrix is not whole tiles */                 \
    X(FIT_COLUMNS, "columns")         /* the same, cut along the inputs */                         \
    X(FIT_HEADS, "heads")             /* attention heads are not a multiple of tp */               \
    X(FIT_KV_HEADS, "kv-heads")       /* neither tp nor the heads of k and v divide the other */   \
    X(FIT_NORM_GROUPS, "norm-groups") /* groups of the norm are not a multiple of tp */            \
    X(FIT_EXPERTS, "experts")         /* experts are not a multiple of ep */                       \
    X(FIT_NO_EXPERTS, "no-experts")   /* there are none for ep */                                  \
    X(FIT_SIZES, "sizes")             /* the runtime has no such pair of tp and ep */

typedef enum fit_reason {
#define X(code, name) code,
    FIT_REASONS(X)
#undef X
        FIT_REASON_COUNT
} fit_reason;

/* What does not depend on the number of devices: code, name in JSON */
#define FIT_WARNINGS(X)                                                                            \
    X(WARN_EXPORT_REFUSED, "export-refused") /* octavo export would end with exit status 5 */      \
    X(WARN_NO_SCALES, "no-scales")           /* FP8 for the runtime, not in the file */            \
    X(WARN_NOT_QUANTIZED, "not-quantized")   /* FP8 in the file, not for the runtime */            \
    X(WARN_OWN_EXPERTS, "own-experts")       /* not called by the code of the checkpoint */        \
    X(WARN_NO_CONFIG, "no-config")           /* so what needs config.json is not checked */        \
    X(WARN_ARCHITECTURE, "architecture")     /* the release does not know it, or another's code */ \
    X(WARN_OWN_NAMES, "own-names")           /* tensors of another format than config.json says */ \
    X(WARN_MTP_IGNORED, "mtp-ignored")       /* MTP layers, which the runtime does not read */     \
    X(WARN_MTP_DRAFT, "mtp-draft")           /* MTP layers, read only to draft tokens */           \
    X(WARN_MTP_MISSING, "mtp-missing")       /* config.json announces some, there are none */      \
    X(WARN_LAYERS_MISSING, "layers-missing")                                                       \
    X(WARN_EXPERTS_MISSING, "experts-missing")                                                     \
    X(WARN_FUSED_EXPERTS, "fused-experts")   /* in three dimensions, which it does not read */     \
    X(WARN_HEAD_IGNORED, "head-ignored")     /* tied to the embedding, yet there is a head */      \
    X(WARN_HEAD_MISSING, "head-missing")     /* not tied, and there is no head */                  \
    X(WARN_SCALES_ROUNDED, "scales-rounded") /* to powers of two, on some devices, at load */      \
    X(WARN_UNKNOWN_SPLIT, "unknown-split")   /* matrices that are not checked */

typedef enum fit_warning_id {
#define X(code, name) code,
    FIT_WARNINGS(X)
#undef X
        FIT_WARNING_COUNT
} fit_warning_id;

const char *fit_reason_name(fit_reason r);
const char *fit_warning_name(fit_warning_id w);

/* FP8 matrices of one shape whose names differ only in numbers. */
typedef struct fit_kind {
    char module[NAME_MAX_BYTES + 1]; /* with `*` for each number */
    uint64_t rows, cols, matrices;
    bool expert; /* of a routed expert */
    fit_layout layout;
} fit_kind;

typedef struct fit_fault_of_run {
    fit_reason reason;
    size_t kind;     /* FIT_ROWS, FIT_COLUMNS: index of the kind of matrix */
    fit_fault fault; /* size: what was to be divided; split: by how much */
} fit_fault_of_run;

/* A way to run the model: tp devices share each layer, ep devices share the experts. */
typedef struct fit_run {
    uint64_t tp, ep;
    size_t first, count; /* its part of fit.faults; none: the model fits */
    uint64_t matrices;   /* how many cannot be split this way */
} fit_run;

typedef struct fit_warning {
    fit_warning_id id;
    bool blocks; /* nothing can be loaded at all */
    char *text;
} fit_warning;

typedef struct fit {
    const preset *preset;
    fit_model model;
    fit_kind *kinds; /* sorted by name */
    size_t kind_count;
    fit_run *runs; /* every pair: all ep of the first tp, then of the next */
    size_t run_count;
    fit_fault_of_run *faults;
    size_t fault_count;
    fit_warning warnings[FIT_WARNING_COUNT]; /* in the order above, each once */
    size_t warning_count;
} fit;

enum {
    FIT_MAX_SIZES = 64,
    FIT_MAX_FAULTS = 1 << 16 /* of all runs together: models have some kinds of matrices, not
                                thousands, but a file may have as many as tensors */
};

typedef struct fit_sizes {
    uint64_t sizes[FIT_MAX_SIZES]; /* each from 1 to 2^31 */
    size_t count;
} fit_sizes;

typedef struct fit_question {
    const pack_table *table;
    const char *config; /* text of the source's config.json; NULL: there is none */
    size_t config_bytes;
    const preset *preset;
    const export_plan *exported; /* the plan of the export if there is one; NULL: make one */
    fit_sizes tp, ep;            /* empty: 1 */
    const monitor *monitor;      /* is asked for cancellation; may be NULL */
} fit_question;

/* Errors: ERR_INPUT config.json is not valid JSON, or more than FIT_MAX_FAULTS; ERR_MEMORY;
 * ERR_CANCELLED. Free with fit_free, also after an error. */
MUST_CHECK err_code fit_make(const fit_question *q, fit *out, err *e);
void fit_free(fit *f);

/* Every run fits, and no warning blocks. */
bool fit_says_yes(const fit *f);

/* The steps of fit_make. ---- */

/* fit_kinds.c: gather the matrices that stay FP8, all codes if `plan` is NULL. */
MUST_CHECK err_code fit_kinds_gather(const pack_table *t, const export_plan *plan, const monitor *m,
                                     fit *out, err *e);

/* The name of a module, with `*` for every component that is a number, up to ".weight". */
void fit_pattern(const char *name, char out[NAME_MAX_BYTES + 1]);

/* fit_hold.c: add WARN_NO_SCALES, WARN_NOT_QUANTIZED and WARN_OWN_EXPERTS. Nothing is checked without a plan. */
MUST_CHECK err_code fit_hold(const pack_table *t, const export_plan *plan, const monitor *m, fit *f,
                             err *e);

/* How many routed experts a layer has: as many as its tensors have, or else the number in
 * config.json, or else 0. */
uint64_t fit_experts(const pack_table *t, const fit_model *m);

/* fit_warn.c: add all other warnings except WARN_EXPORT_REFUSED. */
MUST_CHECK err_code fit_warn_all(const fit_question *q, fit *out, err *e);

/* Append a warning. */
MUST_CHECK err_code fit_warn(fit *f, fit_warning_id id, bool blocks, err *e, const char *format,
                             ...) __attribute__((format(printf, 5, 6)));

#endif
