/* The scales of a layer, gathered until the last of them is known.
 *
 *     scale_runs_acquire(s, record, &scales, e)      once per item that writes scales
 *     ... write the item's part of `scales` ...
 *     scale_runs_finish(s, record, out, &evidence, e)   once per item of a run
 *
 * In the file all scales of a layer follow all its codes (spec/format.md section 5), so computed
 * scales wait in memory: one run per layer, in one of two buffers, where carried scales join them.
 * The thread that finishes the last item of a run writes it. Two buffers let the next layer begin
 * while the last items of the previous one are still computed.
 *
 * Items must be handed out in file order. Runs begin in that order too, so while a worker waits for
 * a buffer, the workers that will free one are already at work and need nothing that it holds. */
#ifndef SCALE_RUNS_H
#define SCALE_RUNS_H

#include "convert/stream/work_items.h"
#include "format/base/monitor.h"
#include "format/output/output.h"
#include "format/pack/pack_evidence.h"

typedef struct scale_runs scale_runs;

/* The size of both buffers together for this table. */
uint64_t scale_runs_bytes(const pack_table *t);

/* The monitor is asked while a thread waits. `t` and `w` must outlive *out. Errors: ERR_MEMORY. */
MUST_CHECK err_code scale_runs_open(const pack_table *t, const work_list *w, const monitor *m,
                                    scale_runs **out, err *e);

/* Does an item of this record belong to a run? Items of quantized codes and of carried scales do.
 */
bool scale_runs_take_part(const pack_record *r);

/* *scales: where the scales of a record go, laid out as in the file: [slices, tiles down, tiles
 * across], floats if they are computed. `record` is the record of the scales or that of their
 * codes. Valid until the item is finished; items of one record write different parts. Waits for a
 * free buffer; ERR_CANCELLED if the job failed meanwhile (scale_runs_stop). Call once per item. */
MUST_CHECK err_code scale_runs_acquire(scale_runs *s, uint32_t record, void **scales, err *e);

/* An item of this record is done, or skipped (then it was not acquired). The call for the last item
 * of the layer digests and writes the run. Errors: those of digest_of and output_write. */
MUST_CHECK err_code scale_runs_finish(scale_runs *s, uint32_t record, output *o, pack_evidence *v,
                                      err *e);

/* The job failed: wake all threads that wait in scale_runs_acquire. */
void scale_runs_stop(scale_runs *s);

void scale_runs_close(scale_runs *s); /* NULL is fine */

#endif
