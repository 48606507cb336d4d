/* Numbers from files: checked arithmetic on sizes, and little-endian loads and stores.
 *
 * A size that comes from a file goes through num_add, num_mul and num_align_up, which return false
 * instead of wrapping around. Bytes of a file are loaded and stored here, never by casting a buffer
 * to a struct: the byte order is that of the format, and nothing need be aligned. */
#ifndef NUM_H
#define NUM_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static inline bool num_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* The smallest multiple of `unit` (> 0) that is not below `a`. */
static inline bool num_align_up(uint64_t a, uint64_t unit, uint64_t *aligned)
{
    uint64_t rest = a % unit;
    return num_add(a, rest ? unit - rest : 0, aligned);
}

/* ceil(a / b) for b > 0; cannot overflow. */
static inline uint64_t num_ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static inline uint64_t num_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t num_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* An amount of memory for a message: a count and a unit, scaled so that the count is at least 1. */
typedef struct num_memory {
    uint64_t count;
    const char *unit;
} num_memory;

static inline num_memory num_as_memory(uint64_t bytes)
{
    return bytes >= MIB   ? (num_memory){bytes / MIB, "MiB"}
           : bytes >= KIB ? (num_memory){bytes / KIB, "KiB"}
                          : (num_memory){bytes, "B"};
}

static inline uint16_t le16_load(const unsigned char *p)
{
    uint16_t v = 0;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t le32_load(const unsigned char *p)
{
    uint32_t v = 0;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t le64_load(const unsigned char *p)
{
    uint64_t v = 0;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline void le16_store(unsigned char *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void le32_store(unsigned char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void le64_store(unsigned char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline float le_float_load(const unsigned char *p)
{
    const uint32_t bits = le32_load(p);
    float v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline double le_double_load(const unsigned char *p)
{
    const uint64_t bits = le64_load(p);
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline void le_float_store(unsigned char *p, float v)
{
    uint32_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    le32_store(p, bits);
}

static inline void le_double_store(unsigned char *p, double v)
{
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    le64_store(p, bits);
}

#endif
