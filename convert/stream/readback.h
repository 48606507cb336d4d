/* Read the written file back from the disk and compare it with what was written: the only step that
 * sees what the disk holds. */
#ifndef READBACK_H
#define READBACK_H

#include "convert/stream/pipeline.h"

/* True where reading back would see only memory (tmpfs). */
bool readback_is_pointless(const output *o);

/* Compare the head, every chunk with its digest, and the tail, through the buffers of the slots,
 * which must be idle. Errors: ERR_IO something differs or cannot be read; ERR_CANCELLED. */
MUST_CHECK err_code readback_run(const pipeline_job *job, const pack_evidence *v,
                                 const pack_tail *tail, const monitor *m, err *e);

#endif
