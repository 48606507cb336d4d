/* Members of a JSON object, taken out of and put into its text. Everything else keeps every byte,
 * for numbers written anew could read otherwise. The text must be valid JSON, an object. */
#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <stddef.h>

/* The text without the member `key`, or as it is where there is none; NUL-terminated, free(). NULL
 * without memory. */
char *json_edit_remove(const char *text, size_t bytes, const char *key, size_t *out_bytes);

/* The text with one more member at its end; `value` is JSON, whose lines are indented by two
 * spaces more. NUL-terminated, free(). NULL without memory. */
char *json_edit_append(const char *text, size_t bytes, const char *key, const char *value,
                       size_t *out_bytes);

#endif
