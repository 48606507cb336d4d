#include "verify/ops/ops_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "format/base/num.h"
#include "verify/ops/ops_state.h"

enum { ALIGNMENT = 64, ALIGNED_FLOATS = ALIGNMENT / (int)sizeof(float) };

#define HUGE_PAGE ((size_t)2 * MIB)

/* Aligned to 64 bytes; large blocks in huge pages if the system has them. */
static float *floats_new(size_t floats)
{
    uint64_t bytes = 0;
    void *p = NULL;
    if (!num_mul(floats, sizeof(float), &bytes)) {
        return NULL;
    }
    const bool huge = bytes >= HUGE_PAGE;
    if (posix_memalign(&p, huge ? HUGE_PAGE : ALIGNMENT, bytes ? bytes : 1) != 0) {
        return NULL;
    }
    if (huge) {
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* advice */
    }
    return p;
}

static float *cpu_alloc(ops *o, size_t floats)
{
    (void)o;
    float *const p = floats_new(floats);
    if (p) {
        memset(p, 0, floats * sizeof *p);
    }
    return p;
}

static void cpu_release(ops *o, float *memory)
{
    (void)o;
    free(memory);
}

static void cpu_put(ops *o, const float *host, mat to)
{
    if (ops_failed(ops_state_of(o))) {
        return;
    }
    for (size_t i = 0; i < to.rows; i++) {
        memcpy(to.data + i * to.stride, host + i * to.cols, to.cols * sizeof *host);
    }
}

static void cpu_get(ops *o, mat from, float *host)
{
    if (ops_failed(ops_state_of(o))) {
        return;
    }
    for (size_t i = 0; i < from.rows; i++) {
        memcpy(host + i * from.cols, from.data + i * from.stride, from.cols * sizeof *host);
    }
}

/* Kernels read weights in place, so loading only marks them. */
static void cpu_load(ops *o, weight *w)
{
    (void)o;
    w->loaded = w;
}

static void cpu_unload(ops *o, weight *w)
{
    (void)o;
    w->loaded = NULL;
}

static err_code cpu_status(ops *o, err *e)
{
    const err *const failure = &ops_state_of(o)->failure;
    if (failure->code != OK) {
        err_set(e, failure->code, "%s", failure->text);
    }
    return failure->code;
}

static void cpu_destroy(ops *o)
{
    ops_state *const s = ops_state_of(o);
    thread_pool_free(s->pool);
    free(s->common.data);
    free(s->own.data);
    free(s);
}

static float *space_of(ops_state *s, ops_space *space, size_t floats)
{
    if (floats > space->floats) {
        free(space->data);
        space->data = floats_new(floats);
        space->floats = space->data ? floats : 0;
    }
    if (!space->data) {
        err_set(&s->failure, ERR_MEMORY, "forward pass: no memory for %zu floats of work space",
                floats);
    }
    return space->data;
}

float *ops_common_space(ops_state *s, size_t floats)
{
    return space_of(s, &s->common, floats + !floats);
}

float *ops_own_space(ops_state *s, size_t floats, size_t *pitch)
{
    *pitch = num_ceil_div(floats + !floats, ALIGNED_FLOATS) * ALIGNED_FLOATS;
    return space_of(s, &s->own, *pitch * s->threads);
}

static const ops members = {.name = "cpu",
                            .alloc = cpu_alloc,
                            .release = cpu_release,
                            .put = cpu_put,
                            .get = cpu_get,
                            .load = cpu_load,
                            .unload = cpu_unload,
                            .zero = ops_rows_zero,
                            .add = ops_rows_add,
                            .matmul = ops_matmul,
                            .norm = ops_rows_norm,
                            .rope = ops_rows_rope,
                            .attention = ops_attention,
                            .linear_attention = ops_linear_attention,
                            .gate = ops_rows_gate,
                            .silu = ops_rows_silu,
                            .silu_mul = ops_rows_silu_mul,
                            .route = ops_router_route,
                            .gather = ops_rows_gather,
                            .scatter = ops_rows_scatter,
                            .status = cpu_status,
                            .destroy = cpu_destroy};

err_code ops_cpu_create(unsigned threads, ops **out, err *e)
{
    cpu_level level = CPU_BASELINE;
    TRY(cpu_level_choose(&level, e));
    ops_state *const s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_MEMORY, "no memory for the operations");
    }
    s->base = members;
    s->threads = threads;
    s->matmul = matmul_kernel_at(level);
    s->row = row_kernel_at(level);
    s->attention = attention_kernel_at(level);
    err_code code = OK;
    TRY_OUT(thread_pool_create(threads, &s->pool, e));
    *out = &s->base;
    return OK;
out:
    free(s);
    return code;
}
