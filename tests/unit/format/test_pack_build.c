/* Head and tail as bytes: sections, padding, digests and root, checked against the specification
 * and not by octavo's own reader. */
#include <check.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "format/base/num.h"
#include "format/pack/pack_build.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static const char files[] = "an archive of 1024 bytes, as far as this test goes";
static const char recipe_text[] = "{\"octavo_recipe\":1,\"rules\":[],\"scales\":\"f32\"}";
static const char provenance[] = "{\"shards\":[],\"spec\":{\"format\":1,\"quant\":1}}";

typedef struct built {
    pack_table table;
    pack_head head;
    pack_tail tail;
    unsigned char *file; /* head, zeros for data, tail */
    uint64_t bytes;
} built;

/* Half of the files with pack_tail_reserve, whose memory must do. */
static void build_tail(built *b, pack_evidence *v)
{
    const pack_text text = {provenance, sizeof provenance - 1};
    err e = {0};
    b->tail = (pack_tail){0};
    if (b->table.count % 2 == 0) {
        expect_ok(pack_tail_reserve(&b->table, v->alg, text.bytes, &b->tail, &e), &e);
    }
    const unsigned char *const reserved = b->tail.bytes;
    expect_ok(pack_tail_build(&b->head, &b->table, v, text, &b->tail, &e), &e);
    ck_assert(!reserved || b->tail.bytes == reserved);
    ck_assert_ptr_nonnull(b->tail.bytes);
}

static void build(uint64_t *state, digest_alg alg, built *b)
{
    const uint64_t start = *state;
    err e = {0};
    pack_evidence v;
    b->table = table_random(state, (uint32_t)table_up_to(state, 30));
    expect_ok(pack_head_build(&b->table, alg, (pack_text){files, sizeof files - 1},
                              (pack_text){recipe_text, sizeof recipe_text - 1}, &b->head, &e),
              &e);
    expect_ok(pack_evidence_create(&b->table, alg, &v, &e), &e);
    for (uint64_t i = 0; i < b->table.chunk_count * digest_bytes(alg); i++) {
        v.chunks[i] = (unsigned char)(start + i * 7 + i / 5);
    }
    for (uint64_t i = 0; i < b->table.source_count * 16; i++) {
        v.sources[i] = (unsigned char)(start + i * 3);
    }
    build_tail(b, &v);
    pack_evidence_free(&v);
    b->bytes = pack_file_bytes(&b->table, alg, sizeof provenance - 1);
    /* Data is zero here, and only mapped, since tables may be large. */
    b->file = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(b->file, MAP_FAILED);
    ck_assert_uint_eq(b->head.length, b->table.data_off);
    ck_assert_uint_eq(b->table.data_end + b->tail.length, b->bytes);
    memcpy(b->file, b->head.bytes, b->head.length);
    memcpy(b->file + b->table.data_end, b->tail.bytes, b->tail.length);
}

static void built_free(built *b)
{
    munmap(b->file, b->bytes);
    free(b->head.bytes);
    free(b->tail.bytes);
    pack_table_free(&b->table);
}

/* A provenance that is longer than what was reserved is not written past the end. */
START_TEST(reserved_too_little)
{
    const pack_text text = {provenance, sizeof provenance - 1};
    uint64_t state = 1;
    built b;
    err e = {0};
    pack_evidence v = {0};
    build(&state, DIGEST_XXH3, &b);
    free(b.tail.bytes);
    expect_ok(pack_evidence_create(&b.table, DIGEST_XXH3, &v, &e), &e);
    expect_ok(pack_tail_reserve(&b.table, v.alg, 0, &b.tail, &e), &e);
    b.tail.length -= 1;
    expect_error(pack_tail_build(&b.head, &b.table, &v, text, &b.tail, &e), ERR_INTERNAL, &e,
                 "another length of the tail was reserved");
    ck_assert_ptr_null(b.tail.bytes);
    pack_evidence_free(&v);
    built_free(&b);
}
END_TEST

static void expect_sha256(const unsigned char *data, uint64_t bytes, const unsigned char *found)
{
    unsigned char sha[32];
    struct sha256_ctx state;
    sha256_init(&state);
    sha256_update(&state, bytes, data);
    sha256_digest(&state, sizeof sha, sha);
    ck_assert_mem_eq(sha, found, sizeof sha);
}

static void expect_xxh3(const unsigned char *data, uint64_t bytes, const unsigned char *found)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
    ck_assert_mem_eq(canonical.digest, found, 16);
}

/* Section 2: where the sections are, and zeros between them. Returns the end of the last one. */
static uint64_t walk(const unsigned char *file, const unsigned char *dir, unsigned first,
                     unsigned count, const char *const *tags, uint64_t off)
{
    for (unsigned i = first; i < first + count; i++) {
        const unsigned char *const entry = dir + 64 * i;
        const uint64_t length = le64_load(entry + 16);
        ck_assert_mem_eq(entry, tags[i], 4);
        ck_assert_uint_eq(le32_load(entry + 4), 0);
        ck_assert_uint_eq(le64_load(entry + 8), off);
        ck_assert_uint_eq(le64_load(entry + 24), 0);
        expect_sha256(file + off, length, entry + 32);
        const uint64_t next = (off + length + 4095) / 4096 * 4096;
        ck_assert(pack_all_zero(file + off + length, next - off - length));
        off = next;
    }
    return off;
}

START_TEST(file_is_as_specified)
{
    static const char *const tags[] = {"TENS", "NIDX", "STRS", "FILE", "RCPE",
                                       "CHNK", "TDIG", "SDIG", "STAT", "PROV"};
    uint64_t state = random_seed(_i);
    const digest_alg alg = _i % 2 ? DIGEST_SHA256 : DIGEST_XXH3;
    built b;
    build(&state, alg, &b);
    const unsigned char *const back = b.file + b.bytes - 4096;
    const unsigned char *const dir = back + 512;
    ck_assert_mem_eq(b.file + 512, dir, 5 * 64);
    const uint64_t end = walk(b.file, dir, 0, 5, tags, 4096);
    ck_assert_uint_eq(b.table.data_off, (end + 65535) / 65536 * 65536);
    ck_assert(pack_all_zero(b.file + end, b.table.data_off - end));
    ck_assert_uint_eq(walk(b.file, dir, 5, 5, tags, b.table.data_end), b.bytes - 4096);
    ck_assert_mem_eq(b.file + le64_load(dir + 64 * 3 + 8), files, sizeof files - 1);
    ck_assert_mem_eq(b.file + le64_load(dir + 64 * 4 + 8), recipe_text, sizeof recipe_text - 1);
    ck_assert_mem_eq(b.file + le64_load(dir + 64 * 9 + 8), provenance, sizeof provenance - 1);
    ck_assert_uint_eq(b.file[34], alg);
    ck_assert_uint_eq(le64_load(b.file + 40), b.table.count);
    ck_assert_uint_eq(le64_load(b.file + 48), b.table.chunk_count);
    ck_assert_uint_eq(le64_load(b.file + 56), b.table.data_off);
    ck_assert_uint_eq(le64_load(b.file + 64), b.table.data_end);
    ck_assert_uint_eq(le64_load(back + 32), b.bytes);
    ck_assert_uint_eq(le64_load(back + 40), b.table.data_end);
    expect_xxh3(b.file + 4096, b.table.data_off - 4096, b.file + 72);
    ck_assert_mem_eq(b.file + 72, back + 48, 16);
    expect_xxh3(b.file, 4080, b.file + 4080);
    expect_xxh3(back, 4080, back + 4080);
    unsigned char both[4096 + 4080];
    memcpy(both, b.file, 4096);
    memcpy(both + 4096, back, 4080);
    memset(both + 4096 + 64, 0, 32);
    expect_sha256(both, sizeof both, back + 64);
    ck_assert_mem_eq(b.tail.root, back + 64, 32);
    built_free(&b);
}
END_TEST

/* TDIG is computed from CHNK when the tail is built. */
START_TEST(tensor_digests_are_filled_in)
{
    uint64_t state = random_seed(_i);
    const digest_alg alg = _i % 2 ? DIGEST_SHA256 : DIGEST_XXH3;
    const size_t each = alg == DIGEST_SHA256 ? 32 : 16;
    built b;
    build(&state, alg, &b);
    const unsigned char *const dir = b.file + b.bytes - 4096 + 512;
    const unsigned char *const chunks = b.file + le64_load(dir + 64 * 5 + 8);
    const unsigned char *const tensors = b.file + le64_load(dir + 64 * 6 + 8);
    ck_assert_uint_eq(le64_load(dir + 64 * 5 + 16), b.table.chunk_count * each);
    ck_assert_uint_eq(le64_load(dir + 64 * 6 + 16), b.table.count * each);
    ck_assert_uint_eq(le64_load(dir + 64 * 7 + 16), b.table.source_count * 16);
    ck_assert_uint_eq(le64_load(dir + 64 * 8 + 16), b.table.stat_count * 64);
    for (uint32_t i = 0; i < b.table.count; i++) {
        const pack_record *const r = &b.table.records[i];
        const unsigned char *const own = chunks + r->chunk_first * each;
        if (r->chunk_count == 1) {
            ck_assert_mem_eq(tensors + i * each, own, each);
        } else if (alg == DIGEST_SHA256) {
            expect_sha256(own, r->chunk_count * each, tensors + i * each);
        } else {
            expect_xxh3(own, r->chunk_count * each, tensors + i * each);
        }
    }
    built_free(&b);
}
END_TEST

START_TEST(same_input_same_bytes)
{
    uint64_t first = random_seed(0);
    uint64_t second = first;
    built a;
    built b;
    build(&first, DIGEST_XXH3, &a);
    build(&second, DIGEST_XXH3, &b);
    ck_assert_uint_eq(a.head.length, b.head.length);
    ck_assert_uint_eq(a.tail.length, b.tail.length);
    ck_assert_mem_eq(a.head.bytes, b.head.bytes, a.head.length);
    ck_assert_mem_eq(a.tail.bytes, b.tail.bytes, a.tail.length);
    ck_assert_mem_eq(a.head.superblock.plan_id, b.head.superblock.plan_id, 16);
    built_free(&a);
    built_free(&b);
}
END_TEST

/* Nothing is written that a reader would refuse. */
static const struct {
    uint64_t files, recipe;
    bool fits;
} sizes[] = {
    {(256 << 20) + 1, 10, false},
    {10, (16 << 20) + 1, false},
    {1 << 20, 16 << 20, true},
};

START_TEST(head_is_limited)
{
    pack_table t = table_with_room(1);
    pack_head head = {0};
    err e = {0};
    const uint64_t room = 257 << 20;
    char *const zeros =
        mmap(NULL, room, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(zeros, MAP_FAILED);
    expect_ok(pack_table_sort(&t, &e), &e);
    const err_code code = pack_head_build(&t, DIGEST_XXH3, (pack_text){zeros, sizes[_i].files},
                                          (pack_text){zeros, sizes[_i].recipe}, &head, &e);
    if (sizes[_i].fits) {
        expect_ok(code, &e);
        ck_assert_uint_eq(head.length, 273 * 65536);
    } else {
        expect_error(code, ERR_INPUT, &e, "MiB");
        ck_assert_ptr_null(head.bytes);
    }
    free(head.bytes);
    munmap(zeros, room);
    pack_table_free(&t);
}
END_TEST

START_TEST(too_large_tensors_are_refused)
{
    pack_table t = table_with_room(2);
    pack_head head = {0};
    err e = {0};
    table_add(&t, "w", DTYPE_U8, 3, (uint64_t[]){1ull << 30, 1ull << 20, 1ull << 20});
    expect_ok(pack_table_sort(&t, &e), &e);
    expect_error(
        pack_head_build(&t, DIGEST_XXH3, (pack_text){"", 0}, (pack_text){"{}", 2}, &head, &e),
        ERR_INPUT, &e, "tensor w: too large");
    ck_assert_ptr_null(head.bytes);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_build");
    tcase_add_test(tc, reserved_too_little);
    tcase_add_loop_test(tc, file_is_as_specified, 0, 20);
    tcase_add_loop_test(tc, tensor_digests_are_filled_in, 0, 20);
    tcase_add_test(tc, same_input_same_bytes);
    tcase_add_loop_test(tc, head_is_limited, 0, COUNT(sizes));
    tcase_add_test(tc, too_large_tensors_are_refused);
    return run_tests("pack_build", tc);
}
