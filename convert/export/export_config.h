/* The JSON of an export: config.json, index, list of files (spec/export.md sections 2, 4, 7). */
#ifndef EXPORT_CONFIG_H
#define EXPORT_CONFIG_H

#include <jansson.h>

#include "convert/export/export_plan.h"
#include "format/base/digest.h"

enum { LIST_MEMBERS_BYTES = 256 };

/* Fill in what the config says about the model, and about FP8 that its source had.
 * ERR_INPUT: it is no object, or tells of a quantization of another kind. */
MUST_CHECK err_code export_config_check(const char *text, size_t bytes, const pack_table *t,
                                        export_how *how, err *e);

/* quantization_config, a new reference; NULL without memory. Not for a plan without FP8. */
json_t *export_quantization(const preset *p, const export_plan *plan);

/* The text of config.json with this quantization_config as its last member, and no other; free().
 * NULL without memory. */
char *export_config_text(const char *text, size_t bytes, const preset *p, const export_plan *plan,
                         size_t *out_bytes);

/* The index of the shards; free(). NULL without memory. */
char *export_index_text(const export_plan *plan, size_t *bytes);

/* What the list of files says besides their names. */
void export_list_members(const preset *p, const unsigned char root[SHA256_BYTES],
                         char text[LIST_MEMBERS_BYTES]);

#endif
