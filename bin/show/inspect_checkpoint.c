/* A checkpoint for people and as JSON. Experts that a packed file would stack are one row. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/show/layer_groups.h"
#include "bin/show/inspect.h"
#include "bin/show/state_show.h"
#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "format/base/printable.h"
#include "format/checkpoint/fp8_pairs.h"
#include "format/base/glob.h"
#include "format/file/io.h"
#include "format/tensor/expert_stack.h"

/* Totals over a whole checkpoint. */
typedef struct checkpoint_totals {
    uint64_t bytes, elements;
    uint64_t type_bytes[DTYPE_COUNT];
} checkpoint_totals;

static checkpoint_totals add_up(const checkpoint *cp)
{
    checkpoint_totals sum = {0};
    for (size_t i = 0; i < cp->tensor_count; i++) {
        const tensor *const t = &cp->tensors[i];
        sum.bytes += t->bytes;
        sum.elements += t->bytes * 8 / dtype_bits(t->type);
        sum.type_bytes[t->type] += t->bytes;
    }
    return sum;
}

/* A checkpoint and what its tensors are. */
typedef struct inspected {
    const checkpoint *cp;
    const tensor_states *states;
} inspected;

static const tensor_state *state_of(const inspected *x, const tensor *t)
{
    return &x->states->of[t - x->cp->tensors];
}

/* ---- JSON ------------------------------------------------------ */

static json_t *shards_json(report *r, const checkpoint *cp)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < cp->shard_count; i++) {
        const shard *const s = &cp->shards[i];
        json_t *const o = json_object();
        report_put(r, o, "name", report_text(s->name));
        report_put(r, o, "bytes", report_number(s->bytes));
        report_put(r, o, "header_bytes", report_number(s->header_bytes));
        report_put(r, o, "header_sha256", report_hex(s->header_sha256, SHA256_BYTES));
        report_put(r, o, "tensors", report_number(s->tensor_count));
        report_append(r, list, o);
    }
    return list;
}

static json_t *tensor_json(report *r, const inspected *x, const tensor *t)
{
    json_t *const o = json_object();
    report_put(r, o, "name", report_text(t->name));
    report_put(r, o, "dtype", report_text(dtype_name(t->type)));
    report_put(r, o, "shape", report_shape(r, t->shape, t->ndim));
    report_put(r, o, "shard", report_text(x->cp->shards[t->shard].name));
    report_put(r, o, "off", report_number(t->off));
    report_put(r, o, "bytes", report_number(t->bytes));
    state_put(r, o, state_of(x, t));
    return o;
}

static void checkpoint_json(const inspected *x, const char *path, const char *glob, report *r)
{
    const checkpoint *const cp = x->cp;
    const checkpoint_totals sum = add_up(cp);
    json_t *const tensors = json_array();
    for (size_t i = 0; i < cp->tensor_count; i++) {
        if (!glob || glob_match(glob, cp->tensors[i].name)) {
            report_append(r, tensors, tensor_json(r, x, &cp->tensors[i]));
        }
    }
    report_put(r, r->root, "kind", report_text("checkpoint"));
    report_put(r, r->root, "path", report_text(path));
    report_put(r, r->root, "dir", report_text(cp->dir));
    report_put(r, r->root, "bytes", report_number(sum.bytes));
    report_put(r, r->root, "elements", report_number(sum.elements));
    report_put(r, r->root, "shards", shards_json(r, cp));
    report_put(r, r->root, "tensors", tensors);
}

/* ---- text ------------------------------------------------------ */

/* A row for one tensor, or for the experts that a packed file would stack. */
static layer_item item_of(const inspected *x, const tensor *first, const char *name, size_t members)
{
    layer_item item = {.name = name,
                       .type = first->type,
                       .from = first->type,
                       .ndim = first->ndim,
                       .shape = first->shape,
                       .mark = state_of(x, first)->kind,
                       .index = (size_t)(first - x->cp->tensors),
                       .bytes = first->bytes * members, /* no overflow: all of them are in files */
                       .tensors = members};
    return item;
}

/* The states are a column only if there is something to tell. */
static err_code print_table(const inspected *x, const layer_item *items, size_t count, err *e)
{
    static const char *const names[] = {"tensor", "count", "dtype", "shape", "bytes", "state"};
    const size_t columns = sizeof names / sizeof names[0] - (x->states->any ? 0 : 1);
    layer_groups folded;
    TRY(layer_fold(items, count, &folded, e));
    table t;
    table_start(&t, x->states->any ? "lrllrl" : "lrllr");
    table_header(&t, names, columns);
    for (size_t g = 0; g < folded.group_count; g++) {
        table_heading(&t, "%s", folded.groups[g].title);
        for (size_t i = 0; i < folded.groups[g].row_count; i++) {
            const layer_row row = layer_group_row(&folded.groups[g], i);
            shown shape, size;
            table_cell(&t, "  %s", row.name);
            table_cell(&t, "%" PRIu64, row.sum.tensors);
            table_cell(&t, "%s", dtype_name(row.sum.type));
            table_cell(&t, "%s", text_shape(shape.s, row.sum.shape, row.sum.ndim));
            table_cell(&t, "%s", text_size(size.s, row.sum.bytes));
            if (x->states->any) {
                char text[STATE_TEXT_BYTES];
                table_cell(&t, "%s", state_text(&x->states->of[row.sum.index], text));
            }
        }
    }
    putchar('\n');
    layer_free(&folded);
    return table_finish(&t, e);
}

/* List the tensors that the glob matches: first the *foldable ones that can be in a stack, then
 * those whose names are too long for one. */
static size_t choose(const checkpoint *cp, const char *glob, const tensor **chosen,
                     size_t *foldable)
{
    size_t count = 0;
    for (int too_long = 0; too_long < 2; too_long++) {
        for (size_t i = 0; i < cp->tensor_count; i++) {
            const tensor *const t = &cp->tensors[i];
            const bool is_long = strlen(t->name) > NAME_MAX_BYTES;
            if (is_long == too_long && (!glob || glob_match(glob, t->name))) {
                chosen[count++] = t;
            }
        }
        *foldable = too_long ? *foldable : count;
    }
    return count;
}

static err_code fold_experts(const inspected *x, const tensor *const *chosen, size_t foldable,
                             stack_list *out, err *e)
{
    stack_item *const parts = calloc(foldable + 1, sizeof *parts);
    if (!parts) {
        return err_set(e, ERR_MEMORY, "no memory for %zu tensors", foldable);
    }
    for (size_t i = 0; i < foldable; i++) {
        const tensor *const t = chosen[i];
        parts[i] = (stack_item){t->name, t->type, t->ndim, t->shape, (int)state_of(x, t)->kind};
    }
    const err_code code = stack_fold(parts, foldable, out, e);
    free(parts);
    return code;
}

/* Fold experts, then layers, and print. */
static err_code print_tensors(const inspected *x, const tensor *const *chosen, size_t count,
                              size_t foldable, err *e)
{
    stack_list stacks = {0};
    layer_item *items = NULL;
    size_t rows = 0;
    err_code code = OK;
    TRY_OUT(fold_experts(x, chosen, foldable, &stacks, e));
    items = calloc(stacks.group_count + (count - foldable) + 1, sizeof *items);
    TRY_OUT(items ? OK : err_set(e, ERR_MEMORY, "no memory for %zu tensors", count));
    for (; rows < stacks.group_count; rows++) {
        const stack_group *const g = &stacks.groups[rows];
        items[rows] = item_of(x, chosen[stacks.members[g->first]], g->name, g->count);
    }
    for (size_t i = foldable; i < count; i++) {
        items[rows++] = item_of(x, chosen[i], chosen[i]->name, 1);
    }
    code = print_table(x, items, rows, e);
out:
    stack_list_free(&stacks);
    free(items);
    return code;
}

/* The config.json next to the shards; NULL if there is none. */
static err_code read_config(const checkpoint *cp, json_t **config, err *e)
{
    *config = NULL;
    char *text = NULL;
    size_t bytes = 0;
    err_code code = OK;
    char *const path = io_join(cp->dir, "config.json");
    if (!path) {
        return err_set(e, ERR_MEMORY, "%s: no memory", cp->dir);
    }
    TRY_OUT(checkpoint_read_file(cp, "config.json", &text, &bytes, e));
    if (text) {
        TRY_OUT(json_parse(path, text, bytes, JSON_PYTHON, config, e));
    }
out:
    free(text);
    free(path);
    return code;
}

static void print_head(const inspected *x, const char *path, const json_t *config)
{
    const checkpoint *const cp = x->cp;
    const checkpoint_totals sum = add_up(cp);
    shown size, elements, part;
    char name[256];
    printable(name, sizeof name, path);
    printf("%s: checkpoint, %s in %zu shard%s\n\n", name, text_size(size.s, sum.bytes),
           cp->shard_count, text_s(cp->shard_count));
    inspect_print_model(config);
    printf("tensors    %zu\n", cp->tensor_count);
    printf("weights    %s:", text_many(elements.s, sum.elements));
    const char *comma = "";
    for (unsigned type = 0; type < DTYPE_COUNT; type++) {
        if (sum.type_bytes[type]) {
            printf("%s %s %s", comma, text_size(part.s, sum.type_bytes[type]),
                   dtype_name((dtype)type));
            comma = ",";
        }
    }
    putchar('\n');
    if (x->states->any) {
        state_print_counts(x->states, NULL, NULL);
    }
}

static err_code print_checkpoint(const inspected *x, const char *path, const char *glob, err *e)
{
    const checkpoint *const cp = x->cp;
    json_t *config = NULL;
    size_t foldable = 0;
    err_code code = OK;
    const tensor **const chosen = calloc(cp->tensor_count + 1, sizeof *chosen);
    if (!chosen) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    const size_t count = choose(cp, glob, chosen, &foldable);
    TRY_OUT(read_config(cp, &config, e));
    print_head(x, path, config);
    TRY_OUT(print_tensors(x, chosen, count, foldable, e));
out:
    json_decref(config);
    free(chosen);
    return code;
}

static bool is_any_matched(const checkpoint *cp, const char *glob)
{
    bool matched = false;
    for (size_t i = 0; i < cp->tensor_count && !matched; i++) {
        matched = glob_match(glob, cp->tensors[i].name);
    }
    return matched;
}

err_code inspect_checkpoint(const char *path, const char *glob, report *r, err *e)
{
    checkpoint *cp = NULL;
    fp8_pairs pairs = {0};
    err_code code = OK;
    TRY_OUT(checkpoint_open(path, report_monitor(r, PROGRESS_NEVER), &cp, e));
    TRY_OUT(fp8_pairs_find(cp, NULL, &pairs, e));
    const inspected x = {cp, &pairs.states};
    if (glob && !is_any_matched(cp, glob)) {
        code = inspect_no_match(path, glob, e);
    } else if (r->json) {
        checkpoint_json(&x, path, glob, r);
    } else {
        code = print_checkpoint(&x, path, glob, e);
    }
out:
    fp8_pairs_free(&pairs);
    checkpoint_close(cp);
    return code;
}
