/* One member of a safetensors header: from a piece of JSON to a tensor. A part of safetensors.c,
 * which sees the whole.
 *
 * Messages name neither file nor tensor; the caller puts that before them. All errors are ERR_INPUT
 * or ERR_MEMORY. */
#ifndef SAFETENSORS_MEMBER_H
#define SAFETENSORS_MEMBER_H

#include <stdbool.h>

#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_scan.h"

/* The key, unescaped and terminated, to `to`, which has room for text.bytes: unescaping makes no
 * text longer. */
MUST_CHECK err_code st_member_key(st_slice text, char *to, size_t *bytes, err *e);

bool st_member_is_metadata(const char *name, size_t bytes);

/* Is this a name that a tensor may have? */
MUST_CHECK err_code st_member_check_name(const char *name, size_t bytes, err *e);

/* dtype, shape and range, which must fit each other. t->off is relative to the data area; t->name
 * is not touched. */
MUST_CHECK err_code st_member_tensor(st_slice text, st_tensor *t, err *e);

/* Metadata must be strings; they are checked and dropped. */
MUST_CHECK err_code st_member_metadata(st_slice text, err *e);

#endif
