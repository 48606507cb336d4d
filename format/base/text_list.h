/* A list for a one-line message, of bounded length: "a; b; c; ... and 7 more".
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
    char text[720]; /* leaves space for a path in the text of an err */
    size_t used;
    size_t shown; /* items in `text` */
    size_t total; /* items added */
} text_list;

/* Add an item. False: it does not fit and is only counted, and so is every item after it. */
bool text_list_add(text_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The finished list; nothing may be added afterwards. */
const char *text_list_end(text_list *list);

#endif
