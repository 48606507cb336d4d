/* Every allocation of an export, of unpacking and of a fit fails in turn, those of jansson
 * included: the result is the usual one, or ERR_MEMORY, and then the directory is as it was before.
 */
#include "tests/aid/scarce.h"

#include <fcntl.h>
#include <ftw.h>

#include "convert/export/export.h"
#include "convert/fit/fit.h"
#include "convert/unpack/unpack.h"
#include "format/base/digest.h"
#include "format/base/num.h"
#include "format/file/io.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

/* Thousands of times a disk would take minutes; what is durable is not asked here. */
int fsync(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

static const preset_id targets[] = {PRESET_HF, PRESET_BF16};

static small_pack small;
static char packed[512], output[512];

static void setup(void)
{
    scratch_make();
    small_pack_build(&small_model_default, &(small_options){0}, &small);
    scratch_write("p", small.bytes, small.length);
    snprintf(packed, sizeof packed, "%s", scratch("p"));
    snprintf(output, sizeof output, "%s", scratch("out"));
}

static void end(void)
{
    small_pack_free(&small);
    scratch_remove();
}

/* ---- what lies there ------------------------------------------- */

typedef struct contents {
    uint64_t sum; /* of all names and bytes, in any order; 0: nothing */
    unsigned files;
} contents;

static contents seen;

static int see(const char *path, const struct stat *st, int type, struct FTW *at)
{
    unsigned char xxh3[XXH3_BYTES] = {0};
    char *data = NULL;
    size_t bytes = 0;
    uint64_t part = 0;
    (void)at;
    if (type == FTW_F && strcmp(path, packed) != 0) {
        ck_assert_int_eq(io_read_file(path, (size_t)st->st_size, &data, &bytes, NULL), OK);
        digest_xxh3(data, bytes, xxh3);
        memcpy(&part, xxh3, sizeof part);
        seen.sum += part;
        digest_xxh3(path, strlen(path), xxh3);
        memcpy(&part, xxh3, sizeof part);
        seen.sum += part;
        seen.files++;
        free(data);
    }
    return 0;
}

static contents look(void)
{
    seen = (contents){0};
    ck_assert_int_eq(nftw(scratch_dir, see, 16, FTW_PHYS), 0);
    return seen;
}

static contents usual, before; /* after success, and before each attempt */
static bool known;

/* Compares what is there with what has to be there, and removes it. */
static void judge(err_code code)
{
    const long left = atomic_exchange(&scarce_left, 0); /* Check needs memory */
    const contents now = look();
    if (code == OK && !known) {
        usual = now;
        known = true;
    }
    const contents *const wanted = code == OK ? &usual : &before;
    ck_assert_uint_eq(now.files, wanted->files);
    ck_assert(now.sum == wanted->sum);
    atomic_store(&scarce_left, left);
}

static void remove_output(void)
{
    const long left = atomic_exchange(&scarce_left, 0);
    ck_assert(access(output, F_OK) != 0 ||
              nftw(output, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS) == 0);
    atomic_store(&scarce_left, left);
}

/* ---- each allocation ------------------------------------------- */

static err_code export_once(void *ctx, err *e)
{
    export_job job = {0};
    export_report report;
    err_code code = export_prepare(ctx, NULL, &job, e);
    if (code == OK) {
        code = export_run(&job, NULL, &report, e);
        export_close(&job);
    }
    judge(code);
    if (!((const export_options *)ctx)->force) {
        remove_output();
    }
    return code;
}

START_TEST(exports)
{
    export_options o = {.path = packed,
                        .output = output,
                        .preset = &preset_table[targets[_i]],
                        .dequantize = true,
                        .shard_bytes = 10000,
                        .threads = 1,
                        .memory = 64 * MIB};
    expect_scarce(export_once, &o);
    ck_assert_uint_gt(usual.files, 3);
}
END_TEST

/* Over an earlier export, which stays if memory is short. */
START_TEST(exports_over_another)
{
    export_options o = {.path = packed,
                        .output = output,
                        .preset = &preset_table[PRESET_HF],
                        .shard_bytes = 1 << 20,
                        .threads = 1,
                        .memory = 64 * MIB};
    err e = {0};
    o.dequantize = true;
    o.force = true;
    expect_ok(export_once(&o, &e), &e);
    before = usual;
    expect_scarce(export_once, &o);
}
END_TEST

static err_code unpack_once(void *ctx, err *e)
{
    unpack_job job = {0};
    err_code code = unpack_prepare(ctx, NULL, &job, e);
    if (code == OK) {
        code = unpack_run(&job, NULL, e);
    }
    unpack_close(&job);
    judge(code);
    remove_output();
    return code;
}

START_TEST(unpacking)
{
    unpack_options o = {.path = packed,
                        .output = output,
                        .place = UNPACK_DIRECTORY,
                        .form = _i ? UNPACK_BF16 : UNPACK_STORED,
                        .threads = 1,
                        .memory = 64 * MIB};
    expect_scarce(unpack_once, &o);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scarce_export");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_loop_test(tc, exports, 0, COUNT(targets));
    tcase_add_test(tc, exports_over_another);
    tcase_add_loop_test(tc, unpacking, 0, 2);
    return run_tests("scarce_export", tc);
}
