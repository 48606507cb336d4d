/* The table is built in two passes over the groups, because records and names lie in two arrays
 * that are allocated once: the first pass (measure) checks every name and counts, the second (add_…)
 * cannot fail. Both have to agree on what a group becomes: codes and scales, one kept record, or
 * nothing. Names are then sorted, which decides the order of the file. */
#include "convert/plan/plan_table.h"

#include <stdio.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/base/num.h"

static const char scale_suffix[] = "_scale_inv";

/* Where the next record and the next name go. */
typedef struct table_builder {
    pack_table *table;
    uint32_t used; /* records so far */
    char *name_to;
    size_t name_left; /* bytes at name_to */
} table_builder;

static pack_record *add_record(table_builder *b, const char *name, const char *suffix)
{
    pack_record *const r = &b->table->records[b->used++];
    *r = (pack_record){.name = b->name_to, .scale_idx = PACK_NO_SCALE};
    const size_t used = (size_t)snprintf(b->name_to, b->name_left, "%s%s", name, suffix) + 1;
    b->name_to += used;
    b->name_left -= used;
    return r;
}

/* What is the same for a record of codes and the record of its scales. */
typedef struct codes_kind {
    pack_origin origin;
    pack_dialect dialect;
    dtype scales; /* as stored */
    block_format block;
} codes_kind;

static void set_shape(pack_record *r, const tensor *t, size_t members)
{
    unsigned n = 0;
    if (members > 1) {
        r->shape[n++] = members;
    }
    memcpy(r->shape + n, t->shape, t->ndim * sizeof *t->shape);
    r->ndim = (uint8_t)(n + t->ndim);
}

/* Add a record of codes and the record of its scales, whose last two dimensions count tiles. */
static void add_codes(table_builder *b, const stack_group *g, const tensor *t,
                      const codes_kind *kind)
{
    pack_record *const w = add_record(b, g->name, "");
    set_shape(w, t, g->count);
    w->type = kind->block.code;
    w->src_type = t->type;
    w->cls = CLASS_CODES;
    pack_record *const s = add_record(b, g->name, scale_suffix);
    set_shape(s, t, g->count);
    s->shape[s->ndim - 2] = block_down(kind->block, s->shape[s->ndim - 2]);
    s->shape[s->ndim - 1] = block_across(kind->block, s->shape[s->ndim - 1]);
    s->type = s->src_type = kind->scales;
    s->cls = CLASS_SCALES;
    w->origin = s->origin = kind->origin;
    w->dialect = s->dialect = kind->dialect;
    w->block = s->block = kind->block;
}

static void add_kept(table_builder *b, const stack_group *g, const tensor *t)
{
    pack_record *const r = add_record(b, g->name, "");
    set_shape(r, t, g->count);
    r->type = r->src_type = t->type;
    r->cls = CLASS_KEPT;
}

/* Readers find the scales by the name of the codes with the suffix appended. If that name ends with
 * the number of a layer or an expert ("h.7"), the number is not one in the name of the scales
 * ("h.7_scale_inv"): they would be sorted into no layer, or belong to no member of the stack. */
static bool suffix_fits(const stack_group *g)
{
    char scales[NAME_MAX_BYTES + sizeof scale_suffix];
    size_t start = 0;
    size_t length = 0;
    snprintf(scales, sizeof scales, "%s%s", g->name, scale_suffix);
    return name_layer(scales) == name_layer(g->name) &&
           (g->count < 2 || (name_expert_slot(scales, &start, &length) && length == 1));
}

/* Refuse names that the format cannot hold, and codes whose scales would have the name of another
 * tensor. For FP8 that is carried over, that tensor is its scales. */
static err_code check_member(const checkpoint *cp, const tensor *t, bool codes, err *e)
{
    const char *const name = t->name;
    const size_t limit = NAME_MAX_BYTES - (codes ? sizeof scale_suffix - 1 : 0);
    char scales[NAME_MAX_BYTES + sizeof scale_suffix];
    if (strlen(name) > limit) {
        return err_set(e, ERR_INPUT, "tensor %s: name of %zu bytes, more than %zu", name,
                       strlen(name), limit);
    }
    snprintf(scales, sizeof scales, "%s%s", name, scale_suffix);
    return codes && t->type != DTYPE_F8_E4M3 && checkpoint_find(cp, scales)
               ? err_set(e, ERR_INPUT,
                         "tensor %s: its scales would be called %s, and there is such a tensor",
                         name, scales)
               : OK;
}

static err_code check_names(const checkpoint *cp, const stack_group *g, const stack_list *groups,
                            bool codes, err *e)
{
    for (size_t i = 0; i < g->count; i++) {
        const tensor *const t = &cp->tensors[groups->members[g->first + i]];
        TRY(check_member(cp, t, codes, e));
        if (codes && !suffix_fits(g)) {
            const err_code code =
                err_set(e, t->type == DTYPE_F8_E4M3 ? ERR_INPUT : ERR_USAGE,
                        "tensor %s: cannot be quantized: its name ends with the number of a "
                        "layer or an expert, so its scales could not be named after it",
                        t->name);
            char glob[GLOB_NAME_BYTES];
            err_hint(e, "--keep '%s' leaves the tensor as it is", glob_of_name(t->name, glob));
            return code;
        }
    }
    return OK;
}

/* A dialect need not define scales of this kind for every source type. */
static err_code check_dialect(const tensor *t, const recipe *how, err *e)
{
    char glob[GLOB_NAME_BYTES];
    const char *const lacks = dialect_lacks(recipe_dialect(how), t->type, how->scales);
    if (!lacks) {
        return OK;
    }
    err_set(e, ERR_INPUT, "tensor %s: %s", t->name, lacks);
    err_hint(e, "--scales ue8m0 works for all sources; --keep '%s' leaves the tensor as it is",
             glob_of_name(t->name, glob));
    return ERR_INPUT;
}

/* Count the records of all groups and, as an upper bound, the bytes of their names. */
static err_code measure(const checkpoint *cp, const stack_list *groups, const decision *decisions,
                        const recipe *how, uint64_t *records, uint64_t *name_bytes, err *e)
{
    for (size_t i = 0; i < groups->group_count; i++) {
        const stack_group *const g = &groups->groups[i];
        const recipe_action action = decisions[groups->members[g->first]].action;
        const bool codes = action == ACTION_QUANTIZE || action == ACTION_CARRY;
        if (action == ACTION_SCALES) {
            continue;
        }
        TRY(check_names(cp, g, groups, codes, e));
        if (action == ACTION_QUANTIZE) {
            TRY(check_dialect(&cp->tensors[groups->members[g->first]], how, e));
        }
        *records += codes ? 2 : 1;
        *name_bytes += (codes ? 2 : 1) * (strlen(g->name) + sizeof scale_suffix);
    }
    return *records <= PACK_MAX_TENSORS
               ? OK
               : err_set(e, ERR_INPUT, "%llu tensors, the format holds at most 2^20",
                         (unsigned long long)*records);
}

static void add_group(table_builder *b, const stack_group *g, const tensor *t, const fp8_pair *p,
                      recipe_action action, const recipe *how)
{
    codes_kind kind = {ORIGIN_QUANTIZED, recipe_dialect(how), DTYPE_F32, recipe_block(how)};
    switch (action) {
    case ACTION_QUANTIZE:
        add_codes(b, g, t, &kind);
        break;
    case ACTION_CARRY:
        kind = (codes_kind){ORIGIN_CARRIED, DIALECT_NONE, p->other->type, p->block};
        add_codes(b, g, t, &kind);
        break;
    case ACTION_KEEP:
        add_kept(b, g, t);
        break;
    case ACTION_SCALES: /* with their weight */
        break;
    }
}

err_code plan_table_build(const checkpoint *cp, const stack_list *groups, const fp8_pairs *pairs,
                          const decision *decisions, const recipe *how, pack_table *out, err *e)
{
    uint64_t records = 0;
    uint64_t name_bytes = 0;
    TRY(measure(cp, groups, decisions, how, &records, &name_bytes, e));
    TRY(pack_table_create((uint32_t)records, name_bytes, out, e));
    table_builder b = {.table = out, .name_to = out->names, .name_left = name_bytes + 1};
    for (size_t i = 0; i < groups->group_count; i++) {
        const stack_group *const g = &groups->groups[i];
        const size_t first = groups->members[g->first];
        add_group(&b, g, &cp->tensors[first], &pairs->of[first], decisions[first].action, how);
    }
    return pack_table_sort(out, e);
}
