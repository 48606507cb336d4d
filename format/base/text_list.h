/* A list for a one-line message that must not grow without end: "a; b; c; ... and 7 more".
 *
 *     text_list list = {0};
 *     text_list_add(&list, "tensor %s", name);
 *     err_set(e, ERR_INPUT, "%s: %s", path, text_list_end(&list));
 */
#ifndef TEXT_LIST_H
#define TEXT_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct text_list {
    char text[720]; /* leaves room for a path in the text of an err */
    size_t used;
    size_t shown; /* items in `text` */
    size_t total; /* items added */
} text_list;

/* Add an item. False: no room for it, it is only counted; neither is there for any that follows. */
bool text_list_add(text_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The finished list; nothing may be added any more. */
const char *text_list_end(text_list *list);

#endif
