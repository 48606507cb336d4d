/* Numbers and words of dialects, which must never change. */
#include "format/tensor/dialect_id.h"
#include "tests/aid/expect.h"

static const char *const words[] = {
    "none",   "ieee", "deepgemm", "transformers", "transformer-engine", "compressed-tensors",
    "linghe",
};

START_TEST(words_and_numbers)
{
    ck_assert_int_eq(DIALECT_COUNT, COUNT(words));
    ck_assert_uint_eq(sizeof(pack_dialect), 1);
    for (int d = 0; d < DIALECT_COUNT; d++) {
        ck_assert_str_eq(dialect_name((pack_dialect)d), words[d]);
        ck_assert_int_eq(dialect_parse(words[d]), d);
    }
    ck_assert_int_eq(dialect_parse("IEEE"), DIALECT_NONE);
    ck_assert_int_eq(dialect_parse(""), DIALECT_NONE);
}
END_TEST

START_TEST(what_there_is_not)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    for (int d = 0; d < DIALECT_COUNT; d++) {
        for (int i = 0; i < 6; i++) {
            const scale_format scales = i < 3 ? SCALES_F32 : SCALES_UE8M0;
            const bool lacks = (d == DIALECT_COMPRESSED_TENSORS && scales == SCALES_UE8M0) ||
                               (d == DIALECT_LINGHE && i % 3 == 2 && scales == SCALES_F32);
            const char *const found = dialect_lacks((pack_dialect)d, sources[i % 3], scales);
            ck_assert_int_eq(found != NULL, lacks);
        }
    }
    ck_assert_ptr_null(dialect_lacks(DIALECT_LINGHE, DTYPE_NONE, SCALES_F32));
    ck_assert_ptr_nonnull(dialect_lacks(DIALECT_COMPRESSED_TENSORS, DTYPE_NONE, SCALES_UE8M0));
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("dialect_id");
    tcase_add_test(tc, words_and_numbers);
    tcase_add_test(tc, what_there_is_not);
    return run_tests("dialect_id", tc);
}
