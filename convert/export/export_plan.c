/* The steps, each of which needs those before it: the form of every record (export_forms.c) decides
 * how many tensors it becomes; the tensors get names, types and sizes; they are distributed over
 * shards in the order of the packed file, which is then read once from start to end; and within each
 * shard they get their place by the width of their elements. Tensors are numbered record by record,
 * so the tensors of a record have consecutive numbers whatever shard they are in. */
#include "convert/export/export_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"

/* ---- tensors --------------------------------------------------- */

/* The most bytes that a name grows by: a number for the `*` of a stack, the suffix of scales, NUL. */
enum { NAME_EXTRA = 32 };

static void count_parts(const pack_table *t, export_plan *plan, uint64_t *name_bytes)
{
    *name_bytes = 1;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        export_record *const x = &plan->records[i];
        x->parts = x->form == FORM_NOTHING ? 0 : r->stack ? r->shape[0] : 1;
        x->part_bytes = x->parts > 0 ? r->len / x->parts : 0;
        x->first = plan->tensor_count;
        plan->tensor_count += x->parts;
        *name_bytes += x->parts * (strlen(r->name) + NAME_EXTRA);
        plan->number_count += x->form == FORM_NUMBERS ? x->parts : 0;
        plan->fp8_count += r->cls == CLASS_CODES && x->form == FORM_SAME ? x->parts : 0;
    }
}

/* For an FP8 source the type from which it was quantized is unknown; BF16 is the usual one. */
static dtype type_of(const pack_record *r, export_form form)
{
    if (form == FORM_BF16_SCALES || form == FORM_F16_SCALES) {
        return form == FORM_BF16_SCALES ? DTYPE_BF16 : DTYPE_F16;
    }
    if (form == FORM_NUMBERS) {
        return r->src_type == DTYPE_F8_E4M3 ? DTYPE_BF16 : r->src_type;
    }
    return r->type;
}

/* Fill in tensor `i` of a record. Its name is that of the weight, with a suffix if it holds scales;
 * the name is written to *names, which then points after it. */
static err_code fill_part(const pack_record *r, const export_record *x, uint64_t i,
                          const char *weight, const char *suffix, export_tensor *out, char **names,
                          err *e)
{
    const unsigned skip = r->stack ? 1 : 0;
    const size_t capacity = strlen(r->name) + NAME_EXTRA;
    char member[NAME_MAX_BYTES + 1];
    uint64_t elements = 0;
    if (r->stack && !name_expand_stack(weight, i, member)) {
        return err_set(e, ERR_INPUT, "tensor %s: the name of member %" PRIu64 " is too long",
                       weight, i);
    }
    out->name = *names;
    *names += snprintf(*names, capacity, "%s%s", r->stack ? member : weight, suffix) + 1;
    out->type = type_of(r, x->form);
    out->ndim = r->ndim - skip;
    memcpy(out->shape, r->shape + skip, out->ndim * sizeof out->shape[0]);
    return dtype_tensor_bytes(out->type, out->shape, out->ndim, &elements, &out->bytes)
               ? OK
               : err_set(e, ERR_INPUT, "tensor %s: has no possible size", out->name);
}

static err_code fill_record(const pack_table *t, uint32_t record, const char *weight,
                            const char *suffix, const monitor *m, export_plan *plan, char **names,
                            err *e)
{
    const export_record *const x = &plan->records[record];
    for (uint64_t i = 0; i < x->parts; i++) {
        TRY(monitor_step(m, x->first + i, e));
        TRY(fill_part(&t->records[record], x, i, weight, suffix, &plan->tensors[x->first + i],
                      names, e));
    }
    return OK;
}

static err_code fill_tensors(const pack_table *t, const export_how *how, export_plan *plan, err *e)
{
    const preset *const p = how->preset;
    char *names = plan->names;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        if (r->cls != CLASS_SCALES) {
            TRY(fill_record(t, i, r->name, "", how->monitor, plan, &names, e));
        }
        if (r->cls == CLASS_CODES) {
            TRY(fill_record(t, r->scale_idx, r->name, p->scale_suffix, how->monitor, plan, &names,
                            e));
        }
    }
    return OK;
}

/* ---- shards ---------------------------------------------------- */

/* An upper bound for the header of a shard: for each tensor its name, possibly with every byte
 * escaped, and HEADER_EACH for dtype, shape and offsets; HEADER_BASE for the rest. */
enum { HEADER_EACH = 256, HEADER_BASE = 128 };

static uint64_t bytes_with_header(const export_tensor *x)
{
    return x->bytes + 2 * strlen(x->name) + HEADER_EACH;
}

typedef struct sharder {
    export_plan *plan;
    uint64_t limit;
    uint64_t used; /* bytes of the last shard, header included */
} sharder;

static void take(sharder *s, export_tensor *x)
{
    export_shard *const shard = &s->plan->shards[s->plan->shard_count - 1];
    x->shard = s->plan->shard_count - 1;
    shard->count++;
    shard->bytes += x->bytes;
    s->used += bytes_with_header(x);
    s->plan->total_bytes += x->bytes;
}

/* Put a weight and its scales (or NULL) into the same shard, which many loaders expect: into the
 * last one if both fit, otherwise into a new one, which may then exceed the limit. */
static void take_unit(sharder *s, export_tensor *weight, export_tensor *scales)
{
    const uint64_t bytes = bytes_with_header(weight) + (scales ? bytes_with_header(scales) : 0);
    if (s->plan->shard_count == 0 || s->used + bytes > s->limit) {
        s->plan->shards[s->plan->shard_count++] = (export_shard){0};
        s->used = HEADER_BASE;
    }
    take(s, weight);
    if (scales) {
        take(s, scales);
    }
}

/* In the order of the packed file, so that reading it sequentially fills one shard after another. */
static void fill_shards(const pack_table *t, uint64_t limit, export_plan *plan)
{
    sharder s = {.plan = plan, .limit = limit};
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        const export_record *const x = &plan->records[i];
        if (r->cls == CLASS_SCALES) {
            continue;
        }
        const export_record *const scales =
            r->cls == CLASS_CODES ? &plan->records[r->scale_idx] : NULL;
        for (uint64_t k = 0; k < x->parts; k++) {
            take_unit(&s, &plan->tensors[x->first + k],
                      scales && scales->parts > 0 ? &plan->tensors[scales->first + k] : NULL);
        }
    }
}

/* Widths of elements in bits. Wide elements come first in a shard, which aligns all tensors without
 * padding: every tensor before one has a size that is a multiple of its width. */
static const unsigned widths[] = {64, 32, 16, 8, 6, 4};

/* A counting sort: by shard, then by width, then by number. */
static void fill_order(export_plan *plan)
{
    uint64_t first = 0;
    for (uint32_t s = 0; s < plan->shard_count; s++) {
        plan->shards[s].first = first;
        first += plan->shards[s].count;
        plan->shards[s].count = 0;
    }
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (uint64_t i = 0; i < plan->tensor_count; i++) {
            export_tensor *const x = &plan->tensors[i];
            export_shard *const s = &plan->shards[x->shard];
            if (dtype_bits(x->type) == widths[w]) {
                x->place = (uint32_t)s->count;
                plan->order[s->first + s->count++] = i;
            }
        }
    }
}

/* ---- the plan -------------------------------------------------- */

static err_code allocate(export_plan *plan, uint64_t name_bytes, err *e)
{
    plan->tensors = calloc(plan->tensor_count + 1, sizeof *plan->tensors);
    plan->order = calloc(plan->tensor_count + 1, sizeof *plan->order);
    plan->shards = calloc(plan->tensor_count + 1, sizeof *plan->shards);
    plan->names = malloc(name_bytes);
    return plan->tensors && plan->order && plan->shards && plan->names
               ? OK
               : err_set(e, ERR_MEMORY, "no memory for the plan of %" PRIu64 " tensors",
                         plan->tensor_count);
}

err_code export_plan_make(const pack_table *t, const export_how *how, export_plan *out, err *e)
{
    uint64_t name_bytes = 0;
    *out = (export_plan){.records = calloc((size_t)t->count + 1, sizeof *out->records)};
    if (!out->records) {
        return err_set(e, ERR_MEMORY, "no memory for the plan of an export");
    }
    TRY(export_states_judge(t, how, out, e));
    TRY(export_forms_choose(t, how, out, e));
    count_parts(t, out, &name_bytes);
    if (out->tensor_count == 0) {
        return err_set(e, ERR_INPUT, "there is no tensor to export");
    }
    TRY(allocate(out, name_bytes, e));
    TRY(fill_tensors(t, how, out, e));
    fill_shards(t, how->shard_bytes, out);
    fill_order(out);
    return export_ignore_make(t, how, out, e);
}

void export_plan_free(export_plan *p)
{
    for (size_t i = 0; i < p->ignored_count; i++) {
        free(p->ignored[i].module);
    }
    free(p->ignored);
    free(p->records);
    free(p->tensors);
    free(p->order);
    free(p->shards);
    free(p->names);
    *p = (export_plan){0};
}

void export_shard_name(const export_plan *p, uint32_t shard, char name[SHARD_NAME_BYTES])
{
    snprintf(name, SHARD_NAME_BYTES, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", shard + 1,
             p->shard_count);
}
