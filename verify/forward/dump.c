#include "verify/forward/dump.h"

#include <stdio.h>
#include <stdlib.h>

#include "format/safetensors/safetensors_write.h"

/* Tensors in the order of the file: token ids; hidden states; indices and weights of the experts,
 * for each layer that has some; logits. */
struct dump {
    st_writer *writer;
    const model_config *config;
    size_t tokens;
};

enum { NAME_BYTES = 32, IDS = 0, FIRST_HIDDEN = 1 };

typedef struct tensor_name {
    char s[NAME_BYTES];
} tensor_name;

static size_t routing_number(const model_config *c, unsigned layer)
{
    return FIRST_HIDDEN + c->layers + 1 + 2 * (size_t)model_count_experts(c, layer);
}

static size_t logits_number(const model_config *c)
{
    return routing_number(c, c->layers);
}

static st_tensor describe(const char *name, dtype type, unsigned ndim, const size_t *shape)
{
    st_tensor t = {.name = name, .type = type, .ndim = ndim};
    for (unsigned i = 0; i < ndim; i++) {
        t.shape[i] = shape[i];
    }
    return t;
}

/* `names` and `tensors` have logits_number + 1 elements. */
static void list_tensors(const model_config *c, size_t sequences, size_t length, tensor_name *names,
                         st_tensor *tensors)
{
    const size_t ids[] = {sequences, length};
    const size_t hidden[] = {sequences, length, c->hidden};
    const size_t choice[] = {sequences * length, c->top_k};
    const size_t logits[] = {sequences, length, c->vocab};
    size_t n = 0;
    snprintf(names[n].s, NAME_BYTES, "input_ids");
    tensors[n] = describe(names[n].s, DTYPE_I32, 2, ids);
    for (unsigned i = 0; i <= c->layers; i++) {
        n++;
        snprintf(names[n].s, NAME_BYTES, "hidden.%u", i);
        tensors[n] = describe(names[n].s, DTYPE_F32, 3, hidden);
    }
    for (unsigned i = 0; i < c->layers; i++) {
        if (!model_has_experts(c, i)) {
            continue;
        }
        n++;
        snprintf(names[n].s, NAME_BYTES, "router_index.%u", i);
        tensors[n] = describe(names[n].s, DTYPE_I32, 2, choice);
        n++;
        snprintf(names[n].s, NAME_BYTES, "router_weight.%u", i);
        tensors[n] = describe(names[n].s, DTYPE_F32, 2, choice);
    }
    n++;
    snprintf(names[n].s, NAME_BYTES, "logits");
    tensors[n] = describe(names[n].s, DTYPE_F32, 3, logits);
}

static err_code open_writer(dump *d, const char *path, bool force, size_t sequences, size_t length,
                            err *e)
{
    const size_t count = logits_number(d->config) + 1;
    tensor_name *const names = calloc(count, sizeof *names);
    st_tensor *const tensors = calloc(count, sizeof *tensors);
    err_code code = OK;
    if (!names || !tensors) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", path);
        goto out;
    }
    list_tensors(d->config, sequences, length, names, tensors);
    TRY_OUT(st_writer_open(path, force, tensors, count, NULL, NULL, &d->writer, e));
out:
    free(tensors);
    free(names);
    return code;
}

err_code dump_open(const char *path, bool force, const model_config *c, size_t sequences,
                   size_t length, const int32_t *ids, dump **out, err *e)
{
    dump *d = calloc(1, sizeof *d);
    if (!d) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    *d = (dump){.config = c, .tokens = sequences * length};
    *out = NULL;
    err_code code = OK;
    TRY_OUT(open_writer(d, path, force, sequences, length, e));
    TRY_OUT(st_writer_write(d->writer, IDS, 0, ids, d->tokens * sizeof *ids, e));
    *out = d;
    d = NULL;
out:
    dump_abandon(&d);
    return code;
}

err_code dump_hidden(dump *d, unsigned number, const float *states, err *e)
{
    return st_writer_write(d->writer, FIRST_HIDDEN + number, 0, states,
                           d->tokens * d->config->hidden * sizeof *states, e);
}

err_code dump_routing(dump *d, unsigned layer, const routing *r, err *e)
{
    const size_t choices = d->tokens * d->config->top_k;
    const size_t number = routing_number(d->config, layer);
    const err_code code =
        st_writer_write(d->writer, number, 0, r->index, choices * sizeof *r->index, e);
    return code == OK ? st_writer_write(d->writer, number + 1, 0, r->weights,
                                        choices * sizeof *r->weights, e)
                      : code;
}

err_code dump_logits(dump *d, size_t first, size_t count, const float *logits, err *e)
{
    const uint64_t row = d->config->vocab * sizeof *logits;
    return st_writer_write(d->writer, logits_number(d->config), first * row, logits, count * row,
                           e);
}

err_code dump_commit(dump **d, err *e)
{
    const err_code code = st_writer_commit(&(*d)->writer, e);
    dump_abandon(d);
    return code;
}

void dump_abandon(dump **d)
{
    if (*d) {
        st_writer_abandon(&(*d)->writer);
        free(*d);
        *d = NULL;
    }
}
