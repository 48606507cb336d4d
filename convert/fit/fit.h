/* Would a runtime load it, and on how many devices? Answered from names, shapes and config.json
 * alone, before anything is converted (spec/export.md section 8).
 *
 *     const fit_question q = {.table = &plan.table, .config = text, .preset = PRESET_VLLM, ...};
 *     fit_make(&q, &fit, e);
 *     for (size_t i = 0; i < fit.run_count; i++)
 *         ... fit.runs[i].tp, fit.faults[fit.runs[i].first] ...
 *     fit_free(&fit);
 */
#ifndef FIT_H
#define FIT_H

#include "convert/export/export_plan.h"
#include "convert/fit/fit_split.h"

/* What is wrong with a run: code, name in JSON */
#define FIT_REASONS(X)                                                                             \
    X(FIT_ROWS, "rows")               /* a piece of a matrix is not whole tiles */                 \
    X(FIT_COLUMNS, "columns")         /* the same, cut along the inputs */                         \
    X(FIT_HEADS, "heads")             /* attention heads are not a multiple of tp */               \
    X(FIT_KV_HEADS, "kv-heads")       /* neither of heads of k and v and tp divides the other */   \
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

/* What else there is to know: code, name in JSON */
#define FIT_WARNINGS(X)                                                                            \
    X(WARN_EXPORT_REFUSED, "export-refused") /* octavo export would end with exit status 5 */      \
    X(WARN_NO_CONFIG, "no-config")           /* and what needs config.json is not judged */        \
    X(WARN_ARCHITECTURE, "architecture")     /* no release of the runtime knows it */              \
    X(WARN_MTP_IGNORED, "mtp-ignored")       /* layers that the runtime does not read */           \
    X(WARN_MTP_DRAFT, "mtp-draft")           /* layers read for speculative decoding alone */      \
    X(WARN_MTP_MISSING, "mtp-missing")       /* config.json tells of some, there are none */       \
    X(WARN_LAYERS_MISSING, "layers-missing")                                                       \
    X(WARN_EXPERTS_MISSING, "experts-missing")                                                     \
    X(WARN_FUSED_EXPERTS, "fused-experts")   /* in three dimensions, which it does not read */     \
    X(WARN_HEAD_IGNORED, "head-ignored")     /* tied, and yet there is one */                      \
    X(WARN_HEAD_MISSING, "head-missing")     /* not tied, and there is none */                     \
    X(WARN_SCALES_ROUNDED, "scales-rounded") /* to powers of two, on some devices, at load */      \
    X(WARN_UNKNOWN_SPLIT, "unknown-split")   /* matrices that are not judged */

typedef enum fit_warning_id {
#define X(code, name) code,
    FIT_WARNINGS(X)
#undef X
        FIT_WARNING_COUNT
} fit_warning_id;

const char *fit_reason_name(fit_reason r);
const char *fit_warning_name(fit_warning_id w);

/* Matrices in FP8 whose names differ in numbers alone, of one shape. */
typedef struct fit_kind {
    char module[NAME_MAX_BYTES + 1]; /* numbers are `*` */
    uint64_t rows, cols, matrices;
    bool expert; /* a routed one */
    fit_layout layout;
} fit_kind;

typedef struct fit_fault_of_run {
    fit_reason reason;
    size_t kind;     /* FIT_ROWS, FIT_COLUMNS: which one */
    fit_fault fault; /* size and split: what was to be divided by what */
} fit_fault_of_run;

/* A way to run it: tp devices share each layer, ep devices the experts. */
typedef struct fit_run {
    uint64_t tp, ep;
    size_t first, count; /* of fit.faults; none: it fits */
    uint64_t matrices;   /* that cannot be split so */
} fit_run;

typedef struct fit_warning {
    fit_warning_id id;
    bool blocks; /* the runtime does not get to load anything */
    char *text;
} fit_warning;

typedef struct fit {
    const preset *preset;
    fit_model model;
    fit_kind *kinds; /* by name */
    size_t kind_count;
    fit_run *runs; /* every pair, tp by tp */
    size_t run_count;
    fit_fault_of_run *faults;
    size_t fault_count;
    fit_warning warnings[FIT_WARNING_COUNT]; /* in the order above, each once */
    size_t warning_count;
} fit;

enum { FIT_MAX_SIZES = 64 };

typedef struct fit_sizes {
    uint64_t sizes[FIT_MAX_SIZES]; /* each from 1 to 2^31 */
    size_t count;
} fit_sizes;

typedef struct fit_question {
    const pack_table *table;
    const char *config; /* text of config.json as it was before an export; NULL: there is none */
    size_t config_bytes;
    const preset *preset;
    const export_plan *exported; /* the plan of an export that was made, or NULL: try one */
    fit_sizes tp, ep;            /* without any: 1 */
} fit_question;

/* Errors: ERR_INPUT: config.json cannot be read as JSON; ERR_MEMORY. fit_free, after an error,
 * too. */
MUST_CHECK err_code fit_make(const fit_question *q, fit *out, err *e);
void fit_free(fit *f);

/* Every run fits, and no warning blocks. */
bool fit_says_yes(const fit *f);

/* The steps of fit_make. ---- */

/* fit_kinds.c: gather the matrices that stay FP8; `plan` may be NULL. */
MUST_CHECK err_code fit_kinds_gather(const pack_table *t, const export_plan *plan, fit *out,
                                     err *e);

/* Routed experts of a layer: those that are there, else what config.json says, else 0. */
uint64_t fit_experts(const pack_table *t, const fit_model *m);

/* fit_warn.c: look for everything but WARN_EXPORT_REFUSED. */
MUST_CHECK err_code fit_warn_all(const pack_table *t, fit *out, err *e);

/* Put a warning behind the others. */
MUST_CHECK err_code fit_warn(fit *f, fit_warning_id id, bool blocks, err *e, const char *format,
                             ...) __attribute__((format(printf, 5, 6)));

#endif
