/* Two implementations of verify/ops/ops.h side by side: matrices that both have, with the same
 * random contents, and the comparison of all their bits.
 *
 *     ops_pair p;
 *     pair_open(&p, random_seed(_i));
 *     const both x = pair_mat(&p, rows, cols, PLAIN);
 *     p.tested->silu(p.tested, x.tested);
 *     p.naive->silu(p.naive, x.naive);
 *     pair_describe(&p, "silu [%zu, %zu]", rows, cols);
 *     pair_same(&p, x);
 *     pair_close(&p);
 *
 * A matrix is a view of a larger memory, all of which is compared, so that writing between its rows
 * is found. The pair owns everything that its functions create. */
#ifndef OPS_PAIR_H
#define OPS_PAIR_H

#include "verify/ops/ops.h"

enum { PAIR_ITEMS = 24 };

typedef struct both {
    mat tested, naive;
} both;

typedef struct both_weights {
    weight tested, naive; /* one weight, loaded into either */
} both_weights;

typedef struct ops_pair {
    ops *tested, *naive;
    uint64_t random;
    unsigned threads;
    const char *level; /* of instructions, of the tested one */
    char what[256];
    both memory[PAIR_ITEMS]; /* one row each: all that was allocated */
    void *host[PAIR_ITEMS];
    both_weights weights[PAIR_ITEMS];
    unsigned memories, hosts, weight_count;
} ops_pair;

/* Exponents of random values; one in sixteen is +0 or -0. */
typedef enum spread {
    PLAIN, /* 2^-4 … 2^2 */
    WIDE,  /* 2^-30 … 2^31 */
    TINY,  /* subnormal or nearly so */
    LARGE, /* up to 2^55: squares can still be summed */
    SPREADS
} spread;

void pair_open(ops_pair *p, uint64_t seed); /* the tested one with 1 … 4 threads, any level */
void pair_close(ops_pair *p);               /* status of both is OK */

uint32_t pair_below(ops_pair *p, uint32_t limit);
size_t pair_size(ops_pair *p, size_t limit); /* 1 … limit, often next to a width of vectors */
spread pair_spread(ops_pair *p);             /* mostly PLAIN */
float pair_value(ops_pair *p, spread s);
float *pair_floats(ops_pair *p, size_t count, spread s); /* host memory */
void *pair_host(ops_pair *p, size_t bytes, size_t skew); /* exactly so many, `skew` past the
                                                             start of a block */

both pair_mat(ops_pair *p, size_t rows, size_t cols, spread s);
both pair_zeros(ops_pair *p, size_t floats); /* one row without surroundings, all zero */
both both_rows(both m, size_t first, size_t count);
both both_cols(both m, size_t first, size_t count);

/* A weight of finite values, loaded; a quantized one has random codes and scales. */
both_weights pair_weight(ops_pair *p, dtype type, size_t rows, size_t cols, spread s);

/* Describe the next comparisons, for their messages. */
void pair_describe(ops_pair *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pair_same(ops_pair *p, both m); /* m came from pair_mat or pair_zeros; all its memory */
void pair_same_host(ops_pair *p, const void *tested, const void *naive, size_t words);

#endif
