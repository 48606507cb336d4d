/* How a runtime finds a module in the list of quantization_config (spec/export.md section 8.5).
 *
 *     fit_list *l = NULL;
 *     fit_list_make(&plan, preset, &l, e);
 *     if (fit_list_skips(l, &place, "model.layers.0.mlp.up_proj")) ... built without FP8
 *     fit_list_free(l);
 *
 * A list refers to the plan, which must outlive it. Threads may ask it in parallel. */
#ifndef FIT_LIST_H
#define FIT_LIST_H

#include "convert/export/export_plan.h"

typedef struct fit_list fit_list;

/* Errors: ERR_MEMORY. */
MUST_CHECK err_code fit_list_make(const export_plan *plan, const preset *p, fit_list **out, err *e);
void fit_list_free(fit_list *l);

/* Would the runtime build this module, whose name is that of its tensors, without FP8? */
bool fit_list_skips(const fit_list *l, const preset_place *place, const char *module);

#endif
