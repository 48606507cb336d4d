/* The JSON of an export: config.json, index, list of files (spec/export.md sections 2, 4, 7). */
#ifndef EXPORT_CONFIG_H
#define EXPORT_CONFIG_H

#include <jansson.h>

#include "convert/export/export_plan.h"
#include "format/base/digest.h"

enum { LIST_MEMBERS_BYTES = 256 };

/* Fill in *how from the config: the kind of model, what it says about a quantization, and the format
 * of the scales of an FP8 source. Errors: ERR_INPUT it is not a JSON object, or describes tiles of
 * more than one size; ERR_MEMORY. */
MUST_CHECK err_code export_config_check(const char *text, size_t bytes, export_how *how, err *e);

/* quantization_config, a new reference; NULL without memory. Not for a plan without FP8. */
json_t *export_quantization(const preset *p, const export_plan *plan);

/* The text of config.json with the quantization_config of this export as its last member, instead
 * of any other description, at any depth; unchanged otherwise. Free with free(). NULL without memory. */
char *export_config_text(const char *text, size_t bytes, const preset *p, const export_plan *plan,
                         size_t *out_bytes);

/* The text of the index of shards. Free with free(). NULL without memory. */
char *export_index_text(const export_plan *plan, size_t *bytes);

/* The members of the list of files besides the names: which runtime, the root of the packed file. */
void export_list_members(const preset *p, const unsigned char root[SHA256_BYTES],
                         char text[LIST_MEMBERS_BYTES]);

#endif
