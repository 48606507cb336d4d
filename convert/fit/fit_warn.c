/* What a runtime ignores, misses or does not support (spec/export.md section 8.3). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/fit/fit.h"
#include "convert/fit/fit_known.h"
#include "format/base/glob.h"

/* "s" after a number other than 1. */
static const char *s_of(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static err_code warn_config(fit *f, err *e)
{
    return f->model.known
               ? OK
               : fit_warn(
                     f, WARN_NO_CONFIG, true, e,
                     "no config.json is embedded, so export would refuse the file; heads, fused "
                     "matrices, layers, MTP and a tied head are not checked");
}

/* There is nothing to load a model that no code of the runtime is for. */
static err_code warn_architecture(fit *f, err *e)
{
    char name[128];
    char instead[128];
    const preset *const p = f->preset;
    fit_known_name(p, &f->model, name, sizeof name);
    fit_known_instead(&f->model, instead, sizeof instead);
    switch (fit_known(p, &f->model)) {
    case KNOWN_NOT:
        return fit_warn(f, WARN_ARCHITECTURE, true, e, "%s does not know %s%s; %s%s%s",
                        p->release ? p->release : p->reader, name,
                        p->runs_own_code ? ", and config.json has no auto_map" : "",
                        instead[0] ? "--for " : "nor does any other release that octavo knows",
                        instead, instead[0] ? " would do" : "");
    case KNOWN_BACKEND:
        return fit_warn(f, WARN_ARCHITECTURE, false, e,
                        "%s has no code of its own for %s and runs the code of transformers",
                        p->release, name);
    case KNOWN:
        break;
    }
    return OK;
}

/* Meta's and Mistral's own format. config.json makes a runtime expect the names of transformers: it
 * finds no tensor that it knows, or none with the names of the list. MistralLarge3 has a loader for
 * these names in vLLM and SGLang (mistral_large_3.py), MistralLarge4 in transformers. */
static err_code warn_names(const pack_table *t, fit *f, err *e)
{
    const pack_record *found = NULL;
    if (f->preset->config == CONFIG_NONE || glob_match("MistralLarge*", f->model.architecture) ||
        !pack_table_find(t, "tok_embeddings.weight")) {
        return OK;
    }
    for (uint32_t i = 0; i < t->count && !found; i++) {
        const pack_record *const r = &t->records[i];
        found = glob_match("layers.[0-9]*.attention.w*.weight", r->name) ? r : NULL;
    }
    return !found ? OK
                  : fit_warn(f, WARN_OWN_NAMES, true, e,
                             "%s: a name of Mistral's or Meta's own format, which %s does not read "
                             "with a config.json; use the version of the model with the names of "
                             "transformers (model.layers.*.self_attn.q_proj)",
                             found->name, f->preset->reader);
}

/* ---- layers ---------------------------------------------------- */

typedef struct layer_count {
    uint64_t missing;       /* layers of config.json without a tensor */
    uint64_t extra_tensors; /* tensors of MTP layers: numbered after the last layer, or named so */
    bool mtp;               /* there are layers for multi-token prediction */
} layer_count;

static bool is_mtp(const fit *f, const pack_record *r)
{
    return (f->model.layers > 0 && r->layer >= 0 && (uint64_t)r->layer >= f->model.layers) ||
           glob_match("mtp.*", r->name) || glob_match("model.mtp.*", r->name);
}

/* Records are sorted by layer, so each layer begins exactly once. */
static err_code count_layers(const pack_table *t, const fit *f, const monitor *m, layer_count *out,
                             err *e)
{
    layer_count c = {0};
    uint64_t seen = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(monitor_step(m, i, e));
        const pack_record *const r = &t->records[i];
        const bool first = i == 0 || t->records[i - 1].layer != r->layer;
        seen += first && r->layer >= 0 && (uint64_t)r->layer < f->model.layers;
        c.extra_tensors += is_mtp(f, r) ? pack_record_sources(r) : 0;
        c.mtp = c.mtp || is_mtp(f, r) || glob_match("*.eh_proj.weight", r->name);
    }
    c.missing = f->model.layers - seen;
    *out = c;
    return OK;
}

static err_code warn_layers(const pack_table *t, fit *f, const monitor *m, err *e)
{
    layer_count c;
    TRY(count_layers(t, f, m, &c, e));
    const bool ignored = f->preset->ignores_mtp;
    const uint64_t n = c.extra_tensors;
    if (f->model.known && n > 0) {
        TRY(fit_warn(f, ignored ? WARN_MTP_IGNORED : WARN_MTP_DRAFT, false, e,
                     "%" PRIu64 " tensor%s of layers after the last one (MTP), which %s %s", n,
                     s_of(n), f->preset->reader,
                     ignored ? "ignores" : "reads only for speculative decoding"));
    }
    if (f->model.mtp_layers > 0 && !c.mtp) {
        TRY(fit_warn(f, WARN_MTP_MISSING, false, e,
                     "num_nextn_predict_layers is %" PRIu64 ", but there are no such layers",
                     f->model.mtp_layers));
    }
    return c.missing == 0 ? OK
                          : fit_warn(f, WARN_LAYERS_MISSING, false, e,
                                     "%" PRIu64 " of %" PRIu64 " layers have no tensors", c.missing,
                                     f->model.layers);
}

/* ---- experts --------------------------------------------------- */

typedef struct expert_count {
    const pack_record *uneven, *fused; /* the first of each, or NULL */
    uint64_t fused_count;
} expert_count;

static expert_count count_experts(const pack_table *t, const fit *f)
{
    expert_count c = {0};
    for (uint32_t i = 0; i < t->count; i++) {
        size_t start = 0;
        size_t length = 0;
        const pack_record *const r = &t->records[i];
        if (r->cls == CLASS_SCALES || r->ndim != 3 || !name_expert_slot(r->name, &start, &length)) {
            continue;
        }
        if (!c.uneven && f->model.experts > 0 && r->shape[0] != f->model.experts) {
            c.uneven = r;
        }
        c.fused = c.fused || r->stack ? c.fused : r;
        c.fused_count += !r->stack;
    }
    return c;
}

static err_code warn_experts(const pack_table *t, fit *f, err *e)
{
    const expert_count c = count_experts(t, f);
    if (c.uneven) {
        TRY(fit_warn(f, WARN_EXPERTS_MISSING, false, e,
                     "%s: %" PRIu64 " experts, config.json says %" PRIu64, c.uneven->name,
                     c.uneven->shape[0], f->model.experts));
    }
    if (c.fused && !plain_reads_stack(f->preset, f->model.architecture, c.fused->name) &&
        f->preset->config != CONFIG_NONE) {
        TRY(fit_warn(f, WARN_FUSED_EXPERTS, false, e,
                     "%s%s: experts in three dimensions, which %s does not read in FP8",
                     c.fused->name, c.fused_count > 1 ? " and others" : "", f->preset->reader));
    }
    return OK;
}

/* ---- head, scales, unknown matrices ---------------------------- */

/* The head of the model or, of one for several modalities, that of its language model; NULL: none.
 * Heads of MTP layers do not count. */
static const pack_record *find_head(const pack_table *t, const fit *f)
{
    static const char head[] = "lm_head.weight";
    const pack_record *found = pack_table_find(t, head);
    for (uint32_t i = 0; i < t->count && !found; i++) {
        const pack_record *const r = &t->records[i];
        found = glob_match("*.lm_head.weight", r->name) && !is_mtp(f, r) ? r : NULL;
    }
    return found;
}

static err_code warn_head(const pack_table *t, fit *f, err *e)
{
    const pack_record *const head = find_head(t, f);
    if (f->model.tied == TIED_YES && head) {
        return fit_warn(f, WARN_HEAD_IGNORED, false, e,
                        "tie_word_embeddings is true: %s takes the embedding and ignores %s",
                        f->preset->reader, head->name);
    }
    if (f->model.tied == TIED_NO && !head) {
        return fit_warn(f, WARN_HEAD_MISSING, false, e,
                        "tie_word_embeddings is false, but there is no lm_head.weight");
    }
    return OK;
}

/* Scales of the source can be made powers of two only by rounding a second time. */
static err_code warn_scales(const pack_table *t, fit *f, err *e)
{
    bool any = false;
    bool carried = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        any = any || (r->cls == CLASS_SCALES && r->block.scale == SCALES_F32);
        carried = carried || (r->cls == CLASS_CODES && r->origin == ORIGIN_CARRIED);
    }
    if (!any || f->kind_count == 0 || !f->preset->rounds_scales) {
        return OK;
    }
    return fit_warn(f, WARN_SCALES_ROUNDED, false, e,
                    "on Blackwell %s may round scales to powers of two at load, which costs 3 dB%s",
                    f->preset->reader,
                    carried ? "" : "; convert --scales ue8m0 makes them powers of two for 0.1 dB");
}

static err_code warn_unknown(fit *f, err *e)
{
    uint64_t count = 0;
    const fit_kind *first = NULL;
    for (size_t i = 0; i < f->kind_count; i++) {
        if (f->kinds[i].layout.cut == CUT_UNKNOWN) {
            count += f->kinds[i].matrices;
            first = first ? first : &f->kinds[i];
        }
    }
    return !first ? OK
                  : fit_warn(f, WARN_UNKNOWN_SPLIT, false, e,
                             "%" PRIu64 " matri%s such as %s: how %s splits them is not known",
                             count, count == 1 ? "x" : "ces", first->module, f->preset->reader);
}

err_code fit_warn_all(const fit_question *q, fit *out, err *e)
{
    const pack_table *const t = q->table;
    TRY(warn_config(out, e));
    TRY(warn_architecture(out, e));
    TRY(warn_names(t, out, e));
    TRY(warn_layers(t, out, q->monitor, e));
    TRY(warn_experts(t, out, e));
    TRY(monitor_step(q->monitor, 0, e));
    TRY(warn_head(t, out, e));
    TRY(warn_scales(t, out, e));
    return warn_unknown(out, e);
}
