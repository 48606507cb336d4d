/* How a runtime splits one matrix among the devices that share it, and whether the pieces consist
 * of whole tiles (spec/export.md section 8).
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
    CUT_COLUMNS, /* each device has some of the inputs; the results are added up */
    CUT_NONE,    /* each device has the whole matrix */
    CUT_UNKNOWN
} fit_cut;

/* Rows that are split on their own: the whole matrix, or one of several that it was fused from. */
typedef struct fit_part {
    const char *name; /* "q", "gate"; NULL: the whole matrix */
    uint64_t rows;
    uint64_t pieces; /* at most this many pieces, which more devices share: heads of k and v; 0: no
                        limit */
} fit_part;

enum { FIT_MAX_PARTS = 5 };

typedef struct fit_layout {
    fit_cut cut;
    uint64_t cols;
    block_format block;
    unsigned part_count;
    fit_part parts[FIT_MAX_PARTS];
    /* Other matrices of the same parent that a runtime may join with this one: the last components
     * of their names, or NULL. */
    const char *joined_with[2];
    bool joined; /* it is joined, so parts must end on a tile even on one device */
    bool last;   /* the last of matrices that are joined and not split: may end within a tile */
    bool loose;  /* the last part may end within a tile on one device */
    bool
        spread; /* dequantized on loading, if joined, with tiles as wide as rows and columns allow */
} fit_layout;

/* `module` is a name without ".weight". `joined` and `loose` are set to false; the caller, who
 * knows the other matrices and the runtime, corrects them. */
fit_layout fit_layout_of(const char *module, uint64_t rows, uint64_t cols, block_format block,
                         const fit_model *m);

/* A piece that does not consist of whole tiles: size / split rows, or columns for CUT_COLUMNS. */
typedef struct fit_fault {
    const char *part;
    uint64_t size, split;
    bool columns; /* size is a number of columns */
} fit_fault;

/* Do all pieces for `devices` devices consist of whole tiles? False: *out is the first that does
 * not. True for CUT_UNKNOWN. */
bool fit_whole(const fit_layout *l, uint64_t devices, fit_fault *out);

#endif
