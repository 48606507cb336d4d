/* Names of shards, indexes and adapters. */
#include <check.h>
#include <string.h>

#include "format/checkpoint/shard_name.h"
#include "tests/aid/expect.h"

static const struct {
    const char *name;
    unsigned number, count; /* 0: not numbered */
    size_t stem_bytes;
} numbered[] = {
    {"model-00001-of-00004.safetensors", 1, 4, 5},
    {"consolidated-00012-of-00120.safetensors", 12, 120, 12},
    {"model-1-of-2.safetensors", 1, 2, 5},
    {"-1-of-2.safetensors", 1, 2, 0},
    {"a-b-3-of-3.safetensors", 3, 3, 3},
    {"model-00001-of-00001.safetensors", 0, 0, 0},
    {"model.safetensors", 0, 0, 0},
    {"model-of-00002.safetensors", 0, 0, 0},
    {"model-00001-of-.safetensors", 0, 0, 0},
    {"model00001-of-00002.safetensors", 0, 0, 0},
    {"model-00001_of_00002.safetensors", 0, 0, 0},
    {"model-1-of-2.bin", 0, 0, 0},
    {"model-99999999999999999999-of-2.safetensors", 0, 0, 0},
    {"model-1-of-99999999999999999999.safetensors", 0, 0, 0},
    {".m-1-of-2.safetensors", 0, 0, 0},
    {".safetensors", 0, 0, 0},
    {"", 0, 0, 0},
};

START_TEST(numbers)
{
    shard_number n;
    const bool expected = numbered[_i].count > 0;
    ck_assert_msg(shard_number_of(numbered[_i].name, &n) == expected, "%s", numbered[_i].name);
    if (expected) {
        ck_assert_uint_eq(n.number, numbered[_i].number);
        ck_assert_uint_eq(n.count, numbered[_i].count);
        ck_assert_uint_eq(n.stem_bytes, numbered[_i].stem_bytes);
    }
}
END_TEST

START_TEST(kinds)
{
    ck_assert(shard_is_candidate("a.safetensors") && !shard_is_candidate(".a.safetensors"));
    ck_assert(!shard_is_candidate(".safetensors") && !shard_is_candidate("safetensors"));
    ck_assert(!shard_is_candidate("a.safetensors.index.json"));
    ck_assert(shard_is_index("model.safetensors.index.json"));
    ck_assert(shard_is_index("consolidated.safetensors.index.json"));
    ck_assert(!shard_is_index("._model.safetensors.index.json"));
    ck_assert(!shard_is_index("pytorch_model.bin.index.json"));
    ck_assert(shard_is_adapter("adapter_model.safetensors"));
    ck_assert(!shard_is_adapter("model.safetensors"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("shard_name");
    tcase_add_loop_test(tc, numbers, 0, COUNT(numbered));
    tcase_add_test(tc, kinds);
    return run_tests("shard_name", tc);
}
