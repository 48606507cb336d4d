#include "format/pack/pack_record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "format/base/num.h"

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

#define SCALE_SUFFIX "_scale_inv"

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
    le32_store(p + AT_BLOCK_ROWS, r->cls == CLASS_CODES ? r->block.rows : 0);
    le32_store(p + AT_BLOCK_COLS, r->cls == CLASS_CODES ? r->block.cols : 0);
    p[AT_SRC_DTYPE] = (unsigned char)r->src_type;
    p[AT_ORIGIN] = (unsigned char)r->origin;
    p[AT_DIALECT] = (unsigned char)r->dialect;
    p[AT_FLAGS] = r->cls == CLASS_SCALES && r->block.scale == SCALES_UE8M0 ? FLAG_POW2 : 0;
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

/* A `*` is allowed only as the whole expert slot; `star` is the first one. */
static bool star_in_place(const char *name, const char *star)
{
    size_t start = 0;
    size_t length = 0;
    return name_expert_slot(name, &start, &length) && length == 1 && name + start == star &&
           strchr(star + 1, '*') == NULL;
}

/* Is the next name printable ASCII without a `*`, so that it needs no further check? Asked for a
 * window of many names at once: names are so short that the call for each would take longer than
 * the check. */
static bool is_plain(pack_decoder *d)
{
    enum { WINDOW = 4096 };
    if (d->name_off >= d->window_end) {
        const uint64_t bytes = num_min(WINDOW + NAME_MAX_BYTES, d->strs_bytes - d->name_off);
        d->plain = name_all_plain(d->strs + d->name_off, bytes);
        d->window_end = d->name_off + WINDOW;
    }
    return d->plain;
}

/* Copy the name, which has to follow the previous one in STRS without a gap. */
static err_code decode_name(pack_decoder *d, const unsigned char *p, pack_record *r, err *e)
{
    const uint64_t length = le16_load(p + AT_NAME_LEN);
    const char *const name = d->strs + d->name_off;
    const bool plain = is_plain(d);
    if (le32_load(p + AT_NAME_OFF) != d->name_off || length > d->strs_bytes - d->name_off ||
        length == 0 || length > NAME_MAX_BYTES || !(plain || name_valid(name, length))) {
        return err_set(e, ERR_INPUT, "record %u: bad name or name offset", d->next);
    }
    memcpy(d->name_to, name, length);
    d->name_to[length] = '\0';
    r->name = d->name_to;
    d->name_off += length;
    d->name_to += length + 1;
    const char *const star = plain ? NULL : memchr(r->name, '*', length);
    if (star && !star_in_place(r->name, star)) {
        return err_set(e, ERR_INPUT, "tensor %s: a `*` that does not replace an expert number",
                       r->name);
    }
    r->stack = star != NULL;
    d->table->has_stacks |= r->stack;
    r->layer = (int32_t)name_layer_next(&d->layers, r->name, length); /* < 2^31 */
    return OK;
}

static err_code decode_shape(const unsigned char *p, pack_record *r, err *e)
{
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

/* The record of codes holds the size of blocks, that of scales whether they are powers of two;
 * check_pair joins both to one block format. */
static err_code decode_block(const unsigned char *p, pack_record *r, err *e)
{
    const uint32_t rows = le32_load(p + AT_BLOCK_ROWS);
    const uint32_t cols = le32_load(p + AT_BLOCK_COLS);
    if (rows > BLOCK_MAX_ROWS || cols > BLOCK_MAX_COLS) {
        return err_set(e, ERR_INPUT, "tensor %s: tiles of %u x %u, the largest are %d x %d",
                       r->name, rows, cols, BLOCK_MAX_ROWS, BLOCK_MAX_COLS);
    }
    r->block.rows = (uint16_t)rows;
    r->block.cols = (uint16_t)cols;
    r->block.code = DTYPE_NONE;
    r->block.scale = p[AT_FLAGS] & FLAG_POW2 ? SCALES_UE8M0 : SCALES_F32;
    return OK;
}

static err_code decode_kind(const unsigned char *p, uint32_t count, pack_record *r, err *e)
{
    if (p[AT_ORIGIN] > ORIGIN_CARRIED || p[AT_DIALECT] >= DIALECT_COUNT ||
        p[AT_FLAGS] > FLAG_POW2) {
        return err_set(e, ERR_INPUT, "tensor %s: unknown origin, dialect or flag", r->name);
    }
    if (le32_load(p + AT_RESERVED) != 0 || le64_load(p + AT_RESERVED + 4) != 0) {
        return err_set(e, ERR_INPUT, "tensor %s: reserved bytes are not zero", r->name);
    }
    r->origin = (pack_origin)p[AT_ORIGIN];
    r->dialect = (pack_dialect)p[AT_DIALECT];
    r->scale_idx = le32_load(p + AT_SCALE_IDX);
    if (r->scale_idx != PACK_NO_SCALE && r->scale_idx >= count) {
        return err_set(e, ERR_INPUT, "tensor %s: scale record %u does not exist", r->name,
                       r->scale_idx);
    }
    return decode_block(p, r, e);
}

/* What can be quantized (spec/quant.md sections 1 and 8). */
static bool is_source(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32 || t == DTYPE_F8_E4M3;
}

static err_code check_codes(pack_record *w, err *e)
{
    char why[BLOCK_TEXT_BYTES];
    w->block.code = w->type;
    if (block_unsupported(w->block, why)) {
        return err_set(e, ERR_INPUT, "tensor %s: has scales, but %s", w->name, why);
    }
    if ((w->ndim != 2 && w->ndim != 3) || w->origin == ORIGIN_KEPT ||
        w->block.scale != SCALES_F32 ||
        (w->origin == ORIGIN_QUANTIZED) != (w->dialect != DIALECT_NONE) ||
        !is_source(w->src_type) || (w->origin == ORIGIN_CARRIED && w->src_type != w->type)) {
        return err_set(e, ERR_INPUT, "tensor %s: has scales, but is not a matrix of codes",
                       w->name);
    }
    for (unsigned i = 0; i < w->ndim; i++) {
        if (w->shape[i] == 0) {
            return err_set(e, ERR_INPUT, "tensor %s: has scales, but no elements", w->name);
        }
    }
    return OK;
}

static bool ends_like_scales(const char *name)
{
    const size_t length = strlen(name);
    const size_t suffix = strlen(SCALE_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, SCALE_SUFFIX) == 0;
}

/* Compares the bytes of the file, not the fields of the record: the compiler joins these
 * comparisons to a few wide loads, and such a load of bytes that were just stored one by one would
 * stall. */
static err_code check_kept(const unsigned char *p, const pack_record *r, err *e)
{
    if (p[AT_ORIGIN] != ORIGIN_KEPT || p[AT_DIALECT] != DIALECT_NONE || p[AT_FLAGS] != 0 ||
        le32_load(p + AT_BLOCK_ROWS) != 0 || le32_load(p + AT_BLOCK_COLS) != 0 ||
        p[AT_SRC_DTYPE] != p[AT_DTYPE]) {
        return err_set(e, ERR_INPUT, "tensor %s: kept, but other fields contradict that", r->name);
    }
    return OK;
}

/* Find the class, which follows from other fields: a record with scales holds codes, and one that
 * is not kept and has no scales holds scales itself. check_pairs finds out of which codes when all
 * records are known. */
static err_code classify(pack_decoder *d, const unsigned char *p, pack_record *r, err *e)
{
    if (r->scale_idx != PACK_NO_SCALE) {
        r->cls = CLASS_CODES;
        d->codes++;
        return check_codes(r, e);
    }
    if (r->origin != ORIGIN_KEPT && ends_like_scales(r->name)) {
        r->cls = CLASS_SCALES;
        d->scales++;
        return OK;
    }
    r->cls = CLASS_KEPT;
    return check_kept(p, r, e);
}

/* Are the stored offsets and counts those that pack_place_next has computed? */
static bool is_placed(const pack_record *r, const unsigned char *p)
{
    return le64_load(p + AT_OFF) == r->off && le64_load(p + AT_LEN) == r->len &&
           le64_load(p + AT_CHUNK_BYTES) == r->chunk_bytes &&
           le64_load(p + AT_CHUNK_FIRST) == r->chunk_first &&
           le64_load(p + AT_CHUNK_COUNT) == r->chunk_count &&
           le32_load(p + AT_LAYER) == layer_field(r->layer);
}

/* Report the first of these fields that differs. */
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
    return err_set(e, ERR_INTERNAL, "tensor %s: refused although no field differs", r->name);
}

static bool in_order(const pack_record *a, const pack_record *b)
{
    if (a->layer != b->layer) {
        return a->layer < b->layer;
    }
    return a->cls != b->cls ? a->cls < b->cls : strcmp(a->name, b->name) < 0;
}

/* Decode a record, and check everything that can be checked when the previous records are known.
 * All in one pass, because a large table does not fit into the caches. Every field is assigned
 * here, so that the record need not be cleared first, which would take longer than decoding it. */
static err_code decode_record(pack_decoder *d, const unsigned char *p, pack_record *r, err *e)
{
    TRY(decode_name(d, p, r, e));
    TRY(decode_shape(p, r, e));
    TRY(decode_kind(p, d->table->count, r, e));
    TRY(classify(d, p, r, e));
    TRY(pack_place_next(d->table, r, e));
    TRY(is_placed(r, p) ? OK : refuse_placed(r, p, e));
    if (r->stack && r->len % r->shape[0] != 0) {
        return err_set(e, ERR_INPUT, "tensor %s: stack members are not a whole number of bytes",
                       r->name);
    }
    if (d->next > 0 && !in_order(r - 1, r)) {
        return err_set(e, ERR_INPUT, "tensor %s: record out of order after %s", r->name,
                       r[-1].name);
    }
    return OK;
}

err_code pack_decode_begin(pack_decoder *d, uint64_t tens_bytes, uint64_t nidx_bytes,
                           const unsigned char *strs, uint64_t strs_bytes, const pack_superblock *s,
                           pack_table *out, err *e)
{
    *out = (pack_table){0};
    *d = (pack_decoder){
        .superblock = s, .strs = (const char *)strs, .strs_bytes = strs_bytes, .table = out};
    if (tens_bytes != s->tensor_count * PACK_RECORD_BYTES || nidx_bytes != s->tensor_count * 4) {
        return err_set(e, ERR_INPUT, "TENS or NIDX: wrong length for %" PRIu64 " tensors",
                       s->tensor_count);
    }
    TRY(pack_table_create((uint32_t)s->tensor_count, strs_bytes + s->tensor_count, out, e));
    d->name_to = out->names;
    pack_place_begin(out, s->data_off);
    return OK;
}

err_code pack_decode_records(pack_decoder *d, const unsigned char *p, uint64_t count, err *e)
{
    assert(count <= d->table->count - d->next);
    for (uint64_t i = 0; i < count; i++) {
        TRY(decode_record(d, p + i * PACK_RECORD_BYTES, &d->table->records[d->next], e));
        d->next++;
    }
    return OK;
}

/* Computed scales are F32. Carried scales keep their dtype, and are marked as powers of two exactly
 * if the dtype allows nothing else. */
static bool is_scale_type(const pack_record *s)
{
    return s->type == s->src_type &&
           (s->origin == ORIGIN_CARRIED
                ? scale_stored_in(s->type) && s->block.scale == scale_format_of(s->type)
                : s->type == DTYPE_F32);
}

/* Check codes against the record of their scales, and give both the whole block format. */
static err_code check_pair(pack_record *w, pack_record *s, err *e)
{
    const size_t length = strlen(w->name);
    if (strncmp(s->name, w->name, length) != 0 || strcmp(s->name + length, SCALE_SUFFIX) != 0 ||
        s->cls != CLASS_SCALES || !is_scale_type(s) || s->origin != w->origin ||
        s->dialect != w->dialect || s->block.rows || s->block.cols) {
        return err_set(e, ERR_INPUT, "tensor %s: %s cannot be its scales", w->name, s->name);
    }
    const char *const lacks = dialect_lacks(w->dialect, w->src_type, s->block.scale);
    if (lacks) {
        return err_set(e, ERR_INPUT, "tensor %s: %s", w->name, lacks);
    }
    if (s->ndim != w->ndim || (w->ndim == 3 && s->shape[0] != w->shape[0]) ||
        pack_record_rows(s) != block_down(w->block, pack_record_rows(w)) ||
        pack_record_cols(s) != block_across(w->block, pack_record_cols(w))) {
        return err_set(e, ERR_INPUT, "tensor %s: the shape of its scales does not match its tiles",
                       w->name);
    }
    w->block.scale = s->block.scale;
    s->block = w->block;
    return OK;
}

/* Report the first record of scales that belongs to no codes. There is one, because there are more
 * records of scales than of codes. */
static err_code refuse_lonely(const pack_table *t, err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const s = &t->records[i];
        if (s->cls == CLASS_SCALES) {
            char name[NAME_MAX_BYTES + 1];
            const size_t length = strlen(s->name) - strlen(SCALE_SUFFIX);
            snprintf(name, sizeof name, "%.*s", (int)length, s->name);
            const pack_record *const w = pack_table_find(t, name);
            if (!w || w->scale_idx != i) {
                return err_set(e, ERR_INPUT, "tensor %s: scales that belong to no tensor", s->name);
            }
        }
    }
    return err_set(e, ERR_INTERNAL, "all scales belong to a tensor, but there are too many");
}

/* Every record of codes has scales with its own name plus a suffix, so no two share them. If there
 * are as many records of scales as of codes, then, none is left over: no search is needed. */
static err_code check_pairs(const pack_decoder *d, err *e)
{
    pack_table *const t = d->table;
    for (uint32_t i = 0; d->codes > 0 && i < t->count; i++) {
        pack_record *const w = &t->records[i];
        if (w->cls == CLASS_CODES) {
            TRY(check_pair(w, &t->records[w->scale_idx], e));
        }
    }
    return d->scales > d->codes ? refuse_lonely(t, e) : OK;
}

/* Neighbors whose names decode_record has already compared. */
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
            return err_set(e, ERR_INPUT, "name index entry %u: out of order, or no such record", i);
        }
        t->by_name[i] = number;
        before = r;
    }
    return OK;
}

err_code pack_decode_end(pack_decoder *d, const unsigned char *nidx, err *e)
{
    pack_table *const t = d->table;
    if (d->name_off != d->strs_bytes) {
        return err_set(e, ERR_INPUT, "STRS: %" PRIu64 " bytes, the names take %" PRIu64,
                       d->strs_bytes, d->name_off);
    }
    TRY(pack_place_end(t, e));
    TRY(decode_name_index(nidx, t, e));
    TRY(check_pairs(d, e));
    TRY(pack_table_check_stacks(t, e));
    if (t->data_end != d->superblock->data_end || t->chunk_count != d->superblock->chunk_count) {
        return err_set(e, ERR_INPUT, "data_end or chunk_count: does not match the %u records",
                       t->count);
    }
    return OK;
}

err_code pack_table_decode(const unsigned char *tens, uint64_t tens_bytes,
                           const unsigned char *nidx, uint64_t nidx_bytes,
                           const unsigned char *strs, uint64_t strs_bytes, const pack_superblock *s,
                           pack_table *out, err *e)
{
    pack_decoder d;
    err_code code = OK;
    TRY_OUT(pack_decode_begin(&d, tens_bytes, nidx_bytes, strs, strs_bytes, s, out, e));
    TRY_OUT(pack_decode_records(&d, tens, s->tensor_count, e));
    TRY_OUT(pack_decode_end(&d, nidx, e));
    return OK;
out:
    pack_table_free(out);
    return code;
}
