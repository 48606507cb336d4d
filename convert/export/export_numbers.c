/* Codes where the runtime does not read FP8: refused, unless they may be dequantized (spec/export.md
 * section 3). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "format/base/glob.h"

enum { MAX_KEEPS = 4 };

/* The glob for `keep` of a record, which may be the name of a tensor. */
static const char *keep_glob(const pack_table *t, const char *keep, char out[GLOB_NAME_BYTES])
{
    return pack_table_find(t, keep) ? glob_of_name(keep, out) : keep;
}

/* Different patterns for convert --keep that together keep what cannot be exported, as far as MAX_KEEPS
 * go: "--keep '*.b_proj.weight' --keep ...". */
static void keep_options(const pack_table *t, const export_plan *plan, char *out, size_t size)
{
    char keeps[MAX_KEEPS][NAME_MAX_BYTES + 1];
    size_t count = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < t->count && count < MAX_KEEPS; i++) {
        if (t->records[i].cls != CLASS_CODES || plan->records[i].form != FORM_NUMBERS) {
            continue;
        }
        char glob[GLOB_NAME_BYTES];
        name_pattern(keep_glob(t, plan->records[i].keep, glob), keeps[count]);
        size_t k = 0;
        while (k < count && strcmp(keeps[k], keeps[count]) != 0) {
            k++;
        }
        count += k == count;
    }
    out[0] = '\0';
    for (size_t k = 0; k < count && used < size; k++) {
        const int n =
            snprintf(out + used, size - used, "%s--keep '%s'", k > 0 ? " " : "", keeps[k]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static void hint_numbers(const pack_table *t, const export_plan *plan, uint32_t first,
                         uint64_t count, err *e)
{
    char glob[GLOB_NAME_BYTES];
    if (t->records[first].src_type == DTYPE_F8_E4M3) {
        err_hint(e, "--dequantize writes the dequantized values");
    } else if (count == 1) {
        err_hint(e, "convert --keep '%s' keeps it unchanged; --dequantize accepts the rounding",
                 keep_glob(t, plan->records[first].keep, glob));
    } else {
        char keeps[MAX_KEEPS * (NAME_MAX_BYTES + 16)];
        keep_options(t, plan, keeps, sizeof keeps);
        err_hint(e, "convert %s keeps them unchanged; --dequantize accepts the rounding", keeps);
    }
}

err_code export_numbers_refuse(const pack_table *t, const preset *p, const export_plan *plan,
                               err *e)
{
    uint64_t count = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->records[i].cls == CLASS_CODES && plan->records[i].form == FORM_NUMBERS) {
            first = count++ == 0 ? i : first;
        }
    }
    if (count == 0) {
        return OK;
    }
    char more[48] = "";
    if (count > 1) {
        snprintf(more, sizeof more, " and %" PRIu64 " more", count - 1);
    }
    err_set(e, ERR_INPUT, "tensor %s%s: FP8, which %s does not read there: %s",
            t->records[first].name, more, p->reader, plan->records[first].why);
    hint_numbers(t, plan, first, count, e);
    return ERR_INPUT;
}
