/* Which kind of model a path leads to: the content counts before the name. */
#include <check.h>

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

START_TEST(files_are_known_by_content_then_name)
{
    if (files[_i].text) {
        scratch_text(files[_i].name, files[_i].text);
    }
    const model_kind kind = model_path_kind(scratch(files[_i].name));
    ck_assert_int_eq(kind, files[_i].kind);
    ck_assert_int_eq(model_is_checkpoint(kind), kind == MODEL_ARCHIVE || kind == MODEL_SHARD);
}
END_TEST

START_TEST(what_is_no_file)
{
    ck_assert_int_eq(mkdir(scratch("dir.octavo"), 0777), 0);
    ck_assert_int_eq(mkfifo(scratch("fifo"), 0666), 0);
    ck_assert_int_eq(model_path_kind(scratch("dir.octavo")), MODEL_DIRECTORY);
    ck_assert_int_eq(model_path_kind(scratch("fifo")), MODEL_UNKNOWN);
    ck_assert_int_eq(model_path_kind("-"), MODEL_STREAM);
    ck_assert_int_eq(model_path_kind("./-"), MODEL_UNKNOWN);
    ck_assert(model_is_checkpoint(MODEL_DIRECTORY));
    ck_assert(!model_is_checkpoint(MODEL_STREAM) && !model_is_checkpoint(MODEL_UNKNOWN));
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("model_path");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, files_are_known_by_content_then_name, 0, COUNT(files));
    tcase_add_test(tc, what_is_no_file);
    return run_tests("model_path", tc);
}
