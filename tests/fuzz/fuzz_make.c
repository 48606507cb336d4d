/* Packed files of any layout: the input describes tensors, from which a whole, signed file is built
 * that no writer would make but every reader has to take or to refuse.
 *
 *     byte 0      bits: 1 SHA-256, 2 scales that are powers of two, 4 no config.json
 *     byte 1      what is done with the file, and how (use_file)
 *     text        config.json, a NUL, then lines: what becomes of a tensor, and the tensor (fuzz_aid.h)
 *                     k BF16 3x4 NAME     kept
 *                     1 BF16 3x4 NAME     quantized, in this dialect (1 to 6)
 *                     c F32 3x4 NAME      FP8 that is carried over, with scales of this dtype
 *
 * Such a file may be malformed, but it is never damaged. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/pack/pack_build.h"
#include "quant/recipe/recipe.h"
#include "tests/aid/packed_uses.h"
#include "tests/aid/small_pack.h"
#include "tests/fuzz/fuzz_aid.h"
#include "verify/integrity/integrity.h"

enum { SHA256 = 1, POW2 = 2, NO_CONFIG = 4, MEMORY = 16 << 20 };
enum { MOST_BYTES = 1 << 16, MOST_FILE = 1 << 20, MOST_NAME = 200, NAME_ROOM = 256 };

static const char provenance[] = "{\"shards\":[],\"spec\":{\"format\":1,\"quant\":1}}";

typedef struct making {
    pack_table table;
    char *names; /* room that is left in table.names */
    scale_format scales;
    digest_alg digest;
    unsigned char *bytes; /* the file */
    uint64_t length;
} making;

/* ---- the table ------------------------------------------------- */

static pack_record *add_record(making *m, const char *name, const char *suffix)
{
    pack_record *const r = &m->table.records[m->table.count++];
    *r = (pack_record){.name = m->names, .scale_idx = PACK_NO_SCALE};
    m->names += snprintf(m->names, NAME_ROOM, "%s%s", name, suffix) + 1;
    return r;
}

/* The codes, and the scales that belong to them. */
static void add_codes(making *m, char kind, const fuzz_tensor *t)
{
    const bool carried = kind == 'c';
    pack_record *const r = add_record(m, t->name, "");
    pack_record *const s = add_record(m, t->name, "_scale_inv");
    const bool pow2 = carried ? t->type == DTYPE_F8_E8M0 : m->scales == SCALES_UE8M0;
    r->ndim = s->ndim = (uint8_t)t->ndim;
    memcpy(r->shape, t->shape, sizeof r->shape);
    memcpy(s->shape, t->shape, sizeof s->shape);
    r->type = DTYPE_F8_E4M3;
    r->src_type = carried ? DTYPE_F8_E4M3 : t->type;
    s->type = s->src_type = carried ? t->type : DTYPE_F32;
    r->cls = CLASS_CODES;
    s->cls = CLASS_SCALES;
    r->origin = s->origin = carried ? ORIGIN_CARRIED : ORIGIN_QUANTIZED;
    r->dialect = s->dialect = carried ? DIALECT_NONE : (pack_dialect)(kind - '0');
    r->block = s->block = block_fp8(pow2 ? SCALES_UE8M0 : SCALES_F32);
    s->shape[t->ndim - 2] = block_down(r->block, t->shape[t->ndim - 2]);
    s->shape[t->ndim - 1] = block_across(r->block, t->shape[t->ndim - 1]);
}

static bool has_matrix(const fuzz_tensor *t)
{
    return (t->ndim == 2 || t->ndim == 3) && t->bytes > 0;
}

static void add_line(making *m, char *line)
{
    fuzz_tensor t;
    if (!line[0] || line[1] != ' ' || !read_tensor(line + 2, &t) || t.bytes > MOST_BYTES ||
        strlen(t.name) > MOST_NAME) {
        return;
    }
    if (line[0] == 'k') {
        pack_record *const r = add_record(m, t.name, "");
        r->type = r->src_type = t.type;
        r->ndim = (uint8_t)t.ndim;
        memcpy(r->shape, t.shape, sizeof r->shape);
    } else if (((line[0] >= '1' && line[0] <= '6') || line[0] == 'c') && has_matrix(&t)) {
        add_codes(m, line[0], &t);
    }
}

static bool make_table(making *m, char *text)
{
    if (pack_table_create(2 * FUZZ_TENSORS, (uint64_t)2 * FUZZ_TENSORS * NAME_ROOM, &m->table,
                          NULL) != OK) {
        return false;
    }
    m->table.count = 0;
    m->names = m->table.names;
    while (text && m->table.count + 2 <= 2 * FUZZ_TENSORS) {
        char *const end = strchr(text, '\n');
        if (end) {
            *end = '\0';
        }
        add_line(m, text);
        text = end ? end + 1 : NULL;
    }
    return pack_table_sort(&m->table, NULL) == OK;
}

/* ---- the file -------------------------------------------------- */

static bool make_head(const making *m, pack_table *t, member *config, pack_head *head)
{
    const recipe r = {.scales = m->scales};
    char *files = NULL;
    size_t files_bytes = 0;
    size_t recipe_bytes = 0;
    char *const text = recipe_json_packed(&r, &recipe_bytes);
    require(text && archive_pack(config, config ? 1 : 0, &files, &files_bytes, NULL) == OK);
    const err_code code = pack_head_build(t, m->digest, (pack_text){files, files_bytes},
                                          (pack_text){text, recipe_bytes}, head, NULL);
    free(text);
    free(files);
    return code == OK;
}

/* Numbers that are finite in every dtype; scales that are powers of two. */
static void fill(const pack_record *r, unsigned char *to)
{
    for (uint64_t i = 0; i < r->len; i++) {
        to[i] = (unsigned char)(i * 37 % 61);
        if (r->cls == CLASS_SCALES) {
            const bool last =
                i % num_max(dtype_bits(r->type) / 8, 1) + 1 == dtype_bits(r->type) / 8;
            to[i] = last ? (r->type == DTYPE_F8_E8M0 ? 125 : 0x3c) : 0;
        }
    }
}

static void make_data(making *m, pack_evidence *v)
{
    for (uint32_t i = 0; i < m->table.count; i++) {
        const pack_record *const r = &m->table.records[i];
        fill(r, m->bytes + r->off);
        for (uint64_t k = 0; k < r->chunk_count; k++) {
            const pack_chunk c = pack_record_chunk(r, k);
            unsigned char *const to = pack_evidence_chunk(v, r->chunk_first + k);
            require(digest_of(v->alg, m->bytes + c.off, c.bytes, to, NULL) == OK);
        }
    }
}

static bool make_file(making *m, member *config)
{
    pack_head head = {0};
    pack_tail tail = {0};
    pack_evidence v = {0};
    if (!make_head(m, &m->table, config, &head)) {
        return false;
    }
    m->length = pack_file_bytes(&m->table, m->digest, sizeof provenance - 1);
    const bool fits = m->length <= MOST_FILE;
    if (fits) {
        m->bytes = calloc(1, m->length);
        require(m->bytes && pack_evidence_create(&m->table, m->digest, &v, NULL) == OK);
        memcpy(m->bytes, head.bytes, head.length);
        make_data(m, &v);
        require(pack_tail_build(&head, &m->table, &v,
                                (pack_text){provenance, sizeof provenance - 1}, &tail, NULL) == OK);
        memcpy(m->bytes + m->table.data_end, tail.bytes, tail.length);
        pack_evidence_free(&v);
    }
    free(tail.bytes);
    free(head.bytes);
    return fits;
}

/* ---- its use --------------------------------------------------- */

static bool verify(int fd)
{
    const integrity_options options = {.threads = 1, .memory = MEMORY};
    integrity_report r;
    err e = {0};
    check_code(integrity_check(fd, "f", &options, NULL, &r, &e), &e);
    require(e.code == OK);
    for (size_t i = 0; i < r.count; i++) {
        require(r.damages[i].code == ERR_INPUT);
    }
    const bool whole = r.count == 0;
    integrity_report_free(&r);
    return whole;
}

static void use_file(const making *m, unsigned what)
{
    const int fd = small_memfd(m->bytes, m->length);
    const unsigned how = what / USE_COUNT;
    const packed_use_id use = (packed_use_id)(what % USE_COUNT);
    const packed_use_options o = {.runtime = &preset_table[how % PRESET_COUNT],
                                  .form = (unpack_form)(how % 3),
                                  .dequantize = (how & 1) != 0,
                                  .bytes = m->bytes};
    char path[32];
    err e = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const bool whole = verify(fd);
    const err_code code = packed_use(use, path, &o, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_INPUT || (code == ERR_NUMERIC && use == USE_FORWARD));
    require(!whole || code == OK || (use != USE_DIFF && use != USE_UNPACK && use != USE_EVIDENCE));
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    const unsigned flags = take_byte(&in);
    const unsigned what = take_byte(&in);
    making m = {.scales = flags & POW2 ? SCALES_UE8M0 : SCALES_F32,
                .digest = flags & SHA256 ? DIGEST_SHA256 : DIGEST_XXH3};
    size_t bytes = 0;
    member config = {.name = (char *)"config.json"};
    config.data = take_text(&in, &config.bytes);
    char *const lines = take_text(&in, &bytes);
    if (make_table(&m, lines) && make_file(&m, flags & NO_CONFIG ? NULL : &config)) {
        use_file(&m, what);
    }
    free(m.bytes);
    pack_table_free(&m.table);
    free(lines);
    free(config.data);
    return 0;
}
