/* The list of damages that a check fills, from any thread and in any order.
 *
 *     damage_list_init(&list);
 *     damage_add(&list, &DAMAGED_AT(off, bytes), "trailer", "the root digest does not match");
 *     damage_list_finish(&list, &report, e);
 *
 * Adding cannot fail: a lack of memory is kept and reported by damage_list_finish. */
#ifndef DAMAGE_H
#define DAMAGE_H

#include <pthread.h>

#include "verify/integrity/integrity.h"

typedef struct damage_list {
    pthread_mutex_t lock; /* guards the others */
    damage *items;
    size_t count, room;
    bool incomplete; /* memory ran out */
} damage_list;

/* A damage that belongs to no tensor, or an illegal content, at these bytes of the file. */
#define DAMAGED_AT(begin, length)                                                                  \
    ((damage){.slice = -1, .chunk = -1, .off = (begin), .bytes = (length), .code = ERR_DAMAGED})
#define ILLEGAL_AT(begin, length)                                                                  \
    ((damage){.slice = -1, .chunk = -1, .off = (begin), .bytes = (length), .code = ERR_INPUT})

void damage_list_init(damage_list *list);

/* Add a damage: the numbers of `at`, copies of the texts. A text that begins with "PLACE: " loses
 * that beginning, so that messages of the reading functions can be passed on. */
void damage_add(damage_list *list, const damage *at, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Does a damage begin within [begin, end)? */
bool damage_list_touches(const damage_list *list, uint64_t begin, uint64_t end);

/* Move all damages to another list. */
void damage_list_move(damage_list *from, damage_list *to);

/* Move the damages to the report, sorted. ERR_MEMORY if one was lost. The list is empty after. */
MUST_CHECK err_code damage_list_finish(damage_list *list, integrity_report *out, err *e);

/* Free what damage_list_finish did not move. */
void damage_list_free(damage_list *list);

#endif
