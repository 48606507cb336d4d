/* The streaming part of a conversion: read -> quantize -> digest -> write, through the slots of an
 * engine.
 *
 * One thread per slot takes work items in file order. Where a result goes is decided by the plan
 * alone, so the file does not depend on the number of slots or threads. Nothing is allocated per
 * tensor. */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "convert/plan.h"
#include "format/monitor.h"
#include "format/output.h"
#include "quant/engine.h"

typedef struct pipeline_job {
    const plan *plan;
    checkpoint *cp;
    engine *engine;
    unsigned slots; /* of the engine to use */
    output *out;
    scale_kind scales;
    digest_alg digest;
} pipeline_job;

/* Write all tensor data and fill *v (create it with pack_evidence_create): chunk and source
 * digests, statistics. *nonfinite_kept: infinities and NaNs in kept tensors. Errors: ERR_INPUT
 * infinities or NaNs in a tensor to quantize, and those of reading, writing and the engine. */
MUST_CHECK err_code pipeline_run(const pipeline_job *job, const monitor *m, pack_evidence *v,
                                 uint64_t *nonfinite_kept, err *e);

#endif
