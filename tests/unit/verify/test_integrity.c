/* Whatever happens to a file, the check finds and names it: every single flipped bit, every
 * truncation, every zeroed page, every swapped pair of chunks. With THIN=n in the environment only
 * every n-th case of the long tests is tried. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/integrity.h"

enum { SHARES = 8 }; /* long tests are split, so that no process runs for long */

static const integrity_options whole = {.threads = 1, .memory = 16 << 20};

static uint64_t thin(void)
{
    const char *const text = getenv("THIN");
    const unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n > 0 ? n : 1;
}

/* What the report must say about a damaged byte, according to the layout. */
typedef struct expectation {
    char place[300];
    int64_t slice, chunk;
    uint64_t off, bytes;
} expectation;

static bool expect_tensor(const pack_record *r, uint64_t at, expectation *x)
{
    if (at < r->off || at >= r->off + r->len) {
        return false;
    }
    /* The test's slices are smaller than a chunk: one chunk each. */
    const bool sliced =
        (r->cls == CLASS_KEPT && strchr(r->name, '*')) || (r->cls == CLASS_CODES && r->ndim == 3);
    const uint64_t slices = sliced ? r->shape[0] : 1;
    const uint64_t slice = (at - r->off) / (r->len / slices);
    snprintf(x->place, sizeof x->place, "tensor %s", r->name);
    x->slice = sliced ? (int64_t)slice : -1;
    x->chunk = (int64_t)slice;
    x->bytes = r->len / slices;
    x->off = r->off + slice * x->bytes;
    return true;
}

static bool expect_section(const pack_section *s, uint64_t at, expectation *x)
{
    if (at < s->off || at >= s->off + s->len) {
        return false;
    }
    snprintf(x->place, sizeof x->place, "section %c%c%c%c", (int)(s->tag & 255),
             (int)(s->tag >> 8 & 255), (int)(s->tag >> 16 & 255), (int)(s->tag >> 24));
    x->off = s->off;
    x->bytes = s->len;
    return true;
}

static expectation expect(const small_pack *p, uint64_t at)
{
    expectation x = {.slice = -1, .chunk = -1, .off = at, .bytes = 1};
    if (at < PACK_BLOCK) {
        snprintf(x.place, sizeof x.place, "superblock");
        x.off = at < PACK_MAGIC_BYTES ? 0 : at;
        x.bytes = at < PACK_MAGIC_BYTES ? PACK_MAGIC_BYTES : 1;
        return x;
    }
    if (at >= p->length - PACK_BLOCK) {
        snprintf(x.place, sizeof x.place, "trailer");
        const bool magic = at < p->length - PACK_BLOCK + PACK_MAGIC_BYTES;
        x.off = p->length - PACK_BLOCK;
        x.bytes = magic ? x.bytes : PACK_BLOCK;
        return x;
    }
    for (size_t i = 0; i < sizeof p->sections / sizeof p->sections[0]; i++) {
        if (expect_section(&p->sections[i], at, &x)) {
            return x;
        }
    }
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (expect_tensor(&p->table.records[i], at, &x)) {
            return x;
        }
    }
    snprintf(x.place, sizeof x.place, "padding");
    return x;
}

static bool names(const damage *d, const expectation *x)
{
    return strcmp(d->place, x->place) == 0 && d->what[0] && d->slice == x->slice &&
           d->chunk == x->chunk && d->off == x->off && d->bytes >= x->bytes &&
           d->code == ERR_DAMAGED;
}

static void check(int fd, const integrity_options *options, integrity_report *r)
{
    err e = {0};
    const err_code code = integrity_check(fd, "small", options, NULL, r, &e);
    ck_assert_msg(code == OK, "%s", e.text);
}

static void put(int fd, unsigned char byte, uint64_t at)
{
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void flip_one(const small_pack *p, int fd, uint64_t at, unsigned bit)
{
    integrity_report r;
    const expectation x = expect(p, at);
    put(fd, (unsigned char)(p->bytes[at] ^ 1U << bit), at);
    check(fd, &whole, &r);
    ck_assert_msg(r.count == 1 && names(&r.damages[0], &x),
                  "byte %llu bit %u: expected %s, found %zu findings, the first %s: %s",
                  (unsigned long long)at, bit, x.place, r.count, r.count ? r.damages[0].place : "",
                  r.count ? r.damages[0].what : "");
    integrity_report_free(&r);
    put(fd, p->bytes[at], at);
}

START_TEST(every_flipped_bit_is_found_and_named)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    const int fd = small_memfd(p.bytes, p.length);
    ck_assert_uint_le(p.length, 128 * KIB);
    const uint64_t step = SHARES * thin();
    for (uint64_t i = (uint64_t)_i; i < 8 * p.length; i += step) {
        flip_one(&p, fd, i / 8, (unsigned)(i % 8));
    }
    close(fd);
    small_pack_free(&p);
}
END_TEST

START_TEST(flipped_bits_are_found_by_sha256_as_well)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){.sha256 = true, .ue8m0 = true}, &p);
    const int fd = small_memfd(p.bytes, p.length);
    for (uint64_t i = 0; i < 8 * p.length; i += 61 * thin()) {
        flip_one(&p, fd, i / 8, (unsigned)(i % 8));
    }
    close(fd);
    small_pack_free(&p);
}
END_TEST

START_TEST(every_truncation_is_found)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    const int fd = small_memfd(p.bytes, p.length);
    for (uint64_t length = p.length; length-- > 4;) {
        if (length % thin() != 0 && length % PACK_BLOCK > 1) {
            continue;
        }
        integrity_report r;
        ck_assert_int_eq(ftruncate(fd, (off_t)length), 0);
        check(fd, &whole, &r);
        ck_assert_msg(r.count == 1 && strcmp(r.damages[0].place, "file") == 0 &&
                          r.damages[0].off == length && r.damages[0].bytes > 0 &&
                          r.damages[0].code == ERR_DAMAGED,
                      "length %llu: %zu findings, the first %s: %s", (unsigned long long)length,
                      r.count, r.count ? r.damages[0].place : "", r.count ? r.damages[0].what : "");
        integrity_report_free(&r);
    }
    for (off_t length = 0; length < 4; length++) {
        integrity_report r;
        ck_assert_int_eq(ftruncate(fd, length), 0);
        ck_assert_int_eq(integrity_check(fd, "small", &whole, NULL, &r, NULL), ERR_INPUT);
        integrity_report_free(&r);
    }
    close(fd);
    small_pack_free(&p);
}
END_TEST

/* Every place where `bytes` differs from the original must be named once, and no other place. */
static void check_differences(const small_pack *p, const unsigned char *bytes)
{
    const int fd = small_memfd(bytes, p->length);
    integrity_report r;
    check(fd, &whole, &r);
    size_t found = 0;
    expectation last = {.place = ""};
    for (uint64_t at = 0; at < p->length; at++) {
        if (bytes[at] == p->bytes[at]) {
            continue;
        }
        const expectation x = expect(p, at);
        const bool same_place = strcmp(x.place, last.place) == 0 && x.chunk == last.chunk;
        if (found == 0 || !same_place) {
            ck_assert_msg(found < r.count, "byte %llu: %s was not named", (unsigned long long)at,
                          x.place);
            ck_assert_msg(names(&r.damages[found], &x) || at < PACK_BLOCK,
                          "byte %llu: expected %s, found %s", (unsigned long long)at, x.place,
                          r.damages[found].place);
            found++;
        }
        last = x;
    }
    ck_assert_uint_eq(found, r.count);
    integrity_report_free(&r);
    close(fd);
}

START_TEST(every_zeroed_page_is_found)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    unsigned char *const bytes = malloc(p.length);
    ck_assert_ptr_nonnull(bytes);
    for (uint64_t page = 0; page < p.length; page += 4096) {
        memcpy(bytes, p.bytes, p.length);
        memset(bytes + page, 0, 4096);
        check_differences(&p, bytes);
    }
    free(bytes);
    small_pack_free(&p);
}
END_TEST

static void swap_ranges(unsigned char *bytes, uint64_t a, uint64_t b, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++) {
        const unsigned char byte = bytes[a + i];
        bytes[a + i] = bytes[b + i];
        bytes[b + i] = byte;
    }
}

START_TEST(every_swap_of_chunks_is_found)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    unsigned char *const bytes = malloc(p.length);
    ck_assert_ptr_nonnull(bytes);
    pack_chunk chunks[64];
    size_t count = 0;
    for (uint32_t i = 0; i < p.table.count; i++) {
        for (uint64_t k = 0; k < p.table.records[i].chunk_count; k++) {
            ck_assert_uint_lt(count, 64);
            chunks[count++] = pack_record_chunk(&p.table.records[i], k);
        }
    }
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            memcpy(bytes, p.bytes, p.length);
            swap_ranges(bytes, chunks[a].off, chunks[b].off,
                        num_min(chunks[a].bytes, chunks[b].bytes));
            check_differences(&p, bytes);
        }
    }
    free(bytes);
    small_pack_free(&p);
}
END_TEST

/* The heads are equal for both seeds, so every tensor disagrees with the other file's tail. */
START_TEST(a_tail_of_another_file_is_found)
{
    small_pack p;
    small_pack other;
    small_model model = small_model_default;
    small_pack_build(&model, &(small_options){0}, &p);
    model.seed = 2;
    small_pack_build(&model, &(small_options){0}, &other);
    ck_assert_uint_eq(p.length, other.length);
    unsigned char *const bytes = malloc(p.length);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, p.bytes, p.table.data_end);
    memcpy(bytes + p.table.data_end, other.bytes + p.table.data_end, p.length - p.table.data_end);
    const int fd = small_memfd(bytes, p.length);
    integrity_report r;
    check(fd, &whole, &r);
    ck_assert_uint_gt(r.count, 0);
    for (size_t i = 0; i < r.count; i++) {
        ck_assert_int_eq(strncmp(r.damages[i].place, "tensor ", 7), 0);
    }
    /* The scales of single tiles are equal in both files: 2^-10. Everything else differs. */
    ck_assert_uint_ge(r.count, p.table.chunk_count - 4);
    integrity_report_free(&r);
    close(fd);
    free(bytes);
    small_pack_free(&p);
    small_pack_free(&other);
}
END_TEST

START_TEST(another_head_before_a_tail_is_found)
{
    small_pack p;
    small_pack other;
    small_model model = small_model_default;
    small_pack_build(&model, &(small_options){0}, &p);
    model.config = "{\"hidden_size\": 41, \"rope\": {\"theta\": 1e4, \"type\": \"default\"}}\n";
    small_pack_build(&model, &(small_options){0}, &other);
    memcpy(p.bytes, other.bytes, p.table.data_off);
    const int fd = small_memfd(p.bytes, p.length);
    integrity_report r;
    check(fd, &whole, &r);
    ck_assert_uint_eq(r.count, 1);
    ck_assert_str_eq(r.damages[0].place, "trailer");
    integrity_report_free(&r);
    close(fd);
    small_pack_free(&p);
    small_pack_free(&other);
}
END_TEST

static void check_appended(const small_pack *p, const unsigned char *tail, uint64_t bytes)
{
    const int fd = small_memfd(p->bytes, p->length);
    ck_assert_int_eq(pwrite(fd, tail, bytes, (off_t)p->length), (ssize_t)bytes);
    integrity_report r;
    check(fd, &whole, &r);
    ck_assert_uint_eq(r.count, 1);
    ck_assert_str_eq(r.damages[0].place, "file");
    ck_assert_uint_eq(r.damages[0].off, p->length);
    ck_assert_uint_eq(r.damages[0].bytes, bytes);
    ck_assert(r.tensors_checked);
    integrity_report_free(&r);
    close(fd);
}

START_TEST(appended_bytes_are_found)
{
    small_pack p;
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    static const unsigned char zeros[2 * PACK_BLOCK];
    check_appended(&p, zeros, 1);
    check_appended(&p, zeros, PACK_BLOCK);
    check_appended(&p, zeros, 2 * PACK_BLOCK);
    check_appended(&p, p.bytes, p.length);
    check_appended(&p, p.bytes + p.length - PACK_BLOCK, PACK_BLOCK);
    small_pack_free(&p);
}
END_TEST

int main(void)
{
    Suite *const s = suite_create("integrity");
    TCase *const flips = tcase_create("flips");
    tcase_set_timeout(flips, 60);
    tcase_add_loop_test(flips, every_flipped_bit_is_found_and_named, 0, SHARES);
    tcase_add_test(flips, flipped_bits_are_found_by_sha256_as_well);
    suite_add_tcase(s, flips);

    TCase *const larger = tcase_create("larger damage");
    tcase_set_timeout(larger, 60);
    tcase_add_test(larger, every_truncation_is_found);
    tcase_add_test(larger, every_zeroed_page_is_found);
    tcase_add_test(larger, every_swap_of_chunks_is_found);
    tcase_add_test(larger, a_tail_of_another_file_is_found);
    tcase_add_test(larger, another_head_before_a_tail_is_found);
    tcase_add_test(larger, appended_bytes_are_found);
    suite_add_tcase(s, larger);

    SRunner *const runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
