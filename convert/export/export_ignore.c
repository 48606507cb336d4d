/* The list of modules that are not FP8 (spec/export.md section 4): every linear layer that the
 * runtime would otherwise build as a quantized module, by its full name in the runtime's spelling. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "format/base/glob.h"
#include "format/base/num.h"

static const char head[] = "lm_head";

typedef struct builder {
    const pack_table *table;
    const export_how *how;
    export_plan *plan;
    size_t capacity; /* of plan->ignored */
    const char *why; /* the reason for the entries that put adds now */
    err *e;
    err_code code; /* why put ended the list early */
} builder;

static err_code no_memory(err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for the list of modules that are not FP8");
}

static err_code add(builder *b, const char *module)
{
    export_plan *const plan = b->plan;
    TRY(monitor_step(b->how->monitor, plan->ignored_count, b->e));
    if (plan->ignored_count == b->capacity) {
        const size_t capacity = num_max(64, 2 * b->capacity);
        export_ignored *const larger = realloc(plan->ignored, capacity * sizeof *larger);
        if (!larger) {
            return no_memory(b->e);
        }
        plan->ignored = larger;
        b->capacity = capacity;
    }
    char *const copy = strdup(module);
    if (!copy) {
        return no_memory(b->e);
    }
    plan->ignored[plan->ignored_count++] = (export_ignored){copy, b->why};
    return OK;
}

static bool put(void *ctx, const char *module)
{
    builder *const b = ctx;
    b->code = add(b, module);
    return b->code == OK;
}

/* Is there a tensor "BEFORE.END", BEFORE being the first `bytes` bytes of `name`? */
static bool has_tensor(const pack_table *t, const char *name, size_t bytes, const char *end)
{
    char other[2 * NAME_MAX_BYTES];
    snprintf(other, sizeof other, "%.*s.%s", (int)bytes, name, end);
    return pack_table_find(t, other) != NULL;
}

/* Every runtime builds a router that corrects its scores as a class of its own, which is not a
 * linear layer. */
static bool is_own_router(const pack_table *t, const char *module)
{
    const size_t bytes = strlen(module);
    return bytes > 5 && strcmp(module + bytes - 5, ".gate") == 0 &&
           (has_tensor(t, module, bytes, "expert_bias") ||
            has_tensor(t, module, bytes, "e_score_correction_bias"));
}

/* Is it the head of the model, of its language model, or of an MTP layer? */
static bool is_head(const char *module)
{
    return strcmp(module, head) == 0 || glob_match("*.lm_head", module) ||
           glob_match("*.shared_head.head", module);
}

/* Does the last component of the name match? */
static bool ends_like(const char *module, const char *glob)
{
    const char *const dot = strrchr(module, '.');
    return glob_match(glob, dot ? dot + 1 : module);
}

/* Embeddings and norms are not linear layers; heads are not built as such, unless the list replaces
 * the default that excludes them. A projection of embeddings is a linear layer. */
bool export_is_unlisted(const pack_table *t, const preset *p, const pack_record *r,
                        const char *module)
{
    const bool other = ends_like(module, "*embed*") || ends_like(module, "*norm*");
    return (other && !ends_like(module, "*proj*")) || (is_head(module) && !p->lists_head) ||
           (p->not_listed && glob_match(p->not_listed, r->name)) || is_own_router(t, module);
}

/* Is there a tensor of this name in the same parent as the module or tensor `name`? */
static bool has_beside(const pack_table *t, const char *name, const char *other)
{
    const char *const dot = strrchr(name, '.');
    return dot && has_tensor(t, name, (size_t)(dot - name), other);
}

/* In Ring-linear, linear attention has a gate (g_proj) and softmax attention has none. Only Kimi
 * Delta Attention has a b_proj. */
preset_place export_place(const pack_table *t, const export_how *how, const char *module)
{
    static const char component[] = ".attention.";
    preset_place place = {.ring_linear = how->ring_linear,
                          .architecture = how->architecture,
                          .delta = has_beside(t, module, "b_proj.weight")};
    const char *const at = strstr(module, component);
    if (at) {
        const size_t bytes = (size_t)(at - module) + sizeof component - 2;
        place.linear = has_tensor(t, module, bytes, "g_proj.weight");
    }
    return place;
}

/* The parent of a tensor ….q_proj.weight is that of its module; other tensors are modules. */
static bool rule_beside(const void *ctx, const char *tensor, const char *name)
{
    static const char suffix[] = ".weight";
    char module[NAME_MAX_BYTES + 1];
    snprintf(module, sizeof module, "%s", tensor);
    const size_t bytes = strlen(module);
    const size_t end = sizeof suffix - 1;
    if (bytes > end && strcmp(module + bytes - end, suffix) == 0) {
        module[bytes - end] = '\0';
    }
    return has_beside(ctx, module, name);
}

const plain_rule *export_plain(const pack_table *t, const export_how *how, const char *tensor)
{
    const plain_place place = {.architecture = how->architecture, .beside = rule_beside, .ctx = t};
    return plain_find(how->preset, &place, tensor);
}

static bool spell(builder *b, const char *module)
{
    const preset_place place = export_place(b->table, b->how, module);
    return preset_spell(b->how->preset, &place, module, put, b);
}

/* What a stack holds, by the names that single experts have: the file has no such tensors, but a
 * runtime that looks up single experts asks for these. Others are asked for by their own names. */
static const struct {
    const char *stack; /* last component, without ".weight" */
    const char *members[2];
} stacks[] = {
    {"gate_up_proj", {"gate_proj", "up_proj"}},
    {"input_linear", {"gate_proj", "up_proj"}},
    {"output_linear", {"down_proj", NULL}},
    {"w13", {"w1", "w3"}},
};

/* The names of the matrices of one expert of a stack; ends with NULL, or after two. `stack` must
 * outlive them. */
static void name_members(const char *stack, const char *members[2])
{
    members[0] = stack;
    members[1] = NULL;
    for (size_t i = 0; i < sizeof stacks / sizeof stacks[0]; i++) {
        if (strcmp(stacks[i].stack, stack) == 0) {
            members[0] = stacks[i].members[0];
            members[1] = stacks[i].members[1];
        }
    }
}

/* Without a final ".weight". */
static void strip_weight(char *name)
{
    static const char end[] = ".weight";
    const size_t bytes = strlen(name);
    if (bytes >= sizeof end && strcmp(name + bytes - sizeof end + 1, end) == 0) {
        name[bytes - sizeof end + 1] = '\0';
    }
}

static bool emit_of_stack(const pack_record *r, uint64_t index, preset_emit emit, void *ctx)
{
    char experts[NAME_MAX_BYTES + 1];
    char stack[NAME_MAX_BYTES + 1];
    char name[2 * NAME_MAX_BYTES + 64];
    const char *members[2];
    bool good = true;
    (void)export_module(r, experts);
    snprintf(stack, sizeof stack, "%s", r->name);
    strip_weight(stack);
    const char *const dot = strrchr(stack, '.');
    name_members(dot ? dot + 1 : stack, members);
    for (size_t k = 0; k < 2 && members[k] && good; k++) {
        snprintf(name, sizeof name, "%s.%" PRIu64 ".%s", experts, index, members[k]);
        good = strlen(name) <= NAME_MAX_BYTES && emit(ctx, name);
    }
    return good;
}

bool export_expert(const pack_record *r, uint64_t index, preset_emit emit, void *ctx)
{
    char stack[NAME_MAX_BYTES + 1];
    char name[NAME_MAX_BYTES + 1];
    if (r->ndim == 3 && !r->stack) {
        return emit_of_stack(r, index, emit, ctx);
    }
    if (!name_make_stack(r->name, stack) || !name_expand_stack(stack, index, name)) {
        return false;
    }
    strip_weight(name);
    return emit(ctx, name);
}

static bool put_spelled(void *ctx, const char *module)
{
    return spell(ctx, module);
}

/* Where each expert has its own entry: list the modules of all experts of a record. */
static bool spell_members(builder *b, const pack_record *r)
{
    uint64_t first = 0;
    const bool single = r->ndim == 2;
    bool good = !single || name_expert_index(r->name, &first);
    const uint64_t count = single ? 1 : r->shape[0];
    for (uint64_t i = 0; i < count && good; i++) {
        good = export_expert(r, first + i, put_spelled, b);
    }
    return good;
}

static bool list_record(builder *b, uint32_t record)
{
    const pack_record *const r = &b->table->records[record];
    const export_record *const x = &b->plan->records[record];
    char module[NAME_MAX_BYTES + 1];
    const bool wide = r->cls == CLASS_KEPT || x->form == FORM_NUMBERS;
    if (r->cls == CLASS_SCALES || !wide || !export_is_weight(r)) {
        return true;
    }
    const bool experts = export_module(r, module);
    if (export_is_unlisted(b->table, b->how->preset, r, module)) {
        return true;
    }
    b->why = r->cls == CLASS_KEPT ? "kept in the file" : x->why;
    return experts && b->how->preset->lists_experts ? spell_members(b, r) : spell(b, module);
}

static int compare_ignored(const void *a, const void *b)
{
    const export_ignored *const x = a;
    const export_ignored *const y = b;
    return strcmp(x->module, y->module);
}

static void sort_once(export_plan *plan)
{
    size_t kept = 0;
    qsort(plan->ignored, plan->ignored_count, sizeof *plan->ignored, compare_ignored);
    for (size_t i = 0; i < plan->ignored_count; i++) {
        if (kept > 0 && strcmp(plan->ignored[kept - 1].module, plan->ignored[i].module) == 0) {
            free(plan->ignored[i].module);
        } else {
            plan->ignored[kept++] = plan->ignored[i];
        }
    }
    plan->ignored_count = kept;
}

/* If put did not end the list early, the length of a name did. */
static err_code refuse_list(const builder *b, uint32_t record)
{
    return b->code != OK
               ? b->code
               : err_set(b->e, ERR_INPUT,
                         "tensor %s: the name of its module in %s has more than %d bytes",
                         b->table->records[record].name, b->how->preset->reader, NAME_MAX_BYTES);
}

err_code export_ignore_make(const pack_table *t, const export_how *how, export_plan *plan, err *e)
{
    builder b = {.table = t, .how = how, .plan = plan, .e = e};
    bool good = true;
    if (plan->fp8_count == 0) {
        return OK; /* no quantization_config, and no list in it */
    }
    if (how->preset->lists_head) {
        b.why = "never FP8, and a list replaces the default, which names it";
        good = put(&b, head);
    }
    uint32_t done = 0;
    while (done < t->count && good) {
        TRY(monitor_step(how->monitor, done, e));
        good = list_record(&b, done);
        done += good;
    }
    if (!good) {
        return refuse_list(&b, done);
    }
    if (plan->ignored_count > 0) {
        sort_once(plan);
    }
    return OK;
}
