/* Which modules a runtime builds without FP8 or reads wrongly, whatever the list in
 * quantization_config says (spec/export.md section 3).
 *
 *     const plain_place place = {.architecture = "Llama4ForCausalLM", .beside = beside, .ctx = &x};
 *     const plain_rule *rule = plain_find(p, &place, "model.layers.0.self_attn.q_proj.weight");
 *     if (rule) ... rule->why, plain_keep(rule, name) ...
 *
 * If a release of a runtime changes, a row in preset_plain.c changes. All of this is constant; any
 * thread may use it. */
#ifndef PRESET_PLAIN_H
#define PRESET_PLAIN_H

#include "convert/export/preset.h"

typedef struct plain_rule {
    unsigned runtimes;        /* bits: RUNTIME_* of preset.h */
    const char *architecture; /* glob for the first of `architectures`; NULL: any */
    const char *tensor;       /* glob */
    const char *beside;       /* only if the same parent has a tensor of this name; NULL: always */
    const char *why;
    const char *keep; /* glob of what convert has to keep; NULL: the tensor */
} plain_rule;

/* Where the tensor is. */
typedef struct plain_place {
    const char *architecture; /* "": unknown */
    /* Does the parent of `tensor` have a tensor called `name`? */
    bool (*beside)(const void *ctx, const char *tensor, const char *name);
    const void *ctx;
} plain_place;

/* The first rule that applies to the tensor; NULL: none. */
const plain_rule *plain_find(const preset *p, const plain_place *place, const char *tensor);

/* A glob with which convert keeps the tensor as it is. */
const char *plain_keep(const plain_rule *rule, const char *tensor);

/* Does the runtime read this stack of experts (three dimensions, outputs first) in FP8? */
bool plain_reads_stack(const preset *p, const char *architecture, const char *tensor);

#endif
