/* Which tokens go to which expert: the choices of all tracks, turned round. */
#ifndef EXPERT_LISTS_H
#define EXPERT_LISTS_H

#include "verify/model/model_run.h"

typedef struct expert_lists {
    unsigned experts;
    size_t *starts; /* [tracks * experts + 1], track by track */
    uint32_t *rows; /* token numbers within their track, ascending within a list */
    float *weights; /* of the expert, for each of them */
    bool *used;     /* [experts] some track has tokens for it */
} expert_lists;

typedef struct expert_list {
    const uint32_t *rows;
    const float *weights;
    size_t count;
} expert_list;

/* From `forced` or `selected` of every track. Errors: ERR_MEMORY. Free in every case. */
MUST_CHECK err_code expert_lists_create(const model_run *run, expert_lists *out, err *e);
void expert_lists_free(expert_lists *l);

expert_list expert_lists_get(const expert_lists *l, unsigned number, unsigned expert);

/* The first expert from `from` on that has tokens; `experts` if there is none. */
unsigned expert_lists_next(const expert_lists *l, unsigned from);

#endif
