#include "verify/ops/ops_dry.h"

#include "format/base/num.h"

static float *dry_alloc(ops *o, size_t floats)
{
    (void)o;
    (void)floats;
    return NULL;
}

static void dry_release(ops *o, float *memory)
{
    (void)o;
    (void)memory;
}

static void dry_put(ops *o, const float *host, mat to)
{
    (void)o;
    (void)host;
    (void)to;
}

static void dry_get(ops *o, mat from, float *host)
{
    (void)o;
    (void)from;
    (void)host;
}

static void dry_weight(ops *o, weight *w)
{
    (void)o;
    (void)w;
}

static void dry_one(ops *o, mat x)
{
    (void)o;
    (void)x;
}

static void dry_two(ops *o, mat x, mat y)
{
    (void)o;
    (void)x;
    (void)y;
}

static void dry_three(ops *o, mat x, mat y, mat z)
{
    (void)o;
    (void)x;
    (void)y;
    (void)z;
}

static void dry_matmul(ops *o, mat x, const weight *w, const weight *bias, bool fp8, mat y)
{
    (void)w;
    (void)bias;
    (void)fp8;
    dry_two(o, x, y);
}

static void dry_norm(ops *o, mat x, unsigned groups, const weight *w, float eps, mat y)
{
    (void)groups;
    (void)w;
    (void)eps;
    dry_two(o, x, y);
}

static void dry_gate(ops *o, mat u, unsigned groups, const weight *w, float eps, mat g, mat y)
{
    (void)groups;
    (void)w;
    (void)eps;
    dry_three(o, u, g, y);
}

static void dry_rope(ops *o, mat x, unsigned heads, rotation r, const float *cos, const float *sin)
{
    (void)heads;
    (void)r;
    (void)cos;
    (void)sin;
    dry_one(o, x);
}

static void need_state(ops *o, size_t floats)
{
    ops_dry *const d = (ops_dry *)o;
    d->state_floats = num_max(d->state_floats, floats);
}

static void dry_attention(ops *o, attention_shape shape, mat q, mat k, mat v, size_t first,
                          float *cache, size_t room, mat y)
{
    (void)first;
    (void)cache;
    (void)y;
    dry_three(o, q, k, v);
    need_state(o, attention_cache_floats(shape, room));
}

static void dry_linear_attention(ops *o, attention_shape shape, mat q, mat k, mat v,
                                 const float *decay, float *state, mat y)
{
    (void)decay;
    (void)state;
    (void)y;
    dry_three(o, q, k, v);
    need_state(o, attention_state_floats(shape));
}

static void dry_route(ops *o, mat z, const router_shape *shape, const float *bias,
                      const routes *out)
{
    (void)o;
    (void)bias;
    for (size_t i = 0; i < z.rows * shape->top_k; i++) {
        out->index[i] = (uint32_t)(i % shape->top_k);
        out->weights[i] = 0;
    }
}

static void dry_gather(ops *o, mat x, const uint32_t *rows, mat y)
{
    (void)rows;
    dry_two(o, x, y);
}

static void dry_scatter(ops *o, mat y, const uint32_t *rows, const float *weights, mat x)
{
    (void)rows;
    (void)weights;
    dry_two(o, x, y);
}

static err_code dry_status(ops *o, err *e)
{
    (void)o;
    (void)e;
    return OK;
}

static void dry_destroy(ops *o)
{
    (void)o;
}

void ops_dry_init(ops_dry *o)
{
    *o = (ops_dry){.base = {.name = "dry",
                            .alloc = dry_alloc,
                            .release = dry_release,
                            .put = dry_put,
                            .get = dry_get,
                            .load = dry_weight,
                            .unload = dry_weight,
                            .zero = dry_one,
                            .add = dry_two,
                            .matmul = dry_matmul,
                            .norm = dry_norm,
                            .rope = dry_rope,
                            .attention = dry_attention,
                            .linear_attention = dry_linear_attention,
                            .gate = dry_gate,
                            .silu = dry_one,
                            .silu_mul = dry_three,
                            .route = dry_route,
                            .gather = dry_gather,
                            .scatter = dry_scatter,
                            .status = dry_status,
                            .destroy = dry_destroy}};
}
