/* How much memory a run needs: a dry run of the layers and the head, without weights and with
 * operations that compute nothing. So the formulas of architectures are the only place that knows
 * what they take from scratch memory. */
#include <stdint.h>
#include <stdlib.h>

#include "format/base/num.h"
#include "verify/model/model_run.h"
#include "verify/ops/ops_dry.h"

/* The head for as many tracks as the run has; the dry run has only track 0. */
static err_code measure_head(const model_run *run, model_run *dry, err *e)
{
    const size_t vocab = run->config.vocab;
    const size_t count = num_min(RUN_BLOCK, run_tokens(dry));
    const unsigned numbers[RUN_TRACKS_MAX] = {0};
    mat out[RUN_TRACKS_MAX];
    for (unsigned i = 0; i < run->track_count; i++) {
        out[i] = (mat){dry->hidden, count, vocab, vocab};
    }
    return run_logits(dry, numbers, run->track_count, 0, count, out, e);
}

static err_code measure(const model_run *run, model_run *dry, err *e)
{
    for (unsigned i = 0; i < run->config.layers; i++) {
        TRY(run_layer(dry, i, e));
    }
    return measure_head(run, dry, e);
}

/* No track needs more memory at a time than one that does not decode. It gets enough sequences to
 * fill a block, if the run has that many. */
err_code run_measure(const model_run *run, size_t *scratch_floats, size_t *state_floats, err *e)
{
    float nowhere = 0; /* never read or written */
    ops_dry o;
    track t = {0};
    model_run dry = *run;
    err_code code = OK;
    ops_dry_init(&o);
    dry.ops = &o.base;
    dry.store = NULL;
    dry.monitor = NULL;
    dry.sequences = num_min(run->sequences, num_ceil_div(RUN_BLOCK, run->length));
    dry.tracks = &t;
    dry.track_count = 1;
    dry.hidden = dry.normed = dry.sum = dry.state = dry.scratch = &nowhere;
    dry.scratch_floats = SIZE_MAX;
    const size_t choices = run_tokens(&dry) * run->config.top_k + 1;
    t.selected.index = calloc(choices, sizeof *t.selected.index);
    t.selected.weights = calloc(choices, sizeof *t.selected.weights);
    if (!t.selected.index || !t.selected.weights) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for the experts of %zu tokens", choices));
    }
    TRY_OUT(measure(run, &dry, e));
    *scratch_floats = dry.scratch_most;
    *state_floats = o.state_floats;
out:
    free(t.selected.index);
    free(t.selected.weights);
    return code;
}
