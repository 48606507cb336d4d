/* Block formats: sizes against a count of single blocks, and which formats are supported. */
#include "format/tensor/block.h"
#include "tests/aid/expect.h"

START_TEST(words_of_scales)
{
    scale_format found = SCALES_UE8M0;
    ck_assert(scale_format_parse("f32", &found) && found == SCALES_F32);
    ck_assert(scale_format_parse("ue8m0", &found) && found == SCALES_UE8M0);
    ck_assert(!scale_format_parse("UE8M0", &found) && !scale_format_parse("", &found));
    ck_assert_str_eq(scale_format_name(SCALES_F32), "f32");
    ck_assert_str_eq(scale_format_name(SCALES_UE8M0), "ue8m0");
}
END_TEST

START_TEST(scales_as_stored)
{
    for (unsigned t = DTYPE_NONE; t < DTYPE_COUNT; t++) {
        const bool may = t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F8_E8M0;
        ck_assert_int_eq(scale_stored_in((dtype)t), may);
        ck_assert_int_eq(scale_format_of((dtype)t), t == DTYPE_F8_E8M0 ? SCALES_UE8M0 : SCALES_F32);
    }
}
END_TEST

/* Blocks that begin in a dimension, and those of them that end beyond it. */
static uint64_t begin_in(uint64_t size, uint64_t block, uint64_t *beyond)
{
    uint64_t n = 0;
    *beyond = 0;
    for (uint64_t at = 0; at < size; at += block, n++) {
        *beyond += at + block > size;
    }
    return n;
}

static void check_sizes(block_format b, uint64_t rows, uint64_t cols)
{
    const uint64_t height = b.rows ? b.rows : rows, width = b.cols ? b.cols : cols;
    uint64_t low = 0, right = 0;
    const uint64_t down = begin_in(rows, height, &low), across = begin_in(cols, width, &right);
    ck_assert_uint_eq(block_height(b, rows), height);
    ck_assert_uint_eq(block_width(b, cols), width);
    ck_assert_uint_eq(block_down(b, rows), down);
    ck_assert_uint_eq(block_across(b, cols), across);
    ck_assert_uint_eq(block_count(b, rows, cols), down * across);
    ck_assert_uint_eq(block_clipped(b, rows, cols),
                      down * across - (down - low) * (across - right));
}

START_TEST(sizes)
{
    static const uint16_t sides[] = {0, 1, 16, 32, 128, 65535};
    static const uint64_t dimensions[] = {0, 1, 31, 32, 127, 128, 129, 256, 1000, 65536};
    for (size_t i = 0; i < COUNT(sides) * COUNT(sides); i++) {
        const block_format b = {.rows = sides[i % COUNT(sides)], .cols = sides[i / COUNT(sides)]};
        for (size_t k = 0; k < COUNT(dimensions) * COUNT(dimensions); k++) {
            check_sizes(b, dimensions[k % COUNT(dimensions)], dimensions[k / COUNT(dimensions)]);
        }
    }
}
END_TEST

START_TEST(what_is_supported)
{
    const block_format no[] = {
        {64, 128, DTYPE_F8_E4M3, SCALES_F32},  {128, 64, DTYPE_F8_E4M3, SCALES_F32},
        {1, 0, DTYPE_F8_E4M3, SCALES_F32},     {0, 0, DTYPE_F8_E4M3, SCALES_UE8M0},
        {128, 128, DTYPE_F8_E5M2, SCALES_F32}, {1, 32, DTYPE_F4, SCALES_UE8M0},
        {128, 128, DTYPE_NONE, SCALES_F32},
    };
    static const char *const why[] = {
        "tiles of 64 x 128, expected 128 x 128", "tiles of 128 x 64, expected 128 x 128",
        "tiles of 1 x all, expected 128 x 128",  "tiles of all x all, expected 128 x 128",
        "codes of F8_E5M2, expected F8_E4M3",    "codes of F4, expected F8_E4M3",
        "codes of ?, expected F8_E4M3",
    };
    char text[BLOCK_TEXT_BYTES];
    for (size_t i = 0; i < COUNT(no); i++) {
        ck_assert_str_eq(block_unsupported(no[i], text), why[i]);
    }
    for (unsigned s = 0; s < SCALE_FORMAT_COUNT; s++) {
        const block_format b = block_fp8((scale_format)s);
        ck_assert_ptr_null(block_unsupported(b, text));
        ck_assert(b.rows <= BLOCK_MAX_ROWS && b.cols <= BLOCK_MAX_COLS);
        ck_assert_str_eq(block_text(b, text), "128 x 128");
        ck_assert(b.scale == s && block_same_size(b, block_fp8(SCALES_F32)));
    }
    ck_assert(!block_same_size(no[0], no[1]));
    const block_format longest = {65535, 65535, DTYPE_F8_E4M3, SCALES_F32};
    ck_assert_str_eq(block_unsupported(longest, text),
                     "tiles of 65535 x 65535, expected 128 x 128");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("block");
    tcase_add_test(tc, words_of_scales);
    tcase_add_test(tc, scales_as_stored);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, what_is_supported);
    return run_tests("block", tc);
}
