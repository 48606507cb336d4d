/* Packed files: the input is a list of patches to a small valid file. Its first byte says what
 * happens after patching; with recomputed digests, patches get past the digests to the rules that
 * are checked after them, and to everything that trusts these rules.
 *
 *     byte 0      bits: 1 recompute CHNK and TDIG, 2 recompute all other digests, 4 first copy the
 *                 superblock's directory to the trailer, 8 set the length, 16 a file with SHA-256,
 *                 32 with scales that are powers of two, 64 a Llama instead of a bit of everything
 *     byte 1      what is done with the file besides verifying it, and how (use_file)
 *     with 8      u24 length
 *     patches     u24 where, u8 count (% 33), the bytes. `where` counts the bytes that are not
 *                 padding, then those of the file.
 */
#include <stdio.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/live_pack.h"
#include "tests/aid/packed_uses.h"
#include "tests/fuzz/fuzz_aid.h"
#include "verify/integrity/integrity.h"

enum { COPY_DIRECTORY = 4, SET_LENGTH = 8, FILE_BITS = 112, FILE_SHIFT = 4, FILES = 8 };
enum { NEVER = USE_COUNT, STREAM, USES };
enum { ENDS = 1536, MEMORY = 16 << 20 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

/* ---- the file -------------------------------------------------- */

#define LAYER "model.layers.0."

static const small_tensor llama_tensors[] = {
    {"model.embed_tokens.weight", DTYPE_BF16, 2, {6, 8}, false},
    {"model.norm.weight", DTYPE_F32, 1, {8}, false},
    {LAYER "input_layernorm.weight", DTYPE_BF16, 1, {8}, false},
    {LAYER "post_attention_layernorm.weight", DTYPE_F16, 1, {8}, false},
    {LAYER "self_attn.q_proj.weight", DTYPE_BF16, 2, {8, 8}, true},
    {LAYER "self_attn.k_proj.weight", DTYPE_BF16, 2, {4, 8}, true},
    {LAYER "self_attn.v_proj.weight", DTYPE_F32, 2, {4, 8}, true},
    {LAYER "self_attn.o_proj.weight", DTYPE_F16, 2, {8, 8}, true},
    {LAYER "mlp.gate_proj.weight", DTYPE_BF16, 2, {16, 8}, true},
    {LAYER "mlp.up_proj.weight", DTYPE_BF16, 2, {16, 8}, true},
    {LAYER "mlp.down_proj.weight", DTYPE_BF16, 2, {8, 16}, true},
};

static const small_model llama = {
    .tensors = llama_tensors,
    .count = sizeof llama_tensors / sizeof llama_tensors[0],
    .config = "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\","
              "\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
              "\"num_key_value_heads\":1,\"intermediate_size\":16,\"vocab_size\":6,"
              "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,"
              "\"hidden_act\":\"silu\",\"tie_word_embeddings\":true}\n",
    .seed = 1,
};

static live_pack *file_of(unsigned flags)
{
    static live_pack files[FILES];
    const unsigned which = (flags & FILE_BITS) >> FILE_SHIFT;
    live_pack *const l = &files[which];
    if (!l->bytes) {
        const small_options how = {.sha256 = (which & 1) != 0, .ue8m0 = (which & 2) != 0};
        live_pack_open(which & 4 ? &llama : &small_model_default, &how, l);
    }
    return l;
}

/* ---- patches --------------------------------------------------- */

static uint64_t take(input *in, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes && in->next < in->end; i++) {
        v |= (uint64_t)take_byte(in) << 8 * i;
    }
    return v;
}

/* Skip the first `*where` bytes of a range; true if that ends inside it. */
static bool lies_in(uint64_t off, uint64_t length, uint64_t *where)
{
    if (*where < length) {
        *where += off;
        return true;
    }
    *where -= length;
    return false;
}

static uint64_t locate(const small_pack *p, uint64_t where)
{
    if (lies_in(0, ENDS, &where) || lies_in(p->length - PACK_BLOCK, ENDS, &where)) {
        return where;
    }
    for (size_t i = 0; i < sizeof p->sections / sizeof p->sections[0]; i++) {
        if (lies_in(p->sections[i].off, p->sections[i].len, &where)) {
            return where;
        }
    }
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (lies_in(p->table.records[i].off, p->table.records[i].len, &where)) {
            return where;
        }
    }
    return where % p->length;
}

static void patch(live_pack *l, input *in)
{
    while (in->next < in->end) {
        const uint64_t at = locate(&l->pack, take(in, 3));
        const uint64_t wanted = take(in, 1) % 33;
        const uint64_t left = (uint64_t)(in->end - in->next);
        const uint64_t count = num_min(num_min(wanted, left), l->pack.length - at);
        live_pack_write(l, at, in->next, count);
        in->next += count;
    }
}

/* ---- a mutation that knows the fields -------------------------- */

typedef struct field {
    uint32_t where;
    uint8_t bytes;
} field;

/* A field of the superblock, the trailer, a directory or a record, by where it is in a patch. */
static field choose_field(unsigned seed)
{
    static const field ends[] = {{8, 4},  {12, 4}, {16, 8}, {24, 8}, {32, 1}, {33, 1}, {34, 1},
                                 {36, 4}, {40, 8}, {48, 8}, {56, 8}, {64, 8}, {72, 8}, {12, 4}};
    static const field entry[] = {{0, 4}, {4, 4}, {8, 8}, {16, 8}, {24, 8}};
    static const field record[] = {{0, 4},   {4, 2},   {6, 1},   {7, 1},   {8, 8},   {16, 8},
                                   {24, 8},  {32, 8},  {56, 8},  {64, 8},  {72, 8},  {80, 8},
                                   {88, 8},  {96, 4},  {100, 4}, {104, 4}, {108, 4}, {112, 1},
                                   {113, 1}, {114, 1}, {115, 1}, {116, 4}};
    const unsigned n = seed >> 8;
    field f = ends[n % (sizeof ends / sizeof *ends)];
    if (seed % 8 == 1) {
        f = entry[n % (sizeof entry / sizeof *entry)];
        f.where += PACK_DIR_OFF + n / 8 % PACK_HEAD_SECTIONS * PACK_ENTRY_BYTES;
    } else if (seed % 8 > 2) {
        f = record[n % (sizeof record / sizeof *record)];
        f.where += 2 * ENDS + n / 32 % 24 * PACK_RECORD_BYTES;
    }
    f.where += seed % 16 == 10 || seed % 16 == 9 ? ENDS : 0; /* the same in the trailer */
    return f;
}

static uint64_t choose_value(unsigned seed)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      7,
                                      8,
                                      16,
                                      20,
                                      40,
                                      127,
                                      128,
                                      129,
                                      130,
                                      255,
                                      256,
                                      4096,
                                      8192,
                                      65535,
                                      65536,
                                      1 << 20,
                                      1 << 21,
                                      INT32_MAX,
                                      UINT32_MAX,
                                      (uint64_t)1 << 40,
                                      (uint64_t)1 << 60,
                                      INT64_MAX,
                                      UINT64_MAX};
    const uint64_t v = values[seed / 4 % (sizeof values / sizeof *values)];
    return seed % 4 == 0 ? v - 1 : seed % 4 == 1 ? v + 1 : v;
}

/* Half of the time what libFuzzer does; else one more patch, of a whole field, and signed. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed)
{
    if (seed % 2 == 0 || size < 2 || size + 12 > capacity) {
        return LLVMFuzzerMutate(data, size, capacity);
    }
    const field f = choose_field(seed >> 1);
    const uint64_t value = choose_value(seed >> 16);
    data[0] = (uint8_t)((data[0] & ~SET_LENGTH) | LIVE_TENSORS | LIVE_REST);
    data[1] = (uint8_t)(seed >> 20);
    data[size] = (uint8_t)f.where;
    data[size + 1] = (uint8_t)(f.where >> 8);
    data[size + 2] = (uint8_t)(f.where >> 16);
    data[size + 3] = f.bytes;
    for (unsigned i = 0; i < f.bytes; i++) {
        data[size + 4 + i] = (uint8_t)(value >> 8 * i);
    }
    return size + 4 + f.bytes;
}

/* ---- verify ---------------------------------------------------- */

static void check_report(err_code code, const err *e, const integrity_report *r)
{
    check_code(code, e);
    for (size_t i = 0; i < r->count; i++) {
        const damage *const d = &r->damages[i];
        require(d->place[0] && d->what[0]);
        require(d->code == ERR_DAMAGED || d->code == ERR_INPUT);
        require(i == 0 || r->damages[i - 1].off <= d->off);
    }
}

/* True if no damage is found. */
static bool verify(const live_pack *l)
{
    const integrity_options options = {.threads = 1, .memory = MEMORY};
    integrity_report r;
    err e = {0};
    const err_code code = integrity_check(l->fd, "f", &options, NULL, &r, &e);
    check_report(code, &e, &r);
    const bool whole = code == OK && r.count == 0;
    integrity_report_free(&r);
    return whole;
}

/* The same of a stream: both ways agree, and what is left of the stream opens if it is whole. */
static void verify_stream(const live_pack *l, bool whole)
{
    const integrity_options options = {.threads = 1, .memory = MEMORY};
    integrity_report r;
    err e = {0};
    int ends = -1;
    require(lseek(l->fd, 0, SEEK_SET) == 0);
    const err_code code = integrity_check_stream(l->fd, "f", &options, NULL, &r, &ends, &e);
    check_report(code, &e, &r);
    require(whole == (code == OK && r.count == 0));
    if (whole) {
        char path[32];
        pack_file *file = NULL;
        snprintf(path, sizeof path, "/proc/self/fd/%d", ends);
        require(pack_open(path, &file, NULL) == OK);
        pack_close(file);
    }
    if (ends >= 0) {
        close(ends);
    }
    integrity_report_free(&r);
}

/* ---- everything else ------------------------------------------- */

/* An intact file can be used, unless what it says is refused: then as malformed or unsupported. */
static void use_file(const live_pack *l, unsigned what, bool whole)
{
    const unsigned use = what % USES;
    const unsigned how = what / USES;
    const packed_use_options o = {
        .runtime = &preset_table[how % PRESET_COUNT],
        .form = (unpack_form)(how % 3),
        .dequantize = (how & 1) != 0,
        .bytes = l->bytes,
    };
    err e = {0};
    if (use == STREAM) {
        verify_stream(l, whole);
    } else if (use != NEVER) {
        const err_code code = packed_use((packed_use_id)use, l->path, &o, &e);
        check_code(code, &e);
        require(code == OK || code == ERR_INPUT || (code == ERR_DAMAGED && !whole) ||
                (code == ERR_NUMERIC && use == USE_FORWARD));
        require(!whole || code == OK || (use != USE_DIFF && use != USE_UNPACK));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    const unsigned flags = take_byte(&in);
    const unsigned what = take_byte(&in);
    live_pack *const l = file_of(flags);
    uint64_t length = l->pack.length;
    if (flags & SET_LENGTH) {
        length = num_min(take(&in, 3), LIVE_MOST_BYTES);
    }
    patch(l, &in);
    if (flags & COPY_DIRECTORY) {
        live_pack_copy_directory(l);
    }
    live_pack_sign(l, flags & (LIVE_TENSORS | LIVE_REST));
    live_pack_cut(l, length);
    const bool whole = verify(l);
    require(!whole || length == l->pack.length);
    require(!whole || (flags & LIVE_REST) || !live_pack_is_changed(l));
    use_file(l, what, whole);
    live_pack_restore(l);
    return 0;
}
