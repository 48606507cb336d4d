/* How a runtime cuts one matrix among the devices that share it, and whether the pieces are whole
 * tiles (spec/export.md section 8).
 *
 *     const fit_layout l = fit_layout_of("model.layers.0.self_attn.k_proj", 1024, 4096, block, &model);
 *     fit_fault f;
 *     if (!fit_whole(&l, 8, &f)) ... "f.size rows / f.split"
 *
 * Pure functions of names and numbers. */
#ifndef FIT_SPLIT_H
#define FIT_SPLIT_H

#include "convert/fit/fit_model.h"
#include "format/tensor/block.h"

typedef enum fit_cut {
    CUT_ROWS,    /* each device has some of the outputs */
    CUT_COLUMNS, /* each has some of the inputs; the results are added up */
    CUT_NONE,    /* each has all of it */
    CUT_UNKNOWN
} fit_cut;

/* What is cut by itself: the whole matrix, or one of several that it is made of. */
typedef struct fit_part {
    const char *name; /* "q", "gate"; NULL: the whole */
    uint64_t rows;
    uint64_t pieces; /* more devices than that share pieces: heads of k and v; 0: never */
} fit_part;

enum { FIT_MAX_PARTS = 3 };

typedef struct fit_layout {
    fit_cut cut;
    uint64_t cols;
    block_format block;
    unsigned part_count;
    fit_part parts[FIT_MAX_PARTS];
    /* Other matrices, of the same parent, that a runtime may join with this one: by the last
     * component of their names, or NULL. */
    const char *joined_with[2];
    bool joined; /* it is: parts begin on tiles whatever the number of devices */
    bool last;   /* of those that are joined and not cut: may end within a tile */
} fit_layout;

/* `module` is a name without ".weight". `joined` is false: who knows which matrices there are, and
 * whether the runtime joins them, sets it. */
fit_layout fit_layout_of(const char *module, uint64_t rows, uint64_t cols, block_format block,
                         const fit_model *m);

/* A piece that is not whole tiles: size / split rows, or columns where the layout says so. */
typedef struct fit_fault {
    const char *part;
    uint64_t size, split;
} fit_fault;

/* False: *out is the first such piece among `devices` of them. True for CUT_UNKNOWN. */
bool fit_whole(const fit_layout *l, uint64_t devices, fit_fault *out);

#endif
