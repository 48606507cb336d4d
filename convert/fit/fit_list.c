/* Sources: vLLM 0.33.0, layers/quantization/utils/quant_utils.py, is_layer_skipped, and
 * compressed_tensors/utils.py, should_ignore_layer; SGLang 0.5.23, layers/quantization/utils.py,
 * is_layer_skipped; transformers 5.24.0, quantizers/quantizers_utils.py, should_convert_module.
 *
 * Each of them compares a module with every entry. Here the entries are sorted, and each way to
 * match is a few searches: models have thousands of modules, and lists may be as long. */
#include "convert/fit/fit_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"

struct fit_list {
    const preset *preset;
    const char **entries; /* sorted */
    size_t count;
    const char **tails; /* sorted: ends of entries with "experts", from each component on */
    size_t tail_count;
};

/* ---- the list -------------------------------------------------- */

static const char experts[] = "experts";

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t count_components(const char *name)
{
    size_t n = 1;
    for (; *name; name++) {
        n += *name == '.';
    }
    return n;
}

static void add_tails(fit_list *l, const char *entry)
{
    for (const char *at = entry; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
        l->tails[l->tail_count++] = at;
    }
}

static void fill(fit_list *l, const export_plan *plan)
{
    for (size_t i = 0; i < plan->ignored_count; i++) {
        l->entries[l->count++] = plan->ignored[i].module;
        if (strstr(plan->ignored[i].module, experts)) {
            add_tails(l, plan->ignored[i].module);
        }
    }
    qsort(l->entries, l->count, sizeof *l->entries, compare_text);
    qsort(l->tails, l->tail_count, sizeof *l->tails, compare_text);
}

err_code fit_list_make(const export_plan *plan, const preset *p, fit_list **out, err *e)
{
    size_t tails = 1;
    for (size_t i = 0; i < plan->ignored_count; i++) {
        tails += count_components(plan->ignored[i].module);
    }
    fit_list *const l = calloc(1, sizeof *l);
    *out = l;
    if (l) {
        l->preset = p;
        l->entries = calloc(plan->ignored_count + 1, sizeof *l->entries);
        l->tails = calloc(tails, sizeof *l->tails);
    }
    if (!l || !l->entries || !l->tails) {
        fit_list_free(l);
        *out = NULL;
        return err_set(e, ERR_MEMORY, "no memory for the list of modules that are not FP8");
    }
    fill(l, plan);
    return OK;
}

void fit_list_free(fit_list *l)
{
    if (l) {
        free(l->entries);
        free(l->tails);
        free(l);
    }
}

/* ---- searches -------------------------------------------------- */

/* Of sorted entries, those from `low` to before `high`. */
typedef struct span {
    size_t low, high;
} span;

/* The first entry of a span whose text from `at` on comes after `text`, or equals it if `after` is
 * 0, as far as `bytes` bytes of it say. */
static size_t search(const char *const *all, span in, size_t at, const char *text, size_t bytes,
                     int after)
{
    while (in.low < in.high) {
        const size_t middle = in.low + (in.high - in.low) / 2;
        if (strncmp(all[middle] + at, text, bytes) < after) {
            in.low = middle + 1;
        } else {
            in.high = middle;
        }
    }
    return in.low;
}

/* Of entries that all have at least `at` bytes, those with `text` there. If the first and the last
 * one have it, all do. */
static span narrow(const char *const *all, span in, size_t at, const char *text, size_t bytes)
{
    if (in.low < in.high && strncmp(all[in.low] + at, text, bytes) == 0 &&
        strncmp(all[in.high - 1] + at, text, bytes) == 0) {
        return in;
    }
    in.low = search(all, in, at, text, bytes, 0);
    in.high = search(all, in, at, text, bytes, 1);
    return in;
}

/* Is there an entry of exactly these bytes? It is the first of those that begin with them. */
static bool has(const fit_list *l, const char *text, size_t bytes)
{
    const size_t at = search(l->entries, (span){0, l->count}, 0, text, bytes, 0);
    return at < l->count && strncmp(l->entries[at], text, bytes) == 0 &&
           l->entries[at][bytes] == '\0';
}

/* Is the module a part of an entry that contains "experts"? */
static bool is_part_of_experts(const fit_list *l, const char *module)
{
    const size_t bytes = strlen(module);
    const span found = narrow(l->tails, (span){0, l->tail_count}, 0, module, bytes);
    return strstr(module, experts) && found.low < found.high;
}

/* Do the first components of a name, however many, complete one of these entries, which all begin
 * with the same `before` bytes? With each component fewer entries remain, mostly none at once: names
 * of many components would take long otherwise. */
static bool has_beginning(const fit_list *l, span in, size_t before, const char *name)
{
    for (const char *to = name; *to && in.low < in.high;) {
        const char *const from = to;
        to += *to == '.';
        to += strcspn(to, ".");
        in = narrow(l->entries, in, before + (size_t)(from - name), from, (size_t)(to - from));
        if (in.low < in.high && l->entries[in.low][before + (size_t)(to - name)] == '\0') {
            return true;
        }
    }
    return false;
}

/* Are any components of the module, one after the other, an entry, with or without "model."? */
static bool has_run(const fit_list *l, const char *module)
{
    static const char model[] = "model.";
    const size_t before = strlen(model);
    const span all = {0, l->count};
    const span in_model = narrow(l->entries, all, 0, model, before);
    for (const char *from = module; from;) {
        if (has_beginning(l, all, 0, from) || has_beginning(l, in_model, before, from)) {
            return true;
        }
        const char *const dot = strchr(from, '.');
        from = dot ? dot + 1 : NULL;
    }
    return false;
}

/* Is an entry the beginning of the module, up to the end of a component, or its end, from any byte
 * on? (Entries are regular expressions there, but a period in them matches a period, too.) */
static bool has_end(const fit_list *l, const char *module)
{
    bool found = has_beginning(l, (span){0, l->count}, 0, module);
    for (const char *from = module; *from && !found; from++) {
        found = has(l, from, strlen(from));
    }
    return found;
}

/* Are whole components at the end of the module an entry? */
static bool has_tail(const fit_list *l, const char *module)
{
    bool found = false;
    for (const char *from = module; from && !found;) {
        found = has(l, from, strlen(from));
        const char *const dot = strchr(from, '.');
        from = dot ? dot + 1 : NULL;
    }
    return found;
}

/* ---- the answer ------------------------------------------------ */

typedef struct question {
    const fit_list *list;
    bool found;
} question;

static bool ask(void *ctx, const char *name)
{
    question *const q = ctx;
    q->found = q->found || has_run(q->list, name);
    return true;
}

/* SGLang looks up the parts of a merged matrix; a whole one and the experts by themselves. */
static bool runs_skip(const fit_list *l, const preset_place *place, const char *module)
{
    question q = {.list = l};
    char moved[NAME_MAX_BYTES + 1];
    if (!preset_runtime_name(l->preset, place, module, moved)) {
        return false;
    }
    (void)preset_parts(l->preset, moved, ask, &q);
    return q.found || has_run(l, moved) || is_part_of_experts(l, moved);
}

/* Is the matrix that the module becomes a part of listed by its own name? */
static bool skips_merged(const fit_list *l, const preset_place *place, const char *module)
{
    char whole[2 * NAME_MAX_BYTES];
    const char *const name = preset_merged(l->preset, place, module);
    const char *const dot = strrchr(module, '.');
    const size_t before = dot ? (size_t)(dot - module) + 1 : 0;
    if (!name) {
        return false;
    }
    snprintf(whole, sizeof whole, "%.*s%s", (int)before, module, name);
    return has(l, whole, strlen(whole));
}

/* SGLang's qwen3_omni_moe.py builds its audio tower with names that are empty or "attn". */
static bool has_no_name(const char *architecture, const char *module)
{
    return glob_match("Qwen3Omni*", architecture) && glob_match("*audio_tower.*", module);
}

/* Entries that vLLM renames before it looks up experts by names that it does not rename: models/
 * gpt_oss.py, hf_to_vllm_mapper. */
static bool is_renamed_away(const char *architecture, const char *module)
{
    return glob_match("GptOss*", architecture) && glob_match("*.experts.*.down_proj", module);
}

bool fit_list_skips(const fit_list *l, const preset_place *place, const char *module)
{
    const char *const architecture = place->architecture ? place->architecture : "";
    switch (preset_match_of(l->preset, architecture)) {
    case MATCH_WHOLE:
        return has(l, module, strlen(module)) || skips_merged(l, place, module) ||
               is_part_of_experts(l, module);
    case MATCH_TAIL:
        return has_tail(l, module) || skips_merged(l, place, module);
    case MATCH_EACH:
        return (has(l, module, strlen(module)) && !is_renamed_away(architecture, module)) ||
               skips_merged(l, place, module);
    case MATCH_RUN:
        return runs_skip(l, place, module) && !has_no_name(architecture, module);
    case MATCH_ENDS:
        return has_end(l, module);
    default:
        return false;
    }
}
