#include "verify/forward/coverage.h"

#include <stdlib.h>

err_code coverage_create(coverage *c, const store *s, const model_config *config, err *e)
{
    *c = (coverage){
        .layers = config->layers,
        .per_layer = config->experts,
        .tensors = s->count,
        .bytes = store_bytes(s),
        .layer_chosen = calloc(config->layers + (size_t)1, sizeof *c->layer_chosen),
        .seen = calloc((size_t)config->layers * config->experts + 1, 1),
        .read = calloc(s->count + 1, 1),
        .rows = config->vocab,
        .row = calloc(config->vocab + (size_t)1, 1),
    };
    for (unsigned i = 0; i < config->layers; i++) {
        c->experts += model_has_experts(config, i) ? config->experts : 0;
    }
    return c->layer_chosen && c->seen && c->read && c->row
               ? OK
               : err_set(e, ERR_MEMORY, "no memory for a list of %zu tensors", s->count);
}

void coverage_free(coverage *c)
{
    free(c->layer_chosen);
    free(c->seen);
    free(c->read);
    free(c->row);
    *c = (coverage){0};
}

void coverage_add_experts(coverage *c, unsigned layer, const routing *r, size_t choices)
{
    unsigned char *const seen = c->seen + (size_t)layer * c->per_layer;
    for (size_t i = 0; i < choices; i++) {
        c->layer_chosen[layer] += !seen[r->index[i]];
        seen[r->index[i]] = 1;
    }
}

void coverage_add_tokens(coverage *c, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        c->rows_read += !c->row[ids[i]];
        c->row[ids[i]] = 1;
    }
}

void coverage_add_tensor(coverage *c, const store *s, const store_tensor *t)
{
    c->read[t - s->tensors] = 1;
}

static void count_unread(coverage *c, const store_tensor *t)
{
    size_t start = 0;
    size_t length = 0;
    const int64_t layer = name_layer(t->name);
    c->unread_bytes += t->rows * t->row_bytes;
    if (layer >= 0 && layer < c->layers && name_expert_slot(t->name, &start, &length)) {
        c->unread_experts++;
    } else {
        c->unread++;
        c->first_unread = c->first_unread ? c->first_unread : t->name;
    }
}

void coverage_finish(coverage *c, const store *s)
{
    for (unsigned i = 0; i < c->layers; i++) {
        const unsigned chosen = c->layer_chosen[i];
        c->chosen += chosen;
        if (chosen > 0 &&
            (c->layer_chosen[c->least_layer] == 0 || chosen < c->layer_chosen[c->least_layer])) {
            c->least_layer = i;
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (!c->read[i]) {
            count_unread(c, &s->tensors[i]);
        }
    }
}
