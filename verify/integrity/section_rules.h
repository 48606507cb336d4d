/* What FILE, RCPE, STAT and PROV must hold beyond having the right digest (spec/format.md 8, 9). */
#ifndef SECTION_RULES_H
#define SECTION_RULES_H

#include <stdint.h>

#include "format/base/err.h"

/* Check the content of the section of this tag; those without rules of their own are fine. Errors:
 * ERR_INPUT a rule is broken, ERR_MEMORY. */
MUST_CHECK err_code section_rules_check(uint32_t tag, const unsigned char *data, uint64_t bytes,
                                        err *e);

#endif
