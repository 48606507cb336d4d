/* Which kind of model a path leads to: the content counts before the name. */
#include <check.h>
#include <sys/resource.h>

#include "format/store/model_path.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

#define PACKED                                                                                     \
    "\xD7"                                                                                         \
    "F8P\x0D\x0A\x1A\x0A and so on"
#define ZIP   "PK\3\4 and so on"
#define OTHER "something else, and long enough"

static const struct {
    const char *name, *text; /* NULL: there is no file */
    model_kind kind;
} files[] = {
    {"a.octavo", PACKED, MODEL_PACKED},      {"a.bin", PACKED, MODEL_PACKED},
    {"a.safetensors", PACKED, MODEL_PACKED}, {"damaged.octavo", OTHER, MODEL_PACKED},
    {"damaged.octavo", ZIP, MODEL_PACKED},   {"none.octavo", NULL, MODEL_PACKED},
    {"a.zip", ZIP, MODEL_ARCHIVE},           {"a.safetensors", ZIP, MODEL_ARCHIVE},
    {"a.safetensors", OTHER, MODEL_SHARD},   {"none.safetensors", NULL, MODEL_SHARD},
    {"a.gguf", OTHER, MODEL_UNKNOWN},        {"safetensors", OTHER, MODEL_UNKNOWN},
    {"none", NULL, MODEL_UNKNOWN},
};

static model_kind kind_of(const char *path)
{
    model_kind kind = MODEL_UNKNOWN;
    err e = {0};
    expect_ok(model_path_find(path, &kind, &e), &e);
    return kind;
}

START_TEST(files_are_known_by_content_then_name)
{
    if (files[_i].text) {
        scratch_text(files[_i].name, files[_i].text);
    }
    const model_kind kind = kind_of(scratch(files[_i].name));
    ck_assert_int_eq(kind, files[_i].kind);
    ck_assert_int_eq(model_is_checkpoint(kind), kind == MODEL_ARCHIVE || kind == MODEL_SHARD);
}
END_TEST

START_TEST(what_is_no_file)
{
    ck_assert_int_eq(mkdir(scratch("dir.octavo"), 0777), 0);
    ck_assert_int_eq(mkfifo(scratch("fifo"), 0666), 0);
    ck_assert_int_eq(kind_of(scratch("dir.octavo")), MODEL_DIRECTORY);
    ck_assert_int_eq(kind_of(scratch("fifo")), MODEL_UNKNOWN);
    ck_assert_int_eq(kind_of("-"), MODEL_STREAM);
    ck_assert_int_eq(kind_of("./-"), MODEL_UNKNOWN);
    ck_assert(model_is_checkpoint(MODEL_DIRECTORY));
    ck_assert(!model_is_checkpoint(MODEL_STREAM) && !model_is_checkpoint(MODEL_UNKNOWN));
}
END_TEST

/* If a file cannot be opened, or the system cannot say what it is, that is an error, not a kind. */
START_TEST(failures_are_no_answers)
{
    model_kind kind = MODEL_PACKED;
    err e = {0};
    scratch_text("model", PACKED);
    const int lowest = dup(0);
    close(lowest);
    struct rlimit usual;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = usual.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_error(model_path_find(scratch("model"), &kind, &e), ERR_IO, &e, "Too many open files");
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    ck_assert_int_eq(kind, MODEL_UNKNOWN);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("model_path");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, files_are_known_by_content_then_name, 0, COUNT(files));
    tcase_add_test(tc, what_is_no_file);
    tcase_add_test(tc, failures_are_no_answers);
    return run_tests("model_path", tc);
}
