/* Written safetensors files: byte by byte, through the reader, and never half a file. With
 * SAFETENSORS_SAMPLE in the environment the sample is left there for tests/interop/read_written.py.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/json/json.h"
#include "format/base/num.h"
#include "format/safetensors/safetensors_write.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/scratch.h"

#define TENSOR(name, type, dims, ...)                                                              \
    {                                                                                              \
        name, DTYPE_##type, dims, {__VA_ARGS__}, 0, 0                                              \
    }

static st_writer *opened(const char *path, const st_tensor *tensors, size_t count)
{
    st_writer *w = NULL;
    err e = {0};
    expect_ok(st_writer_open(path, false, tensors, count, NULL, NULL, &w, &e), &e);
    return w;
}

static void expect_refused(const st_tensor *tensors, size_t count, const char *why)
{
    st_writer *w = NULL;
    err e = {0};
    expect_error(st_writer_open(scratch("x"), false, tensors, count, NULL, NULL, &w, &e), ERR_INPUT,
                 &e, why);
    ck_assert_ptr_null(w);
    ck_assert_int_ne(access(scratch("x"), F_OK), 0);
    ck_assert_int_ne(access(scratch(".x.part"), F_OK), 0);
}

/* ---- what is written ------------------------------------------- */

START_TEST(byte_by_byte)
{
    static const st_tensor tensors[] = {TENSOR("b", BF16, 2, 1, 3), TENSOR("a", U8, 1, 2)};
    static const char expected[] =
        "\x70\0\0\0\0\0\0\0"
        "{\"b\":{\"dtype\":\"BF16\",\"shape\":[1,3],\"data_offsets\":[0,6]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[6,8]}}   "
        "ABCDEFyz";
    err e = {0};
    st_writer *w = opened(scratch("x"), tensors, 2);
    expect_ok(st_writer_write(w, 1, 1, "z", 1, &e), &e);
    expect_ok(st_writer_write(w, 0, 2, "CDEF", 4, &e), &e);
    expect_ok(st_writer_write(w, 1, 0, "y", 1, &e), &e);
    expect_ok(st_writer_write(w, 0, 0, "AB", 2, &e), &e);
    ck_assert_int_ne(access(scratch("x"), F_OK), 0);
    expect_ok(st_writer_commit(&w, &e), &e);
    ck_assert_ptr_null(w);
    st_writer_abandon(&w);
    char *found = NULL;
    size_t bytes = 0;
    expect_ok(io_read_file(scratch("x"), 1 << 20, &found, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, sizeof expected - 1);
    ck_assert_mem_eq(found, expected, bytes);
    free(found);
}
END_TEST

/* Everything that a header may contain; the bytes of the data count up. */
static const st_tensor sample[] = {
    TENSOR("model.a", F32, 2, 2, 3),
    TENSOR("quote \" backslash \\ slash / \xc3\xa9 \xf0\x9f\x99\x82", BF16, 1, 4),
    TENSOR("nothing", U8, 2, 0, 7),
    TENSOR("scalar", I64, 0, 0),
    TENSOR("codes", F8_E4M3, 1, 3),
    TENSOR("behind an odd offset", F16, 6, 1, 1, 2, 1, 1, 1),
    TENSOR("bools", BOOL, 1, 2),
};

START_TEST(sample_reads_back)
{
    const char *const wanted = getenv("SAFETENSORS_SAMPLE");
    const char *const path = wanted ? wanted : scratch("sample");
    json_t *const metadata = json_pack("{s:s, s:s}", "format", "pt", "note", "a \"b\"\n");
    err e = {0};
    st_writer *w = NULL;
    expect_ok(st_writer_open(path, true, sample, COUNT(sample), metadata, NULL, &w, &e), &e);
    json_decref(metadata);
    unsigned char next = 0;
    for (size_t i = 0; i < (size_t)COUNT(sample); i++) {
        uint64_t elements = 0;
        uint64_t bytes = 0;
        ck_assert(
            dtype_tensor_bytes(sample[i].type, sample[i].shape, sample[i].ndim, &elements, &bytes));
        for (uint64_t at = 0; at < bytes; at++, next++) {
            expect_ok(st_writer_write(w, i, at, &next, 1, &e), &e);
        }
    }
    expect_ok(st_writer_commit(&w, &e), &e);

    int fd = -1;
    struct stat st;
    st_header h;
    expect_ok(io_open_read(path, &fd, &st, &e), &e);
    expect_ok(st_header_read(fd, path, (uint64_t)st.st_size, NULL, &h, &e), &e);
    ck_assert_uint_eq(h.count, COUNT(sample));
    ck_assert_uint_eq(h.header_bytes % 8, 0);
    for (size_t i = 0; i < h.count; i++) {
        const st_tensor *const t = &h.tensors[i];
        ck_assert_str_eq(t->name, sample[i].name);
        ck_assert_int_eq(t->type, sample[i].type);
        ck_assert_uint_eq(t->ndim, sample[i].ndim);
        ck_assert_mem_eq(t->shape, sample[i].shape, t->ndim * sizeof t->shape[0]);
        unsigned char data[64];
        expect_ok(io_read_at(fd, path, t->off, data, t->bytes, &e), &e);
        for (uint64_t at = 0; at < t->bytes; at++) {
            ck_assert_uint_eq(data[at], t->off - h.header_bytes + at);
        }
    }
    st_header_free(&h);
    close(fd);
}
END_TEST

START_TEST(no_tensors)
{
    err e = {0};
    st_writer *w = opened(scratch("x"), NULL, 0);
    expect_ok(st_writer_commit(&w, &e), &e);
    char *found = NULL;
    size_t bytes = 0;
    expect_ok(io_read_file(scratch("x"), 1 << 20, &found, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 16);
    ck_assert_mem_eq(found, "\x08\0\0\0\0\0\0\0{}      ", 16);
    free(found);
}
END_TEST

/* ---- what is not ----------------------------------------------- */

START_TEST(impossible_tensors)
{
    const st_tensor huge[] = {TENSOR("a", F32, 2, UINT64_MAX, 2)};
    expect_refused(huge, 1, "x: tensor a: shape and dtype F32 do not give a valid size");
    st_tensor sum[8];
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    for (int i = 0; i < 8; i++) {
        sum[i] = (st_tensor){.name = names[i], .type = DTYPE_U8, .ndim = 1, .shape = {1ULL << 60}};
    }
    expect_refused(sum, 8, "tensor 7: shape and dtype U8 do not give a valid size");
    sum[7].shape[0]--;
    expect_refused(sum, 8, "more bytes than a file can have");
    const st_tensor negative[] = {TENSOR("a", U8, 2, UINT64_MAX, 0)};
    expect_refused(negative, 1, "shape");
    const st_tensor half[] = {TENSOR("a", F4, 1, 3)};
    expect_refused(half, 1, "shape and dtype F4");
    st_tensor many[] = {TENSOR("a", U8, 1, 1)};
    many[0].ndim = 7;
    expect_refused(many, 1, "shape");
    st_tensor typeless[] = {TENSOR("a", U8, 1, 1)};
    typeless[0].type = DTYPE_NONE;
    expect_refused(typeless, 1, "unknown dtype");
}
END_TEST

START_TEST(impossible_names)
{
    const st_tensor twice[] = {TENSOR("a", U8, 1, 1), TENSOR("b", U8, 1, 1), TENSOR("a", U8, 0, 0)};
    expect_refused(twice, 3, "x: tensor a: duplicate name");
    const st_tensor empty[] = {TENSOR("", U8, 1, 1)};
    expect_refused(empty, 1, "a name has 1 to 255 bytes");
    const st_tensor control[] = {TENSOR("a\nb", U8, 1, 1)};
    expect_refused(control, 1, "control");
    const st_tensor bytes[] = {TENSOR("a\xff", U8, 1, 1)};
    expect_refused(bytes, 1, "not UTF-8");
    const st_tensor reserved[] = {TENSOR("__metadata__", U8, 1, 1)};
    expect_refused(reserved, 1, "__metadata__");
    char longest[257];
    memset(longest, 'n', 256);
    longest[256] = '\0';
    const st_tensor long_name[] = {TENSOR(longest, U8, 1, 0)};
    expect_refused(long_name, 1, "a name");
}
END_TEST

START_TEST(impossible_metadata)
{
    static const char *const texts[] = {"{\"a\": 1}", "[\"a\"]", "{\"a\": {}}"};
    const st_tensor tensors[] = {TENSOR("a", U8, 1, 1)};
    for (int i = 0; i < COUNT(texts); i++) {
        err e = {0};
        st_writer *w = NULL;
        json_t *metadata = NULL;
        expect_ok(json_parse("m", texts[i], strlen(texts[i]), JSON_EXACT, &metadata, &e), &e);
        expect_error(st_writer_open(scratch("x"), false, tensors, 1, metadata, NULL, &w, &e),
                     ERR_INPUT, &e, "x");
        ck_assert_ptr_null(w);
        json_decref(metadata);
    }
}
END_TEST

/* 17 MB of control characters become more than 100 MB of escapes. */
START_TEST(header_is_limited)
{
    const size_t bytes = ST_MAX_HEADER_BYTES / 6 + 1;
    char *const text = memset(malloc(bytes), 1, bytes);
    json_t *const metadata = json_pack("{s:o}", "a", json_stringn(text, bytes));
    ck_assert_ptr_nonnull(metadata);
    st_writer *w = NULL;
    err e = {0};
    expect_error(st_writer_open(scratch("x"), false, NULL, 0, metadata, NULL, &w, &e), ERR_INPUT,
                 &e, "x: a header of 100000027 bytes, at most 100000000 are allowed");
    json_decref(metadata);
    free(text);
}
END_TEST

START_TEST(writes_beyond_the_end)
{
    const st_tensor tensors[] = {TENSOR("a", U8, 1, 4), TENSOR("b", U8, 1, 4)};
    err e = {0};
    st_writer *w = opened(scratch("x"), tensors, 2);
    expect_error(st_writer_write(w, 0, 0, "12345", 5, &e), ERR_INTERNAL, &e, "beyond its end");
    expect_error(st_writer_write(w, 0, 4, "1", 1, &e), ERR_INTERNAL, &e, "beyond");
    expect_error(st_writer_write(w, 1, 3, "12", 2, &e), ERR_INTERNAL, &e, "tensor 1");
    expect_error(st_writer_write(w, 1, UINT64_MAX, "12", 2, &e), ERR_INTERNAL, &e, "tensor 1");
    expect_error(st_writer_write(w, 2, 0, "", 0, &e), ERR_INTERNAL, &e, "tensor 2");
    expect_ok(st_writer_write(w, 1, 4, "", 0, &e), &e);
    st_writer_abandon(&w);
}
END_TEST

START_TEST(nothing_by_halves)
{
    const st_tensor tensors[] = {TENSOR("a", U8, 1, 4)};
    err e = {0};
    st_writer *w = opened(scratch("x"), tensors, 1);
    expect_ok(st_writer_write(w, 0, 0, "123", 3, &e), &e);
    expect_error(st_writer_commit(&w, &e), ERR_INTERNAL, &e,
                 "3 bytes of tensors written, expected 4");
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(access(scratch(".x.part"), F_OK), 0);
    st_writer_abandon(&w);
    ck_assert_ptr_null(w);
    ck_assert_int_ne(access(scratch("x"), F_OK), 0);
    ck_assert_int_ne(access(scratch(".x.part"), F_OK), 0);
    scratch_text("x", "old");
    expect_error(st_writer_open(scratch("x"), false, tensors, 1, NULL, NULL, &w, &e), ERR_IO, &e,
                 "exists");
    ck_assert_ptr_null(w);
}
END_TEST

/* Thousands of tensors of random shapes: the reader finds each in its place. */
START_TEST(many_tensors)
{
    enum { MANY = 5000 };
    uint64_t state = random_seed(_i);
    st_tensor *const tensors = calloc(MANY, sizeof *tensors);
    char(*const names)[24] = calloc(MANY, sizeof *names);
    ck_assert(tensors && names);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t.%zu", i);
        tensors[i] = (st_tensor){.name = names[i],
                                 .type = oracle_random(&state) % 2 ? DTYPE_F32 : DTYPE_U8,
                                 .ndim = 2,
                                 .shape = {oracle_random(&state) % 4, 1 + i % 3}};
    }
    err e = {0};
    st_writer *w = opened(scratch("x"), tensors, MANY);
    for (size_t i = MANY; i > 0; i--) {
        const st_tensor *const t = &tensors[i - 1];
        const uint64_t bytes = t->shape[0] * t->shape[1] * dtype_bits(t->type) / 8;
        unsigned char data[64];
        memset(data, (int)(i % 251), sizeof data);
        expect_ok(st_writer_write(w, i - 1, 0, data, bytes, &e), &e);
    }
    expect_ok(st_writer_commit(&w, &e), &e);
    int fd = -1;
    struct stat st;
    st_header h;
    expect_ok(io_open_read(scratch("x"), &fd, &st, &e), &e);
    expect_ok(st_header_read(fd, "x", (uint64_t)st.st_size, NULL, &h, &e), &e);
    ck_assert_uint_eq(h.count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        const st_tensor *const t = &h.tensors[i];
        const size_t number = strtoul(t->name + 2, NULL, 10);
        unsigned char first = 0;
        ck_assert_mem_eq(t->shape, tensors[number].shape, 2 * sizeof t->shape[0]);
        if (t->bytes > 0) {
            expect_ok(io_read_at(fd, "x", t->off + t->bytes - 1, &first, 1, &e), &e);
            ck_assert_uint_eq(first, (number + 1) % 251);
        }
    }
    st_header_free(&h);
    close(fd);
    free(tensors);
    free(names);
}
END_TEST

static err_code open_large(void *ctx, const monitor *m, err *e)
{
    enum { MANY = MONITOR_STEPS + 1 };
    static char names[MANY][8];
    static st_tensor tensors[MANY];
    st_writer *w = NULL;
    (void)ctx;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        tensors[i] = (st_tensor){.name = names[i], .type = DTYPE_U8, .ndim = 1};
    }
    const err_code code = st_writer_open(scratch("x"), false, tensors, MANY, NULL, m, &w, e);
    st_writer_abandon(&w);
    ck_assert_int_ne(access(scratch(".x.part"), F_OK), 0);
    return code;
}

/* A header may have 100 MB: it asks twice while its tree is made, twice while it is read, once before it
 * is sorted, and more than once while it is written; how often depends on jansson. */
START_TEST(opening_can_be_cancelled)
{
    ck_assert_uint_gt(cancel_each(open_large, NULL), 5 + 1);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("safetensors_write");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, byte_by_byte);
    tcase_add_test(tc, sample_reads_back);
    tcase_add_test(tc, no_tensors);
    tcase_add_test(tc, impossible_tensors);
    tcase_add_test(tc, impossible_names);
    tcase_add_test(tc, impossible_metadata);
    tcase_add_test(tc, header_is_limited);
    tcase_add_test(tc, writes_beyond_the_end);
    tcase_add_test(tc, nothing_by_halves);
    tcase_add_test(tc, opening_can_be_cancelled);
    tcase_add_test(tc, many_tensors);
    return run_tests("safetensors_write", tc);
}
