/* A packed file that was just written and has no name yet, and the check that it has to pass before
 * it gets one. convert/ writes such files and verify/ checks files, and neither knows the other: bin/
 * gives the check (integrity_read_back) to the conversion. */
#ifndef PACK_WRITTEN_H
#define PACK_WRITTEN_H

#include "format/base/err.h"
#include "format/base/monitor.h"

/* All members are the caller's. */
typedef struct pack_written {
    int fd;                        /* open for reading; everything is written and synced */
    const char *path;              /* for messages */
    const unsigned char *root;     /* [SHA256_BYTES] the root that was written */
    unsigned char *const *buffers; /* [buffer_count] to read through, one for each thread; aligned
                                      to DIRECT_ALIGN. Each holds any chunk, the padding before it,
                                      and PACK_WRITTEN_MARGIN more */
    unsigned buffer_count;
    size_t buffer_bytes;
} pack_written;

enum { PACK_WRITTEN_MARGIN = 2 * 4096 }; /* a direct read begins and ends at whole units */

/* Where its bytes came from. */
typedef enum pack_read_from {
    READ_FROM_DISK,
    READ_FROM_CACHE, /* there was no way past the page cache: the disk may hold something else */
    READ_FROM_MEMORY /* where the file lives (tmpfs) */
} pack_read_from;

/* Is the file on the disk what was written? ERR_IO if not. The check advances the monitor, whose
 * stage has begun, by the bytes of tensor data, and sets *from if it succeeds. */
typedef err_code pack_check(const pack_written *w, const monitor *m, pack_read_from *from, err *e);

#endif
