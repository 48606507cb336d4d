/* Removing a member from the text of a JSON object, or appending one, without changing any other
 * byte.
 *
 *     char *without = json_edit_remove(text, bytes, "quantization_config", &without_bytes);
 *     char *with = json_edit_append(without, without_bytes, "quantization_config", json, &n);
 *
 * Hand-written because a parser that writes the text again changes the spelling of numbers, the
 * order and the layout of somebody else's file. The text must be a JSON object that json_parse has
 * accepted, as JSON_PYTHON or as JSON_EXACT. */
#ifndef JSON_EDIT_H
#define JSON_EDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The text without the member `key`, or a copy if there is no such member; NUL-terminated, the
 * caller's to free(). NULL if memory is short. */
char *json_edit_remove(const char *text, size_t bytes, const char *key, size_t *out_bytes);

/* The text without any member, at any depth, whose value is an object and for which `is_gone` says
 * so; NUL-terminated, the caller's to free(). NULL if memory is short. The depth of the text must be
 * bounded, as json_parse checks. */
typedef bool (*json_edit_choice)(const char *key, const json_t *value);
char *json_edit_remove_objects(const char *text, size_t bytes, json_edit_choice is_gone,
                               size_t *out_bytes);

/* The text with one more member at its end; `value` is JSON, and its lines get two more spaces of
 * indentation. NUL-terminated, the caller's to free(). NULL if memory is short. */
char *json_edit_append(const char *text, size_t bytes, const char *key, const char *value,
                       size_t *out_bytes);

#endif
