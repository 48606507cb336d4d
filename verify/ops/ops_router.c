/* The selection of experts: every token is a task, with a work space of rows of experts. */
#include <string.h>

#include "format/base/num.h"
#include "verify/ops/ops_state.h"

typedef struct route_run {
    const row_kernel *kernel;
    mat z;
    const router_shape *shape;
    const float *bias;
    const routes *out;
    float *work;
    size_t work_pitch;
} route_run;

/* The first of the largest scores that are not taken. There must be one. NaN is never larger, so it
 * is found only if it comes first: the indices stay valid. */
static size_t best_left(const float *score, const unsigned char *taken, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (!taken[i] && (best == n || score[i] > score[best])) {
            best = i;
        }
    }
    return best;
}

static void take_best(const float *score, unsigned char *taken, size_t n, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        taken[best_left(score, taken, n)] = 1;
    }
}

/* The sum of the two largest. */
static float group_score(const float *score, size_t n)
{
    if (n == 1) {
        return score[0];
    }
    float first = score[0] > score[1] ? score[0] : score[1];
    float second = score[0] > score[1] ? score[1] : score[0];
    for (size_t i = 2; i < n; i++) {
        if (score[i] > first) {
            second = first;
            first = score[i];
        } else if (score[i] > second) {
            second = score[i];
        }
    }
    return first + second;
}

/* Keep the best groups, and mark the experts of all other groups as taken (by 2, not 1). */
static void drop_groups(const router_shape *r, const float *score, float *groups,
                        unsigned char *stays, unsigned char *taken)
{
    const size_t members = r->experts / r->groups;
    for (size_t g = 0; g < r->groups; g++) {
        groups[g] = group_score(score + g * members, members);
    }
    memset(stays, 0, r->groups);
    take_best(groups, stays, r->groups, r->top_groups);
    for (size_t g = 0; g < r->groups; g++) {
        memset(taken + g * members, stays[g] ? 0 : 2, members);
    }
}

static void write_weights(const route_run *r, const float *s, const unsigned char *taken,
                          size_t row)
{
    const router_shape *const shape = r->shape;
    uint32_t *const index = r->out->index + row * shape->top_k;
    float *const weights = r->out->weights + row * shape->top_k;
    size_t count = 0;
    float sum = 0;
    for (size_t e = 0; e < shape->experts; e++) {
        if (taken[e] == 1) {
            index[count] = (uint32_t)e;
            weights[count++] = s[e];
            sum = sum + s[e];
        }
    }
    for (size_t i = 0; i < count; i++) {
        const float part = shape->normalize ? weights[i] / (sum + 1e-20f) : weights[i];
        weights[i] = part * shape->scaling;
    }
}

static void choose(const route_run *r, const float *score, float *groups, unsigned char *stays,
                   unsigned char *taken, size_t row)
{
    const router_shape *const shape = r->shape;
    if (r->out->choice) {
        memset(taken, 0, shape->experts);
        for (size_t i = 0; i < shape->top_k; i++) {
            taken[r->out->choice[row * shape->top_k + i]] = 1;
        }
    } else {
        drop_groups(shape, score, groups, stays, taken);
        take_best(score, taken, shape->experts, shape->top_k);
    }
}

static void route_task(void *ctx, unsigned worker, size_t row)
{
    const route_run *const r = ctx;
    const size_t experts = r->shape->experts;
    float *const s = r->work + worker * r->work_pitch;
    float *const biased = s + experts;
    float *const groups = biased + experts;
    unsigned char *const taken = (unsigned char *)(groups + experts);
    unsigned char *const stays = taken + experts;
    r->kernel->sigmoid(r->z.data + row * r->z.stride, experts, s);
    memcpy(biased, s, experts * sizeof *s);
    if (r->bias) {
        r->kernel->add(biased, r->bias, experts);
    }
    if (r->out->scores) {
        memcpy(r->out->scores + row * experts, biased, experts * sizeof *biased);
    }
    choose(r, biased, groups, stays, taken, row);
    write_weights(r, s, taken, row);
}

void ops_router_route(ops *o, mat z, const router_shape *shape, const float *bias,
                      const routes *out)
{
    ops_state *const s = ops_state_of(o);
    if (ops_failed(s)) {
        return;
    }
    route_run r = {.kernel = s->row, .z = z, .shape = shape, .bias = bias, .out = out};
    r.work = ops_own_space(s, 4 * (size_t)shape->experts, &r.work_pitch);
    if (r.work) {
        thread_pool_run(s->pool, z.rows, route_task, &r);
    }
}
