/* Attention and linear attention: all tokens at once and one by one, by hand, and the same bits at
 * every level and number of threads. */
#include <check.h>

#include "tests/aid/ops_case.h"
#include "verify/ops/elementary.h"

typedef struct load {
    attention_shape shape;
    size_t tokens, room;
} load;

static const load loads[] = {
    {{1, 1, 1, 1, 1, 0}, 1, 1},           {{2, 1, 8, 8, 0.5f, 0}, 5, 5},
    {{4, 2, 16, 16, 0.25f, 3}, 70, 70},   {{6, 2, 40, 24, 0.2f, 0}, 67, 80},
    {{3, 3, 64, 64, 0.125f, 0}, 9, 12},   {{2, 1, 128, 130, 0.1f, 33}, 71, 80},
    {{1, 1, 100, 100, 0.1f, 0}, 129, 129}};

typedef struct sequence {
    mat q, k, v, y;
    float *cache, *state;
    float decay[8];
} sequence;

static sequence sequence_new(ops *o, const load *l, size_t kv_heads, uint64_t *state)
{
    const size_t qk_dim = l->shape.qk_dim;
    const size_t v_dim = l->shape.v_dim;
    sequence s = {.q = case_mat(o, l->tokens, l->shape.heads * qk_dim, state),
                  .k = case_mat(o, l->tokens, kv_heads * qk_dim, state),
                  .v = case_mat(o, l->tokens, kv_heads * v_dim, state),
                  .y = case_mat(o, l->tokens, l->shape.heads * v_dim, NULL),
                  .cache = o->alloc(o, attention_cache_floats(l->shape, l->room)),
                  .state = o->alloc(o, attention_state_floats(l->shape))};
    ck_assert(s.cache && s.state);
    for (int h = 0; h < COUNT(s.decay); h++) {
        s.decay[h] = 1 - fabsf(case_float(state)) * 0.2f;
    }
    return s;
}

static void sequence_free(ops *o, sequence *s)
{
    o->release(o, s->q.data);
    o->release(o, s->k.data);
    o->release(o, s->v.data);
    o->release(o, s->y.data);
    o->release(o, s->cache);
    o->release(o, s->state);
}

/* Tokens first ... first + count - 1, softmax or linear. */
static void advance(ops *o, const load *l, const sequence *s, bool linear, size_t first,
                    size_t count)
{
    const mat q = mat_rows(s->q, first, count);
    const mat k = mat_rows(s->k, first, count);
    const mat v = mat_rows(s->v, first, count);
    const mat y = mat_rows(s->y, first, count);
    attention_shape shape = l->shape;
    if (linear) {
        shape.kv_heads = shape.heads;
        shape.window = 0;
        o->linear_attention(o, shape, q, k, v, s->decay, s->state, y);
    } else {
        o->attention(o, shape, q, k, v, first, s->cache, l->room, y);
    }
}

/* ---- the same everywhere --------------------------------------- */

static const load *current; /* of the scenario; every test runs in a process of its own */
static bool current_linear;

static void whole_sequence(ops *o, uint64_t seed, float *out)
{
    const size_t kv_heads = current_linear ? current->shape.heads : current->shape.kv_heads;
    sequence s = sequence_new(o, current, kv_heads, &seed);
    advance(o, current, &s, current_linear, 0, current->tokens);
    out = case_take(o, s.y, out);
    memcpy(out, s.state, attention_state_floats(current->shape) * sizeof *out);
    sequence_free(o, &s);
}

static void expect_sequence_same_everywhere(int i, bool linear)
{
    const size_t width = loads[i].shape.heads * loads[i].shape.v_dim;
    current = &loads[i];
    current_linear = linear;
    expect_same_everywhere(whole_sequence, random_seed(i),
                           width * (loads[i].tokens + loads[i].shape.qk_dim));
}

START_TEST(attention_same_everywhere)
{
    expect_sequence_same_everywhere(_i, false);
}
END_TEST

START_TEST(linear_same_everywhere)
{
    expect_sequence_same_everywhere(_i, true);
}
END_TEST

/* ---- cuts do not matter ---------------------------------------- */

/* One by one, and in portions of random sizes. */
static void expect_cuts(const load *l, bool linear, uint64_t seed)
{
    ops *const o = case_ops();
    const size_t kv_heads = linear ? l->shape.heads : l->shape.kv_heads;
    sequence whole = sequence_new(o, l, kv_heads, &(uint64_t){seed});
    advance(o, l, &whole, linear, 0, l->tokens);
    uint64_t cuts = seed;
    for (size_t most = 1; most <= 50; most += 7) {
        sequence s = sequence_new(o, l, kv_heads, &(uint64_t){seed});
        size_t count = 0;
        for (size_t first = 0; first < l->tokens; first += count) {
            count = 1 + case_below(&cuts, most);
            count = count < l->tokens - first ? count : l->tokens - first;
            advance(o, l, &s, linear, first, count);
        }
        expect_same_bits("outputs", s.y.data, whole.y.data, s.y.rows * s.y.stride);
        expect_same_bits("state", s.state, whole.state, attention_state_floats(l->shape));
        sequence_free(o, &s);
    }
    sequence_free(o, &whole);
    case_done(o);
}

START_TEST(attention_goes_on)
{
    expect_cuts(&loads[_i], false, random_seed(_i));
}
END_TEST

START_TEST(linear_goes_on)
{
    expect_cuts(&loads[_i], true, random_seed(_i));
}
END_TEST

/* ---- by hand --------------------------------------------------- */

/* One key: its value. Two equal keys: both, in equal parts. */
START_TEST(attention_by_hand)
{
    ops *const o = case_ops();
    const load l = {{2, 1, 4, 4, 0.5f, 0}, 3, 3};
    uint64_t state = random_seed(_i);
    sequence s = sequence_new(o, &l, 1, &state);
    o->put(o, (const float[]){1, 0, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0}, s.k);
    o->put(o, (const float[]){1, 2, 3, 4, 5, 6, 7, 8, 100, 200, 300, 400}, s.v);
    o->put(o,
           (const float[]){1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2, 1, 0, 0, 0, 0, 1, 0, 0},
           s.q);
    advance(o, &l, &s, false, 0, 3);
    float y[24];
    case_take(o, s.y, y);
    expect_same_bits("one key", y, (const float[]){1, 2, 3, 4, 1, 2, 3, 4}, 8);
    expect_same_bits("two keys", y + 8, (const float[]){3, 4, 5, 6, 3, 4, 5, 6}, 8);
    /* Scores of the last token: 1/2, 1/2, 0 for head 0; 0, 0, 3 for head 1. */
    const float small = elementary_exp(-0.5f) / (1 + 1 + elementary_exp(-0.5f));
    const float large = 1 / (elementary_exp(-3.0f) + elementary_exp(-3.0f) + 1);
    ck_assert(fabsf(y[16] - (6 * (1 - small) / 2 + 100 * small)) < 1e-4f);
    ck_assert(fabsf(y[20] - (6 * (1 - large) / 2 + 100 * large)) < 1e-4f);
    sequence_free(o, &s);
    case_done(o);
}
END_TEST

/* A window of two: the third token sees the second key and its own, not the first. Values are
 * wider than keys, and the scale is not that of their width. */
START_TEST(window_by_hand)
{
    ops *const o = case_ops();
    const load l = {{1, 1, 2, 3, 2, 2}, 3, 3};
    uint64_t state = random_seed(_i);
    sequence s = sequence_new(o, &l, 1, &state);
    o->put(o, (const float[]){50, 50, 1, 0, 0, 1}, s.k);
    o->put(o, (const float[]){9, 9, 9, 1, 2, 3, 5, 6, 7}, s.v);
    o->put(o, (const float[]){1, 1, 0, 0, 1, 1}, s.q);
    advance(o, &l, &s, false, 0, 3);
    float y[9];
    case_take(o, s.y, y);
    expect_same_bits("y", y, (const float[]){9, 9, 9, 5, 5.5f, 6, 3, 4, 5}, 9);
    o->put(o, (const float[]){0, 0, 0, 0, 0.5f, 0}, s.q); /* scores 1 and 0 */
    advance(o, &l, &s, false, 2, 1);
    case_take(o, s.y, y);
    const float part = 1 / (1 + elementary_exp(-1.0f));
    ck_assert(fabsf(y[6] - (part + 5 * (1 - part))) < 1e-5f);
    sequence_free(o, &s);
    case_done(o);
}
END_TEST

START_TEST(scale_of_a_width)
{
    ck_assert_float_eq(attention_scale(64), 0.125f);
    ck_assert_uint_eq(float_bits(attention_scale(128)), float_bits((float)(1 / sqrtl(128))));
}
END_TEST

START_TEST(linear_by_hand)
{
    ops *const o = case_ops();
    const load l = {{1, 1, 4, 4, 0.5f, 0}, 2, 2};
    uint64_t state = random_seed(_i);
    sequence s = sequence_new(o, &l, 1, &state);
    s.decay[0] = 0.5f;
    o->put(o, (const float[]){2, 0, 0, 1, 0, 0, 0, 4}, s.k);
    o->put(o, (const float[]){1, 2, 3, 4, 1, 0, 0, -1}, s.v);
    o->put(o, (const float[]){1, 1, 1, 1, 1, 0, 0, 2}, s.q);
    advance(o, &l, &s, true, 0, 2);
    float y[8];
    case_take(o, s.y, y);
    /* After token 0 the rows 0 and 3 of S are 2 v and v; after token 1 v and v/2 + 4 v'. */
    expect_same_bits("y", y, (const float[]){1.5f, 3, 4.5f, 6, 5, 2, 3, 0}, 8);
    const float rows[16] = {1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4.5f, 1, 1.5f, -2};
    expect_same_bits("state", s.state, rows, 16);
    sequence_free(o, &s);
    case_done(o);
}
END_TEST

/* The cache after the tokens so far must not be read. */
START_TEST(rest_of_the_cache)
{
    ops *const o = case_ops();
    const load *const l = &loads[3];
    const size_t floats = attention_cache_floats(l->shape, l->room);
    uint64_t seed = random_seed(_i);
    sequence clean = sequence_new(o, l, l->shape.kv_heads, &(uint64_t){seed});
    sequence dirty = sequence_new(o, l, l->shape.kv_heads, &(uint64_t){seed});
    for (size_t i = 0; i < floats; i++) {
        dirty.cache[i] = NAN;
    }
    for (size_t t = 0; t < l->tokens; t += 5) {
        const size_t count = t + 5 < l->tokens ? 5 : l->tokens - t;
        advance(o, l, &clean, false, t, count);
        advance(o, l, &dirty, false, t, count);
    }
    expect_same_bits("y", dirty.y.data, clean.y.data, clean.y.rows * clean.y.stride);
    sequence_free(o, &clean);
    sequence_free(o, &dirty);
    case_done(o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ops_attention");
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, attention_same_everywhere, 0, COUNT(loads));
    tcase_add_loop_test(tc, linear_same_everywhere, 0, COUNT(loads));
    tcase_add_loop_test(tc, attention_goes_on, 0, COUNT(loads));
    tcase_add_loop_test(tc, linear_goes_on, 0, COUNT(loads));
    tcase_add_test(tc, attention_by_hand);
    tcase_add_test(tc, window_by_hand);
    tcase_add_test(tc, scale_of_a_width);
    tcase_add_test(tc, linear_by_hand);
    tcase_add_test(tc, rest_of_the_cache);
    return run_tests("ops_attention", tc);
}
