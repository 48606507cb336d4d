/* Records as bytes: encoding a table, and decoding one that a stranger wrote (spec/format.md
 * section 5). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/name.h"
#include "format/num.h"
#include "format/pack_table.h"

/* Offsets of fields within a record. */
enum {
    AT_NAME_OFF = 0,
    AT_NAME_LEN = 4,
    AT_DTYPE = 6,
    AT_NDIM = 7,
    AT_SHAPE = 8,
    AT_OFF = 56,
    AT_LEN = 64,
    AT_CHUNK_BYTES = 72,
    AT_CHUNK_FIRST = 80,
    AT_CHUNK_COUNT = 88,
    AT_SCALE_IDX = 96,
    AT_LAYER = 100,
    AT_BLOCK_ROWS = 104,
    AT_BLOCK_COLS = 108,
    AT_SRC_DTYPE = 112,
    AT_ORIGIN = 113,
    AT_DIALECT = 114,
    AT_FLAGS = 115,
    AT_RESERVED = 116,
};

enum { FLAG_POW2 = 1 };

static uint32_t layer_field(int64_t layer)
{
    return layer < 0 ? UINT32_MAX : (uint32_t)layer;
}

static void record_encode(const pack_record *r, uint64_t name_off, unsigned char *p)
{
    memset(p, 0, PACK_RECORD_BYTES);
    le32_store(p + AT_NAME_OFF, (uint32_t)name_off);
    le16_store(p + AT_NAME_LEN, (uint16_t)strlen(r->name));
    p[AT_DTYPE] = (unsigned char)r->type;
    p[AT_NDIM] = (unsigned char)r->ndim;
    for (unsigned i = 0; i < r->ndim; i++) {
        le64_store(p + AT_SHAPE + i * 8, r->shape[i]);
    }
    le64_store(p + AT_OFF, r->off);
    le64_store(p + AT_LEN, r->len);
    le64_store(p + AT_CHUNK_BYTES, r->chunk_bytes);
    le64_store(p + AT_CHUNK_FIRST, r->chunk_first);
    le64_store(p + AT_CHUNK_COUNT, r->chunk_count);
    le32_store(p + AT_SCALE_IDX, r->scale_idx);
    le32_store(p + AT_LAYER, layer_field(r->layer));
    le32_store(p + AT_BLOCK_ROWS, r->block_rows);
    le32_store(p + AT_BLOCK_COLS, r->block_cols);
    p[AT_SRC_DTYPE] = (unsigned char)r->src_type;
    p[AT_ORIGIN] = (unsigned char)r->origin;
    p[AT_DIALECT] = (unsigned char)r->dialect;
    p[AT_FLAGS] = r->pow2 ? FLAG_POW2 : 0;
}

void pack_table_encode(const pack_table *t, unsigned char *tens, unsigned char *nidx,
                       unsigned char *strs)
{
    uint64_t name_off = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        const size_t length = strlen(r->name);
        record_encode(r, name_off, tens + (size_t)i * PACK_RECORD_BYTES);
        memcpy(strs + name_off, r->name, length);
        le32_store(nidx + (size_t)i * 4, t->by_name[i]);
        name_off += length;
    }
}

/* `*` may only be the whole expert slot; `star` is the first one. */
static bool star_in_place(const char *name, const char *star)
{
    size_t start = 0;
    size_t length = 0;
    return name_expert_slot(name, &start, &length) && length == 1 && name + start == star &&
           strchr(star + 1, '*') == NULL;
}

/* Name and shape: what the other fields are computed from. `name_off` is where the name has to be.
 */
static err_code decode_identity(const unsigned char *p, uint32_t number, uint64_t name_off,
                                const unsigned char *strs, uint64_t strs_bytes, char *name_to,
                                layer_memory *layers, pack_record *r, err *e)
{
    const uint64_t length = le16_load(p + AT_NAME_LEN);
    if (le32_load(p + AT_NAME_OFF) != name_off || length > strs_bytes - name_off ||
        !name_valid((const char *)strs + name_off, length)) {
        return err_set(e, ERR_INPUT, "record %u: the name is not valid, or not where it has to be",
                       number);
    }
    memcpy(name_to, strs + name_off, length);
    name_to[length] = '\0';
    r->name = name_to;
    const char *const star = memchr(r->name, '*', length);
    if (star && !star_in_place(r->name, star)) {
        return err_set(e, ERR_INPUT, "tensor %s: a `*` where no expert number stands", r->name);
    }
    r->stack = star != NULL;
    r->layer = (int32_t)name_layer_next(layers, r->name, length); /* < 2^31 */
    r->ndim = p[AT_NDIM];
    if (!dtype_known(p[AT_DTYPE]) || !dtype_known(p[AT_SRC_DTYPE]) || r->ndim > TENSOR_MAX_DIMS) {
        return err_set(e, ERR_INPUT, "tensor %s: unknown dtype, or more than 6 dimensions",
                       r->name);
    }
    r->type = (dtype)p[AT_DTYPE];
    r->src_type = (dtype)p[AT_SRC_DTYPE];
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++) {
        r->shape[i] = le64_load(p + AT_SHAPE + i * 8);
        if (i < r->ndim ? r->shape[i] >= PACK_MAX_DIMENSION : r->shape[i] != 0) {
            return err_set(e, ERR_INPUT, "tensor %s: shape out of range", r->name);
        }
    }
    if (r->stack && (r->ndim < 3 || r->shape[0] < 2)) {
        return err_set(e, ERR_INPUT, "tensor %s: not the shape of a stack", r->name);
    }
    return OK;
}

static err_code decode_kind(const unsigned char *p, uint32_t count, pack_record *r, err *e)
{
    if (p[AT_ORIGIN] > ORIGIN_CARRIED || p[AT_DIALECT] > DIALECT_IEEE || p[AT_FLAGS] > FLAG_POW2) {
        return err_set(e, ERR_INPUT, "tensor %s: unknown origin, dialect or flag", r->name);
    }
    if (!pack_all_zero(p + AT_RESERVED, PACK_RECORD_BYTES - AT_RESERVED)) {
        return err_set(e, ERR_INPUT, "tensor %s: reserved bytes are not zero", r->name);
    }
    r->origin = (pack_origin)p[AT_ORIGIN];
    r->dialect = (pack_dialect)p[AT_DIALECT];
    r->pow2 = p[AT_FLAGS] & FLAG_POW2;
    const uint32_t rows = le32_load(p + AT_BLOCK_ROWS);
    const uint32_t cols = le32_load(p + AT_BLOCK_COLS);
    if (rows > PACK_TILE || cols > PACK_TILE) {
        return err_set(e, ERR_INPUT, "tensor %s: tiles of %u x %u, expected 128 x 128", r->name,
                       rows, cols);
    }
    r->block_rows = (uint16_t)rows;
    r->block_cols = (uint16_t)cols;
    r->scale_idx = le32_load(p + AT_SCALE_IDX);
    if (r->scale_idx != PACK_NO_SCALE) {
        if (r->scale_idx >= count) {
            return err_set(e, ERR_INPUT, "tensor %s: scale record %u does not exist", r->name,
                           r->scale_idx);
        }
        r->cls = CLASS_CODES;
    }
    return OK;
}

/* What can be quantized (spec/quant.md section 1). */
static bool is_float_source(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32;
}

/* Rules of a record of codes and the one that holds its scales. */
static err_code check_scales(const pack_record *w, const pack_record *s, err *e)
{
    const size_t length = strlen(w->name);
    if (w->type != DTYPE_F8_E4M3 || (w->ndim != 2 && w->ndim != 3) || w->origin == ORIGIN_KEPT ||
        w->pow2 || (w->origin == ORIGIN_QUANTIZED) != (w->dialect == DIALECT_IEEE) ||
        (w->origin == ORIGIN_QUANTIZED && !is_float_source(w->src_type)) ||
        w->block_rows != PACK_TILE || w->block_cols != PACK_TILE) {
        return err_set(e, ERR_INPUT,
                       "tensor %s: has scales, but is no FP8 matrix of 128 x 128 tiles", w->name);
    }
    for (unsigned i = 0; i < w->ndim; i++) {
        if (w->shape[i] == 0) {
            return err_set(e, ERR_INPUT, "tensor %s: has scales, but no elements", w->name);
        }
    }
    if (strncmp(s->name, w->name, length) != 0 || strcmp(s->name + length, "_scale_inv") != 0 ||
        s->scale_idx != PACK_NO_SCALE || s->type != DTYPE_F32 || s->src_type != DTYPE_F32 ||
        s->origin != w->origin || s->dialect != w->dialect || s->block_rows || s->block_cols) {
        return err_set(e, ERR_INPUT, "tensor %s: %s cannot be its scales", w->name, s->name);
    }
    if (s->ndim != w->ndim || (w->ndim == 3 && s->shape[0] != w->shape[0]) ||
        pack_record_rows(s) != num_ceil_div(pack_record_rows(w), PACK_TILE) ||
        pack_record_cols(s) != num_ceil_div(pack_record_cols(w), PACK_TILE)) {
        return err_set(e, ERR_INPUT, "tensor %s: its scales have another shape than its tiles",
                       w->name);
    }
    return OK;
}

static err_code check_kept(const pack_record *r, err *e)
{
    if (r->origin != ORIGIN_KEPT || r->dialect != DIALECT_NONE || r->pow2 || r->block_rows ||
        r->block_cols || r->src_type != r->type) {
        return err_set(e, ERR_INPUT, "tensor %s: kept, but its fields say otherwise", r->name);
    }
    return OK;
}

/* Classes: whoever is pointed at by codes holds scales, for one record only; the rest is kept. */
static err_code classify(pack_table *t, err *e)
{
    err_code code = OK;
    for (uint32_t i = 0; i < t->count && code == OK; i++) {
        const pack_record *const w = &t->records[i];
        if (w->cls == CLASS_CODES) {
            pack_record *const s = &t->records[w->scale_idx];
            code = check_scales(w, s, e); /* the name makes it the scales of no other record */
            s->cls = CLASS_SCALES;
        }
    }
    return code;
}

/* Are the fields that follow from the others what pack_table_place made of them? */
static bool is_placed(const pack_record *r, const unsigned char *p)
{
    return le64_load(p + AT_OFF) == r->off && le64_load(p + AT_LEN) == r->len &&
           le64_load(p + AT_CHUNK_BYTES) == r->chunk_bytes &&
           le64_load(p + AT_CHUNK_FIRST) == r->chunk_first &&
           le64_load(p + AT_CHUNK_COUNT) == r->chunk_count &&
           le32_load(p + AT_LAYER) == layer_field(r->layer);
}

/* Which of these fields differs? */
static err_code refuse_placed(const pack_record *r, const unsigned char *p, err *e)
{
    const struct {
        const char *name;
        uint64_t found, expected;
    } fields[] = {
        {"off", le64_load(p + AT_OFF), r->off},
        {"len", le64_load(p + AT_LEN), r->len},
        {"chunk_bytes", le64_load(p + AT_CHUNK_BYTES), r->chunk_bytes},
        {"chunk_first", le64_load(p + AT_CHUNK_FIRST), r->chunk_first},
        {"chunk_count", le64_load(p + AT_CHUNK_COUNT), r->chunk_count},
        {"layer", le32_load(p + AT_LAYER), layer_field(r->layer)},
    };
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        if (fields[k].found != fields[k].expected) {
            return err_set(e, ERR_INPUT, "tensor %s: %s, expected %" PRIu64 ", found %" PRIu64,
                           r->name, fields[k].name, fields[k].expected, fields[k].found);
        }
    }
    return err_set(e, ERR_INTERNAL, "tensor %s: placed as found, after all", r->name);
}

static bool in_order(const pack_record *a, const pack_record *b)
{
    if (a->layer != b->layer) {
        return a->layer < b->layer;
    }
    return a->cls != b->cls ? a->cls < b->cls : strcmp(a->name, b->name) < 0;
}

/* What can be said of each record once all are classified and placed: one pass, since a large table
 * does not fit into the caches. */
static err_code check_records(const pack_table *t, const unsigned char *tens, err *e)
{
    err_code code = OK;
    for (uint32_t i = 0; i < t->count && code == OK; i++) {
        const pack_record *const r = &t->records[i];
        if (r->cls == CLASS_KEPT) {
            code = check_kept(r, e);
        }
        if (code == OK && !is_placed(r, tens + (size_t)i * PACK_RECORD_BYTES)) {
            code = refuse_placed(r, tens + (size_t)i * PACK_RECORD_BYTES, e);
        }
        if (code == OK && r->stack && r->len % r->shape[0] != 0) {
            code = err_set(e, ERR_INPUT, "tensor %s: its members are no whole bytes", r->name);
        }
        if (code == OK && i > 0 && !in_order(r - 1, r)) {
            code = err_set(e, ERR_INPUT, "tensor %s: out of order behind %s", r->name, r[-1].name);
        }
    }
    return code;
}

/* Neighbours that check_records has compared by name already. */
static bool known_order(const pack_record *a, const pack_record *b)
{
    return b == a + 1 && a->layer == b->layer && a->cls == b->cls;
}

/* NIDX lists the records in strictly increasing name order. */
static err_code decode_name_index(const unsigned char *nidx, pack_table *t, err *e)
{
    const pack_record *before = NULL;
    for (uint32_t i = 0; i < t->count; i++) {
        const uint32_t number = le32_load(nidx + (size_t)i * 4);
        const pack_record *const r = number < t->count ? &t->records[number] : NULL;
        if (!r || (before && !known_order(before, r) && strcmp(before->name, r->name) >= 0)) {
            return err_set(e, ERR_INPUT, "name index entry %u: out of order or no record", i);
        }
        t->by_name[i] = number;
        before = r;
    }
    return OK;
}

static err_code decode_records(const unsigned char *tens, const unsigned char *strs,
                               uint64_t strs_bytes, pack_table *t, err *e)
{
    err_code code = OK;
    uint64_t name_off = 0;
    char *name_to = t->names;
    layer_memory layers = {0};
    for (uint32_t i = 0; i < t->count && code == OK; i++) {
        const unsigned char *const p = tens + (size_t)i * PACK_RECORD_BYTES;
        pack_record *const r = &t->records[i];
        *r = (pack_record){0};
        code = decode_identity(p, i, name_off, strs, strs_bytes, name_to, &layers, r, e);
        if (code == OK) {
            code = decode_kind(p, t->count, r, e);
            t->has_stacks |= r->stack;
            name_off += le16_load(p + AT_NAME_LEN);
            name_to += le16_load(p + AT_NAME_LEN) + 1;
        }
    }
    if (code == OK && name_off != strs_bytes) {
        code = err_set(e, ERR_INPUT, "STRS: %" PRIu64 " bytes, the names take %" PRIu64, strs_bytes,
                       name_off);
    }
    return code;
}

err_code pack_table_decode(const unsigned char *tens, uint64_t tens_bytes,
                           const unsigned char *nidx, uint64_t nidx_bytes,
                           const unsigned char *strs, uint64_t strs_bytes, const pack_superblock *s,
                           pack_table *out, err *e)
{
    if (tens_bytes != s->tensor_count * PACK_RECORD_BYTES || nidx_bytes != s->tensor_count * 4) {
        return err_set(e, ERR_INPUT, "TENS or NIDX: not the length that %" PRIu64 " tensors need",
                       s->tensor_count);
    }
    err_code code =
        pack_table_create((uint32_t)s->tensor_count, strs_bytes + s->tensor_count, out, e);
    if (code != OK) {
        return code;
    }
    code = decode_records(tens, strs, strs_bytes, out, e);
    if (code == OK) {
        code = classify(out, e);
    }
    if (code == OK) {
        code = pack_table_place(out, s->data_off, e);
    }
    if (code == OK) {
        code = check_records(out, tens, e);
    }
    if (code == OK) {
        code = decode_name_index(nidx, out, e);
    }
    if (code == OK) {
        code = pack_table_check_stacks(out, e);
    }
    if (code == OK && (out->data_end != s->data_end || out->chunk_count != s->chunk_count)) {
        code = err_set(e, ERR_INPUT, "data_end or chunk_count: not what the %u records need",
                       out->count);
    }
    if (code != OK) {
        pack_table_free(out);
    }
    return code;
}
