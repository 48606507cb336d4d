/* The router: choice and ties by hand, weights, choices of another router, rows alone and in batches, the same bits at every
 * level and number of threads. */
#include <check.h>

#include "tests/aid/ops_case.h"
#include "verify/ops/elementary.h"

enum { MOST = 4096 };

typedef struct choice {
    uint32_t index[MOST];
    float weights[MOST];
} choice;

static void route(ops *o, mat z, const router_shape *shape, const float *bias,
                  const uint32_t *chosen, choice *to)
{
    const routes out = {.choice = chosen, .index = to->index, .weights = to->weights};
    o->route(o, z, shape, bias, &out);
}

static void expect_choice(const choice *c, size_t row, size_t top_k, const uint32_t *expected)
{
    for (size_t i = 0; i < top_k; i++) {
        ck_assert_msg(c->index[row * top_k + i] == expected[i], "row %zu choice %zu: %u, not %u",
                      row, i, c->index[row * top_k + i], expected[i]);
    }
}

START_TEST(choice_by_hand)
{
    ops *const o = case_ops();
    static choice c;
    const mat z = case_mat(o, 4, 8, NULL);
    const router_shape shape = {
        .experts = 8, .top_k = 3, .groups = 4, .top_groups = 2, .normalize = false, .scaling = 1};
    /* Group sums decide: the largest expert alone does not save its group. All equal: the lower
     * numbers. Equal groups: the lower one. Equal experts at the end of the choice. */
    o->put(o, (const float[]){9, -9, 1, 1, 0, 2, -1, -1, /**/ 0, 0,  0, 0, 0, 0, 0,  0, /**/
                              1, 1,  0, 0, 1, 1, 1,  1,  /**/ 3, -5, 2, 2, 2, 2, -5, 3},
           z);
    route(o, z, &shape, NULL, NULL, &c);
    expect_choice(&c, 0, 3, (const uint32_t[]){2, 3, 5});
    expect_choice(&c, 1, 3, (const uint32_t[]){0, 1, 2});
    expect_choice(&c, 2, 3, (const uint32_t[]){0, 1, 4});
    expect_choice(&c, 3, 3, (const uint32_t[]){2, 3, 4});
    ck_assert(c.weights[3] == 0.5f && c.weights[0] == elementary_sigmoid(1));
    /* A bias takes part in the choice, but not in the weights. */
    const float bias[] = {1, 1, 0, 0, 0, 0, 0, 2};
    route(o, z, &shape, bias, NULL, &c);
    expect_choice(&c, 1, 3, (const uint32_t[]){0, 1, 7});
    ck_assert(c.weights[3] == 0.5f && c.weights[5] == 0.5f);
    o->release(o, z.data);
    case_done(o);
}
END_TEST

START_TEST(shares_by_hand)
{
    ops *const o = case_ops();
    static choice c;
    const mat z = case_mat(o, 1, 4, NULL);
    const router_shape shape = {
        .experts = 4, .top_k = 2, .groups = 1, .top_groups = 1, .normalize = true, .scaling = 2.5f};
    o->put(o, (const float[]){0, 50, 0, 50}, z); /* 1/2 and 1 */
    route(o, z, &shape, NULL, NULL, &c);
    expect_choice(&c, 0, 2, (const uint32_t[]){1, 3});
    ck_assert(c.weights[0] == 1.25f && c.weights[1] == 1.25f);
    o->put(o, (const float[]){-200, -200, -200, -200}, z); /* a sum of 0: no division by 0 */
    route(o, z, &shape, NULL, NULL, &c);
    ck_assert(c.weights[0] == 0 && c.weights[1] == 0);
    o->release(o, z.data);
    case_done(o);
}
END_TEST

/* Experts that are chosen elsewhere have the weights of these logits; scores are those by which the
 * router itself would choose. */
START_TEST(choice_of_another)
{
    ops *const o = case_ops();
    static choice c;
    float scores[8];
    const mat z = case_mat(o, 2, 4, NULL);
    const float bias[] = {0, 0, 1, 0};
    const uint32_t chosen[] = {0, 3, 1, 2};
    const router_shape shape = {
        .experts = 4, .top_k = 2, .groups = 2, .top_groups = 1, .normalize = true, .scaling = 1};
    o->put(o, (const float[]){0, 9, 9, 0, /**/ 0, 50, 0, 50}, z);
    route(o, z, &shape, bias, chosen, &c);
    expect_choice(&c, 0, 2, chosen);
    expect_choice(&c, 1, 2, chosen + 2);
    ck_assert(c.weights[0] == 0.5f && c.weights[1] == 0.5f);
    ck_assert(c.weights[2] == 1 / 1.5f && c.weights[3] == 0.5f / 1.5f);
    const routes out = {.index = c.index, .weights = c.weights, .scores = scores};
    o->route(o, z, &shape, bias, &out);
    expect_choice(&c, 0, 2, (const uint32_t[]){2, 3});
    ck_assert(scores[0] == 0.5f && scores[2] == elementary_sigmoid(9) + 1);
    ck_assert(scores[4] == 0.5f && scores[5] == 1 && scores[6] == 1.5f && scores[7] == 1);
    o->release(o, z.data);
    case_done(o);
}
END_TEST

static const router_shape shapes[] = {{1, 1, 1, 1, true, 1},
                                      {8, 2, 8, 3, true, 2.5f},
                                      {60, 6, 4, 2, true, 1},
                                      {256, 8, 8, 4, true, 2.5f},
                                      {64, 6, 1, 1, false, 16}};
enum { TOKENS = 130 };

static const router_shape *current; /* of the scenario; every test has a process of its own */

static void choose(ops *o, uint64_t seed, float *out)
{
    static choice c;
    const size_t choices = TOKENS * current->top_k;
    const mat z = case_mat(o, TOKENS, current->experts, &seed);
    float bias[256];
    case_fill(bias, 256, &seed);
    route(o, z, current, bias, NULL, &c);
    for (size_t i = 0; i < choices; i++) {
        out[i] = (float)c.index[i];
        out[choices + i] = c.weights[i];
        ck_assert(i % current->top_k == 0 || c.index[i] > c.index[i - 1]);
        ck_assert_uint_lt(c.index[i], current->experts);
    }
    uint32_t index[8];
    float weights[8];
    for (size_t t = 0; t < TOKENS; t += 17) {
        const routes alone = {.index = index, .weights = weights};
        o->route(o, mat_rows(z, t, 1), current, bias, &alone);
        expect_choice(&c, t, current->top_k, index);
        expect_same_bits("alone", weights, c.weights + t * current->top_k, current->top_k);
    }
    o->release(o, z.data);
}

START_TEST(same_everywhere)
{
    current = &shapes[_i];
    expect_same_everywhere(choose, random_seed(_i), 2 * TOKENS * (size_t)current->top_k);
}
END_TEST

/* Callers reject such logits later; until then indices must be valid. */
START_TEST(nonfinite_logits)
{
    ops *const o = case_ops();
    static choice c;
    const router_shape *const shape = &shapes[_i];
    const mat z = case_mat(o, 3, shape->experts, NULL);
    for (size_t e = 0; e < shape->experts; e++) {
        z.data[e] = NAN;
        z.data[z.stride + e] = e % 3 ? INFINITY : NAN;
        z.data[2 * z.stride + e] = -INFINITY;
    }
    route(o, z, shape, NULL, NULL, &c);
    for (size_t i = 0; i < 3 * (size_t)shape->top_k; i++) {
        ck_assert(i % shape->top_k == 0 || c.index[i] > c.index[i - 1]);
        ck_assert_uint_lt(c.index[i], shape->experts);
    }
    o->release(o, z.data);
    case_done(o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ops_router");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, choice_by_hand);
    tcase_add_test(tc, shares_by_hand);
    tcase_add_test(tc, choice_of_another);
    tcase_add_loop_test(tc, same_everywhere, 0, COUNT(shapes));
    tcase_add_loop_test(tc, nonfinite_logits, 0, COUNT(shapes));
    return run_tests("ops_router", tc);
}
