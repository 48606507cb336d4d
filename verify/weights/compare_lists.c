/* Which tensor of the source belongs to which record, and does the file's recipe ask for what was
 * done to it? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/tensor/tensor_name.h"
#include "verify/weights/compare_steps.h"

void compare_source_name(const pack_record *r, uint64_t member, char *name)
{
    if (!r->stack || !name_expand_stack(r->name, member, name)) {
        snprintf(name, NAME_MAX_BYTES + 1, "%s", r->name);
    }
}

static bool is_selected(const compare *c, const char *name, const char *record_name)
{
    const char *const glob = c->options->tensor_glob;
    return !glob || glob_match(glob, name) || glob_match(glob, record_name);
}

static bool has_same_type_and_shape(compare *c, const pack_record *r, const tensor *t)
{
    const uint64_t *const shape = r->shape + r->stack;
    const unsigned ndim = r->ndim - (unsigned)r->stack;
    if (r->src_type != t->type) {
        difference_add(&c->differences, "tensor %s: dtype was %s when the file was made, is %s now",
                       t->name, dtype_name(r->src_type), dtype_name(t->type));
        return false;
    }
    if (ndim != t->ndim || memcmp(shape, t->shape, ndim * sizeof *shape) != 0) {
        char packed[SHAPE_TEXT_BYTES];
        char found[SHAPE_TEXT_BYTES];
        difference_add(
            &c->differences, "tensor %s: shape is %s in the packed file, %s in the source", t->name,
            dtype_shape_text(shape, ndim, packed), dtype_shape_text(t->shape, t->ndim, found));
        return false;
    }
    return true;
}

static recipe_action action_of(const pack_record *r)
{
    static const recipe_action actions[] = {[ORIGIN_KEPT] = ACTION_KEEP,
                                            [ORIGIN_QUANTIZED] = ACTION_QUANTIZE,
                                            [ORIGIN_CARRIED] = ACTION_CARRY};
    return actions[r->origin];
}

/* Does the file's recipe ask for what was done to this tensor? */
static err_code check_decision(compare *c, const pack_record *r, const tensor *t, err *e)
{
    static const char *const done[] = {
        [ACTION_KEEP] = "kept", [ACTION_QUANTIZE] = "quantized", [ACTION_CARRY] = "carried"};
    err why = {0};
    decision d;
    if (monitor_cancelled(c->monitor)) { /* a decision may try every rule */
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    const err_code code = decide_tensor(&c->recipe, c->cp, &c->pairs, (size_t)(t - c->cp->tensors),
                                        c->monitor, &d, &why);
    if (code == ERR_USAGE || code == ERR_INPUT) {
        difference_add(&c->differences, "%s", why.text);
        return OK;
    }
    if (code == OK && d.action != action_of(r)) {
        difference_add(&c->differences, "tensor %s: %s, but the file's recipe says %s: %s", t->name,
                       done[action_of(r)], recipe_action_name(d.action),
                       recipe_reason_text(d.reason));
    }
    return code == OK ? OK : err_set(e, code, "%s", why.text);
}

/* Carried scales have the shape that tiles have; in the source, the scale of a matrix that is a
 * single tile may have fewer dimensions (decide_pairs accepted its shape). */
static bool has_same_scales(compare *c, const pack_record *r, const tensor *t)
{
    const bool single =
        pack_record_slice_bytes(r) == t->bytes && t->bytes == dtype_bits(t->type) / 8;
    return (r->src_type == t->type && single) || has_same_type_and_shape(c, r, t);
}

/* Find the scales of member `i` of carried codes. They are found by their weight, because the
 * source may use another name for them. */
static void match_scales(compare *c, const pack_record *codes, uint64_t i, const tensor *weight)
{
    const pack_record *const r = &c->table->records[codes->scale_idx];
    const fp8_pair *const p = &c->pairs.of[weight - c->cp->tensors];
    if (p->kind != FP8_WEIGHT) {
        difference_add(&c->differences, "tensor %s: the source has no matching scales",
                       weight->name);
    } else if (has_same_scales(c, r, p->other)) {
        c->sources[r->source_first + i] = p->other;
    }
}

static err_code match_record(compare *c, const pack_record *r, bool *selected, err *e)
{
    *selected = false;
    for (uint64_t i = 0; i < pack_record_sources(r); i++) {
        TRY(monitor_step(c->monitor, i * GLOB_STEPS, e));
        char name[NAME_MAX_BYTES + 1];
        compare_source_name(r, i, name);
        if (!is_selected(c, name, r->name)) {
            continue;
        }
        *selected = true;
        const tensor *const t = checkpoint_find(c->cp, name);
        if (!t) {
            difference_add(&c->differences, "tensor %s: not in the source", name);
        } else if (has_same_type_and_shape(c, r, t)) {
            c->sources[r->source_first + i] = t;
            TRY(check_decision(c, r, t, e));
            if (r->origin == ORIGIN_CARRIED) {
                match_scales(c, r, i, t);
            }
        }
    }
    return OK;
}

/* The scale format and the dialect of a record have to be those of the recipe. */
static void check_arithmetic(compare *c, const pack_record *r)
{
    const pack_record *const s = &c->table->records[r->scale_idx];
    if (s->block.scale != c->recipe.scales) {
        difference_add(&c->differences,
                       "tensor %s: scales %s marked as powers of two, contrary to the recipe",
                       s->name, s->block.scale == SCALES_UE8M0 ? "are" : "are not");
    }
    const pack_dialect wanted = recipe_dialect(&c->recipe);
    if (r->dialect != wanted) {
        difference_add(&c->differences, "tensor %s: dialect is %s, but the recipe says %s", r->name,
                       dialect_name(r->dialect), dialect_name(wanted));
    }
}

static err_code match_records(compare *c, bool *any, err *e)
{
    for (uint32_t i = 0; i < c->table->count; i++) {
        const pack_record *const r = &c->table->records[i];
        if (r->cls == CLASS_SCALES) {
            continue; /* computed, or matched with their codes */
        }
        bool selected = false;
        TRY(match_record(c, r, &selected, e));
        if (pack_record_has_stats(r) && selected) {
            check_arithmetic(c, r);
        }
        *any = *any || selected;
    }
    return OK;
}

/* The record that holds a tensor of the source; NULL: none. `name` has no `*`. */
static const pack_record *record_of(const compare *c, const char *name)
{
    uint64_t index = 0;
    char stack[NAME_MAX_BYTES + 1];
    const pack_record *r = pack_table_find(c->table, name);
    if (r && r->cls != CLASS_SCALES) {
        return r;
    }
    if (!name_expert_index(name, &index) || !name_make_stack(name, stack)) {
        return NULL;
    }
    r = pack_table_find(c->table, stack);
    return r && index < r->shape[0] && r->cls != CLASS_SCALES ? r : NULL;
}

/* Is tensor `i` of the source in the file? Scales are if their weight is there as codes. */
static bool has_record(const compare *c, size_t i)
{
    const fp8_pair *const p = &c->pairs.of[i];
    const pack_record *const w = p->kind == FP8_SCALES ? record_of(c, p->other->name) : NULL;
    return record_of(c, c->cp->tensors[i].name) || (w && w->cls == CLASS_CODES);
}

static err_code find_unpacked(compare *c, bool *any, err *e)
{
    for (size_t i = 0; i < c->cp->tensor_count; i++) {
        TRY(monitor_step(c->monitor, i * GLOB_STEPS, e));
        const char *const name = c->cp->tensors[i].name;
        if (!is_selected(c, name, name)) {
            continue;
        }
        *any = true;
        if (!has_record(c, i)) {
            difference_add(&c->differences, "tensor %s: not in the packed file", name);
        }
    }
    return OK;
}

static err_code load_recipe(compare *c, err *e)
{
    unsigned char *text = NULL;
    uint64_t bytes = 0;
    err_code code = OK;
    TRY_OUT(pack_read_section(c->p, TAG_RCPE, &text, &bytes, e));
    TRY_OUT(recipe_parse_packed(&c->recipe, "the file's recipe", (const char *)text, bytes, e));
out:
    free(text);
    return code;
}

err_code compare_lists(compare *c, err *e)
{
    bool any = c->options->tensor_glob == NULL;
    TRY(load_recipe(c, e));
    TRY(decide_pairs(&c->recipe, c->cp, c->monitor, &c->pairs, e));
    TRY(match_records(c, &any, e));
    TRY(find_unpacked(c, &any, e));
    return any ? OK : err_set(e, ERR_USAGE, "no tensor matches '%s'", c->options->tensor_glob);
}
