/* Measures of the parts of a model: what each part makes of the states that it has in the source
 * (spec/forward.md section 8.3).
 *
 *     part_tally t = {0};
 *     part_add(&t, SIDE_PACKED, x, source_out, packed_out, n);      any number of times
 *     part_add_distance(&t, packed_out, ideal_out, n);
 *     part_measure m = part_result(&t, PART_ATTENTION, layer, ...);
 *
 * A part does not see the errors of the parts before it, so a part that differs is a part that is
 * wrong. */
#ifndef PART_MEASURE_H
#define PART_MEASURE_H

#include "verify/forward/measure.h"
#include "verify/model/model_run.h"

/* The models of a run. */
typedef enum forward_side {
    SIDE_SOURCE,
    SIDE_PACKED, /* what is verified; the only model, if there is but one */
    SIDE_IDEAL,  /* what the packed file would be by its definition */
    SIDE_VERSUS, /* another packed file */
    SIDES
} forward_side;

typedef struct part_measure {
    model_part part;
    int64_t layer; /* -1: outside the layers */
    bool defined;  /* the file claims that every tensor of this part is its definition; false: some
                       are FP8 that another tool made of a wide source */
    /* NAN: not measured. Relative to the increments that the part adds in the source; for the router
     * to its scores, for embedding and head to states and logits. */
    double error;        /* of the packed model */
    double ideal_error;  /* of the ideal file */
    double distance;     /* between these two */
    double versus_error; /* of the other packed model */
    bool judged;         /* there is an ideal file */
} part_measure;

/* Starts at zero. */
typedef struct part_tally {
    hidden_sums sums[SIDES]; /* each against the source */
    double distance_sq;
    bool measured[SIDES];
    bool undefined; /* see part_measure.defined */
} part_tally;

/* Add n values: the input x of the part (NULL: zero), its output in the source and on a side. */
void part_add(part_tally *t, forward_side side, const float *x, const float *source,
              const float *out, size_t n);
/* Add sums that were computed apart, in the order of the list. */
void part_add_sums(part_tally *t, forward_side side, const hidden_sums *sums, size_t count);
void part_add_distance(part_tally *t, const float *packed, const float *ideal, size_t n);

/* The same two for scores of a router, which may be infinite or NaN, as biases may be, where the source's
 * are the same: what is equal counts for nothing, and everything else for infinity. */
void part_add_scores(part_tally *t, forward_side side, const float *source, const float *out,
                     size_t n);
void part_add_score_distance(part_tally *t, const float *packed, const float *ideal, size_t n);

/* If the ideal file is the packed file, its error is that of the packed file. */
part_measure part_result(const part_tally *t, model_part part, int64_t layer, bool ideal_is_packed);

/* True if a part that should be its definition is not, or if another tool's rounding has a larger error
 * than PART_TOLERANCE times that of the ideal file. Without an ideal file nothing is at fault. */
bool part_at_fault(const part_measure *p);

#define PART_TOLERANCE 1.05

/* Numbers of parts in a list of the parts of all layers, with a place for a router in each. */
static inline size_t part_places(unsigned layers)
{
    return 2 + 3 * (size_t)layers;
}

static inline size_t part_place(model_part part, unsigned layer, unsigned layers)
{
    return part == PART_EMBEDDING ? 0
           : part == PART_HEAD    ? part_places(layers) - 1
                                  : 1 + 3 * (size_t)layer + (part - PART_ATTENTION);
}

extern const char *const part_names[MODEL_PARTS]; /* "embedding", ... */

#endif
