/* Whole conversions: random checkpoints become files that a slow second computation agrees with, for
 * any number of threads and any memory budget; after every failure the output is as it was before. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_file.h"
#include "tests/aid/conversion.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/packed_check.h"
#include "tests/aid/scratch.h"

static char *contents(const char *name, size_t *bytes)
{
    char *data = NULL;
    err e = {0};
    expect_ok(io_read_file(scratch(name), (size_t)1 << 32, &data, bytes, &e), &e);
    return data;
}

static void expect_same_file(const char *a, const char *b)
{
    size_t bytes[2];
    char *const data[] = {contents(a, &bytes[0]), contents(b, &bytes[1])};
    ck_assert_uint_eq(bytes[0], bytes[1]);
    ck_assert(memcmp(data[0], data[1], bytes[0]) == 0);
    free(data[0]);
    free(data[1]);
}

/* ---- right bytes ----------------------------------------------- */

/* The budget in bytes that allows only one slot. */
static uint64_t one_slot(const conversion *done)
{
    return done->slots.total_bytes -
           (done->slots.count - 1) * (done->slots.in_bytes + done->slots.out_bytes);
}

/* Take the files of scratch("in") out of the page cache. */
static void forget_sources(void)
{
    DIR *const d = opendir(scratch("in"));
    ck_assert_ptr_nonnull(d);
    for (const struct dirent *f = readdir(d); f; f = readdir(d)) {
        const int fd = openat(dirfd(d), f->d_name, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        (void)fdatasync(fd); /* "." and "..": not on every file system */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    closedir(d);
}

/* Convert again in other ways; every time the same bytes. */
static void convert_in_other_ways(const conversion *first)
{
    const struct {
        unsigned threads;
        uint64_t memory;
    } ways[] = {{2, PLENTY * MIB}, {5, PLENTY * MIB}, {5, one_slot(first)}, {1, one_slot(first)}};
    ck_assert_int_eq(rename(scratch("out/p"), scratch("first")), 0);
    for (int i = 0; i < COUNT(ways); i++) {
        conversion r = conversion_with(ways[i].threads, ways[i].memory);
        r.recipe.scales = first->recipe.scales;
        r.options.digest = first->options.digest;
        r.options.allow_none = first->options.allow_none;
        r.options.check = i % 2 ? integrity_read_back : NULL;
        r.options.force = true;
        if (i % 2) {
            forget_sources();
        }
        conversion_succeeds(&r);
        ck_assert(i < 2 || r.slots.count == 1);
        expect_same_file("first", "out/p");
        ck_assert_mem_eq(r.report.root, first->report.root, SHA256_BYTES);
        ck_assert_uint_eq(r.report.nonfinite_kept, first->report.nonfinite_kept);
        ck_assert(r.report.sum_sq_error == first->report.sum_sq_error);
    }
}

static void convert_and_check(const made_checkpoint *c, scale_format scales, digest_alg digest)
{
    conversion r = conversion_with(1, PLENTY * MIB);
    r.recipe.scales = scales;
    r.options.digest = digest;
    r.options.allow_none = true;
    conversion_succeeds(&r);
    packed_check(scratch("out/p"), c, scales == SCALES_UE8M0, digest);
    ck_assert_int_eq(conversion_entries("out"), 1);
    convert_in_other_ways(&r);
}

START_TEST(random_checkpoint_is_converted)
{
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    made_random(&c, &state);
    made_write(&c, scratch("in"), 1 + (size_t)_i % 3);
    convert_and_check(&c, _i & 1 ? SCALES_UE8M0 : SCALES_F32, _i & 2 ? DIGEST_SHA256 : DIGEST_XXH3);
    made_free(&c);
}
END_TEST

/* ---- slots of other shapes ------------------------------------- */

static void want_more_slots(convert_job *job)
{
    job->slots.count += 3; /* the engine then has fewer */
}

/* An engine that could not make all slots, and a budget for one: the same bytes. */
START_TEST(number_of_slots_does_not_show)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){3000, 3000}, true), &state,
              MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    conversion r = conversion_with(2, PLENTY * MIB);
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 4);
    ck_assert_uint_eq(r.slots.out_bytes, 2 * MIB);
    ck_assert_uint_eq(r.slots.max_tiles, 120); /* a chunk of 5 bands, 24 tiles each */
    ck_assert_int_eq(rename(scratch("out/p"), scratch("first")), 0);

    r.options.force = true;
    r.prepared = want_more_slots;
    conversion_succeeds(&r);
    expect_same_file("first", "out/p");

    r.options.memory = 8 * MIB;
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 1);
    expect_same_file("first", "out/p");
    made_free(&c);
}
END_TEST

/* Matrices, three dimensions, and kept tensors of several chunks. */
START_TEST(large_tensors_are_converted)
{
    uint64_t state = random_seed(_i);
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){300, 8200}, true), &state,
              MADE_NARROW);
    made_fill(made_add(&c, "h.0.experts.w2", DTYPE_F32, 3, (uint64_t[]){2, 130, 9000}, true),
              &state, MADE_WIDE);
    made_fill(made_add(&c, "h.1.w3", DTYPE_F16, 2, (uint64_t[]){17000, 130}, true), &state,
              MADE_WIDE);
    made_fill(made_add(&c, "lm_head", DTYPE_BF16, 2, (uint64_t[]){3000, 1001}, false), &state,
              MADE_NARROW);
    made_write(&c, scratch("in"), 2);
    convert_and_check(&c, SCALES_F32, DIGEST_XXH3);
    made_free(&c);
}
END_TEST

/* Nothing to quantize, tensors without elements, and nothing at all but those. */
START_TEST(kept_tensors_are_copied)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_add(&c, "empty", DTYPE_BF16, 2, (uint64_t[]){0, 77}, false);
    made_add(&c, "h.0.experts.0.w1", DTYPE_F32, 2, (uint64_t[]){3, 0}, false);
    made_add(&c, "h.0.experts.1.w1", DTYPE_F32, 2, (uint64_t[]){3, 0}, false);
    made_write(&c, scratch("in"), 1);
    convert_and_check(&c, SCALES_F32, DIGEST_SHA256);
    made_fill(made_add(&c, "scalar", DTYPE_F64, 0, NULL, false), &state, MADE_WIDE);
    made_fill(made_add(&c, "lm_head", DTYPE_F32, 2, (uint64_t[]){300, 1}, false), &state,
              MADE_WIDE);
    ck_assert_int_eq(unlink(scratch("out/p")), 0);
    made_write(&c, scratch("in"), 1);
    convert_and_check(&c, SCALES_F32, DIGEST_XXH3);
    conversion r = conversion_with(1, PLENTY * MIB);
    expect_error(conversion_run(&r), ERR_INPUT, &r.e, "nothing to quantize");
    made_free(&c);
}
END_TEST

/* Many layers, more threads than buffers for scales: threads that wait are woken again. */
START_TEST(many_small_layers)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "h.%d.w1", i);
        made_fill(made_add(&c, name, DTYPE_BF16, 2, (uint64_t[]){1 + (uint64_t)i, 7}, true), &state,
                  MADE_NARROW);
    }
    made_write(&c, scratch("in"), 1);
    convert_and_check(&c, SCALES_F32, DIGEST_XXH3);
    conversion r = conversion_with(14, 128 * MIB);
    r.options.force = true;
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 16);
    expect_same_file("first", "out/p");
    made_free(&c);
}
END_TEST

static void small_checkpoint(uint64_t *state)
{
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){200, 300}, true), state,
              MADE_NARROW);
    made_fill(made_add(&c, "h.0.norm", DTYPE_F32, 1, (uint64_t[]){300}, false), state, MADE_NARROW);
    made_write(&c, scratch("in"), 2);
    made_free(&c);
}

/* The report is the sum of the statistics; whole shards are digested when asked. */
START_TEST(report_adds_up)
{
    uint64_t state = random_seed(0);
    conversion r = conversion_with(2, PLENTY * MIB);
    pack_file *p = NULL;
    pack_evidence v;
    pack_stat s;
    unsigned char *prov = NULL;
    uint64_t bytes = 0;
    small_checkpoint(&state);
    r.options.source_sha256 = true;
    conversion_succeeds(&r);
    expect_ok(pack_open(scratch("out/p"), &p, &r.e), &r.e);
    expect_ok(pack_read_evidence(p, &v, &r.e), &r.e);
    ck_assert_uint_eq(p->table.stat_count, 1);
    ck_assert(pack_stat_decode(v.stats, &s));
    ck_assert(r.report.sum_sq_source == s.sum_sq_source && s.sum_sq_source > 0);
    ck_assert(r.report.sum_sq_error == s.sum_sq_error && s.sum_sq_error > 0);
    ck_assert_uint_eq(r.report.flushed, s.flushed);
    ck_assert_mem_eq(r.report.root, p->trailer.root, SHA256_BYTES);
    ck_assert(r.report.seconds > 0);
    expect_ok(pack_read_section(p, TAG_PROV, &prov, &bytes, &r.e), &r.e);
    static const char *const shards[] = {"in/model-00001-of-00002.safetensors",
                                         "in/model-00002-of-00002.safetensors"};
    for (int i = 0; i < COUNT(shards); i++) {
        char hex[80] = "\"sha256\":\"";
        unsigned char sha[SHA256_BYTES];
        size_t size = 0;
        char *const data = contents(shards[i], &size);
        expect_ok(digest_sha256(data, size, sha, NULL), NULL);
        hex_encode(sha, sizeof sha, hex + strlen(hex));
        ck_assert_ptr_nonnull(strstr((char *)prov, hex));
        free(data);
    }
    free(prov);
    pack_evidence_free(&v);
    pack_close(p);
}
END_TEST

/* ---- memory ---------------------------------------------------- */

START_TEST(too_little_memory_names_the_need)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_F32, 2, (uint64_t[]){130, 30000}, true), &state,
              MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    made_free(&c);
    conversion r = conversion_with(3, 0);
    ck_assert_int_eq(conversion_run(&r), ERR_MEMORY);
    static const char before[] = "one row of tiles needs ";
    char *end = NULL;
    ck_assert_ptr_eq(strstr(r.e.text, before), r.e.text);
    const uint64_t need = strtoull(r.e.text + sizeof before - 1, &end, 10);
    ck_assert_str_eq(end, " MiB of buffers, the budget is 0 B");
    ck_assert_uint_ge(need, 128 * 30000 * 5 / MIB); /* source and codes */
    ck_assert_uint_le(need, 128 * 30000 * 5 / MIB + 2);
    ck_assert_ptr_nonnull(strstr(r.e.hint, "--memory"));
    r = conversion_with(3, need * MIB); /* and that is enough */
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 1);
    ck_assert_uint_le(r.slots.total_bytes, need * MIB);
    ck_assert_int_eq(unlink(scratch("out/p")), 0);
    const uint64_t two = 2 * (r.slots.in_bytes + r.slots.out_bytes);
    r = conversion_with(3, (need - 1) * MIB);
    conversion_fails(&r, ERR_MEMORY, "one row of tiles needs");
    r = conversion_with(3, two); /* the scales take a part of the budget */
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 1);
    ck_assert_int_eq(unlink(scratch("out/p")), 0);
    r = conversion_with(3, UINT64_MAX);
    conversion_succeeds(&r);
    ck_assert_uint_eq(r.slots.count, 5);
}
END_TEST

/* A tile for each element of a column: what is kept for them is more than nothing. */
START_TEST(tables_count_as_buffers)
{
    enum { ROWS = 128 * 1000 };
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){ROWS, 1}, true), &state,
              MADE_NARROW);
    made_write(&c, scratch("in"), 1);
    made_free(&c);
    conversion r = conversion_with(3, PLENTY * MIB);
    conversion_succeeds(&r);
    const uint64_t slots = r.slots.count * (r.slots.in_bytes + r.slots.out_bytes);
    ck_assert_uint_eq(r.slots.max_tiles, 1000);
    ck_assert_uint_ge(r.slots.total_bytes - slots,
                      r.slots.count * 1000 * (sizeof(tile_stats) + ENGINE_TILE_BYTES));
}
END_TEST

/* ---- infinities and NaNs --------------------------------------- */

static const unsigned thread_counts[] = {1, 2, 5};

static void set_nan(made_checkpoint *c, const char *name, uint64_t i)
{
    made_tensor *const t = (made_tensor *)made_find(c, name);
    ck_assert(t && i < t->elements);
    made_set_bits(t, i, made_nan(t->type));
}

/* Several tensors with NaNs, one of several chunks. The error names the first tensor in file order,
 * its first NaN and their number. */
START_TEST(nonfinite_is_refused)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    static const uint64_t places[] = {8200 * 600 - 1, 8200 * 300 + 5, 8200 * 129 + 8199,
                                      8200 * 256,     8200 * 300 + 6, 8200 * 128 + 8199};
    made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){3, 3}, true);
    made_fill(made_add(&c, "h.1.w2", DTYPE_BF16, 2, (uint64_t[]){600, 8200}, true), &state,
              MADE_NARROW);
    made_add(&c, "h.1.w3", DTYPE_F16, 2, (uint64_t[]){3, 3}, true);
    made_add(&c, "h.2.experts.w3", DTYPE_F32, 3, (uint64_t[]){3, 3, 3}, true);
    for (int i = 0; i < COUNT(places); i++) {
        set_nan(&c, "h.1.w2", places[i]);
    }
    set_nan(&c, "h.1.w3", 4);
    set_nan(&c, "h.2.experts.w3", 22);
    made_write(&c, scratch("in"), 1);
    for (int i = 0; i < 3 * COUNT(thread_counts); i++) {
        conversion r = conversion_with(thread_counts[i % 3], PLENTY * MIB);
        ck_assert_int_eq(conversion_run(&r), ERR_INPUT);
        ck_assert_ptr_nonnull(strstr(r.e.text, "model.safetensors: tensor h.1.w2: an infinity or "
                                               "NaN at index 1057799, the first of 6"));
        ck_assert_str_eq(r.e.hint, "--keep 'h.1.w2' leaves the tensor as it is");
        ck_assert_int_eq(conversion_entries("out"), 0);
    }
    made_free(&c);
}
END_TEST

/* In a stack the member is named; in three dimensions the index counts from the tensor's start. */
START_TEST(nonfinite_is_named_in_stacks)
{
    made_checkpoint c = {0};
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "h.0.experts.%d.w1", i);
        made_add(&c, name, DTYPE_F16, 2, (uint64_t[]){130, 140}, true);
    }
    made_add(&c, "h.1.experts.w2", DTYPE_F32, 3, (uint64_t[]){4, 130, 140}, true);
    set_nan(&c, "h.1.experts.w2", 3 * 130 * 140 + 129 * 140 + 139);
    made_set_bits((made_tensor *)made_find(&c, "h.1.experts.w2"), 2 * 130 * 140 + 7, 0xff800000);
    made_write(&c, scratch("in"), 1);
    for (int i = 0; i < COUNT(thread_counts); i++) {
        conversion r = conversion_with(thread_counts[i], PLENTY * MIB);
        conversion_fails(
            &r, ERR_INPUT,
            "tensor h.1.experts.w2: an infinity or NaN at index 36407, the first of 2");
    }
    set_nan(&c, "h.0.experts.11.w1", 140 * 129 + 139);
    set_nan(&c, "h.0.experts.10.w1", 140 * 128 + 128);
    set_nan(&c, "h.0.experts.10.w1", 140 * 129);
    made_write(&c, scratch("in"), 1);
    for (int i = 0; i < COUNT(thread_counts); i++) {
        conversion r = conversion_with(thread_counts[i], PLENTY * MIB);
        conversion_fails(
            &r, ERR_INPUT,
            "tensor h.0.experts.10.w1: an infinity or NaN at index 18048, the first of 2");
    }
    made_free(&c);
}
END_TEST

static void keep_note(void *ctx, const char *text)
{
    snprintf(ctx, 1024, "%s", text);
}

START_TEST(nonfinite_is_kept_and_noted)
{
    uint64_t state = random_seed(0);
    made_checkpoint c = {0};
    made_fill(made_add(&c, "h.0.w1", DTYPE_BF16, 2, (uint64_t[]){3, 300}, true), &state, MADE_WIDE);
    made_fill(made_add(&c, "h.0.mask", DTYPE_F32, 2, (uint64_t[]){700, 1000}, false), &state,
              MADE_WIDE);
    made_fill(made_add(&c, "a", DTYPE_F16, 1, (uint64_t[]){300}, false), &state, MADE_WIDE);
    set_nan(&c, "h.0.mask", 0);
    set_nan(&c, "h.0.mask", 699999);
    set_nan(&c, "a", 299);
    made_write(&c, scratch("in"), 1);
    for (int i = 0; i < COUNT(thread_counts); i++) {
        char note[1024] = "";
        conversion r = conversion_with(thread_counts[i], PLENTY * MIB);
        r.m = (monitor){.note = keep_note, .ctx = note};
        r.options.force = true;
        conversion_succeeds(&r);
        ck_assert_uint_eq(r.report.nonfinite_kept, 3);
        ck_assert_ptr_eq(strstr(note, "3 infinite or NaN elements in kept tensors"), note);
        ck_assert_ptr_nonnull(strstr(note, "; the first is in a"));
        packed_check(scratch("out/p"), &c, false, DIGEST_XXH3);
    }
    made_free(&c);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("convert");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, random_checkpoint_is_converted, 0, 20);
    tcase_add_test(tc, number_of_slots_does_not_show);
    tcase_add_test(tc, large_tensors_are_converted);
    tcase_add_test(tc, kept_tensors_are_copied);
    tcase_add_test(tc, many_small_layers);
    tcase_add_test(tc, report_adds_up);
    tcase_add_test(tc, too_little_memory_names_the_need);
    tcase_add_test(tc, tables_count_as_buffers);
    tcase_add_test(tc, nonfinite_is_refused);
    tcase_add_test(tc, nonfinite_is_named_in_stacks);
    tcase_add_test(tc, nonfinite_is_kept_and_noted);
    return run_tests("convert", tc);
}
