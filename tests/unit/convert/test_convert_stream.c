/* Conversions into a stream: the bytes of the file, whatever the number of threads; and no trailer
 * after a failure. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/pack/pack_layout.h"
#include "tests/aid/conversion.h"
#include "tests/aid/expect.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/scratch.h"

static char *contents(const char *name, size_t *bytes)
{
    char *data = NULL;
    err e = {0};
    expect_ok(io_read_file(scratch(name), (size_t)1 << 32, &data, bytes, &e), &e);
    return data;
}

/* Convert to scratch("stream"), a regular file. */
static err_code run_stream(conversion *r)
{
    const int fd = open(scratch("stream"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    r->options.stream = true;
    r->options.stream_fd = fd;
    const err_code code = conversion_run(r);
    r->options.stream = false;
    close(fd);
    return code;
}

static void expect_same_bytes(void)
{
    size_t bytes[2];
    char *const data[] = {contents("out/p", &bytes[0]), contents("stream", &bytes[1])};
    ck_assert_uint_eq(bytes[0], bytes[1]);
    ck_assert(memcmp(data[0], data[1], bytes[0]) == 0);
    free(data[0]);
    free(data[1]);
}

/* Layers that are one item, and layers that are several: with more threads than layers in two
 * buffers of scales, all come at once. */
static void make_layers(made_checkpoint *made, uint64_t *state)
{
    char name[64];
    for (int i = 0; i < 40; i++) {
        const uint64_t rows = i % 5 == 0 ? 3000 : 20;
        snprintf(name, sizeof name, "model.layers.%d.up_proj.weight", i);
        made_fill(made_add(made, name, DTYPE_BF16, 2, (uint64_t[]){rows, 30}, true), state,
                  MADE_NARROW);
        if (i % 3 == 0) {
            snprintf(name, sizeof name, "model.layers.%d.norm", i);
            made_fill(made_add(made, name, DTYPE_F32, 1, (uint64_t[]){70}, false), state,
                      MADE_NARROW);
        }
    }
    made_write(made, scratch("in"), 3);
}

START_TEST(same_bytes_as_the_file)
{
    static const unsigned threads[] = {1, 2, 3, 5, 16};
    uint64_t state = random_seed(_i);
    made_checkpoint made = {0};
    if (_i == 0) {
        make_layers(&made, &state);
    } else {
        made_random(&made, &state);
        made_write(&made, scratch("in"), 2);
    }
    conversion r = conversion_with(2, PLENTY * MIB);
    conversion_succeeds(&r);
    for (int i = 0; i < COUNT(threads) * 4; i++) {
        r.options.threads = threads[i % COUNT(threads)];
        r.options.memory = 4 * (uint64_t)PLENTY * MIB;
        expect_ok(run_stream(&r), &r.e);
        ck_assert(!r.report.read_back);
        expect_same_bytes();
    }
    made_free(&made);
}
END_TEST

/* A NaN in the middle: no trailer is written, and no thread waits forever. */
START_TEST(failure_leaves_no_trailer)
{
    uint64_t state = random_seed(_i);
    made_checkpoint made = {0};
    make_layers(&made, &state);
    for (size_t i = 0; i < made.count; i++) {
        if (strcmp(made.tensors[i].name, "model.layers.17.up_proj.weight") == 0) {
            made_set_bits(&made.tensors[i], 5, made_nan(DTYPE_BF16));
        }
    }
    made_write(&made, scratch("in"), 3);
    conversion r = conversion_with(1 + (unsigned)_i * 4, 4 * (uint64_t)PLENTY * MIB);
    expect_error(run_stream(&r), ERR_INPUT, &r.e, "layers.17.up_proj.weight: an infinity or NaN");
    size_t bytes = 0;
    char *const data = contents("stream", &bytes);
    ck_assert_uint_gt(bytes, PACK_BLOCK);
    ck_assert(bytes % PACK_BLOCK != 0 ||
              memcmp(data + bytes - PACK_BLOCK, pack_trailer_magic, PACK_MAGIC_BYTES) != 0);
    free(data);
    made_free(&made);
}
END_TEST

/* The stream is a source of the conversion. */
START_TEST(input_is_refused)
{
    made_checkpoint made = {0};
    conversion_make_small(&made);
    conversion r = conversion_with(1, PLENTY * MIB);
    const int fd = open(scratch("in/config.json"), O_WRONLY | O_APPEND | O_CLOEXEC);
    r.options.stream = true;
    r.options.stream_fd = fd;
    conversion_fails(&r, ERR_USAGE, "the output is one of the inputs");
    close(fd);
    made_free(&made);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("convert_stream");
    tcase_add_checked_fixture(tc, conversion_setup, scratch_remove);
    tcase_add_loop_test(tc, same_bytes_as_the_file, 0, 4);
    tcase_add_loop_test(tc, failure_leaves_no_trailer, 0, 3);
    tcase_add_test(tc, input_is_refused);
    return run_tests("convert_stream", tc);
}
