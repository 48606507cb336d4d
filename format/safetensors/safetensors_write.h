/* Writes a safetensors file whose tensors are known in advance.
 *
 *     const st_tensor tensors[] = {{.name = "a", .type = DTYPE_F32, .ndim = 2, .shape = {3, 4}}};
 *     st_writer_open(path, force, tensors, 1, NULL, m, &w, e);
 *     st_writer_write(w, 0, 0, data, 48, e);      tensor 0 from offset 0: any thread, any order
 *     st_writer_commit(&w, e);                    now the file exists, complete and durable
 *     st_writer_abandon(&w);                      after any failure; fine after commit
 *
 * Tensors are stored in the given order without gaps, so all are aligned if those with wide elements
 * come first. Until commit no file of this name appears (format/output/output.h). */
#ifndef SAFETENSORS_WRITE_H
#define SAFETENSORS_WRITE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/output/output.h"
#include "format/safetensors/safetensors.h"

typedef struct st_writer st_writer;

/* Write the header and reserve the space. Of each tensor name, type, ndim and shape are read, and
 * only during this call; `metadata` is an object of strings, or NULL; `m`, which may be NULL, is asked
 * now and then whether to stop. The header is checked with
 * st_header_parse before the file is created, so that the result can be read back. ERR_INPUT: a
 * name, shape or metadata that a safetensors file cannot have, a duplicate name, sizes that
 * overflow; ERR_IO, ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code st_writer_open(const char *path, bool force, const st_tensor *tensors,
                                   size_t count, const json_t *metadata, const monitor *m,
                                   st_writer **out, err *e);

/* The same for a new file in an open directory: output_open_in. */
MUST_CHECK err_code st_writer_open_in(const output_folder *folder, const char *name,
                                      const st_tensor *tensors, size_t count,
                                      const json_t *metadata, const monitor *m, st_writer **out,
                                      err *e);

/* Write `bytes` bytes of a tensor, whose elements are little-endian. Every byte must be written
 * exactly once. Safe from several threads. ERR_IO; ERR_INTERNAL: beyond its end. */
MUST_CHECK err_code st_writer_write(st_writer *w, size_t tensor, uint64_t off, const void *data,
                                    uint64_t bytes, err *e);

/* Sync, and give the file its name. Releases *w and sets it to NULL, unless it fails before the file
 * has its name. ERR_INTERNAL: not all bytes were written, or too many; ERR_IO. */
MUST_CHECK err_code st_writer_commit(st_writer **w, err *e);

void st_writer_abandon(st_writer **w); /* a NULL writer is fine */

#endif
