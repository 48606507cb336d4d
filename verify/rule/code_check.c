/* Every loop over columns runs over arrays of one row, so that the compiler vectorizes it. Sums are
 * first taken by column, rows ascending, then over the columns: so their order does not depend on
 * how the compiler vectorizes. */
#include "verify/rule/code_check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify/rule/code_rule.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "source tensors are little-endian and are read without conversion"
#endif

enum { CODE_LARGEST = 0x7e, CODE_SIGN = 0x80, F16_COUNT = 65536 };

/* Magnitudes are divided by their upper bits: the exponent and four bits of the mantissa, which are
 * all that midpoints between codes have. */
enum { PIECE_SHIFT = 32 - 1 - 12 };
_Static_assert(CODE_PIECES == 1 << 12, "one code for each value of the upper bits");

/* From this quotient on, even the largest code is off by half a step or more. */
#define SATURATED 464.0f

/* ---- tables ---------------------------------------------------- */

/* The magnitude of a code: exponent field e, mantissa m (spec/quant.md section 3). */
static float code_magnitude(unsigned code)
{
    const int e = (int)(code >> 3);
    const int m = (int)(code & 7);
    return e ? ldexpf((float)(8 + m), e - 10) : ldexpf((float)m, -9);
}

/* The largest quotient that rounds to a code. The midpoint between code and code + 1 belongs to the
 * even one; it is exact as a float: it has five significant bits. Everything beyond the largest
 * code rounds to it, except infinity. */
static float code_high(unsigned code)
{
    if (code == CODE_LARGEST) {
        return FLT_MAX;
    }
    const float middle = (code_magnitude(code) + code_magnitude(code + 1)) / 2;
    return code % 2 == 0 ? middle : nextafterf(middle, 0);
}

/* The code whose interval has the quotient: the first one that reaches as far. */
static unsigned search_code(const code_rules *r, float quotient)
{
    unsigned low = 0;
    unsigned high = CODE_LARGEST + 1; /* of infinity and NaN */
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        if (quotient <= r->high[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Floats that agree in these bits have two codes at most: a midpoint can only be the least of them.
 * So the code of the least is searched, and the others have that one or the next. Infinity and NaNs
 * count as above the largest code. */
static void search_codes(code_rules *r)
{
    for (uint32_t i = 0; i < CODE_PIECES; i++) {
        const uint32_t bits = i << PIECE_SHIFT;
        float least;
        memcpy(&least, &bits, sizeof least);
        const unsigned code = search_code(r, least);
        r->least_code[i] = (unsigned char)(code > CODE_LARGEST ? CODE_LARGEST : code);
    }
}

static float f16_value(unsigned h)
{
    const int e = (int)(h >> 10 & 31);
    const int m = (int)(h & 0x3ff);
    float magnitude = e ? ldexpf((float)(1024 + m), e - 25) : ldexpf((float)m, -24);
    if (e == 31) {
        magnitude = m ? NAN : INFINITY;
    }
    return h & 0x8000 ? -magnitude : magnitude;
}

err_code code_rules_create(code_rules *out, err *e)
{
    *out = (code_rules){0};
    for (unsigned c = 0; c <= CODE_LARGEST; c++) {
        out->value[c] = code_magnitude(c);
        out->value[c | CODE_SIGN] = -code_magnitude(c);
        out->low[c] = c ? nextafterf(code_high(c - 1), INFINITY) : 0;
        out->high[c] = code_high(c);
        out->low[c | CODE_SIGN] = out->low[c];
        out->high[c | CODE_SIGN] = out->high[c];
    }
    const unsigned nans[] = {CODE_LARGEST + 1, (CODE_LARGEST + 1) | CODE_SIGN};
    for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++) {
        out->value[nans[i]] = NAN;
        out->low[nans[i]] = INFINITY;
        out->high[nans[i]] = -1;
    }
    search_codes(out);
    out->f16 = malloc(F16_COUNT * sizeof *out->f16);
    if (!out->f16) {
        return err_set(e, ERR_MEMORY, "no memory for a table of half-precision numbers");
    }
    for (unsigned h = 0; h < F16_COUNT; h++) {
        out->f16[h] = f16_value(h);
    }
    return OK;
}

void code_rules_free(code_rules *r)
{
    free(r->f16);
    *r = (code_rules){0};
}

/* ---- tiles ----------------------------------------------------- */

/* A row of a tile. */
typedef struct row {
    float x[BLOCK_MAX_COLS], quotient[BLOCK_MAX_COLS], narrow[BLOCK_MAX_COLS],
        value[BLOCK_MAX_COLS], low[BLOCK_MAX_COLS], high[BLOCK_MAX_COLS];
    unsigned char codes[BLOCK_MAX_COLS];
} row;

/* One sum for each column. */
typedef struct sums {
    double source[BLOCK_MAX_COLS], error[BLOCK_MAX_COLS], largest[BLOCK_MAX_COLS];
} sums;

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void widen_bf16(const unsigned char *from, unsigned count, float *restrict to)
{
    for (unsigned j = 0; j < count; j++) {
        uint16_t h;
        memcpy(&h, from + (size_t)2 * j, sizeof h);
        const uint32_t bits = (uint32_t)h << 16;
        memcpy(&to[j], &bits, sizeof bits);
    }
}

static void widen_f16(const code_rules *r, const unsigned char *from, unsigned count,
                      float *restrict to)
{
    for (unsigned j = 0; j < count; j++) {
        uint16_t h;
        memcpy(&h, from + (size_t)2 * j, sizeof h);
        to[j] = r->f16[h];
    }
}

static void load_source(const code_rules *r, const tile_view *t, unsigned i, float *to)
{
    const size_t each = dtype_bits(t->type) / 8;
    const unsigned char *const from = t->source + i * t->pitch * each;
    if (t->type == DTYPE_BF16) {
        widen_bf16(from, t->cols, to);
    } else if (t->type == DTYPE_F16) {
        widen_f16(r, from, t->cols, to);
    } else {
        memcpy(to, from, t->cols * each);
    }
}

/* NaNs are skipped: no code is right for them, so is_wrong finds them. */
static float largest_magnitude(const float *x, unsigned count, float so_far)
{
    uint32_t largest = bits_of(so_far);
    for (unsigned j = 0; j < count; j++) {
        const uint32_t magnitude = bits_of(x[j]) & 0x7fffffff;
        const uint32_t counted = magnitude <= 0x7f800000 ? magnitude : 0;
        largest = counted > largest ? counted : largest;
    }
    float result;
    memcpy(&result, &largest, sizeof result);
    return result;
}

static void look_up(const code_rules *r, const unsigned char *codes, unsigned count, row *to)
{
    for (unsigned j = 0; j < count; j++) {
        const unsigned char c = codes[j];
        to->codes[j] = c;
        to->value[j] = r->value[c];
        to->low[j] = r->low[c];
        to->high[j] = r->high[c];
    }
}

/* Wrong: the quotient is outside the code's interval (a NaN always is), or the sign differs. */
static bool is_wrong(const row *w, unsigned j)
{
    const bool inside = w->narrow[j] >= w->low[j] && w->narrow[j] <= w->high[j];
    return !inside || bits_of(w->x[j]) >> 31 != (uint32_t)(w->codes[j] >> 7);
}

static void check_row(const row *restrict w, unsigned i, unsigned count, tile_verdict *out)
{
    uint32_t wrong = 0;
    uint32_t saturated = 0;
    uint32_t zero = 0;
    uint32_t flushed = 0;
    for (unsigned j = 0; j < count; j++) {
        const uint32_t is_zero = (bits_of(w->x[j]) & 0x7fffffff) == 0;
        wrong += is_wrong(w, j);
        saturated += w->quotient[j] >= SATURATED;
        zero += is_zero;
        flushed += (w->value[j] == 0) & (is_zero ^ 1);
    }
    if (wrong > 0 && out->wrong_codes == 0) {
        unsigned first = 0;
        while (!is_wrong(w, first)) {
            first++;
        }
        out->wrong_row = i;
        out->wrong_col = first;
    }
    out->wrong_codes += wrong;
    out->saturated += saturated;
    out->zero += zero;
    out->flushed += flushed;
}

/* The dequantized value is fl32(code x scale); float64 is exact enough for its error. */
static void add_errors(const row *restrict w, unsigned count, float scale, sums *restrict to)
{
    for (unsigned j = 0; j < count; j++) {
        const double x = (double)w->x[j];
        const double error = (double)(w->value[j] * scale) - x;
        const double size = fabs(error);
        to->source[j] += x * x;
        to->error[j] += error * error;
        to->largest[j] = size > to->largest[j] ? size : to->largest[j];
    }
}

static void fold(const sums *from, unsigned count, tile_verdict *out)
{
    for (unsigned j = 0; j < count; j++) {
        out->sum_sq_source += from->source[j];
        out->sum_sq_error += from->error[j];
        out->max_error = from->largest[j] > out->max_error ? from->largest[j] : out->max_error;
    }
}

static float amax_of(const code_rules *r, const tile_view *t, row *w)
{
    float amax = 0;
    for (unsigned i = 0; i < t->rows; i++) {
        load_source(r, t, i, w->x);
        amax = largest_magnitude(w->x, t->cols, amax);
    }
    return amax;
}

void tile_check(const code_rules *r, const tile_view *t, tile_verdict *out)
{
    row w = {0};
    sums by_column = {0};
    *out = (tile_verdict){0};
    out->amax = amax_of(r, t, &w);
    const code_rule rule = code_rule_of(t->dialect, t->type, t->scales, out->amax);
    out->scale = rule.scale;
    out->scale_right = bits_of(out->scale) == bits_of(t->scale);
    for (unsigned i = 0; i < t->rows; i++) {
        load_source(r, t, i, w.x);
        look_up(r, t->codes + i * t->pitch, t->cols, &w);
        code_rule_divide(&rule, w.x, t->cols, w.quotient);
        code_rule_narrow(&rule, w.quotient, t->cols, w.narrow);
        check_row(&w, i, t->cols, out);
        add_errors(&w, t->cols, t->scale, &by_column);
    }
    fold(&by_column, t->cols, out);
}

/* ---- the definition -------------------------------------------- */

static void define_codes(const code_rules *r, const row *w, unsigned count, unsigned char *codes)
{
    for (unsigned j = 0; j < count; j++) {
        const uint32_t bits = bits_of(w->narrow[j]) & 0x7fffffff; /* a NaN may have a sign */
        const unsigned least = r->least_code[bits >> PIECE_SHIFT];
        const unsigned above = w->narrow[j] <= r->high[least] ? 0U : 1U; /* also of a NaN */
        codes[j] = (unsigned char)((least + above) | (bits_of(w->x[j]) >> 31 << 7));
    }
}

void tile_define(const code_rules *r, const tile_view *t, unsigned rows, unsigned char *codes,
                 size_t pitch, float *scale)
{
    row w = {0};
    const code_rule rule = code_rule_of(t->dialect, t->type, t->scales, amax_of(r, t, &w));
    *scale = rule.scale;
    for (unsigned i = 0; i < rows; i++) {
        load_source(r, t, i, w.x);
        code_rule_divide(&rule, w.x, t->cols, w.quotient);
        code_rule_narrow(&rule, w.quotient, t->cols, w.narrow);
        define_codes(r, &w, t->cols, codes + i * pitch);
    }
}
