/* The streaming part of a conversion: read -> quantize -> digest -> write, through the slots of an
 * engine.
 *
 *     pipeline_measure(&plan, in_bytes, out_bytes, &need, e)      sizes for the engine to open
 *     pipeline_open(&job, m, &p, e)                       allocates; there is no output yet
 *     pipeline_run(p, out, &nonfinite_kept, e)
 *     pipeline_close(p)
 *
 * One thread per slot takes work items in file order. The plan alone decides where a result goes,
 * so the file does not depend on the number of slots or threads. Nothing is allocated per tensor.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "convert/plan/plan.h"
#include "format/base/monitor.h"
#include "format/output/output.h"
#include "quant/engine/engine.h"

typedef struct pipeline_job {
    const plan *plan;
    checkpoint *cp;
    engine *engine;
    unsigned slots;          /* how many of the engine's slots to use, and as many threads */
    pack_evidence *evidence; /* from pack_evidence_create; the run fills it in */
} pipeline_job;

/* What the slots of a plan need besides their buffers. */
typedef struct pipeline_need {
    size_t max_tiles;    /* of one submit */
    uint64_t slot_bytes; /* host memory for each slot: tables, here and in the engine, and scales */
} pipeline_need;

/* Errors: ERR_MEMORY. */
MUST_CHECK err_code pipeline_measure(const plan *p, size_t in_bytes, size_t out_bytes,
                                     pipeline_need *out, err *e);

/* Everything that a run needs, so that lack of memory shows before there is an output. `job` must
 * outlive *out. Errors: ERR_MEMORY. */
typedef struct pipeline pipeline;
MUST_CHECK err_code pipeline_open(const pipeline_job *job, const monitor *m, pipeline **out,
                                  err *e);
void pipeline_close(pipeline *p); /* NULL is fine */

/* Write all tensor data and fill the evidence: chunk and source digests, statistics. Once.
 * *nonfinite_kept: infinities and NaNs in kept tensors. Errors: ERR_INPUT infinities or NaNs in a
 * tensor to quantize, and those of reading, writing and the engine. */
MUST_CHECK err_code pipeline_run(pipeline *p, output *out, uint64_t *nonfinite_kept, err *e);

#endif
