/* Parses one member of a safetensors header: a slice of JSON becomes a tensor. A part of
 * safetensors.c, which puts the members together.
 *
 * Messages name neither file nor tensor; the caller adds that with err_prefix. All errors are
 * ERR_INPUT or ERR_MEMORY. */
#ifndef SAFETENSORS_MEMBER_H
#define SAFETENSORS_MEMBER_H

#include <stdbool.h>

#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_scan.h"

/* Write the key, unescaped and NUL-terminated, to `to`, which holds text.bytes: unescaping never
 * makes a text longer. */
MUST_CHECK err_code st_member_key(st_slice text, char *to, size_t *bytes, err *e);

bool st_member_is_metadata(const char *name, size_t bytes);

/* ERR_INPUT if a tensor may not have this name. */
MUST_CHECK err_code st_member_check_name(const char *name, size_t bytes, err *e);

/* Parse dtype, shape and range, which must fit each other. t->off is relative to the data area;
 * t->name is not set. */
MUST_CHECK err_code st_member_tensor(st_slice text, st_tensor *t, err *e);

/* Check that all metadata are strings; they are not kept. */
MUST_CHECK err_code st_member_metadata(st_slice text, err *e);

#endif
