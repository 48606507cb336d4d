/* Checks and defaults that relate several values of a configuration. */
#include <inttypes.h>

#include "verify/model/model_arch.h"

err_code model_config_check_attention(const char *what, const model_config *c, err *e)
{
    const uint64_t width = (uint64_t)c->heads * c->head_dim;
    if (width > MODEL_MAX_SIZE || (uint64_t)c->hidden * c->heads > (uint64_t)1 << 31) {
        return err_set(e, ERR_INPUT,
                       "%s: num_attention_heads: %u heads of head_dim %u are too large together",
                       what, c->heads, c->head_dim);
    }
    if (c->heads % c->kv_heads != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: num_attention_heads, %u, is not a multiple of num_key_value_heads, %u",
                       what, c->heads, c->kv_heads);
    }
    if (c->norm_groups && width % c->norm_groups != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: group_norm_size, %u, does not divide the %" PRIu64
                       " channels of all heads",
                       what, c->norm_groups, width);
    }
    return OK;
}

err_code model_config_complete_heads(const char *what, model_config *c, err *e)
{
    c->kv_heads = c->kv_heads ? c->kv_heads : c->heads;
    if (c->head_dim == 0 && c->hidden % c->heads != 0) {
        return err_set(e, ERR_INPUT,
                       "%s: head_dim is missing, and hidden_size, %u, is not a multiple of "
                       "num_attention_heads, %u",
                       what, c->hidden, c->heads);
    }
    c->head_dim = c->head_dim ? c->head_dim : c->hidden / c->heads;
    return OK;
}

static err_code check_experts(const char *what, const model_config *c, err *e)
{
    if (c->dense_layers > c->layers) {
        return err_set(e, ERR_INPUT,
                       "%s: first_k_dense_replace, %u, is more than num_hidden_layers, %u", what,
                       c->dense_layers, c->layers);
    }
    if ((uint64_t)c->layers * c->experts > MODEL_MAX_SIZE) {
        return err_set(e, ERR_INPUT, "%s: num_experts: %u layers of %u experts are too many", what,
                       c->layers, c->experts);
    }
    if (c->experts % c->groups != 0) {
        return err_set(e, ERR_INPUT, "%s: num_experts, %u, is not a multiple of n_group, %u", what,
                       c->experts, c->groups);
    }
    if (c->top_groups > c->groups) {
        return err_set(e, ERR_INPUT, "%s: topk_group, %u, is more than n_group, %u", what,
                       c->top_groups, c->groups);
    }
    const unsigned candidates = c->top_groups * (c->experts / c->groups);
    if (c->top_k > candidates) {
        return err_set(e, ERR_INPUT,
                       "%s: num_experts_per_tok, %u, is more than the %u experts of topk_group "
                       "groups",
                       what, c->top_k, candidates);
    }
    return OK;
}

err_code model_config_complete_experts(const char *what, model_config *c, err *e)
{
    const unsigned each = c->shared_intermediate ? c->shared_intermediate : c->moe_intermediate;
    const uint64_t all = (uint64_t)each * c->shared_experts;
    if (all > MODEL_MAX_SIZE) {
        return err_set(e, ERR_INPUT, "%s: %u shared experts of size %u are too large together",
                       what, c->shared_experts, each);
    }
    c->shared_intermediate = (unsigned)all;
    return check_experts(what, c, e);
}
