#include "verify/model/expert_lists.h"

#include <stdlib.h>

static const routing *routing_of(const track *s)
{
    return s->forced ? s->forced : &s->selected;
}

/* Counting sort: count the tokens of list i in starts[i + 1], then add up, so that list i begins at
 * starts[i]. */
static void find_starts(const model_run *run, expert_lists *l)
{
    const size_t choices = run_tokens(run) * run->config.top_k;
    for (unsigned s = 0; s < run->track_count; s++) {
        const uint32_t *const index = routing_of(&run->tracks[s])->index;
        for (size_t i = 0; i < choices; i++) {
            l->starts[(size_t)s * l->experts + index[i] + 1]++;
            l->used[index[i]] = true;
        }
    }
    for (size_t i = 0; i < (size_t)run->track_count * l->experts; i++) {
        l->starts[i + 1] += l->starts[i];
    }
}

/* Append every token to the lists of its experts. `next` [tracks * experts] begins as a copy of
 * `starts`. */
static void fill(const model_run *run, expert_lists *l, size_t *next)
{
    const unsigned k = run->config.top_k;
    for (unsigned s = 0; s < run->track_count; s++) {
        const routing *const r = routing_of(&run->tracks[s]);
        for (size_t i = 0; i < run_tokens(run) * k; i++) {
            const size_t at = next[(size_t)s * l->experts + r->index[i]]++;
            l->rows[at] = (uint32_t)(i / k);
            l->weights[at] = r->weights[i];
        }
    }
}

err_code expert_lists_create(const model_run *run, expert_lists *out, err *e)
{
    const size_t lists = (size_t)run->track_count * run->config.experts;
    const size_t choices = run->track_count * run_tokens(run) * run->config.top_k;
    *out = (expert_lists){
        .experts = run->config.experts,
        .starts = calloc(lists + 1, sizeof *out->starts),
        .rows = calloc(choices + 1, sizeof *out->rows),
        .weights = calloc(choices + 1, sizeof *out->weights),
        .used = calloc(run->config.experts + (size_t)1, sizeof *out->used),
    };
    size_t *const next = calloc(lists + 1, sizeof *next);
    const bool complete = out->starts && out->rows && out->weights && out->used && next;
    if (complete) {
        find_starts(run, out);
        for (size_t i = 0; i < lists; i++) {
            next[i] = out->starts[i];
        }
        fill(run, out, next);
    }
    free(next);
    return complete ? OK
                    : err_set(e, ERR_MEMORY, "no memory for the experts of %zu tokens", choices);
}

void expert_lists_free(expert_lists *l)
{
    free(l->starts);
    free(l->rows);
    free(l->weights);
    free(l->used);
    *l = (expert_lists){0};
}

expert_list expert_lists_get(const expert_lists *l, unsigned number, unsigned expert)
{
    const size_t *const start = &l->starts[(size_t)number * l->experts + expert];
    return (expert_list){l->rows + start[0], l->weights + start[0], start[1] - start[0]};
}

unsigned expert_lists_next(const expert_lists *l, unsigned from)
{
    while (from < l->experts && !l->used[from]) {
        from++;
    }
    return from;
}
