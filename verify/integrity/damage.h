/* The list of findings that an integrity check fills, from any thread and in any order.
 *
 *     damage_list_init(&list);
 *     damage_add(&list, &DAMAGED_AT(off, bytes), "trailer", "the root digest does not match");
 *     code = damage_list_finish(&list, &report, e);
 *     damage_list_free(&list);
 *
 * Adding cannot fail: running out of memory is remembered, and damage_list_finish reports it.
 * damage_add and damage_list_move lock the list they add to; all other calls are for one thread
 * after the others are done. */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <pthread.h>

#include "verify/integrity/integrity.h"

typedef struct damage_list {
    pthread_mutex_t lock; /* guards all members below */
    damage *items;
    size_t count, capacity;
    bool incomplete; /* a finding was lost because memory ran out */
} damage_list;

/* These bytes of the file are damaged, or their content is illegal although their digest matches;
 * they belong to no slice and no chunk. */
#define DAMAGED_AT(begin, length)                                                                  \
    ((damage){.slice = -1, .chunk = -1, .off = (begin), .bytes = (length), .code = ERR_DAMAGED})
#define ILLEGAL_AT(begin, length)                                                                  \
    ((damage){.slice = -1, .chunk = -1, .off = (begin), .bytes = (length), .code = ERR_INPUT})

void damage_list_init(damage_list *list);

/* Add a finding: the numbers of `at`, and copies of the texts. If the message begins with
 * "PLACE: ", that prefix is dropped, so that messages of the pack_* functions can be passed on. */
void damage_add(damage_list *list, const damage *at, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Does the list have a finding that begins within [begin, end)? */
bool damage_list_touches(const damage_list *list, uint64_t begin, uint64_t end);

/* Move all findings to another list. */
void damage_list_move(damage_list *from, damage_list *to);

/* Sort the findings and move them to the report; the list is empty afterwards. ERR_MEMORY if one
 * was lost. */
MUST_CHECK err_code damage_list_finish(damage_list *list, integrity_report *out, err *e);

/* Free the list with what damage_list_finish did not move. */
void damage_list_free(damage_list *list);

#endif
