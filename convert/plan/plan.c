#include "convert/plan/plan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "convert/plan/plan_table.h"
#include "format/base/glob.h"
#include "format/json/json.h"
#include "format/base/num.h"
#include "format/base/utf8.h"

/* ---- decisions ------------------------------------------------- */

/* Each decision may try every rule: the product of both is not bounded by the size of the input, so
 * each one asks for cancellation. */
static err_code decide_all(const checkpoint *cp, const plan_options *o, const fp8_pairs *pairs,
                           decision *decisions, err *e)
{
    for (size_t i = 0; i < cp->tensor_count; i++) {
        if (monitor_cancelled(o->monitor)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        TRY(decide_tensor(o->recipe, cp, pairs, i, o->monitor, &decisions[i], e));
    }
    return OK;
}

/* Count linear layers that are kept only because of a rule. */
static size_t count_ruled_out(const checkpoint *cp, const recipe *r, const fp8_pairs *pairs,
                              const decision *decisions)
{
    const recipe built_in = {
        .scales = r->scales, .requantize = true, .dialect = r->dialect, .built_in = r->built_in};
    size_t count = 0;
    for (size_t i = 0; i < cp->tensor_count; i++) {
        decision d = {0};
        count += decisions[i].action == ACTION_KEEP && decisions[i].reason == REASON_RULE &&
                 decide_tensor(&built_in, cp, pairs, i, NULL, &d, NULL) == OK &&
                 (d.action == ACTION_QUANTIZE || d.action == ACTION_CARRY);
    }
    return count;
}

static err_code refuse_nothing(size_t ruled_out, err *e)
{
    if (ruled_out == 0) {
        err_set(e, ERR_INPUT, "nothing to quantize: no tensor is a known linear layer");
        err_hint(e, "--quantize GLOB names some, --allow-none packs the checkpoint as it is");
        return ERR_INPUT;
    }
    if (ruled_out == 1) {
        err_set(e, ERR_INPUT, "nothing to quantize: a rule keeps the only linear layer");
    } else {
        err_set(e, ERR_INPUT, "nothing to quantize: rules keep all %zu linear layers", ruled_out);
    }
    err_hint(e, "the last rule that matches decides; --allow-none packs the checkpoint as it is");
    return ERR_INPUT;
}

/* A glob from the command line that matches nothing is probably a typing error. A recipe file may be
 * written for several models, so its globs need not match. */
static err_code check_globs(const checkpoint *cp, const plan_options *o, err *e)
{
    const recipe *const r = o->recipe;
    for (size_t k = 0; k < r->rule_count; k++) {
        bool matched = !r->rules[k].from_option;
        for (size_t i = 0; i < cp->tensor_count && !matched; i++) {
            TRY(monitor_step(o->monitor, i * GLOB_STEPS, e));
            matched = glob_match(r->rules[k].glob, cp->tensors[i].name);
        }
        if (!matched) {
            err_set(e, ERR_USAGE, "no tensor matches '%s'", r->rules[k].glob);
            err_hint(e, "octavo inspect shows the names; the whole name has to match, * stands for "
                        "any bytes");
            return ERR_USAGE;
        }
    }
    return OK;
}

/* A number in which all members of a stack agree: the action, and for FP8 that is carried over also
 * the dtype of its scales. */
static int stack_key(const decision *d, const fp8_pair *p)
{
    return d->action == ACTION_CARRY ? ACTION_CARRY << 8 | p->other->type : (int)d->action;
}

static err_code fold(const checkpoint *cp, const fp8_pairs *pairs, const decision *decisions,
                     stack_list *out, err *e)
{
    stack_item *const items = calloc(cp->tensor_count + 1, sizeof *items);
    if (!items) {
        return err_set(e, ERR_MEMORY, "no memory to plan %zu tensors", cp->tensor_count);
    }
    for (size_t i = 0; i < cp->tensor_count; i++) {
        const tensor *const t = &cp->tensors[i];
        items[i] = (stack_item){t->name, t->type, t->ndim, t->shape,
                                stack_key(&decisions[i], &pairs->of[i])};
    }
    const err_code code = stack_fold(items, cp->tensor_count, out, e);
    free(items);
    return code;
}

/* Link the record of a group to its source tensors, and the record of its scales if these are
 * carried over. */
static void link_group(plan *p, const checkpoint *cp, const fp8_pairs *pairs, const size_t *members,
                       const stack_group *g, recipe_reason reason)
{
    const tensor_state *const state = &pairs->states.of[members[0]];
    const pack_record *const r = pack_table_find(&p->table, g->name);
    const bool carried = r->origin == ORIGIN_CARRIED;
    const pack_record *const s = carried ? &p->table.records[r->scale_idx] : NULL;
    p->records[r - p->table.records] =
        (plan_record){r->source_first, reason, state->kind, state->method};
    if (s) {
        p->records[r->scale_idx] =
            (plan_record){s->source_first, reason, STATE_PART, state->method};
    }
    for (size_t k = 0; k < g->count; k++) {
        p->members[r->source_first + k] = &cp->tensors[members[k]];
        p->scaled[r->source_first + k] = pairs->of[members[k]];
        if (s) {
            p->members[s->source_first + k] = pairs->of[members[k]].other;
        }
    }
}

/* Link each record to the source tensors that it is made of, in SDIG order. */
static err_code link_members(plan *p, const checkpoint *cp, const fp8_pairs *pairs,
                             const stack_list *groups, const decision *decisions, err *e)
{
    p->records = calloc(p->table.count + (size_t)1, sizeof *p->records);
    p->members = calloc(p->table.source_count + 1, sizeof *p->members);
    p->scaled = calloc(p->table.source_count + 1, sizeof *p->scaled);
    if (!p->records || !p->members || !p->scaled) {
        return err_set(e, ERR_MEMORY, "no memory to plan %zu tensors", cp->tensor_count);
    }
    for (size_t i = 0; i < groups->group_count; i++) {
        const stack_group *const g = &groups->groups[i];
        const size_t *const members = groups->members + g->first;
        const decision *const d = &decisions[members[0]];
        if (d->action != ACTION_SCALES) {
            link_group(p, cp, pairs, members, g, d->reason);
        }
    }
    return OK;
}

static void count_unknown(plan *p, const pack_record *r)
{
    const bool tile =
        pack_record_rows(r) >= BLOCK_MAX_ROWS && pack_record_cols(r) >= BLOCK_MAX_COLS;
    if (tile) {
        p->unknown.count += pack_record_sources(r);
        p->unknown.bytes += r->len;
    }
    if (tile && !p->unknown.example) {
        p->unknown.example = p->members[r->source_first]->name;
    }
}

static void count_kept(plan *p, const pack_record *r, recipe_reason reason)
{
    const uint64_t count = pack_record_sources(r);
    p->kept_bytes[reason] += r->len;
    if (reason == REASON_NOT_LINEAR) {
        count_unknown(p, r);
    }
    const bool foreign = reason == REASON_FOREIGN;
    p->foreign_count += foreign ? count : 0;
    p->spared_count += reason == REASON_SPARED ? count : 0;
    *(foreign ? &p->carried_count : &p->kept_count) += count;
}

static void count_totals(plan *p, const checkpoint *cp)
{
    for (size_t i = 0; i < cp->tensor_count; i++) {
        p->source_bytes += cp->tensors[i].bytes;
    }
    for (uint32_t i = 0; i < p->table.count; i++) {
        const pack_record *const r = &p->table.records[i];
        if (r->cls == CLASS_KEPT) {
            count_kept(p, r, p->records[i].reason);
        } else if (r->cls == CLASS_CODES) {
            const uint64_t rows = pack_record_rows(r);
            const uint64_t cols = pack_record_cols(r);
            const uint64_t slices = pack_record_slices(r);
            const bool carried = r->origin == ORIGIN_CARRIED;
            *(carried ? &p->carried_count : &p->quantized_count) += pack_record_sources(r);
            p->requantized_count += pack_record_requantized(r) ? pack_record_sources(r) : 0;
            p->quantized_elements += carried ? 0 : r->len;
            p->tiles += carried ? 0 : slices * block_count(r->block, rows, cols);
            p->clipped_tiles += carried ? 0 : slices * block_clipped(r->block, rows, cols);
        }
    }
}

/* ---- provenance ------------------------------------------------ */

/* NULL: no memory. */
static json_t *shard_json(const shard *s, const unsigned char *sha256)
{
    char hex[2 * SHA256_BYTES + 1];
    hex_encode(s->header_sha256, SHA256_BYTES, hex);
    json_t *const object =
        json_pack("{s:s, s:s, s:I, s:I}", "name", s->name, "header_sha256", hex, "size",
                  (json_int_t)s->bytes, "tensors", (json_int_t)s->tensor_count);
    if (object && sha256) {
        hex_encode(sha256, SHA256_BYTES, hex);
        if (json_object_set_new(object, "sha256", json_string(hex)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* `digests`: SHA-256 of each shard, or NULL. */
static err_code make_provenance(plan *p, const checkpoint *cp, const unsigned char *digests, err *e)
{
    json_t *const shards = json_array();
    int failed = 0; /* jansson returns -1 without memory */
    for (size_t i = 0; i < cp->shard_count; i++) {
        failed |= json_array_append_new(
            shards, shard_json(&cp->shards[i], digests ? digests + i * SHA256_BYTES : NULL));
    }
    json_t *const root =
        json_pack("{s:o, s:{s:i, s:i}}", "shards", shards, "spec", "format", 1, "quant", 1);
    free(p->provenance);
    p->provenance = root && !failed ? json_canonical(root, &p->provenance_bytes) : NULL;
    json_decref(root);
    if (p->provenance && p->provenance_bytes > PACK_MAX_JSON) {
        return err_set(e, ERR_INPUT, "%zu shards: naming them takes %zu bytes, more than 16 MiB",
                       cp->shard_count, p->provenance_bytes);
    }
    return p->provenance ? OK : err_set(e, ERR_MEMORY, "no memory for the provenance");
}

err_code plan_set_shard_digests(plan *p, const checkpoint *cp, const unsigned char *digests, err *e)
{
    return make_provenance(p, cp, digests, e);
}

/* JSON can hold only UTF-8. Names from an index are UTF-8, because it is JSON itself; a file named
 * on the command line may have any name. */
static err_code check_shard_names(const checkpoint *cp, err *e)
{
    for (size_t i = 0; i < cp->shard_count; i++) {
        if (!utf8_valid(cp->shards[i].name)) {
            return err_set(e, ERR_INPUT, "%s: the name of the file is not UTF-8",
                           cp->shards[i].path);
        }
    }
    return OK;
}

/* Make provenance of the final length, with zeros for digests that are not known yet. */
static err_code reserve_provenance(plan *p, const checkpoint *cp, bool source_sha256, err *e)
{
    if (!source_sha256) {
        return make_provenance(p, cp, NULL, e);
    }
    unsigned char *const zeros = calloc(cp->shard_count + 1, SHA256_BYTES);
    if (!zeros) {
        return err_set(e, ERR_MEMORY, "no memory for %zu digests", cp->shard_count);
    }
    const err_code code = make_provenance(p, cp, zeros, e);
    free(zeros);
    return code;
}

/* ---- the whole plan -------------------------------------------- */

static err_code build_head(plan *p, const plan_options *o, err *e)
{
    char *files = NULL;
    char *recipe_text = NULL;
    pack_text file_text = {0};
    pack_text rules_text = {0};
    err_code code = OK;
    TRY_OUT(embed_pack(o->embed, &files, &file_text.bytes, e));
    recipe_text = recipe_json_packed(o->recipe, &rules_text.bytes);
    TRY_OUT(recipe_text ? OK : err_set(e, ERR_MEMORY, "no memory for the recipe"));
    file_text.data = files;
    rules_text.data = recipe_text;
    TRY_OUT(pack_head_build(&p->table, o->digest, file_text, rules_text, &p->head, e));
out:
    free(recipe_text);
    free(files);
    return code;
}

static err_code plan_tensors(plan *p, const checkpoint *cp, const plan_options *o,
                             const fp8_pairs *pairs, const decision *decisions, err *e)
{
    stack_list groups = {0};
    err_code code = OK;
    TRY_OUT(fold(cp, pairs, decisions, &groups, e));
    TRY_OUT(plan_table_build(cp, &groups, pairs, decisions, o->recipe, &p->table, e));
    TRY_OUT(build_head(p, o, e)); /* places the records: SDIG order is known from here on */
    TRY_OUT(link_members(p, cp, pairs, &groups, decisions, e));
out:
    stack_list_free(&groups);
    return code;
}

err_code plan_make(const checkpoint *cp, const plan_options *options, plan *out, err *e)
{
    *out = (plan){0};
    fp8_pairs pairs = {0};
    decision *const decisions = calloc(cp->tensor_count + 1, sizeof *decisions);
    if (!decisions) {
        return err_set(e, ERR_MEMORY, "no memory to plan %zu tensors", cp->tensor_count);
    }
    err_code code = OK;
    TRY_OUT(check_shard_names(cp, e));
    TRY_OUT(check_globs(cp, options, e));
    TRY_OUT(decide_pairs(options->recipe, cp, options->monitor, &pairs, e));
    TRY_OUT(decide_all(cp, options, &pairs, decisions, e));
    TRY_OUT(plan_tensors(out, cp, options, &pairs, decisions, e));
    TRY_OUT(reserve_provenance(out, cp, options->source_sha256, e));
    count_totals(out, cp);
    out->file_bytes = pack_file_bytes(&out->table, options->digest, out->provenance_bytes);
    const uint64_t spared = pairs.described.unknown ? out->spared_count : 0;
    if (out->quantized_count + out->carried_count + spared == 0 && !options->allow_none) {
        TRY_OUT(refuse_nothing(count_ruled_out(cp, options->recipe, &pairs, decisions), e));
    }
    out->described = pairs.described;
    out->states = pairs.states;
    pairs.states = (tensor_states){0};
out:
    fp8_pairs_free(&pairs);
    free(decisions);
    if (code != OK) {
        plan_free(out);
    }
    return code;
}

void plan_free(plan *p)
{
    pack_table_free(&p->table);
    free(p->records);
    free(p->members);
    free(p->scaled);
    free(p->head.bytes);
    free(p->provenance);
    tensor_states_free(&p->states);
    *p = (plan){0};
}
