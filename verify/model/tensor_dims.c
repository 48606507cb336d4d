/* Dimensions and conditions that the tensor tables of several architectures use. */
#include "verify/model/model_arch.h"

ARCH_FUNCTION(uint64_t, dim_vocab, c->vocab)
ARCH_FUNCTION(uint64_t, dim_hidden, c->hidden)
ARCH_FUNCTION(uint64_t, dim_mlp, c->intermediate)
ARCH_FUNCTION(uint64_t, dim_expert, c->moe_intermediate)
ARCH_FUNCTION(uint64_t, dim_shared, c->shared_intermediate)
ARCH_FUNCTION(uint64_t, dim_experts, c->experts)
ARCH_FUNCTION(uint64_t, dim_head, c->head_dim)
ARCH_FUNCTION(uint64_t, dim_heads, (uint64_t)c->heads * c->head_dim)
ARCH_FUNCTION(uint64_t, dim_kv_heads, (uint64_t)c->kv_heads * c->head_dim)

ARCH_FUNCTION(bool, tensor_untied, !c->tied)
ARCH_FUNCTION(bool, tensor_of_dense, layer < c->dense_layers)
ARCH_FUNCTION(bool, tensor_of_sparse, layer >= c->dense_layers)
ARCH_FUNCTION(bool, tensor_of_biased_router, layer >= c->dense_layers && c->expert_bias)
