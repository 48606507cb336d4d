#include "convert/export/export_scales.h"

#include <stdlib.h>

#include "format/base/num.h"
#include "format/pack/pack_read.h"
#include "format/tensor/scale_value.h"

static bool all_pow2(const pack_record *r, const unsigned char *data, uint64_t bytes)
{
    const uint64_t each = dtype_bits(r->type) / 8;
    for (uint64_t i = 0; i < bytes; i += each) {
        if (!scale_is_pow2(scale_value(r->type, data + i))) {
            return false;
        }
    }
    return true;
}

/* *yes: all scales of the record are powers of two. */
static err_code check_record(const pack_file *file, const pack_evidence *evidence,
                             const pack_record *r, const monitor *m, bool *yes, err *e)
{
    unsigned char *const buffer = malloc(num_max(r->chunk_bytes, 1));
    err_code code = OK;
    TRY_OUT(buffer ? OK : err_set(e, ERR_MEMORY, "no memory for a chunk of scales"));
    for (uint64_t at = 0; at < r->len && *yes;) {
        const uint64_t bytes = num_min(r->chunk_bytes, r->len - at);
        const pack_range range = pack_record_range(r, at, bytes);
        TRY_OUT(pack_read_range(file, evidence, &range, m, buffer, e));
        *yes = all_pow2(r, buffer, bytes);
        at += bytes;
    }
out:
    free(buffer);
    return code;
}

err_code export_scales_check(const pack_file *file, const pack_evidence *evidence,
                             export_plan *plan, const monitor *m, err *e)
{
    const pack_table *const t = &file->table;
    bool yes = true;
    for (uint32_t i = 0; i < t->count && plan->check_pow2 && yes; i++) {
        const pack_record *const r = &t->records[i];
        const bool promised = r->cls == CLASS_SCALES && r->origin == ORIGIN_CARRIED &&
                              r->block.scale != SCALES_UE8M0 &&
                              plan->records[i].form != FORM_NOTHING;
        if (promised) {
            TRY(check_record(file, evidence, r, m, &yes, e));
        }
        if (!yes) {
            plan->block.scale = SCALES_F32;
            plan->not_pow2 = r->name;
        }
    }
    return OK;
}
