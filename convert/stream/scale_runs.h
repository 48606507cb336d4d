/* The scales of a layer, gathered until the last of them is known.
 *
 * In the file all scales of a layer follow all its codes (spec/format.md section 5), so computed
 * ones wait in memory: one run per layer, in one of two buffers, where those that were taken over
 * join them. A run is written by whoever finishes its last item. Work is handed out in file order,
 * and runs begin in that order, so while a worker waits for a buffer, those that will free one are
 * already at work, and need nothing that it has. */
#ifndef SCALE_RUNS_H
#define SCALE_RUNS_H

#include "convert/stream/work_items.h"
#include "format/base/monitor.h"
#include "format/output/output.h"
#include "format/pack/pack_evidence.h"

typedef struct scale_runs scale_runs;

/* Bytes that the two buffers take for this table. */
uint64_t scale_runs_bytes(const pack_table *t);

/* The monitor is asked while somebody waits. Errors: ERR_MEMORY. */
MUST_CHECK err_code scale_runs_open(const pack_table *t, const work_list *w, const monitor *m,
                                    scale_runs **out, err *e);

/* Does an item of this record have to do with a run: codes that are quantized, and scales? */
bool scale_runs_take_part(const pack_record *r);

/* Where the scales of record `record` stand, as the file has them: [slices, tiles down, tiles
 * across], floats if they are computed. Of codes it is the record of their scales, which may also
 * be given itself. Waits for a free buffer; ERR_CANCELLED if the job failed meanwhile
 * (scale_runs_stop). Call once per item. */
MUST_CHECK err_code scale_runs_acquire(scale_runs *s, uint32_t record, void **scales, err *e);

/* An item of this record is done, or will never be (then it was not acquired); after the last one
 * of the layer its run is digested and written. */
MUST_CHECK err_code scale_runs_finish(scale_runs *s, uint32_t record, output *o, pack_evidence *v,
                                      err *e);

/* The job failed: wake those who wait. */
void scale_runs_stop(scale_runs *s);

void scale_runs_close(scale_runs *s); /* NULL is fine */

#endif
