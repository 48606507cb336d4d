/* Read the written file back from the disk and compare: the only step that sees what the disk
 * holds. */
#ifndef READBACK_H
#define READBACK_H

#include "convert/stream/pipeline.h"

/* True where reading back would see only memory (tmpfs). */
bool readback_is_pointless(const output *o);

/* Compare the head, every chunk with its digest, and the tail, through the slots' buffers. ERR_IO:
 * something differs. */
MUST_CHECK err_code readback_run(const pipeline_job *job, const pack_evidence *v,
                                 const pack_tail *tail, const monitor *m, err *e);

#endif
