#include "verify/weights/weights.h"

#include <stdlib.h>

#include "format/pack/pack_end.h"
#include "format/thread/worker_buffers.h"
#include "verify/weights/compare_steps.h"

static err_code allocate(compare *c, err *e)
{
    TRY(worker_list_check(c->p->path, "chunks", c->table->chunk_count,
                          sizeof *c->sources + sizeof *c->chunks + 1, c->options->memory, e));
    c->sources = calloc(c->table->source_count + 1, sizeof *c->sources);
    c->chunks = calloc(c->table->chunk_count + 1, sizeof *c->chunks);
    return c->sources && c->chunks
               ? OK
               : err_set(e, ERR_MEMORY, "no memory to compare %u tensors", c->table->count);
}

static err_code take_steps(compare *c, weights_report *out, err *e)
{
    TRY(pack_read_evidence(c->p, &c->evidence, e));
    TRY(allocate(c, e));
    TRY(compare_lists(c, e));
    if (!c->options->tensor_glob) {
        TRY(compare_configs(c, e));
    }
    TRY(compare_chunks(c, e));
    TRY(compare_judge(c, out, e));
    return c->differences.incomplete
               ? err_set(e, ERR_MEMORY, "no memory for the list of differences")
               : OK;
}

err_code weights_check(const pack_file *p, checkpoint *cp, const weights_options *options,
                       const monitor *m, weights_report *out, err *e)
{
    compare c = {.p = p, .table = &p->table, .cp = cp, .options = options, .monitor = m};
    *out = (weights_report){0};
    err_code code = take_steps(&c, out, e);
    code = checkpoint_end(cp, m, code, e);
    code = pack_end(p, m, code, e);
    out->differences = c.differences.items;
    out->difference_count = c.differences.count;
    recipe_free(&c.recipe);
    fp8_pairs_free(&c.pairs);
    pack_evidence_free(&c.evidence);
    free(c.sources);
    free(c.chunks);
    return code;
}

void weights_report_free(weights_report *r)
{
    for (size_t i = 0; i < r->difference_count; i++) {
        free(r->differences[i]);
    }
    free(r->differences);
    free(r->results);
    *r = (weights_report){0};
}
