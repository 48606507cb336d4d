/* The CPU operations against naive loops (ops_naive.h), bit for bit, on random shapes.
 *
 * SEED=N repeats the data; THIN=N, as in the other long tests, takes fewer and smaller shapes. */
#include <math.h>

#include "tests/aid/expect.h"
#include "tests/aid/ops_pair.h"
#include "tests/aid/oracle_e4m3.h"

enum { ROUNDS = 24 };

#define TESTED(p, op, ...) (p)->tested->op((p)->tested, __VA_ARGS__)
#define NAIVE(p, op, ...)  (p)->naive->op((p)->naive, __VA_ARGS__)

static unsigned thin(void)
{
    const char *const text = getenv("THIN");
    const unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n < 1 ? 1 : n > 16 ? 16 : (unsigned)n;
}

/* `count`, reduced until `count` times `each` is within the budget of one call. */
static size_t affordable(size_t count, size_t each)
{
    const size_t most = 4000000 / thin() / each;
    return count < most ? count : most + 1;
}

static dtype any_dtype(ops_pair *p)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    return types[pair_below(p, COUNT(types))];
}

/* ---- matrices -------------------------------------------------- */

static void check_matmul(ops_pair *p, dtype type, bool fp8)
{
    const size_t n = pair_size(p, 300);
    const size_t k = pair_size(p, 600);
    const size_t t = affordable(pair_size(p, 300), n * k);
    const spread xs = pair_spread(p);
    const spread ws = pair_spread(p);
    const both_weights w = pair_weight(p, type, n, k, ws);
    const both_weights bias = pair_weight(p, any_dtype(p), 1, n, pair_spread(p));
    const bool biased = pair_below(p, 2);
    const both x = pair_mat(p, t, k, xs);
    const both y = pair_mat(p, t, n, PLAIN);
    pair_describe(p, "matmul %s fp8 %d scales %s bias %d: T %zu N %zu K %zu, x kind %d, w kind %d",
                  dtype_name(type), fp8, scale_format_name(w.naive.block.scale), biased, t, n, k,
                  xs, ws);
    TESTED(p, matmul, x.tested, &w.tested, biased ? &bias.tested : NULL, fp8, y.tested);
    NAIVE(p, matmul, x.naive, &w.naive, biased ? &bias.naive : NULL, fp8, y.naive);
    pair_same(p, y);
    pair_same(p, x);
}

START_TEST(matmul)
{
    static const struct {
        dtype type;
        bool fp8;
    } kinds[] = {{DTYPE_BF16, false},  {DTYPE_BF16, true},     {DTYPE_F16, false},
                 {DTYPE_F32, false},   {DTYPE_F8_E4M3, false}, {DTYPE_F8_E4M3, true},
                 {DTYPE_F8_E4M3, true}};
    uint64_t seed = random_seed(_i);
    for (int i = 0; i < COUNT(kinds); i++) {
        ops_pair p;
        pair_open(&p, oracle_random(&seed));
        check_matmul(&p, kinds[i].type, kinds[i].fp8);
        pair_close(&p);
    }
}
END_TEST

/* ---- rows ------------------------------------------------------ */

typedef struct norm_case {
    size_t rows, cols;
    unsigned groups;
    both_weights w;
    float eps;
} norm_case;

static norm_case any_norm(ops_pair *p)
{
    static const float epsilons[] = {1e-6f, 1e-5f, 0x1p-149f, 1};
    norm_case c = {.groups = pair_below(p, 2) ? 1 : 1 + pair_below(p, 12)};
    const size_t part = pair_size(p, 600 / c.groups);
    c.cols = part * c.groups;
    c.rows = affordable(pair_size(p, 60), 20 * c.cols);
    c.w = pair_weight(p, any_dtype(p), 1, pair_below(p, 2) ? part : c.cols, PLAIN);
    c.eps = epsilons[pair_below(p, COUNT(epsilons))];
    return c;
}

START_TEST(norm)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const norm_case c = any_norm(&p);
    const spread s = pair_spread(&p);
    const both x = pair_mat(&p, c.rows, c.cols, s);
    const both y = pair_below(&p, 2) ? x : pair_mat(&p, c.rows, c.cols, PLAIN);
    pair_describe(&p, "norm [%zu, %zu], kind %d, groups %u, weight %s of %zu, in place %d", c.rows,
                  c.cols, s, c.groups, dtype_name(c.w.naive.type), c.w.naive.cols,
                  y.naive.data == x.naive.data);
    TESTED(&p, norm, x.tested, c.groups, &c.w.tested, c.eps, y.tested);
    NAIVE(&p, norm, x.naive, c.groups, &c.w.naive, c.eps, y.naive);
    pair_same(&p, y);
    pair_same(&p, x);
    pair_close(&p);
}
END_TEST

START_TEST(gate)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const norm_case c = any_norm(&p);
    const both u = pair_mat(&p, c.rows, c.cols, pair_spread(&p));
    const both g = pair_mat(&p, c.rows, c.cols, pair_spread(&p));
    const both y = pair_below(&p, 2) ? u : pair_mat(&p, c.rows, c.cols, PLAIN);
    pair_describe(&p, "gate [%zu, %zu], groups %u, weight of %zu, in place %d", c.rows, c.cols,
                  c.groups, c.w.naive.cols, y.naive.data == u.naive.data);
    TESTED(&p, gate, u.tested, c.groups, &c.w.tested, c.eps, g.tested, y.tested);
    NAIVE(&p, gate, u.naive, c.groups, &c.w.naive, c.eps, g.naive, y.naive);
    pair_same(&p, y);
    pair_same(&p, u);
    pair_same(&p, g);
    pair_close(&p);
}
END_TEST

START_TEST(rope)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const unsigned heads = 1 + pair_below(&p, 9);
    const size_t half = pair_size(&p, 80);
    const size_t rest = pair_below(&p, 2) ? 0 : pair_below(&p, 80);
    const size_t d = 2 * half + rest;
    const rotation r = {pair_below(&p, (uint32_t)rest + 1), (unsigned)half, pair_below(&p, 2)};
    const size_t rows = pair_size(&p, 60);
    const both x = pair_mat(&p, rows, heads * d, pair_spread(&p));
    float *const cosines = pair_floats(&p, rows * half, PLAIN);
    float *const sines = pair_floats(&p, rows * half, PLAIN);
    for (size_t i = 0; i < rows * half; i++) {
        const double angle = 0.37 * (double)i;
        if (pair_below(&p, 8)) {
            cosines[i] = (float)cos(angle);
            sines[i] = (float)sin(angle);
        }
    }
    pair_describe(&p, "rope [%zu, %u x %zu], half %zu from %u, interleaved %d", rows, heads, d,
                  half, r.offset, r.interleaved);
    TESTED(&p, rope, x.tested, heads, r, cosines, sines);
    NAIVE(&p, rope, x.naive, heads, r, cosines, sines);
    pair_same(&p, x);
    pair_close(&p);
}
END_TEST

START_TEST(silu)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const size_t rows = pair_size(&p, 40);
    const size_t cols = pair_size(&p, 300);
    const both x = pair_mat(&p, rows, cols, pair_spread(&p));
    pair_describe(&p, "silu [%zu, %zu]", rows, cols);
    TESTED(&p, silu, x.tested);
    NAIVE(&p, silu, x.naive);
    pair_same(&p, x);
    const both up = pair_mat(&p, rows, cols, pair_spread(&p));
    const both results[] = {pair_mat(&p, rows, cols, PLAIN), x, up};
    const int which = (int)pair_below(&p, COUNT(results));
    const both y = results[which];
    pair_describe(&p, "silu_mul [%zu, %zu], y is number %d", rows, cols, which);
    TESTED(&p, silu_mul, x.tested, up.tested, y.tested);
    NAIVE(&p, silu_mul, x.naive, up.naive, y.naive);
    pair_same(&p, y);
    pair_same(&p, x);
    pair_same(&p, up);
    pair_close(&p);
}
END_TEST

/* Finite floats of all exponents: for all of the range of the exponential function. */
START_TEST(silu_everywhere)
{
    enum { PART = 1 << 16 };
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const uint32_t step = 509 * thin();
    const both x = pair_zeros(&p, PART);
    float *const values = pair_floats(&p, PART, PLAIN);
    uint64_t bits = pair_below(&p, step);
    while (bits <= UINT32_MAX) {
        for (size_t i = 0; i < PART; i++) {
            const float value = oracle_float((uint32_t)bits);
            values[i] = bits <= UINT32_MAX && isfinite(value) ? value : 0;
            bits += step;
        }
        pair_describe(&p, "silu of floats up to 0x%llx", (unsigned long long)bits);
        TESTED(&p, put, values, x.tested);
        NAIVE(&p, put, values, x.naive);
        TESTED(&p, silu, x.tested);
        NAIVE(&p, silu, x.naive);
        pair_same(&p, x);
    }
    pair_close(&p);
}
END_TEST

START_TEST(add_and_zero)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const size_t rows = pair_size(&p, 60);
    const size_t cols = pair_size(&p, 300);
    const both x = pair_mat(&p, rows, cols, pair_spread(&p));
    const both y = pair_mat(&p, rows, cols, pair_spread(&p));
    pair_describe(&p, "add [%zu, %zu]", rows, cols);
    TESTED(&p, add, x.tested, y.tested);
    NAIVE(&p, add, x.naive, y.naive);
    pair_same(&p, x);
    pair_same(&p, y);
    pair_describe(&p, "zero [%zu, %zu]", rows, cols);
    TESTED(&p, zero, y.tested);
    NAIVE(&p, zero, y.naive);
    pair_same(&p, y);
    pair_close(&p);
}
END_TEST

/* `count` different numbers below `limit`, in no order. */
static uint32_t *different_rows(ops_pair *p, size_t count, size_t limit)
{
    uint32_t *const rows = pair_host(p, limit * sizeof *rows, 0);
    for (size_t i = 0; i < limit; i++) {
        rows[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < limit; i++) {
        const size_t j = pair_below(p, (uint32_t)i + 1);
        const uint32_t kept = rows[i];
        rows[i] = rows[j];
        rows[j] = kept;
    }
    ck_assert_uint_le(count, limit);
    return rows;
}

START_TEST(gather_and_scatter)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const size_t from = pair_size(&p, 200);
    const size_t cols = pair_size(&p, 300);
    const size_t taken = pair_size(&p, 200);
    const both x = pair_mat(&p, from, cols, pair_spread(&p));
    const both y = pair_mat(&p, taken, cols, PLAIN);
    uint32_t *const rows = pair_host(&p, taken * sizeof *rows, 0);
    for (size_t i = 0; i < taken; i++) {
        rows[i] = pair_below(&p, (uint32_t)from);
    }
    pair_describe(&p, "gather %zu of [%zu, %zu]", taken, from, cols);
    TESTED(&p, gather, x.tested, rows, y.tested);
    NAIVE(&p, gather, x.naive, rows, y.naive);
    pair_same(&p, y);
    const size_t given = taken < from ? taken : from;
    const both part = both_rows(y, taken - given, given);
    const uint32_t *const targets = different_rows(&p, given, from);
    const float *const weights = pair_floats(&p, given, PLAIN);
    pair_describe(&p, "scatter %zu to [%zu, %zu]", given, from, cols);
    TESTED(&p, scatter, part.tested, targets, weights, x.tested);
    NAIVE(&p, scatter, part.naive, targets, weights, x.naive);
    pair_same(&p, x);
    pair_same(&p, y);
    pair_close(&p);
}
END_TEST

/* ---- attention ------------------------------------------------- */

typedef struct tokens {
    attention_shape shape;
    size_t count;
    both q, k, v, y; /* q, k and v are columns of one matrix */
} tokens;

static tokens any_tokens(ops_pair *p, bool linear)
{
    tokens a = {.shape.kv_heads = 1 + pair_below(p, 4)};
    a.shape.heads = a.shape.kv_heads * (linear ? 1 : 1 + pair_below(p, 4));
    a.shape.qk_dim = (unsigned)pair_size(p, 160);
    a.shape.v_dim = pair_below(p, 2) ? a.shape.qk_dim : (unsigned)pair_size(p, 160);
    a.shape.scale = pair_below(p, 2) ? attention_scale(a.shape.qk_dim) : 0.37f;
    const size_t q = (size_t)a.shape.heads * a.shape.qk_dim;
    const size_t k = (size_t)a.shape.kv_heads * a.shape.qk_dim;
    const size_t v = (size_t)a.shape.kv_heads * a.shape.v_dim;
    const size_t y = (size_t)a.shape.heads * a.shape.v_dim;
    a.count = affordable(pair_size(p, 300), (q + y) * (linear ? a.shape.qk_dim : 150));
    if (!linear && pair_below(p, 2)) {
        a.shape.window = 1 + pair_below(p, pair_below(p, 2) ? 8 : 100);
    }
    const both qkv = pair_mat(p, a.count, q + k + v, pair_below(p, 4) ? PLAIN : pair_spread(p));
    a.q = both_cols(qkv, 0, q);
    a.k = both_cols(qkv, q, k);
    a.v = both_cols(qkv, q + k, v);
    a.y = pair_mat(p, a.count, y, PLAIN);
    return a;
}

typedef struct cut {
    size_t first, count;
} cut;

/* The next piece after `first` tokens: all of them, or some, or one. */
static cut next_piece(ops_pair *p, size_t first, size_t end)
{
    const size_t left = end - first;
    switch (pair_below(p, 3)) {
    case 0:
        return (cut){first, left};
    case 1:
        return (cut){first, 1};
    default:
        return (cut){first, 1 + pair_below(p, (uint32_t)left)};
    }
}

static tokens piece(const tokens *a, cut c)
{
    return (tokens){a->shape,
                    c.count,
                    both_rows(a->q, c.first, c.count),
                    both_rows(a->k, c.first, c.count),
                    both_rows(a->v, c.first, c.count),
                    both_rows(a->y, c.first, c.count)};
}

/* The caches still hold an earlier sequence, which must not show in the result. */
START_TEST(attention)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const tokens a = any_tokens(&p, false);
    const size_t room = a.count + pair_below(&p, 3);
    const both cache = pair_zeros(&p, attention_cache_floats(a.shape, room));
    pair_describe(&p, "attention of %zu tokens, %u/%u heads of %u and %u, window %u", a.count,
                  a.shape.heads, a.shape.kv_heads, a.shape.qk_dim, a.shape.v_dim, a.shape.window);
    for (int sequence = 0; sequence < 2; sequence++) {
        NAIVE(&p, attention, a.shape, a.q.naive, a.k.naive, a.v.naive, 0, cache.naive.data, room,
              a.y.naive);
        for (size_t first = 0; first < a.count;) {
            const cut c = next_piece(&p, first, a.count);
            const tokens b = piece(&a, c);
            TESTED(&p, attention, b.shape, b.q.tested, b.k.tested, b.v.tested, first,
                   cache.tested.data, room, b.y.tested);
            first += c.count;
        }
        pair_same(&p, a.y);
        pair_same(&p, a.q);
        TESTED(&p, silu, a.v.tested); /* other values for the second sequence */
        NAIVE(&p, silu, a.v.naive);
    }
    pair_close(&p);
}
END_TEST

START_TEST(linear_attention)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const tokens a = any_tokens(&p, true);
    float *const decay = pair_floats(&p, a.shape.heads, PLAIN);
    for (unsigned h = 0; h < a.shape.heads; h++) {
        decay[h] = expf(-fabsf(decay[h]));
    }
    const both state = pair_zeros(&p, attention_state_floats(a.shape));
    pair_describe(&p, "linear attention of %zu tokens, %u heads of %u and %u", a.count,
                  a.shape.heads, a.shape.qk_dim, a.shape.v_dim);
    NAIVE(&p, linear_attention, a.shape, a.q.naive, a.k.naive, a.v.naive, decay, state.naive.data,
          a.y.naive);
    for (size_t first = 0; first < a.count;) {
        const cut c = next_piece(&p, first, a.count);
        const tokens b = piece(&a, c);
        TESTED(&p, linear_attention, b.shape, b.q.tested, b.k.tested, b.v.tested, decay,
               state.tested.data, b.y.tested);
        first += c.count;
    }
    pair_same(&p, a.y);
    pair_same(&p, a.q);
    pair_close(&p);
}
END_TEST

/* ---- router ---------------------------------------------------- */

/* Values of few kinds, so that experts and groups tie. */
static void make_ties(ops_pair *p, both z)
{
    const size_t words = z.naive.rows * z.naive.cols;
    float *const host = pair_host(p, words * sizeof *host, 0);
    const uint32_t kinds = 1 + pair_below(p, 6);
    for (size_t i = 0; i < words; i++) {
        host[i] = (float)pair_below(p, kinds) - 2;
    }
    TESTED(p, put, host, z.tested);
    NAIVE(p, put, host, z.naive);
}

static const float *any_bias(ops_pair *p, size_t experts)
{
    const uint32_t kind = pair_below(p, 4);
    if (kind == 0) {
        return NULL;
    }
    float *const bias = pair_floats(p, experts, PLAIN);
    for (size_t e = 0; e < experts && kind < 3; e++) {
        bias[e] = kind == 1 ? -fabsf(bias[e]) : 0.25f * (float)pair_below(p, 3) - 0.5f;
    }
    return bias;
}

START_TEST(route)
{
    ops_pair p;
    pair_open(&p, random_seed(_i));
    const unsigned groups = 1 + pair_below(&p, pair_below(&p, 2) ? 8 : 40);
    const unsigned part = pair_below(&p, 4) ? 1 + pair_below(&p, 32) : 1;
    router_shape shape = {groups * part,
                          0,
                          groups,
                          1 + pair_below(&p, groups),
                          pair_below(&p, 2),
                          0.5f + (float)pair_below(&p, 5)};
    const uint32_t most = shape.top_groups * part;
    shape.top_k = 1 + pair_below(&p, pair_below(&p, 2) && most > 8 ? 8 : most);
    const size_t rows = affordable(pair_size(&p, 60), 10 * (size_t)shape.experts * shape.experts);
    const both z = pair_mat(&p, rows, shape.experts, pair_spread(&p));
    if (pair_below(&p, 2)) {
        make_ties(&p, z);
    }
    const float *const bias = any_bias(&p, shape.experts);
    const size_t words = rows * shape.top_k;
    const size_t all = rows * shape.experts;
    uint32_t *const index = pair_host(&p, 2 * words * sizeof *index, 0);
    float *const weights = pair_floats(&p, 2 * words, PLAIN);
    pair_describe(&p, "route %zu: top %u of %u, %u of %u groups, normalize %d, bias %d", rows,
                  shape.top_k, shape.experts, shape.top_groups, groups, shape.normalize,
                  bias != NULL);
    float *const scores = pair_floats(&p, 2 * all, PLAIN);
    const routes found = {.index = index, .weights = weights, .scores = scores};
    const routes expected = {
        .index = index + words, .weights = weights + words, .scores = scores + all};
    TESTED(&p, route, z.tested, &shape, bias, &found);
    NAIVE(&p, route, z.naive, &shape, bias, &expected);
    pair_same_host(&p, index, index + words, words);
    pair_same_host(&p, weights, weights + words, words);
    pair_same_host(&p, scores, scores + all, all);
    pair_same(&p, z);
    pair_close(&p);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ops_equal");
    const int rounds = ROUNDS / (thin() > 1 ? 2 : 1);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, matmul, 0, rounds);
    tcase_add_loop_test(tc, norm, 0, 2 * rounds);
    tcase_add_loop_test(tc, gate, 0, 2 * rounds);
    tcase_add_loop_test(tc, rope, 0, rounds);
    tcase_add_loop_test(tc, silu, 0, rounds);
    tcase_add_test(tc, silu_everywhere);
    tcase_add_loop_test(tc, add_and_zero, 0, rounds);
    tcase_add_loop_test(tc, gather_and_scatter, 0, rounds);
    tcase_add_loop_test(tc, attention, 0, 2 * rounds);
    tcase_add_loop_test(tc, linear_attention, 0, 2 * rounds);
    tcase_add_loop_test(tc, route, 0, 3 * rounds);
    return run_tests("ops equal", tc);
}
