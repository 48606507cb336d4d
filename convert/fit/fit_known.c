#include "convert/fit/fit_known.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* What the loaders that presets name know. */
typedef struct loader {
    const char *name;
    const known_names *own;     /* architectures with code of its own; or model types */
    const known_names *backend; /* architectures that run through transformers; or NULL */
    bool by_model_type;
} loader;

static const loader loaders[] = {
    {.name = "transformers", .own = &known_transformers, .by_model_type = true},
    {.name = "vLLM", .own = &known_vllm, .backend = &known_backend},
    {.name = "SGLang", .own = &known_sglang, .backend = &known_backend},
};

static const loader *loader_of(const preset *p)
{
    for (size_t i = 0; p->loader && i < COUNT(loaders); i++) {
        if (strcmp(p->loader, loaders[i].name) == 0) {
            return &loaders[i];
        }
    }
    return NULL;
}

bool known_names_have(const known_names *names, const char *word)
{
    const size_t length = strlen(word);
    const char *at = names->words;
    while (*at) {
        const size_t n = strcspn(at, " ");
        if (n == length && memcmp(at, word, n) == 0) {
            return true;
        }
        at += n;
        at += *at == ' ';
    }
    return false;
}

/* Without an architecture, only a model_type that transformers does not know tells anything: both
 * others read config.json with it. */
static bool by_type(const loader *l, const fit_model *m)
{
    return l->by_model_type || !m->architecture[0];
}

static fit_knowledge known_to(const loader *l, const fit_model *m)
{
    const bool type = by_type(l, m);
    const char *const name = type ? m->model_type : m->architecture;
    if (!*name || known_names_have(type ? &known_transformers : l->own, name)) {
        return KNOWN;
    }
    return !type && l->backend && known_names_have(l->backend, name) ? KNOWN_BACKEND : KNOWN_NOT;
}

/* Does anything load it that octavo knows of? */
static bool known_to_anybody(const fit_model *m)
{
    bool known = m->ring_linear || m->own_code;
    for (size_t i = 0; i < COUNT(loaders) && !known; i++) {
        known = known_to(&loaders[i], m) != KNOWN_NOT;
    }
    return known;
}

/* Presets of forks, which know Ring-linear, stand for no release: what none of the others knows, they
 * will not know either. */
fit_knowledge fit_known(const preset *p, const fit_model *m)
{
    const loader *const l = loader_of(p);
    if (p->config == CONFIG_NONE || (p->runs_own_code && m->own_code)) {
        return KNOWN;
    }
    return l ? known_to(l, m) : known_to_anybody(m) ? KNOWN : KNOWN_NOT;
}

bool fit_runs_own_code(const preset *p, const fit_model *m)
{
    return p->runs_own_code && m->own_code && m->model_type[0] &&
           !known_names_have(&known_transformers, m->model_type);
}

int fit_known_name(const preset *p, const fit_model *m, char *out, size_t size)
{
    const loader *const l = loader_of(p);
    const bool type = l ? by_type(l, m) : !m->architecture[0];
    return snprintf(out, size, "%s%s", type ? "model_type " : "",
                    type ? m->model_type : m->architecture);
}

/* Without a loader, a preset is for runtimes that know Ring-linear, or for any. Code of the checkpoint
 * cannot run experts in FP8 (fit_hold.c). */
static bool would_do(const preset *p, const fit_model *m)
{
    switch (p->config) {
    case CONFIG_NONE:
        return known_to_anybody(m);
    case CONFIG_FP8:
        return !p->loader
                   ? m->ring_linear
                   : fit_known(p, m) != KNOWN_NOT && !(m->experts > 0 && fit_runs_own_code(p, m));
    case CONFIG_COMPRESSED:
        return false; /* the presets for the same runtimes stand for it */
    }
    return false;
}

void fit_known_instead(const fit_model *m, char *out, size_t size)
{
    const preset *found[PRESET_COUNT];
    size_t count = 0;
    size_t used = 0;
    for (size_t i = 0; i < PRESET_COUNT; i++) {
        if (would_do(&preset_table[i], m)) {
            found[count++] = &preset_table[i];
        }
    }
    *out = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        const char *const before = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        const int n = snprintf(out + used, size - used, "%s%s", before, preset_name(found[i]));
        used += n > 0 ? (size_t)n : 0;
    }
}
