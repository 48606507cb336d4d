#include "tests/aid/small_pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/archive/embed_tar.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "quant/recipe/recipe.h"
#include "tests/aid/small_source.h"

#define BLOCK_0 "model.layers.0."
#define BLOCK_1 "model.layers.1."

static const small_tensor default_tensors[] = {
    {"model.embed_tokens.weight", DTYPE_BF16, 2, {24, 40}, false},
    {"model.norm.weight", DTYPE_F32, 1, {40}, false},
    {BLOCK_0 "input_layernorm.weight", DTYPE_BF16, 1, {40}, false},
    {BLOCK_0 "mlp.gate.weight", DTYPE_F32, 2, {3, 40}, false},
    {BLOCK_0 "mlp.experts.*.down_proj.weight", DTYPE_BF16, 3, {3, 12, 40}, true},
    {BLOCK_0 "mlp.experts.*.bias", DTYPE_BF16, 3, {3, 2, 5}, false},
    {BLOCK_0 "self_attn.q_proj.weight", DTYPE_F32, 2, {130, 20}, true},
    {BLOCK_1 "counter", DTYPE_I64, 0, {0}, false},
    {BLOCK_1 "empty", DTYPE_F32, 2, {0, 4}, false},
    {BLOCK_1 "mlp.experts.gate_up_proj", DTYPE_F16, 3, {2, 10, 130}, true},
};

const small_model small_model_default = {
    .tensors = default_tensors,
    .count = sizeof default_tensors / sizeof default_tensors[0],
    .config = "{\"hidden_size\": 40, \"rope\": {\"theta\": 1e4, \"type\": \"default\"}}\n",
    .seed = 1,
};

static void must(err_code code, const err *e)
{
    if (code != OK) {
        fprintf(stderr, "small_pack: %s\n", e->text);
        abort();
    }
}

static void *must_have(void *p)
{
    if (!p) {
        abort();
    }
    return p;
}

/* ---- table ----------------------------------------------------- */

static pack_record *add_record(pack_table *t, char **names, const char *name, const char *suffix)
{
    pack_record *const r = &t->records[t->count++];
    const size_t room = strlen(name) + strlen(suffix) + 1;
    *r = (pack_record){.name = *names, .scale_idx = PACK_NO_SCALE};
    snprintf(*names, room, "%s%s", name, suffix);
    *names += room;
    return r;
}

/* The size of a tile, not taken from the program. */
enum { SMALL_TILE = 128 };

static void add_tensor(pack_table *t, char **names, const small_tensor *s, bool ue8m0)
{
    pack_record *const r = add_record(t, names, s->name, "");
    r->type = r->src_type = s->type;
    r->ndim = (uint8_t)s->ndim;
    memcpy(r->shape, s->shape, sizeof r->shape);
    if (!s->quantize) {
        return;
    }
    r->type = DTYPE_F8_E4M3;
    r->cls = CLASS_CODES;
    r->origin = ORIGIN_QUANTIZED;
    r->dialect = DIALECT_IEEE;
    r->block = block_fp8(ue8m0 ? SCALES_UE8M0 : SCALES_F32);
    r->scale_idx = t->count;
    pack_record *const scales = add_record(t, names, s->name, "_scale_inv");
    *scales = (pack_record){.name = scales->name,
                            .type = DTYPE_F32,
                            .src_type = DTYPE_F32,
                            .ndim = r->ndim,
                            .cls = CLASS_SCALES,
                            .origin = ORIGIN_QUANTIZED,
                            .dialect = DIALECT_IEEE,
                            .block = r->block,
                            .scale_idx = PACK_NO_SCALE};
    memcpy(scales->shape, s->shape, sizeof scales->shape);
    scales->shape[s->ndim - 2] = num_ceil_div(s->shape[s->ndim - 2], SMALL_TILE);
    scales->shape[s->ndim - 1] = num_ceil_div(s->shape[s->ndim - 1], SMALL_TILE);
}

static void make_table(const small_model *model, bool ue8m0, pack_table *t)
{
    err e = {0};
    size_t name_bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        name_bytes += 2 * strlen(model->tensors[i].name) + 16;
    }
    must(pack_table_create((uint32_t)(2 * model->count), name_bytes, t, &e), &e);
    char *names = t->names;
    t->count = 0;
    for (size_t i = 0; i < model->count; i++) {
        add_tensor(t, &names, &model->tensors[i], ue8m0);
    }
    must(pack_table_sort(t, &e), &e);
}

/* ---- head ------------------------------------------------------ */

static void make_head(const small_model *model, const small_options *options, small_pack *p,
                      pack_head *head)
{
    err e = {0};
    const recipe r = {.scales = options->ue8m0 ? SCALES_UE8M0 : SCALES_F32};
    size_t recipe_bytes = 0;
    char *const recipe_text = must_have(recipe_json_packed(&r, &recipe_bytes));
    member files[2] = {{.name = strdup("tokenizer.json"), .data = strdup("{}\n"), .bytes = 3}};
    size_t file_count = 1;
    if (model->config) {
        files[file_count++] =
            (member){strdup("config.json"), strdup(model->config), strlen(model->config)};
    }
    char *archive = NULL;
    size_t archive_bytes = 0;
    must(archive_pack(files, file_count, &archive, &archive_bytes, &e), &e);
    make_table(model, options->ue8m0, &p->table);
    must(pack_head_build(&p->table, options->sha256 ? DIGEST_SHA256 : DIGEST_XXH3,
                         (pack_text){archive, archive_bytes},
                         (pack_text){recipe_text, recipe_bytes}, head, &e),
         &e);
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].name);
        free(files[i].data);
    }
    free(archive);
    free(recipe_text);
}

/* ---- data ------------------------------------------------------ */

enum { CODES = 0x7f }; /* magnitudes that are not NaN */

static float decode(unsigned code)
{
    const int field = (int)(code >> 3 & 15);
    const int mantissa = (int)(code & 7);
    return field ? ldexpf((float)(8 + mantissa), field - 10) : ldexpf((float)mantissa, -9);
}

/* The code of the nearest value, ties to the even code. `values` ascend, so the distance shrinks up
 * to the nearest one. */
static unsigned char nearest_code(const double values[CODES], float y)
{
    unsigned best = 0;
    const double magnitude = fabs((double)y);
    for (unsigned c = 1; c < CODES; c++) {
        const double here = fabs(values[c] - magnitude);
        const double there = fabs(values[best] - magnitude);
        if (here > there) {
            break;
        }
        if (here < there || c % 2 == 0) {
            best = c;
        }
    }
    return (unsigned char)(best | (signbit(y) ? 0x80 : 0));
}

static float tile_scale(float amax, bool ue8m0)
{
    const float scale = amax == 0 ? 1 : fmaxf(amax / 448.0f, 0x1p-126f);
    float power = 0x1p-126f;
    while (power < scale) {
        power *= 2;
    }
    return ue8m0 ? power : scale;
}

/* One slice of codes: its tiles, its scales at `scales`, its row of STAT. */
typedef struct matrix {
    const double *values; /* [CODES] */
    const float *x;
    uint64_t rows, cols;
    unsigned char *codes, *scales;
    pack_stat stat;
} matrix;

static void quantize_element(matrix *m, uint64_t i, float scale)
{
    const float x = m->x[i];
    const float y = x / scale;
    const unsigned char code = nearest_code(m->values, y);
    const double value = m->values[code & 0x7f] * (double)scale;
    const double error = value - fabs((double)x);
    m->codes[i] = code;
    m->stat.amax = fmaxf(m->stat.amax, fabsf(x));
    m->stat.saturated += fabsf(y) >= 464;
    m->stat.zero += x == 0;
    m->stat.flushed += x != 0 && (code & 0x7f) == 0;
    m->stat.sum_sq_source += (double)x * (double)x;
    m->stat.sum_sq_error += error * error;
}

static void quantize_tile(matrix *m, uint64_t row, uint64_t col, bool ue8m0)
{
    const uint64_t rows = num_min(m->rows - row, SMALL_TILE);
    const uint64_t cols = num_min(m->cols - col, SMALL_TILE);
    float amax = 0;
    for (uint64_t i = 0; i < rows * cols; i++) {
        amax = fmaxf(amax, fabsf(m->x[(row + i / cols) * m->cols + col + i % cols]));
    }
    const float scale = tile_scale(amax, ue8m0);
    uint32_t bits = 0;
    memcpy(&bits, &scale, sizeof bits);
    le32_store(m->scales, bits);
    m->scales += 4;
    m->stat.scale_min = fminf(m->stat.scale_min, scale);
    m->stat.scale_max = fmaxf(m->stat.scale_max, scale);
    for (uint64_t i = 0; i < rows * cols; i++) {
        quantize_element(m, (row + i / cols) * m->cols + col + i % cols, scale);
    }
}

/* Digests of the pieces of one source tensor (spec/format.md section 7). A tensor of three
 * dimensions that is quantized is divided within each slice. */
static void digest_source(const pack_record *r, const unsigned char *source, uint64_t slices,
                          uint64_t bytes, unsigned char *out)
{
    const uint64_t piece = r->cls == CLASS_CODES
                               ? r->chunk_bytes * (dtype_bits(r->src_type) / dtype_bits(r->type))
                               : PACK_CHUNK;
    const uint64_t slice_bytes = slices ? bytes / slices : 0;
    const uint64_t count = slices * num_ceil_div(slice_bytes, piece);
    unsigned char *const pieces = must_have(malloc(count * XXH3_BYTES + 1));
    uint64_t n = 0;
    for (uint64_t s = 0; s < slices; s++) {
        for (uint64_t at = 0; at < slice_bytes; at += piece) {
            digest_xxh3(source + s * slice_bytes + at, num_min(piece, slice_bytes - at),
                        pieces + XXH3_BYTES * n++);
        }
    }
    if (count == 1) {
        memcpy(out, pieces, XXH3_BYTES);
    } else {
        digest_xxh3(pieces, count * XXH3_BYTES, out);
    }
    free(pieces);
}

/* Fill one source tensor's part of a record: `e` is its number, `count` tensors make the record. */
static void fill_member(const small_model *model, const small_options *options, small_pack *p,
                        const pack_record *r, uint64_t e, pack_evidence *v)
{
    const uint64_t count = pack_record_sources(r);
    const uint64_t slices = r->cls == CLASS_CODES ? pack_record_slices(r) / count : 1;
    const uint64_t bytes = pack_source_bytes(r, r->len / count);
    char name[NAME_MAX_BYTES + 1];
    if (!r->stack || !name_expand_stack(r->name, e, name)) {
        snprintf(name, sizeof name, "%s", r->name);
    }
    unsigned char *const source = must_have(malloc(bytes + 1));
    small_source_fill(model->seed, name, r->src_type, bytes, source);
    digest_source(r, source, slices, bytes, pack_evidence_source(v, r->source_first + e));
    unsigned char *const to = p->bytes + r->off + r->len / count * e;
    if (r->cls == CLASS_KEPT) {
        memcpy(to, source, bytes);
        free(source);
        return;
    }
    const pack_record *const s = &p->table.records[r->scale_idx];
    const uint64_t per_slice = pack_record_rows(r) * pack_record_cols(r);
    float *const x = must_have(malloc((slices * per_slice + 1) * sizeof *x));
    small_source_widen(r->src_type, source, slices * per_slice, x);
    double values[CODES];
    for (unsigned c = 0; c < CODES; c++) {
        values[c] = (double)decode(c);
    }
    for (uint64_t k = 0; k < slices; k++) {
        const uint64_t slice = e * slices + k;
        matrix m = {values,
                    x + k * per_slice,
                    pack_record_rows(r),
                    pack_record_cols(r),
                    to + k * per_slice,
                    p->bytes + s->off + s->len / pack_record_slices(r) * slice,
                    {.scale_min = INFINITY}};
        for (uint64_t row = 0; row < m.rows; row += SMALL_TILE) {
            for (uint64_t col = 0; col < m.cols; col += SMALL_TILE) {
                quantize_tile(&m, row, col, options->ue8m0);
            }
        }
        pack_stat_encode(&m.stat, pack_evidence_stat(v, r->stat_first + slice));
    }
    free(x);
    free(source);
}

static void digest_chunks(const pack_table *t, const unsigned char *bytes, pack_evidence *v)
{
    err e = {0};
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        for (uint64_t k = 0; k < r->chunk_count; k++) {
            const pack_chunk c = pack_record_chunk(r, k);
            must(digest_of(v->alg, bytes + c.off, c.bytes,
                           pack_evidence_chunk(v, r->chunk_first + k), &e),
                 &e);
        }
    }
}

void small_pack_build(const small_model *model, const small_options *options, small_pack *out)
{
    static const char prov[] =
        "{\"shards\":[{\"header_sha256\":"
        "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
        "\"name\":\"model.safetensors\",\"size\":4096,\"tensors\":7}],"
        "\"spec\":{\"format\":1,\"quant\":1}}";
    err e = {0};
    pack_head head;
    pack_tail tail = {0};
    pack_evidence v;
    *out = (small_pack){0};
    make_head(model, options, out, &head);
    const digest_alg alg = head.superblock.digest;
    const pack_table *const t = &out->table;
    out->length = pack_file_bytes(t, alg, sizeof prov - 1);
    out->bytes = must_have(calloc(1, out->length));
    memcpy(out->bytes, head.bytes, head.length);
    must(pack_evidence_create(t, alg, &v, &e), &e);
    for (uint32_t i = 0; i < t->count; i++) {
        for (uint64_t k = 0; k < pack_record_sources(&t->records[i]); k++) {
            fill_member(model, options, out, &t->records[i], k, &v);
        }
    }
    if (options->tamper) {
        options->tamper(out, options->ctx);
    }
    digest_chunks(t, out->bytes, &v);
    must(pack_tail_build(&head, t, &v, (pack_text){prov, sizeof prov - 1}, &tail, &e), &e);
    memcpy(out->bytes + t->data_end, tail.bytes, tail.length);
    pack_trailer trailer;
    must(pack_trailer_decode(out->bytes + out->length - PACK_BLOCK, &trailer, &e), &e);
    memcpy(out->sections, trailer.dir, sizeof out->sections);
    pack_evidence_free(&v);
    free(head.bytes);
    free(tail.bytes);
}

void small_pack_free(small_pack *p)
{
    pack_table_free(&p->table);
    free(p->bytes);
    *p = (small_pack){0};
}

int small_memfd(const unsigned char *bytes, uint64_t length)
{
    const int fd = memfd_create("small", MFD_CLOEXEC);
    if (fd < 0 || pwrite(fd, bytes, length, 0) != (ssize_t)length) {
        abort();
    }
    return fd;
}

/* ---- signing --------------------------------------------------- */

enum { AT_PLAN_ID_FRONT = 72, AT_PLAN_ID_BACK = 48, AT_ROOT = 64, AT_SELF = 4080, AT_SHA = 32 };

const pack_section *small_pack_section(const small_pack *p, uint32_t tag)
{
    const pack_section *s = p->sections;
    while (s->tag != tag) {
        s++;
    }
    return s;
}

void small_pack_sign_tensors(const small_pack *p, unsigned char *bytes)
{
    const pack_section *const tdig = small_pack_section(p, TAG_TDIG);
    const bool sha256 = tdig->len == (uint64_t)p->table.count * SHA256_BYTES;
    pack_evidence v = {.alg = sha256 ? DIGEST_SHA256 : DIGEST_XXH3,
                       .chunks = bytes + small_pack_section(p, TAG_CHNK)->off,
                       .tensors = bytes + tdig->off};
    err e = {0};
    digest_chunks(&p->table, bytes, &v);
    for (uint32_t i = 0; i < p->table.count; i++) {
        must(pack_tensor_digest(&v, &p->table.records[i], pack_evidence_tensor(&v, i), &e), &e);
    }
}

void small_pack_sign(const small_pack *p, unsigned char *bytes)
{
    err e = {0};
    unsigned char *const back = bytes + p->length - PACK_BLOCK;
    for (unsigned i = 0; i < PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS; i++) {
        unsigned char *const entry = back + PACK_DIR_OFF + i * PACK_ENTRY_BYTES;
        must(digest_sha256(bytes + p->sections[i].off, p->sections[i].len, entry + AT_SHA, &e), &e);
        if (i < PACK_HEAD_SECTIONS) {
            memcpy(bytes + PACK_DIR_OFF + i * PACK_ENTRY_BYTES + AT_SHA, entry + AT_SHA,
                   SHA256_BYTES);
        }
    }
    digest_xxh3(bytes + PACK_BLOCK, p->table.data_off - PACK_BLOCK, bytes + AT_PLAN_ID_FRONT);
    memcpy(back + AT_PLAN_ID_BACK, bytes + AT_PLAN_ID_FRONT, XXH3_BYTES);
    digest_xxh3(bytes, AT_SELF, bytes + AT_SELF);
    must(pack_root(bytes, back, back + AT_ROOT, &e), &e);
    digest_xxh3(back, AT_SELF, back + AT_SELF);
}
