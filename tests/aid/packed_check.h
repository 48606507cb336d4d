/* Check a packed file against the checkpoint it was made from, every byte of it.
 *
 *     packed_check(path, &made, false, DIGEST_XXH3);
 *
 * Codes, scales, statistics and digests are computed once more from spec/quant.md and
 * spec/format.md, one element at a time. The only code of the program used here is the table, which
 * has its own tests. Ends the test at the first difference. */
#ifndef PACKED_CHECK_H
#define PACKED_CHECK_H

#include <stdbool.h>

#include "format/base/digest.h"
#include "tests/aid/made_checkpoint.h"

void packed_check(const char *path, const made_checkpoint *c, bool pow2, digest_alg alg);

#endif
