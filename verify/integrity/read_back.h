/* The check of a file that was just written, before it gets its name: everything that `octavo
 * verify` checks, and that the root is the one that was written.
 *
 *     const pack_written w = {.fd = fd, .path = path, .root = root, ...};
 *     if (integrity_read_back(&w, m, &from, e) == OK && from == READ_FROM_DISK)
 *         ... the disk holds what was written, and it is a legal packed file
 *
 * The page cache is dropped, and tensor data is read past it: the only step that sees what the disk
 * holds. *from says where that was not possible. A file that lives in memory (tmpfs) is read from
 * there. */
#ifndef READ_BACK_H
#define READ_BACK_H

#include "format/pack/pack_written.h"

/* A pack_check, through the buffers of `w`. Errors: ERR_IO the file differs from what was written, or
 * cannot be read; ERR_INTERNAL it is as written, but not a legal packed file; ERR_MEMORY;
 * ERR_CANCELLED. */
MUST_CHECK err_code integrity_read_back(const pack_written *w, const monitor *m,
                                        pack_read_from *from, err *e);

#endif
