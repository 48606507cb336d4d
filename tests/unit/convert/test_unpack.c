/* Unpacking: tensors of several chunks and stacks whose scales share one, the same bytes with any
 * number of threads, and nothing left after a failure. test_dequantize and tests/interop check the
 * values. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/plain/dequantize.h"
#include "convert/unpack/unpack.h"
#include "format/file/io.h"
#include "format/file/dir_list.h"
#include "format/base/num.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

#define STACK "model.layers.0.mlp.experts.*.down_proj.weight"
#define WIDE  "model.layers.0.mlp.down_proj.weight"
#define CUBE  "model.layers.1.mlp.experts.gate_up_proj"

/* A row of tiles of WIDE is a chunk of its own. */
static const small_tensor tensors[] = {
    {"model.norm.weight", DTYPE_BF16, 1, {77}, false},
    {STACK, DTYPE_BF16, 3, {3, 140, 150}, true},
    {WIDE, DTYPE_F32, 2, {260, 16500}, true},
    {CUBE, DTYPE_F16, 3, {2, 130, 140}, true},
    {"model.layers.1.mlp.experts.*.bias", DTYPE_F32, 3, {3, 2, 5}, false},
    {"model.layers.1.mlp.up_proj.weight", DTYPE_BF16, 2, {5, 5}, true},
    {"scalar", DTYPE_I64, 0, {0}, false},
    {"empty", DTYPE_F32, 2, {0, 4}, false},
};
static const small_model model = {tensors, COUNT(tensors), "{\"a\": 1}", 5};

static err e;
static small_pack small;

static void setup(void)
{
    e = (err){0};
    scratch_make();
    small_pack_build(&model, &(small_options){0}, &small);
    scratch_write("p", small.bytes, small.length);
}

static void teardown(void)
{
    small_pack_free(&small);
    scratch_remove();
}

static unpack_options to(const char *output)
{
    return (unpack_options){.path = scratch("p"),
                            .output = scratch(output),
                            .place = UNPACK_FILE,
                            .threads = 1,
                            .memory = 64 * MIB};
}

static err_code unpack(const unpack_options *o, const monitor *m)
{
    unpack_job job = {0};
    err_code code = unpack_prepare(o, NULL, &job, &e);
    if (code == OK) {
        code = unpack_run(&job, m, &e);
    }
    unpack_close(&job);
    return code;
}

static void expect_same(const char *a, const char *b)
{
    char *x = NULL;
    char *y = NULL;
    size_t m = 0;
    size_t n = 0;
    expect_ok(io_read_file(scratch(a), 256 << 20, &x, &m, &e), &e);
    expect_ok(io_read_file(scratch(b), 256 << 20, &y, &n, &e), &e);
    ck_assert_uint_eq(m, n);
    ck_assert(memcmp(x, y, m) == 0);
    free(x);
    free(y);
}

static void expect_alone(void)
{
    dir_list l = {0};
    expect_ok(dir_list_read(scratch(""), &l, &e), &e);
    ck_assert_uint_eq(l.count, 1);
    ck_assert_str_eq(l.names[0], "p");
    dir_list_free(&l);
}

/* The bytes of a tensor in a safetensors file. */
static unsigned char *load(const char *file, const char *name, dtype type, uint64_t bytes)
{
    struct stat st;
    int fd = -1;
    st_header h;
    unsigned char *data = NULL;
    expect_ok(io_open_read(scratch(file), &fd, &st, &e), &e);
    expect_ok(st_header_read(fd, file, (uint64_t)st.st_size, NULL, &h, &e), &e);
    for (size_t i = 0; i < h.count; i++) {
        const st_tensor *const t = &h.tensors[i];
        if (strcmp(t->name, name) == 0) {
            ck_assert_int_eq(t->type, type);
            ck_assert_uint_eq(t->bytes, bytes);
            data = malloc(bytes + 1);
            expect_ok(io_read_at(fd, file, t->off, data, bytes, &e), &e);
        }
    }
    ck_assert_msg(data != NULL, "no tensor %s", name);
    st_header_free(&h);
    close(fd);
    return data;
}

static void expect_bytes(const char *name, dtype type, const char *record, uint64_t number)
{
    const pack_record *const r = pack_table_find(&small.table, record);
    const uint64_t bytes = r->len / unpack_members(r);
    unsigned char *const data = load("t.safetensors", name, type, bytes);
    ck_assert(memcmp(data, small.bytes + r->off + number * bytes, bytes) == 0);
    free(data);
}

START_TEST(stored_bytes_are_those_of_the_file)
{
    const unpack_options o = to("t.safetensors");
    expect_ok(unpack(&o, NULL), &e);
    expect_bytes("model.norm.weight", DTYPE_BF16, "model.norm.weight", 0);
    expect_bytes("model.layers.0.mlp.experts.2.down_proj.weight", DTYPE_F8_E4M3, STACK, 2);
    expect_bytes("model.layers.0.mlp.experts.1.down_proj.weight_scale_inv", DTYPE_F32,
                 STACK "_scale_inv", 1);
    expect_bytes(WIDE, DTYPE_F8_E4M3, WIDE, 0);
    expect_bytes(CUBE "_scale_inv", DTYPE_F32, CUBE "_scale_inv", 0);
    expect_bytes("model.layers.1.mlp.experts.1.bias", DTYPE_F32,
                 "model.layers.1.mlp.experts.*.bias", 1);
    expect_bytes("scalar", DTYPE_I64, "scalar", 0);
    expect_bytes("empty", DTYPE_F32, "empty", 0);
}
END_TEST

/* All matrices of a record at once, against the file in pieces. */
static void expect_plain(const char *name, const char *record, uint64_t number, bool cube)
{
    const pack_record *const r = pack_table_find(&small.table, record);
    const pack_record *const s = &small.table.records[r->scale_idx];
    const uint64_t slices = pack_record_slices(r);
    const uint64_t each = r->len / slices;
    const uint64_t count = cube ? slices : 1;
    unsigned char *const data = load("t.safetensors", name, DTYPE_F32, count * each * 4);
    unsigned char *const want = malloc(each * 4);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t slice = cube ? i : number;
        const code_band b = {.block = r->block,
                             .codes = small.bytes + r->off + slice * each,
                             .scales = small.bytes + s->off + s->len / slices * slice,
                             .scale_type = s->type,
                             .rows = pack_record_rows(r),
                             .cols = pack_record_cols(r)};
        dequantize(&b, DTYPE_F32, want);
        ck_assert(memcmp(data + i * each * 4, want, each * 4) == 0);
    }
    free(want);
    free(data);
}

START_TEST(plain_numbers_of_every_chunk)
{
    unpack_options o = to("t.safetensors");
    o.form = UNPACK_F32;
    expect_ok(unpack(&o, NULL), &e);
    expect_plain("model.layers.0.mlp.experts.0.down_proj.weight", STACK, 0, false);
    expect_plain("model.layers.0.mlp.experts.2.down_proj.weight", STACK, 2, false);
    expect_plain(WIDE, WIDE, 0, false);
    expect_plain(CUBE, CUBE, 0, true);
}
END_TEST

/* Also of a matrix whose elements are no multiple of eight. */
START_TEST(bytes_follow_from_shape_and_dtype)
{
    unpack_options o = to("t.safetensors");
    unpack_job job = {0};
    o.form = (unpack_form)_i;
    expect_ok(unpack_prepare(&o, NULL, &job, &e), &e);
    for (size_t i = 0; i < job.tensor_count; i++) {
        const unpack_tensor *const t = &job.tensors[i];
        uint64_t elements = 0;
        uint64_t bytes = 0;
        ck_assert(dtype_tensor_bytes(t->type, t->shape, t->ndim, &elements, &bytes));
        ck_assert_msg(t->bytes == bytes, "%s: expected %llu, found %llu", t->name,
                      (unsigned long long)bytes, (unsigned long long)t->bytes);
    }
    unpack_close(&job);
}
END_TEST

START_TEST(threads_make_no_difference)
{
    unpack_options one = to("a.safetensors");
    unpack_options many = to("b.safetensors");
    one.form = many.form = (unpack_form)_i;
    many.threads = 7;
    expect_ok(unpack(&one, NULL), &e);
    expect_ok(unpack(&many, NULL), &e);
    expect_same("a.safetensors", "b.safetensors");
}
END_TEST

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

/* Names times globs: every name asks, those of tensors and those of embedded files. */
START_TEST(choosing_can_be_cancelled)
{
    const monitor stop = {.cancelled = yes};
    const unpack_place places[] = {UNPACK_FILE, UNPACK_NOWHERE};
    unpack_options o = to("t.safetensors");
    unpack_job job = {0};
    o.place = places[_i];
    expect_error(unpack_prepare(&o, &stop, &job, &e), ERR_CANCELLED, &e, "interrupted");
    unpack_close(&job);
}
END_TEST

static err_code unpack_until_cancelled(void *ctx, const monitor *m, err *why)
{
    const unpack_options *const o = ctx;
    unpack_job job = {0};
    err_code code = unpack_prepare(o, m, &job, why);
    if (code == OK) {
        code = unpack_run(&job, m, why);
    }
    unpack_close(&job);
    ck_assert_int_eq(unlink(o->output) == 0, code == OK);
    expect_alone();
    return code;
}

/* Names of tensors and files, the list of them for six widths, chunks, the header when it is made and
 * when it is read again, each chunk. */
START_TEST(each_step_can_be_cancelled)
{
    char packed[256];
    char output[256];
    unpack_options o = to("t.safetensors");
    snprintf(packed, sizeof packed, "%s", o.path);
    snprintf(output, sizeof output, "%s", o.output);
    o.path = packed;
    o.output = output;
    ck_assert_uint_eq(cancel_each(unpack_until_cancelled, &o), 62);
}
END_TEST

START_TEST(nothing_is_left_behind)
{
    const monitor stop = {.cancelled = yes};
    unpack_options o = to("t.safetensors");
    expect_error(unpack(&o, &stop), ERR_CANCELLED, &e, "");
    expect_alone();
    o.output = scratch("t");
    o.place = UNPACK_DIRECTORY;
    expect_error(unpack(&o, &stop), ERR_CANCELLED, &e, "");
    expect_alone();
    o.memory = 1 << 20;
    expect_error(unpack(&o, NULL), ERR_MEMORY, &e, "tensor " WIDE ": unpacking a chunk");
    expect_alone();
    const pack_record *const r = pack_table_find(&small.table, WIDE "_scale_inv");
    small.bytes[r->off + r->len - 1] ^= 1;
    scratch_write("p", small.bytes, small.length);
    o.memory = 64 << 20;
    o.form = UNPACK_BF16;
    expect_error(unpack(&o, NULL), ERR_DAMAGED, &e, "tensor " WIDE "_scale_inv, chunk 0");
    expect_alone();
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("unpack");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, stored_bytes_are_those_of_the_file);
    tcase_add_test(tc, plain_numbers_of_every_chunk);
    tcase_add_loop_test(tc, bytes_follow_from_shape_and_dtype, 0, 3);
    tcase_add_loop_test(tc, threads_make_no_difference, 0, 3);
    tcase_add_loop_test(tc, choosing_can_be_cancelled, 0, 2);
    tcase_add_test(tc, each_step_can_be_cancelled);
    tcase_add_test(tc, nothing_is_left_behind);
    return run_tests("unpack", tc);
}
