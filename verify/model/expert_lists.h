/* Routing inverted: from the experts of each token to the tokens of each expert, for all tracks.
 *
 *     expert_lists_create(run, &lists, e);
 *     unsigned x = expert_lists_next(&lists, 0);
 *     for (; x < lists.experts; x = expert_lists_next(&lists, x + 1))
 *         const expert_list l = expert_lists_get(&lists, track, x);     l.rows, l.weights [l.count]
 *     expert_lists_free(&lists); */
#ifndef EXPERT_LISTS_H
#define EXPERT_LISTS_H

#include "verify/model/model_run.h"

typedef struct expert_lists {
    unsigned experts;
    size_t *starts; /* [tracks * experts + 1], track by track */
    uint32_t *rows; /* numbers of tokens within their track, ascending within a list */
    float *weights; /* of the expert, for each of them */
    bool *used;     /* [experts] some track has tokens for the expert */
} expert_lists;

typedef struct expert_list {
    const uint32_t *rows;
    const float *weights;
    size_t count;
} expert_list;

/* Takes `forced` of every track, or else `selected`. ERR_MEMORY. Free the lists in every case. */
MUST_CHECK err_code expert_lists_create(const model_run *run, expert_lists *out, err *e);
void expert_lists_free(expert_lists *l);

expert_list expert_lists_get(const expert_lists *l, unsigned number, unsigned expert);

/* The first expert that has tokens, from `from` on; `experts`: no more. */
unsigned expert_lists_next(const expert_lists *l, unsigned from);

#endif
