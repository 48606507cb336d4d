/* Element types: the table of spec/format.md 5.1, names as safetensors spells them, sizes. */
#include <check.h>
#include <string.h>

#include "format/tensor/dtype.h"
#include "tests/aid/expect.h"

/* Numbers are stored in files, so they never change. */
static const struct {
    unsigned number;
    const char *name;
    unsigned bits;
} types[] = {
    {1, "F8_E4M3", 8},      {2, "F8_E5M2", 8},      {3, "BF16", 16},    {4, "F16", 16},
    {5, "F32", 32},         {6, "I64", 64},         {7, "I32", 32},     {8, "U8", 8},
    {9, "F8_E8M0", 8},      {10, "F64", 64},        {11, "BOOL", 8},    {12, "I8", 8},
    {13, "I16", 16},        {14, "U16", 16},        {15, "U32", 32},    {16, "U64", 64},
    {17, "C64", 64},        {18, "F4", 4},          {19, "F6_E2M3", 6}, {20, "F6_E3M2", 6},
    {21, "F8_E4M3FNUZ", 8}, {22, "F8_E5M2FNUZ", 8},
};

START_TEST(type_is_in_the_table)
{
    const dtype t = (dtype)types[_i].number;
    ck_assert(dtype_known(types[_i].number));
    ck_assert_str_eq(dtype_name(t), types[_i].name);
    ck_assert_uint_eq(dtype_bits(t), types[_i].bits);
    ck_assert_int_eq(dtype_parse(types[_i].name, strlen(types[_i].name)), t);
}
END_TEST

START_TEST(other_numbers_are_unknown)
{
    ck_assert_int_eq(DTYPE_COUNT, COUNT(types) + 1);
    const uint64_t numbers[] = {0, 23, 255, 256 + 3, 1ull << 32 | 3, UINT64_MAX};
    for (int i = 0; i < COUNT(numbers); i++) {
        ck_assert(!dtype_known(numbers[i]));
    }
    ck_assert_str_eq(dtype_name(DTYPE_NONE), "?");
    ck_assert_str_eq(dtype_name((dtype)77), "?");
    ck_assert_uint_eq(dtype_bits(DTYPE_NONE), 0);
    ck_assert_uint_eq(dtype_bits((dtype)77), 0);
}
END_TEST

START_TEST(names_are_exact)
{
    static const char *const wrong[] = {"",      "F",     "f32",  "F3",   "F322",   "F32 ",
                                        " F32",  "bf16",  "BF1",  "?",    "F8_E4M", "NONE",
                                        "F6_E2", "BF160", "F16x", "I641", "COUNT"};
    for (int i = 0; i < COUNT(wrong); i++) {
        ck_assert_msg(dtype_parse(wrong[i], strlen(wrong[i])) == DTYPE_NONE, "'%s'", wrong[i]);
    }
    ck_assert_int_eq(dtype_parse("F32\0", 4), DTYPE_NONE);
    ck_assert_int_eq(dtype_parse("F32xx", 3), DTYPE_F32); /* not terminated */
}
END_TEST

static const struct {
    dtype type;
    unsigned ndim;
    uint64_t shape[6];
    bool fits;
    uint64_t elements, bytes;
} tensors[] = {
    {DTYPE_F32, 0, {0}, true, 1, 4},
    {DTYPE_U8, 0, {0}, true, 1, 1},
    {DTYPE_F4, 0, {0}, false, 0, 0}, /* half a byte */
    {DTYPE_F4, 2, {3, 2}, true, 6, 3},
    {DTYPE_F4, 1, {7}, false, 0, 0},
    {DTYPE_F6_E2M3, 1, {4}, true, 4, 3},
    {DTYPE_F6_E3M2, 1, {2}, false, 0, 0},
    {DTYPE_BF16, 2, {0, 5}, true, 0, 0},
    {DTYPE_BF16, 3, {5, 0, UINT64_MAX}, true, 0, 0},
    {DTYPE_C64, 6, {1, 2, 3, 4, 5, 6}, true, 720, 5760},
    {DTYPE_U8, 2, {1ull << 32, 1ull << 28}, true, 1ull << 60, 1ull << 60},
    {DTYPE_U8, 2, {1ull << 32, 1ull << 29}, false, 0, 0}, /* its bits are 2^64 */
    {DTYPE_F64, 2, {1ull << 32, 1ull << 26}, false, 0, 0},
    {DTYPE_F64,
     2,
     {1ull << 32, (1ull << 26) - 1},
     true,
     (1ull << 58) - (1ull << 32),
     ((1ull << 58) - (1ull << 32)) * 8},
    {DTYPE_U8, 3, {1ull << 32, 1ull << 32, 1}, false, 0, 0},
    {DTYPE_U8, 1, {UINT64_MAX}, false, 0, 0},
};

START_TEST(size_of_tensor)
{
    uint64_t elements = 0;
    uint64_t bytes = 0;
    ck_assert(dtype_tensor_bytes(tensors[_i].type, tensors[_i].shape, tensors[_i].ndim, &elements,
                                 &bytes) == tensors[_i].fits);
    if (tensors[_i].fits) {
        ck_assert_uint_eq(elements, tensors[_i].elements);
        ck_assert_uint_eq(bytes, tensors[_i].bytes);
    }
}
END_TEST

START_TEST(shapes_as_text)
{
    char text[SHAPE_TEXT_BYTES];
    const uint64_t shape[6] = {3, 12, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    ck_assert_str_eq(dtype_shape_text(shape, 0, text), "[]");
    ck_assert_str_eq(dtype_shape_text(shape, 1, text), "[3]");
    ck_assert_str_eq(dtype_shape_text(shape, 2, text), "[3,12]");
    ck_assert_str_eq(dtype_shape_text(shape, 6, text),
                     "[3,12,18446744073709551615,18446744073709551615,18446744073709551615,"
                     "18446744073709551615]");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("dtype");
    tcase_add_loop_test(tc, type_is_in_the_table, 0, COUNT(types));
    tcase_add_test(tc, other_numbers_are_unknown);
    tcase_add_test(tc, names_are_exact);
    tcase_add_loop_test(tc, size_of_tensor, 0, COUNT(tensors));
    tcase_add_test(tc, shapes_as_text);
    return run_tests("dtype", tc);
}
