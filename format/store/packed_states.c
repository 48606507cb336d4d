#include "format/store/packed_states.h"

#include <stdlib.h>
#include <string.h>

/* The list that is judged, and the record of each of its entries. Scales of codes are not in it: they
 * cannot be the scales of anything else. */
typedef struct listed {
    named_tensor *tensors;
    uint32_t *records;
    size_t count;
} listed;

static err_code list_records(const pack_table *t, listed *out, err *e)
{
    out->tensors = calloc((size_t)t->count + 1, sizeof *out->tensors);
    out->records = calloc((size_t)t->count + 1, sizeof *out->records);
    if (!out->tensors || !out->records) {
        return err_set(e, ERR_MEMORY, "no memory for %u tensors", t->count);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[t->by_name[i]];
        if (r->cls == CLASS_SCALES) {
            continue;
        }
        out->records[out->count] = t->by_name[i];
        out->tensors[out->count++] = (named_tensor){.name = r->name,
                                                    .type = r->src_type,
                                                    .ndim = r->ndim - (unsigned)r->stack,
                                                    .shape = r->shape + r->stack,
                                                    .known = r->cls == CLASS_CODES};
    }
    return OK;
}

static size_t record_of(const listed *l, size_t i)
{
    return i == STATE_NONE ? STATE_NONE : l->records[i];
}

static err_code spread(const pack_table *t, const listed *l, tensor_states *s, err *e)
{
    tensor_state *const of = calloc((size_t)t->count + 1, sizeof *of);
    if (!of) {
        return err_set(e, ERR_MEMORY, "no memory for %u tensors", t->count);
    }
    for (size_t i = 0; i < l->count; i++) {
        tensor_state state = s->of[i];
        state.weight = record_of(l, state.weight);
        state.scales = record_of(l, state.scales);
        of[l->records[i]] = state;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        if (r->cls == CLASS_CODES) {
            of[i].scales = r->scale_idx;
            of[r->scale_idx] =
                (tensor_state){.kind = STATE_PART, .weight = i, .scales = STATE_NONE};
        }
    }
    free(s->of);
    s->of = of;
    s->count = t->count;
    return OK;
}

err_code packed_states_find(const pack_table *t, const char *described, const monitor *m,
                            tensor_states *out, err *e)
{
    *out = (tensor_states){0};
    listed l = {0};
    err_code code = OK;
    TRY_OUT(list_records(t, &l, e));
    TRY_OUT(tensor_states_find(l.tensors, l.count, described, m, out, e));
    TRY_OUT(spread(t, &l, out, e));
out:
    free(l.tensors);
    free(l.records);
    return code;
}

err_code packed_quantization(const member *members, size_t count, quantization *out, err *e)
{
    *out = (quantization){0};
    for (const char *const *name = quantization_files; *name; name++) {
        for (size_t i = 0; i < count; i++) {
            if (strcmp(members[i].name, *name) == 0) {
                TRY(quantization_read(out, *name, members[i].data, members[i].bytes, e));
            }
        }
    }
    return OK;
}
