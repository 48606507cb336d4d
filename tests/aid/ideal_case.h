/* Reading the ideal of a packed file, for tests of ideal.h.
 *
 *     const ideal_case c = ideal_case_open(source, packed, 2);      paths; threads
 *     ideal_case_expect_own(&c);          the file is its own ideal, however it is read
 *     ideal_case_close(&c);
 */
#ifndef IDEAL_CASE_H
#define IDEAL_CASE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "verify/forward/ideal.h"

typedef struct ideal_case {
    store *source, *packed;
    ideal *of;
} ideal_case;

/* Rows of a tensor. A byte more than they need shows whether anything else was written. */
typedef struct ideal_rows {
    unsigned char *data;
    float *scales;
    size_t bytes, count; /* of both */
} ideal_rows;

static inline ideal_case ideal_case_open(const char *source, const char *packed, unsigned threads)
{
    ideal_case c = {0};
    err e = {0};
    expect_ok(store_open(source, NULL, &c.source, &e), &e);
    expect_ok(store_open(packed, NULL, &c.packed, &e), &e);
    expect_ok(ideal_open(c.source, c.packed, threads, NULL, &c.of, &e), &e);
    return c;
}

static inline void ideal_case_close(const ideal_case *c)
{
    ideal_close(c->of);
    store_close(c->source);
    store_close(c->packed);
}

static inline ideal_rows ideal_rows_new(const store_tensor *t, uint64_t rows)
{
    ideal_rows r = {.bytes = rows * t->row_bytes + 1,
                    .count = (store_scale_count(t, rows) + 1) * sizeof(float)};
    r.data = malloc(r.bytes);
    r.scales = malloc(r.count);
    ck_assert(r.data && r.scales);
    memset(r.data, 0xa5, r.bytes);
    memset(r.scales, 0xa5, r.count);
    return r;
}

static inline void ideal_rows_free(const ideal_rows *r)
{
    free(r->data);
    free(r->scales);
}

static inline ideal_rows ideal_rows_read(const ideal_case *c, const store_tensor *t, uint64_t first,
                                         uint64_t rows)
{
    const ideal_rows r = ideal_rows_new(t, rows);
    err e = {0};
    expect_ok(ideal_read(c->of, t, first, rows, r.data, r.scales, &e), &e);
    return r;
}

/* These rows are in the packed file. */
static inline void ideal_case_expect(const ideal_case *c, const store_tensor *t, uint64_t first,
                                     uint64_t rows)
{
    const ideal_rows a = ideal_rows_new(t, rows);
    const ideal_rows b = ideal_rows_read(c, t, first, rows);
    err e = {0};
    expect_ok(store_read(c->packed, t, first, rows, a.data, a.scales, &e), &e);
    ck_assert_msg(memcmp(a.data, b.data, a.bytes) == 0 && memcmp(a.scales, b.scales, a.count) == 0,
                  "%s: tensor %s, %llu rows from %llu", c->packed->path, t->name,
                  (unsigned long long)rows, (unsigned long long)first);
    ideal_rows_free(&a);
    ideal_rows_free(&b);
}

/* All slices of all tensors, whole and in parts that end anywhere: a block has more rows, and they
 * count. */
static inline void ideal_case_expect_own(const ideal_case *c)
{
    for (size_t i = 0; i < c->packed->count; i++) {
        const store_tensor *const t = &c->packed->tensors[i];
        const uint64_t slice = t->ndim == 3 ? t->shape[1] : t->rows;
        ck_assert_msg(ideal_is_claimed(c->source, t), "tensor %s", t->name);
        for (uint64_t at = 0; t->row_bytes > 0 && at < t->rows; at += slice) {
            ideal_case_expect(c, t, at, slice);
            ideal_case_expect(c, t, at, 1);
            if (slice > 129) {
                ideal_case_expect(c, t, at, 129);
                ideal_case_expect(c, t, at + 128, 2);
                ideal_case_expect(c, t, at + (slice - 1) / 128 * 128, 1);
            }
        }
    }
}

#endif
