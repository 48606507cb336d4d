/* Configurations of models: what is accepted satisfies the guarantees of model_config.h, on which
 * the sizes of everything else depend. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "verify/arch/archs.h"
#include "verify/model/model_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static int is_size(unsigned n)
{
    return n >= 1 && n <= MODEL_MAX_SIZE;
}

static void check_sizes(const model_config *c)
{
    must(is_size(c->hidden) && is_size(c->layers) && is_size(c->vocab) && is_size(c->kv_heads));
    must(is_size(c->heads) && c->heads % c->kv_heads == 0);
    must(is_size(c->head_dim) && c->heads <= MODEL_MAX_SIZE / c->head_dim);
    must(c->rotary_dim >= 2 && c->rotary_dim % 2 == 0 && c->rotary_dim <= c->head_dim);
    must(c->max_positions >= 1 && c->max_positions <= MODEL_MAX_POSITIONS);
}

static void check_experts(const model_config *c)
{
    must(c->dense_layers <= c->layers && (c->dense_layers > 0) == (c->intermediate > 0));
    must(is_size(c->moe_intermediate) && is_size(c->shared_intermediate));
    must(is_size(c->experts) && c->layers <= MODEL_MAX_SIZE / c->experts);
    must(is_size(c->groups) && c->experts % c->groups == 0);
    must(is_size(c->top_groups) && c->top_groups <= c->groups);
    must(is_size(c->top_k) && c->top_k <= c->experts / c->groups * c->top_groups);
    must(c->routed_scaling > 0 && isfinite(c->routed_scaling));
    must((c->layer_group > 0) == (c->norm_groups > 0));
    must(c->layer_group == 0 || c->heads * c->head_dim % c->norm_groups == 0);
}

static void check_numbers(const model_config *c)
{
    must(c->eps > 0 && c->eps < 1);
    must(c->rope_theta > 1 && isfinite(c->rope_theta));
    if (c->yarn) {
        must(c->yarn_factor > 0 && isfinite(c->yarn_factor) && c->yarn_original >= 1);
        must(c->yarn_beta_slow > 0 && c->yarn_beta_fast >= c->yarn_beta_slow);
        must(isnan(c->yarn_attention) || c->yarn_attention > 0);
    }
}

static void check_note(void *ctx, const char *text)
{
    must(strncmp(text, "fuzz: ", 6) == 0);
    must(++*(int *)ctx == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int notes = 0;
    const monitor m = {.note = check_note, .ctx = &notes};
    model_config c;
    err e = {0};
    const err_code code =
        model_config_parse("fuzz", (const char *)data, size, model_archs, &m, &c, &e);
    must(code == e.code && (code == OK || code == ERR_INPUT));
    if (code != OK) {
        must(notes == 0 && strncmp(e.text, "fuzz: ", 6) == 0);
        return 0;
    }
    check_sizes(&c);
    if (model_count_experts(&c, c.layers) > 0) {
        check_experts(&c);
    }
    check_numbers(&c);
    must(model_config_same(&c, &c, NULL, NULL));
    for (unsigned i = 0; i < c.layers; i++) {
        must(c.layer_group > 0 || model_layer_kind(&c, i) == LAYER_SOFTMAX);
    }
    return 0;
}
