#include "bin/bench/bench_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/thread/parallel.h"
#include "format/safetensors/safetensors_write.h"

/* The sum of four uniform numbers is close enough to a Gaussian; standard deviation 0.02. */
void weights_fill(unsigned char *to, size_t bytes)
{
    uint64_t random = 0x9e3779b97f4a7c15U;
    for (size_t i = 0; i < bytes; i += 2) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        float sum = -131070;
        for (int k = 0; k < 64; k += 16) {
            sum += (float)(random >> k & 0xffff);
        }
        const float weight = sum * (0.02F / 37837);
        memcpy(to + i, (const unsigned char *)&weight + 2, 2); /* truncated to BF16 */
    }
}

unsigned char *weights_pool(void)
{
    unsigned char *const pool = malloc(WEIGHTS_POOL_BYTES);
    if (pool) {
        weights_fill(pool, WEIGHTS_POOL_BYTES);
    }
    return pool;
}

/* ---- a checkpoint ---------------------------------------------- */

enum { EXPERTS = 64, NAME_BYTES = 64 };

typedef struct matrix {
    const char *module;
    uint64_t rows, cols;
} matrix;

static const matrix attention[] = {
    {"q_proj", 2048, 2048},
    {"k_proj", 2048, 2048},
    {"v_proj", 2048, 2048},
    {"o_proj", 2048, 2048},
};
static const matrix expert[] = {
    {"gate_proj", 512, 2048},
    {"up_proj", 512, 2048},
    {"down_proj", 2048, 512},
};
enum {
    OF_ATTENTION = sizeof attention / sizeof attention[0],
    OF_EXPERT = sizeof expert / sizeof expert[0],
    OF_LAYER = OF_ATTENTION + EXPERTS * OF_EXPERT,
};

/* The shape of tensor `i`, and its name. */
static const matrix *matrix_at(uint64_t i, char name[NAME_BYTES])
{
    const unsigned layer = (unsigned)(i / OF_LAYER);
    const unsigned within = (unsigned)(i % OF_LAYER);
    if (within < OF_ATTENTION) {
        const matrix *const a = &attention[within];
        snprintf(name, NAME_BYTES, "model.layers.%u.self_attn.%s.weight", layer, a->module);
        return a;
    }
    const unsigned number = (within - OF_ATTENTION) / OF_EXPERT;
    const matrix *const x = &expert[(within - OF_ATTENTION) % OF_EXPERT];
    snprintf(name, NAME_BYTES, "model.layers.%u.mlp.experts.%u.%s.weight", layer, number,
             x->module);
    return x;
}

typedef struct weights {
    st_writer *writer;
    st_tensor *tensors;
    char (*names)[NAME_BYTES];
    size_t count;
    const unsigned char *pool;
} weights;

/* List as many tensors as are needed to reach `bytes`. */
static err_code list_tensors(weights *w, uint64_t bytes, err *e)
{
    const uint64_t smallest = 2 * 512 * 2048;
    const uint64_t most = bytes / smallest + 1;
    w->tensors = calloc(most, sizeof *w->tensors);
    w->names = calloc(most, sizeof *w->names);
    if (!w->tensors || !w->names) {
        return err_set(e, ERR_MEMORY, "no memory for a checkpoint of %" PRIu64 " bytes", bytes);
    }
    uint64_t total = 0;
    do {
        char *const name = w->names[w->count];
        const matrix *const s = matrix_at(w->count, name);
        w->tensors[w->count++] =
            (st_tensor){.name = name, .type = DTYPE_BF16, .ndim = 2, .shape = {s->rows, s->cols}};
        total += 2 * s->rows * s->cols;
    } while (total < bytes);
    return OK;
}

/* Every tensor is a window into the pool; consecutive tensors start at different offsets. */
static err_code write_tensor(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const weights *const w = ctx;
    const st_tensor *const t = &w->tensors[task];
    const uint64_t bytes = 2 * t->shape[0] * t->shape[1];
    const uint64_t start = task * 65538 % (WEIGHTS_POOL_BYTES - bytes);
    (void)worker;
    return st_writer_write(w->writer, task, 0, w->pool + start, bytes, e);
}

err_code weights_write(const char *path, uint64_t bytes, const unsigned char *pool,
                       unsigned threads, const monitor *m, err *e)
{
    weights w = {.pool = pool};
    st_writer *writer = NULL;
    err_code code = OK;
    TRY_OUT(list_tensors(&w, bytes, e));
    TRY_OUT(st_writer_open(path, false, w.tensors, w.count, NULL, NULL, &writer, e));
    w.writer = writer;
    TRY_OUT(parallel_for(threads, w.count, write_tensor, &w, m, e));
    TRY_OUT(st_writer_commit(&writer, e));
out:
    st_writer_abandon(&writer);
    free(w.tensors);
    free(w.names);
    return code;
}
