/* A list of differences, one sentence each, and the differences between two JSON values.
 *
 *     difference_list list = {0};
 *     difference_add(&list, "tensor %s: not in the source", name);
 *     difference_json(&list, "config.json", (const char *[]){"A", "B"}, a, b);
 *     difference_list_free(&list);
 *
 * A list belongs to one thread. */
#ifndef DIFFERENCE_LIST_H
#define DIFFERENCE_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct difference_list {
    char **items;
    size_t count, capacity;
    bool incomplete; /* memory ran out: a difference, or a value in it, was lost */
} difference_list;

/* Adding cannot fail: if memory runs out, `incomplete` is set. */
void difference_add(difference_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Add one sentence for each key whose values differ, including keys of nested objects: "WHAT:
 * KEY.KEY: 1 in SIDE, 2 in SIDE". Arrays are compared as a whole; 1 and 1.0 are equal. */
void difference_json(difference_list *list, const char *what, const char *const sides[2],
                     json_t *first, json_t *second);

void difference_list_free(difference_list *list);

#endif
