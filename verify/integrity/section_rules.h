/* The rules for the contents of FILE, RCPE, STAT and PROV (spec/format.md sections 8 and 9): what
 * must hold besides a digest that matches.
 *
 *     if (section_rules_check(TAG_RCPE, data, bytes, e) == ERR_INPUT)
 *         ... e->text says which rule is broken
 */
#ifndef SECTION_RULES_H
#define SECTION_RULES_H

#include <stdint.h>

#include "format/base/err.h"

/* Check the content of the section with this tag; a section without rules always passes. Any
 * thread. Errors: ERR_INPUT a rule is broken; ERR_MEMORY. */
MUST_CHECK err_code section_rules_check(uint32_t tag, const unsigned char *data, uint64_t bytes,
                                        err *e);

#endif
