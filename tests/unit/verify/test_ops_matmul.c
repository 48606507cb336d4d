/* Matrix products: random outputs against the chain written out, rows alone and in batches, the
 * same bits at every level and number of threads. */
#include <check.h>

#include "format/base/num.h"
#include "format/tensor/e4m3.h"
#include "quant/tile/scale.h"
#include "format/tensor/widen.h"
#include "tests/aid/ops_case.h"

/* ---- weights --------------------------------------------------- */

typedef struct kind {
    const char *name;
    dtype type;
    bool fp8, pow2;
} kind;

static const kind kinds[] = {{"BF16", DTYPE_BF16, false, false},
                             {"F16", DTYPE_F16, false, false},
                             {"F32", DTYPE_F32, false, false},
                             {"F32, asked for FP8", DTYPE_F32, true, false},
                             {"E4M3", DTYPE_F8_E4M3, false, false},
                             {"FP8 activations", DTYPE_F8_E4M3, true, false},
                             {"FP8 activations, powers of two", DTYPE_F8_E4M3, true, true}};

typedef struct held_weight {
    weight w;
    unsigned char *data; /* exactly as large as w needs */
    float *scales;
} held_weight;

static void fill_element(unsigned char *to, dtype type, uint64_t *state)
{
    const float f = case_float(state);
    const uint32_t bits = float_bits(f);
    const uint16_t high = (uint16_t)(bits >> 16);
    const uint16_t half = (uint16_t)((bits >> 16 & 0x8000) | case_below(state, 0x3c01));
    const uint8_t code = (uint8_t)((bits >> 24 & 0x80) | case_below(state, 0x7f));
    switch (type) {
    case DTYPE_BF16:
        memcpy(to, &high, sizeof high);
        break;
    case DTYPE_F16:
        memcpy(to, &half, sizeof half);
        break;
    case DTYPE_F8_E4M3:
        *to = code;
        break;
    default:
        memcpy(to, &f, sizeof f);
        break;
    }
}

static held_weight weight_new(const kind *k, size_t rows, size_t cols, uint64_t *state)
{
    const size_t bytes = dtype_bits(k->type) / 8;
    const size_t tiles = num_ceil_div(rows, 128) * num_ceil_div(cols, 128);
    held_weight h = {.data = malloc(rows * cols * bytes), .scales = calloc(tiles, sizeof(float))};
    ck_assert(h.data && h.scales);
    for (size_t i = 0; i < rows * cols; i++) {
        fill_element(h.data + i * bytes, k->type, state);
    }
    for (size_t i = 0; i < tiles; i++) {
        h.scales[i] = k->pow2 ? ldexpf(1, -(int)case_below(state, 12))
                              : 0.001f + fabsf(case_float(state)) * 0.01f;
    }
    h.w = (weight){.type = k->type,
                   .rows = rows,
                   .cols = cols,
                   .data = h.data,
                   .scales = k->type == DTYPE_F8_E4M3 ? h.scales : NULL,
                   .block = block_fp8(k->pow2 ? SCALES_UE8M0 : SCALES_F32)};
    return h;
}

static void weight_free(held_weight *h)
{
    free(h->data);
    free(h->scales);
}

/* ---- one output, written out ----------------------------------- */

static float stored(const weight *w, size_t row, size_t col)
{
    const size_t i = row * w->cols + col;
    switch (w->type) {
    case DTYPE_BF16:
        return bf16_widen(((const uint16_t *)w->data)[i]);
    case DTYPE_F16:
        return f16_widen(((const uint16_t *)w->data)[i]);
    case DTYPE_F8_E4M3:
        return e4m3_decode(((const uint8_t *)w->data)[i]);
    default:
        return ((const float *)w->data)[i];
    }
}

static float scale_at(const weight *w, size_t row, size_t col)
{
    return w->scales ? w->scales[row / 128 * num_ceil_div(w->cols, 128) + col / 128] : 1;
}

static float chain(const weight *w, size_t row, const float *x)
{
    float acc = 0;
    for (size_t k = 0; k < w->cols; k++) {
        acc = fmaf(stored(w, row, k) * scale_at(w, row, k), x[k], acc);
    }
    return acc;
}

static float chain_of_groups(const weight *w, size_t row, const float *x)
{
    float acc = 0;
    for (size_t first = 0; first < w->cols; first += 128) {
        const size_t end = num_min(first + 128, w->cols);
        float amax = 0;
        float p = 0;
        for (size_t k = first; k < end; k++) {
            amax = fmaxf(amax, fabsf(x[k]));
        }
        const float scale = scale_from_amax(amax, w->block.scale);
        for (size_t k = first; k < end; k++) {
            p = fmaf(stored(w, row, k), e4m3_decode(e4m3_encode(x[k] / scale)), p);
        }
        acc = fmaf(p, scale * scale_at(w, row, first), acc);
    }
    return acc;
}

/* ---- tests ----------------------------------------------------- */

typedef struct shape {
    size_t tokens, cols, rows;
} shape;

static const shape shapes[] = {{1, 1, 1},      {1, 127, 5},   {2, 128, 12},  {3, 129, 13},
                               {7, 130, 97},   {8, 513, 24},  {9, 100, 131}, {17, 256, 129},
                               {31, 1025, 11}, {33, 640, 30}, {65, 90, 200}, {530, 40, 25}};
enum { KINDS = COUNT(kinds), CASES = COUNT(shapes) * COUNT(kinds) };

static const shape *case_shape(int i)
{
    return &shapes[i / KINDS];
}

static void expect_chains(const mat *x, const mat *y, const weight *w, bool fp8, uint64_t *state)
{
    for (int i = 0; i < 40; i++) {
        const size_t t = case_below(state, y->rows);
        const size_t n = i == 0 ? y->cols - 1 : case_below(state, y->cols);
        const float *const row = x->data + t * x->stride;
        const float expected = fp8 ? chain_of_groups(w, n, row) : chain(w, n, row);
        expect_same_bits("output", y->data + t * y->stride + n, &expected, 1);
    }
}

START_TEST(outputs_are_chains)
{
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    const shape *const s = case_shape(_i);
    const kind *const k = &kinds[_i % KINDS];
    held_weight h = weight_new(k, s->rows, s->cols, &state);
    const mat x = case_mat(o, s->tokens, s->cols, &state);
    const mat y = case_mat(o, s->tokens, s->rows, NULL);
    float *const out = calloc(s->tokens * s->rows, sizeof *out);
    for (size_t c = 0; c < s->cols; c++) { /* a group of zeros, small and large groups */
        x.data[c] = c < 128 ? 0 : x.data[c] * 1e-30f;
    }
    o->matmul(o, x, &h.w, NULL, k->fp8, y);
    case_take(o, y, out);
    expect_chains(&x, &y, &h.w, k->fp8 && h.w.scales, &state);
    free(out);
    weight_free(&h);
    o->release(o, x.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

static int current; /* case of the scenario; every test runs in a process of its own */

static void multiply(ops *o, uint64_t seed, float *out)
{
    const shape *const s = case_shape(current);
    const kind *const k = &kinds[current % KINDS];
    held_weight h = weight_new(k, s->rows, s->cols, &seed);
    const mat x = case_mat(o, s->tokens, s->cols, &seed);
    const mat y = case_mat(o, s->tokens, s->rows, NULL);
    o->matmul(o, x, &h.w, NULL, k->fp8, y);
    case_take(o, y, out);
    weight_free(&h);
    o->release(o, x.data);
    o->release(o, y.data);
}

START_TEST(same_everywhere)
{
    current = _i;
    expect_same_everywhere(multiply, random_seed(_i),
                           case_shape(_i)->tokens * case_shape(_i)->rows);
}
END_TEST

START_TEST(batches_do_not_matter)
{
    enum { TOKENS = 75, COLS = 700, ROWS = 61 };
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    held_weight h = weight_new(&kinds[_i], ROWS, COLS, &state);
    const mat x = case_mat(o, TOKENS, COLS, &state);
    const mat y = case_mat(o, TOKENS, ROWS, NULL);
    const mat part = case_mat(o, TOKENS, ROWS, NULL);
    o->matmul(o, x, &h.w, NULL, kinds[_i].fp8, y);
    for (size_t count = 1; count <= TOKENS; count = count < 10 ? count + 1 : count + 9) {
        const size_t first = case_below(&state, TOKENS - count + 1);
        o->matmul(o, mat_rows(x, first, count), &h.w, NULL, kinds[_i].fp8,
                  mat_rows(part, 0, count));
        for (size_t t = 0; t < count; t++) {
            expect_same_bits(kinds[_i].name, part.data + t * part.stride,
                             y.data + (first + t) * y.stride, ROWS);
        }
    }
    weight_free(&h);
    o->release(o, x.data);
    o->release(o, y.data);
    o->release(o, part.data);
    case_done(o);
}
END_TEST

/* A token that is not finite changes no other token, and shows in all of its outputs. */
START_TEST(nonfinite_rows)
{
    enum { TOKENS = 5, COLS = 300, ROWS = 20, BAD = 2 };
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    held_weight h = weight_new(&kinds[_i % KINDS], ROWS, COLS, &state);
    const mat x = case_mat(o, TOKENS, COLS, &state);
    const mat y = case_mat(o, TOKENS, ROWS, NULL);
    const mat good = case_mat(o, TOKENS, ROWS, NULL);
    o->matmul(o, x, &h.w, NULL, kinds[_i % KINDS].fp8, good);
    x.data[BAD * x.stride + 140] = _i / KINDS ? NAN : INFINITY;
    o->matmul(o, x, &h.w, NULL, kinds[_i % KINDS].fp8, y);
    for (size_t t = 0; t < TOKENS; t++) {
        const float *const row = y.data + t * y.stride;
        if (t != BAD) {
            expect_same_bits("neighbour", row, good.data + t * good.stride, ROWS);
            continue;
        }
        for (size_t n = 0; n < ROWS; n++) {
            ck_assert(!isfinite(row[n]));
        }
    }
    weight_free(&h);
    o->release(o, x.data);
    o->release(o, y.data);
    o->release(o, good.data);
    case_done(o);
}
END_TEST

START_TEST(nothing_to_do)
{
    ops *const o = case_ops();
    uint64_t state = random_seed(_i);
    held_weight h = weight_new(&kinds[0], 3, 4, &state);
    const mat x = case_mat(o, 2, 4, &state);
    const mat y = case_mat(o, 2, 3, NULL);
    o->matmul(o, mat_rows(x, 0, 0), &h.w, NULL, false, mat_rows(y, 0, 0));
    ck_assert(y.data[0] == 0);
    weight_free(&h);
    o->release(o, x.data);
    o->release(o, y.data);
    case_done(o);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("ops_matmul");
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, outputs_are_chains, 0, CASES);
    tcase_add_loop_test(tc, same_everywhere, 0, CASES);
    tcase_add_loop_test(tc, batches_do_not_matter, 0, KINDS);
    tcase_add_loop_test(tc, nonfinite_rows, 0, 2 * KINDS);
    tcase_add_test(tc, nothing_to_do);
    return run_tests("ops_matmul", tc);
}
