/* Dimensions that the tensor tables of several architectures use. */
#include "verify/model/model_arch.h"

#define DIM(name, value)                                                                           \
    uint64_t name(const model_config *c, unsigned layer)                                           \
    {                                                                                              \
        (void)layer;                                                                               \
        return value;                                                                              \
    }

DIM(dim_vocab, c->vocab)
DIM(dim_hidden, c->hidden)
DIM(dim_mlp, c->intermediate)
DIM(dim_expert, c->moe_intermediate)
DIM(dim_shared, c->shared_intermediate)
DIM(dim_experts, c->experts)
DIM(dim_head, c->head_dim)
DIM(dim_heads, (uint64_t)c->heads * c->head_dim)
DIM(dim_kv_heads, (uint64_t)c->kv_heads * c->head_dim)

bool tensor_untied(const model_config *c, unsigned layer)
{
    (void)layer;
    return !c->tied;
}
