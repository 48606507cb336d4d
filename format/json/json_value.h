/* Reading values of a configuration file, with range checks and messages.
 *
 *     config_count("config.json", "head_dim", json_object_get(json, "head_dim"), 1, 4096, &n, e);
 *
 * `what` names the file in messages, `key` the value. A NULL value means that the key is missing,
 * which is an error like all others: ERR_INPUT. */
#ifndef JSON_VALUE_H
#define JSON_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/json/json.h"

enum { CONFIG_SHOWN_BYTES = 80 };

/* The beginning of a value as JSON text, for messages. ERR_MEMORY; `text` is "?" then. */
MUST_CHECK err_code config_show(const json_t *value, char text[CONFIG_SHOWN_BYTES], err *e);

/* Are two values equal? 1 and 1.0 are the same number. */
bool config_same(const json_t *a, const json_t *b);

/* The value of a key; NULL if it is missing or null, which some files write for "not given". */
json_t *config_given(const json_t *object, const char *key);

/* A whole number from `low` to `high`, which may be written as a real. */
MUST_CHECK err_code config_count(const char *what, const char *key, const json_t *value,
                                 uint64_t low, uint64_t high, unsigned *out, err *e);

/* A number above `low` and below `high` (INFINITY: any). */
MUST_CHECK err_code config_real(const char *what, const char *key, const json_t *value, double low,
                                double high, double *out, err *e);

MUST_CHECK err_code config_flag(const char *what, const char *key, const json_t *value, bool *out,
                                err *e);

/* *out belongs to `value`. */
MUST_CHECK err_code config_string(const char *what, const char *key, const json_t *value,
                                  const char **out, err *e);

#endif
