/* The list of metrics, of single layers and of all positions together (spec/forward.md sections 8
 * and 9).
 *
 *     metrics[METRIC_KL_MEAN].name                                     "kl_mean"
 *     metric_of_layer(METRIC_LOCAL_ERROR, &form->layers[i])            layers[i].local_error
 *     metric_of_summary(METRIC_KL_MEAN, &form->summary)                summary.kl_mean
 *
 * A new metric is a row here and a line that measures it; reports as text and as JSON, limits
 * and the verdict follow. Rows are in the order of reports. */
#ifndef METRIC_H
#define METRIC_H

#include <math.h>
#include <stddef.h>

#include "verify/forward/measure.h"

/* scope (enum metric_scope), code, name in JSON and in files of limits, member of layer_measure or
 * position_summary, what a limit is (enum metric_limit), the limit that holds unless a file
 * of limits changes it (NAN: none), how text shows it (enum metric_form), its heading in text ("": a
 * sentence of the report names it) */
#define METRICS(X)                                                                                 \
    X(LAYER, LOCAL_ERROR, local_error, local_error, MAXIMUM, NAN, SHORT, "local error")            \
    X(SLOPES, OTHER_SLOPE_ERROR, other_slope_error, other_slope_error, NONE, NAN, SHORT,           \
      "other slope")                                                                               \
    X(LAYER, HIDDEN_RMS, hidden_rms, hidden_rms, MAXIMUM, NAN, SHORT, "hidden RMS")                \
    X(LAYER, HIDDEN_COSINE, hidden_cosine, hidden_cosine, MINIMUM, NAN, SIX, "cosine")             \
    X(ROUTER, ROUTER_AGREEMENT, router_agreement, router_agreement, MINIMUM, NAN, PERCENT,         \
      "router agreement")                                                                          \
    X(SUMMARY, KL_MEAN, kl_mean, kl_mean, MAXIMUM, NAN, SHORT, "")                                 \
    X(SUMMARY, KL_STANDARD_ERROR, kl_standard_error, kl_standard_error, NONE, NAN, SHORT, "")      \
    X(SUMMARY, KL_LOW, kl_low, kl_low, NONE, NAN, SHORT, "")                                       \
    X(SUMMARY, KL_HIGH, kl_high, kl_high, NONE, NAN, SHORT, "")                                    \
    X(SUMMARY, KL_MEDIAN, kl_median, kl_median, MAXIMUM, NAN, SHORT, "median")                     \
    X(SUMMARY, KL_P99, kl_p99, kl_p99, MAXIMUM, NAN, SHORT, "p99")                                 \
    X(SUMMARY, KL_P999, kl_p999, kl_p999, MAXIMUM, NAN, SHORT, "p99.9")                            \
    X(SUMMARY, KL_MAX, kl_max, kl_max, MAXIMUM, NAN, SHORT, "max")                                 \
    X(SUMMARY, KL_CHOICE, kl_choice, kl_choice, MAXIMUM, NAN, SHORT, "")                           \
    X(SUMMARY, KL_ROUTING, kl_routing, kl_routing, NONE, NAN, SHORT, "")                           \
    X(SUMMARY, TOP1, top1, top1, MINIMUM, NAN, PERCENT, "top-1")                                   \
    X(SUMMARY, TOP1_LOW, top1_low, top1_low, NONE, NAN, SHORT, "")                                 \
    X(SUMMARY, TOP1_HIGH, top1_high, top1_high, NONE, NAN, SHORT, "")                              \
    X(SUMMARY, TOP5, top5, top5, MINIMUM, NAN, PERCENT, "top-5")                                   \
    X(SUMMARY, SOURCE_PERPLEXITY, source_perplexity, source_perplexity, NONE, NAN, SHORT, "")      \
    X(SUMMARY, PACKED_PERPLEXITY, packed_perplexity, packed_perplexity, NONE, NAN, SHORT, "")      \
    X(SUMMARY, PERPLEXITY_RATIO, perplexity_ratio, perplexity_ratio, MAXIMUM, NAN, SHORT, "")      \
    X(SUMMARY, PERPLEXITY_RATIO_LOW, perplexity_ratio_low, perplexity_ratio_low, NONE, NAN, SHORT, \
      "")                                                                                          \
    X(SUMMARY, PERPLEXITY_RATIO_HIGH, perplexity_ratio_high, perplexity_ratio_high, NONE, NAN,     \
      SHORT, "")                                                                                   \
    X(SUMMARY, LOGIT_MEAN_DIFFERENCE, logit_mean_difference, logit_mean_difference, MAXIMUM, NAN,  \
      SHORT, "")                                                                                   \
    X(SUMMARY, LOGIT_MAX_DIFFERENCE, logit_max_difference, logit_max_difference, MAXIMUM, NAN,     \
      SHORT, "")                                                                                   \
    X(REFERENCE, REFERENCE_ERROR, reference_error, local_error, MAXIMUM, 0.03, SHORT, "")

typedef enum metric {
#define X(scope, code, name, member, limit, bound, form, heading) METRIC_##code,
    METRICS(X)
#undef X
        METRIC_COUNT
} metric;

typedef enum metric_scope {
    SCOPE_LAYER,     /* each layer */
    SCOPE_ROUTER,    /* each layer with a router */
    SCOPE_SLOPES,    /* each layer, if a reference decides between the two slope forms */
    SCOPE_SUMMARY,   /* all positions */
    SCOPE_REFERENCE, /* each layer: a second limit for a member, used with a reference */
} metric_scope;

typedef enum metric_limit { LIMIT_NONE, LIMIT_MAXIMUM, LIMIT_MINIMUM } metric_limit;

/* How text shows it: "%.3g", "%.6f", a fraction as "%.2f %%". */
typedef enum metric_form { FORM_SHORT, FORM_SIX, FORM_PERCENT } metric_form;

typedef struct metric_row {
    const char *name, *heading;
    metric_scope scope;
    metric_limit limit;
    metric_form form;
    double bound;  /* the built-in limit; NAN: none */
    size_t offset; /* of the member */
} metric_row;

extern const metric_row metrics[METRIC_COUNT];

/* One layer: a double for each of its metrics; NAN if a metric does not apply.
 *     hidden_rms, hidden_cosine   after the layer, with the errors of all layers before it
 *     local_error                 of this layer alone
 *     router_agreement            fraction of tokens with the same set of experts
 *     other_slope_error           forward_single: local error with the other slope form */
typedef struct layer_measure {
#define MEMBER_LAYER(member)  double member;
#define MEMBER_ROUTER(member) double member;
#define MEMBER_SLOPES(member) double member;
#define MEMBER_SUMMARY(member)
#define MEMBER_REFERENCE(member)
#define X(scope, code, name, member, limit, bound, form, heading) MEMBER_##scope(member)
    METRICS(X)
#undef X
} layer_measure;

layer_measure layer_unmeasured(void); /* all NAN */

/* The value of a metric: of any scope except SCOPE_SUMMARY; of SCOPE_SUMMARY. */
double metric_of_layer(metric m, const layer_measure *l);
double metric_of_summary(metric m, const position_summary *s);

#endif
