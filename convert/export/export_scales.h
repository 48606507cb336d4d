/* Whether carried scales are the powers of two that the config of their source promises
 * (spec/export.md section 2).
 *
 *     export_scales_check(file, &evidence, &plan, m, e);
 *
 * Only the data can tell, so this is the one step of planning an export that reads some: the scales,
 * chunk by chunk, each against its digest. */
#ifndef EXPORT_SCALES_H
#define EXPORT_SCALES_H

#include "convert/export/export_plan.h"
#include "format/pack/pack_file.h"

/* If plan->check_pow2: look at these scales. Where one is not a power of two, plan->block.scale
 * becomes SCALES_F32, so that the export does not repeat the promise, and plan->not_pow2 names the
 * record. Errors: ERR_IO; ERR_DAMAGED: a digest does not match; ERR_MEMORY. */
MUST_CHECK err_code export_scales_check(const pack_file *file, const pack_evidence *evidence,
                                        export_plan *plan, const monitor *m, err *e);

#endif
