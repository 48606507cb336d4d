/* Everything that octavo does with a packed file besides verifying it, for tests that ask whether it
 * survives a file and gives a sensible error.
 *
 *     err_code code = packed_use(USE_EXPORT, path, &more, &e);
 *
 * A use that succeeds is checked: what was unpacked has the bytes of the file, an export opens as a
 * checkpoint, a file has no difference to itself. Output goes to a directory in memory, and nothing
 * is left. Any violation aborts. */
#ifndef PACKED_USES_H
#define PACKED_USES_H

#include "convert/export/preset.h"
#include "convert/unpack/unpack.h"

typedef enum packed_use_id {
    USE_EVIDENCE, /* open it and read all its sections */
    USE_INSPECT,
    USE_INSPECT_JSON,
    USE_UNPACK,
    USE_EXPORT,
    USE_DIFF,
    USE_FORWARD,
    USE_COUNT
} packed_use_id;

typedef struct packed_use_options {
    const char *other; /* USE_DIFF: compare with this file; NULL: with itself */
    const preset *runtime;
    unpack_form form;
    bool dequantize;
    const unsigned char *bytes; /* of the file */
} packed_use_options;

err_code packed_use(packed_use_id use, const char *path, const packed_use_options *o, err *e);

#endif
