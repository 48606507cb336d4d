/* The value of an E4M3 code and the nearest code of a number, written from spec/quant.md section 3
 * without looking at format/tensor/e4m3.h: a table of exact values, and a search among the exact
 * midpoints. */
#ifndef ORACLE_E4M3_H
#define ORACLE_E4M3_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { ORACLE_LARGEST = 0x7e };

/* The value of the magnitude `code`, 0 ... 0x7e, in units of 2^-10. */
static inline int64_t oracle_units(int code)
{
    const int exponent = code >> 3;
    const int mantissa = code & 7;
    return exponent == 0 ? 2 * (int64_t)mantissa : (int64_t)(8 + mantissa) << exponent;
}

/* Between the magnitudes code and code + 1, in units of 2^-10: exact, every value is an even number
 * of them. */
static inline int64_t oracle_midpoint(int code)
{
    return (oracle_units(code) + oracle_units(code + 1)) / 2;
}

/* Does a magnitude of `units` 2^-10 go above the midpoint of code and code + 1? Ties go to the even
 * one. */
static inline int oracle_above(double units, int code)
{
    const double midpoint = (double)oracle_midpoint(code);
    return units > midpoint || (units == midpoint && (code + 1) % 2 == 0);
}

static inline uint8_t oracle_encode(float y)
{
    const double units = ldexp(fabs((double)y), 10); /* exact */
    int low = 0;
    int high = ORACLE_LARGEST;
    while (low < high) { /* the answer is in low ... high */
        const int middle = (low + high) / 2;
        if (oracle_above(units, middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint8_t)(low | (signbit(y) ? 0x80 : 0));
}

static inline float oracle_decode(uint8_t code)
{
    const float magnitude =
        (code & 0x7f) > ORACLE_LARGEST ? NAN : (float)ldexp((double)oracle_units(code & 0x7f), -10);
    return code & 0x80 ? -magnitude : magnitude;
}

/* Section 2, through float64: the quotient of a float by 448 = 7 x 2^6 is never so close to the
 * middle of two floats that rounding it twice matters. Powers of two by exponent, not by bits. */
static inline float oracle_scale(float amax, int power_of_two)
{
    if (amax == 0) {
        return 1;
    }
    const double quotient = (double)amax / 448;
    const float scale = quotient < 0x1p-126 ? 0x1p-126f : (float)quotient;
    if (!power_of_two) {
        return scale;
    }
    int exponent = 0;
    const float fraction =
        frexpf(scale, &exponent); /* scale = fraction x 2^exponent, 0.5 <= fraction < 1 */
    return ldexpf(1, fraction == 0.5f ? exponent - 1 : exponent);
}

/* xorshift64*: the same numbers everywhere. */
static inline uint64_t oracle_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static inline float oracle_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t oracle_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

#endif
