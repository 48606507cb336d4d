/* Token ids and texts from files: each format, and what can be wrong with it. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "verify/tokenizer/token_input.h"

enum { VOCAB = 100 };

/* Ids as text: "row: 1 2 3". */
static const char *shown(const token_input *in)
{
    static char text[256];
    size_t used = (size_t)snprintf(text, sizeof text, "%zu:", in->row);
    for (size_t i = 0; i < in->count; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, " %d", in->ids[i]);
    }
    return text;
}

/* Reading the file "ids" gives `expected`, or an error with that text if it begins with '!'. */
static void expect_read(const char *expected)
{
    token_input in;
    err e = {0};
    if (*expected == '!') {
        expect_error(token_input_read(scratch("ids"), VOCAB, &in, &e), ERR_INPUT, &e, expected + 1);
        ck_assert_ptr_null(in.ids);
    } else {
        expect_ok(token_input_read(scratch("ids"), VOCAB, &in, &e), &e);
        ck_assert_str_eq(shown(&in), expected);
    }
    token_input_free(&in);
}

static const struct {
    const char *text;
    const char *expected;
} texts[] = {
    {"[]", "0:"},
    {"[1]", "0: 1"},
    {" \n\t[1, 2,\n99]\n", "0: 1 2 99"},
    {"[[1,2],[3,4],[5,6]]", "2: 1 2 3 4 5 6"},
    {"[[7]]", "1: 7"},
    {"[1,2,100]", "!the id 100 at position 2 is not in a vocabulary of 100"},
    {"[[1,2],[3,-4]]", "!the id -4 at position 3"},
    {"[4294967297]", "!the id 4294967297 at position 0"},
    {"[99999999999999999999]", "!JSON"},
    {"[1,2.0]", "!not an integer at position 1"},
    {"[1,[2]]", "!not an integer at position 1"},
    {"[[1,2],3]", "!row 1: expected an array of 2 ids"},
    {"[[1,2],[3]]", "!row 1: expected an array of 2 ids"},
    {"[[1,2],[[3],4]]", "!not an integer at position 2"},
    {"[[],[]]", "!rows of 0 ids"},
    {"[1", "!JSON: line 1"},
    {"[1] x", "!JSON"},
    {"{\"ids\":[1]}", "!no token ids"},
    {"", "!no token ids"},
    {"1 2 3", "!no token ids"},
    {"                                                                      [1]", "!no token ids"},
};

START_TEST(json_holds_ids)
{
    scratch_text("ids", texts[_i].text);
    expect_read(texts[_i].expected);
}
END_TEST

/* ---- .npy ------------------------------------------------------ */

/* The integers 1, 2, 3 ... in `data_bytes` bytes. */
static void write_npy(unsigned major, const char *header, size_t width, size_t data_bytes)
{
    unsigned char file[1024] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)major, 0};
    const size_t bytes = strlen(header);
    size_t at = 8;
    le32_store(file + at, (uint32_t)bytes);
    at += major == 1 ? 2 : 4;
    memcpy(file + at, header, bytes);
    at += bytes;
    for (size_t i = 0; i < data_bytes / width; i++) {
        file[at + i * width] = (unsigned char)(i + 1);
    }
    scratch_write("ids", file, at + data_bytes);
}

#define NPY(descr, order, shape)                                                                   \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }          \n"

static const struct {
    unsigned major;
    const char *header;
    size_t width, data_bytes;
    const char *expected;
} arrays[] = {
    {1, NPY("<i4", "False", "(3,)"), 4, 12, "0: 1 2 3"},
    {2, NPY("<i8", "False", "(3,)"), 8, 24, "0: 1 2 3"},
    {3, NPY("<i4", "False", "(2, 2)"), 4, 16, "2: 1 2 3 4"},
    {1, NPY("<i8", "False", "(1, 3)"), 8, 24, "3: 1 2 3"},
    {1, NPY("<i4", "False", "(0,)"), 4, 0, "0:"},
    {1, NPY("<i4", "False", "(0, 5)"), 4, 0, "5:"},
    {1, "{'shape':(2,),'descr':'<i4','fortran_order':False}", 4, 8, "0: 1 2"},
    {4, NPY("<i4", "False", "(3,)"), 4, 12, "!version 4.0"},
    {1, NPY(">i4", "False", "(3,)"), 4, 12, "!whose type is neither"},
    {1, NPY("<u4", "False", "(3,)"), 4, 12, "!whose type is neither"},
    {1, NPY("<f4", "False", "(3,)"), 4, 12, "!whose type is neither"},
    {1, NPY("<i4", "True", "(3,)"), 4, 12, "!not in C order"},
    {1, NPY("<i4", "False", "()"), 4, 12, "!whose shape is neither"},
    {1, NPY("<i4", "False", "(3)"), 4, 12, "!whose shape is neither"},
    {1, NPY("<i4", "False", "(1, 1, 3)"), 4, 12, "!whose shape is neither"},
    {1, NPY("<i4", "False", "(-3,)"), 4, 12, "!whose shape is neither"},
    {1, NPY("<i4", "False", "(99999999999999999999,)"), 4, 12, "!whose shape is neither"},
    {1, NPY("<i4", "False", "(9999999999,)"), 4, 12, "!more than"},
    {1, NPY("<i4", "False", "(9999999999, 9999999999)"), 4, 12, "!more than"},
    {1, NPY("<i4", "False", "(3, 0)"), 4, 0, "!rows of 0 ids"},
    {1, NPY("<i4", "False", "(4,)"), 4, 12, "!length by the .npy header"},
    {1, NPY("<i4", "False", "(2,)"), 4, 12, "!length by the .npy header"},
    {1, "{'descr': '<i4', 'shape': (3,), }", 4, 12, "!malformed .npy header"},
    {1, "{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", 4, 12,
     "!malformed .npy header"},
    {1, NPY("<i4", "False", "(3,)") "x", 4, 12, "!malformed .npy header"},
    {1, "", 4, 12, "!malformed .npy header"},
    {1, NPY("<i4", "False", "(120,)"), 4, 480, "!the id 100 at position 99"},
};

START_TEST(npy_holds_ids)
{
    write_npy(arrays[_i].major, arrays[_i].header, arrays[_i].width, arrays[_i].data_bytes);
    expect_read(arrays[_i].expected);
}
END_TEST

START_TEST(npy_may_be_cut_off)
{
    char file[256];
    token_input in;
    err e = {0};
    write_npy(1, NPY("<i4", "False", "(3,)"), 4, 12);
    FILE *const f = fopen(scratch("ids"), "rb");
    ck_assert_ptr_nonnull(f);
    const size_t bytes = fread(file, 1, sizeof file, f);
    ck_assert_int_eq(fclose(f), 0);
    for (size_t i = 0; i < bytes; i++) {
        scratch_write("cut", file, i);
        expect_error(token_input_read(scratch("cut"), VOCAB, &in, &e), ERR_INPUT, &e, "cut: ");
    }
    memset(file + 8, 0xff, 4);
    file[6] = 2;
    scratch_write("ids", file, bytes);
    expect_read("!header of more than 65536 bytes");
}
END_TEST

/* ---- safetensors ----------------------------------------------- */

#define TENSOR(name, type, shape, begin, end)                                                      \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end  \
    "]}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *expected;
} files[] = {
    {"{" TENSOR("a", "U8", "[4]", 0, 4) "," TENSOR("b", "I32", "[0]", 4, 4) "}", 4, "0:"},
    {"{" TENSOR("a", "U8", "[4]", 0, 4) "}", 4, "!no tensor input_ids, and 0 tensors"},
    {"{" TENSOR("a", "I32", "[1]", 0, 4) "," TENSOR("b", "I64", "[1]", 4, 12) "}", 12,
     "!no tensor input_ids, and 2 tensors"},
    {"{" TENSOR("a", "I32", "[1]", 0, 4) "," TENSOR("input_ids", "I64", "[0]", 4, 4) "}", 4, "0:"},
    {"{" TENSOR("input_ids", "F32", "[1]", 0, 4) "}", 4, "!found F32 of 1"},
    {"{" TENSOR("input_ids", "I32", "[]", 0, 4) "}", 4, "!found I32 of 0"},
    {"{" TENSOR("input_ids", "I32", "[1,1,1]", 0, 4) "}", 4, "!found I32 of 3"},
    {"{" TENSOR("input_ids", "I32", "[1]", 0, 4) "}", 4, "!the id 50462976 at position 0"},
    {"{" TENSOR("input_ids", "I32", "[2]", 0, 4) "}", 4, "!safetensors: tensor input_ids"},
};

START_TEST(safetensors_hold_ids)
{
    scratch_safetensors("ids", files[_i].header, files[_i].data_bytes, 0);
    expect_read(files[_i].expected);
}
END_TEST

START_TEST(golden_ids_are_read)
{
    char path[512];
    token_input in;
    err e = {0};
    const char *const data = getenv("TESTDATA");
    ck_assert_ptr_nonnull(data);
    snprintf(path, sizeof path, "%s/golden/ring-micro-linear/golden.safetensors", data);
    expect_ok(token_input_read(path, 512, &in, &e), &e);
    ck_assert_uint_eq(in.count, 192);
    ck_assert_uint_eq(in.row, 96);
    int32_t largest = 0;
    for (size_t i = 0; i < in.count; i++) {
        largest = in.ids[i] > largest ? in.ids[i] : largest;
    }
    token_input_free(&in);
    expect_error(token_input_read(path, (uint64_t)largest, &in, &e), ERR_INPUT, &e,
                 "golden.safetensors: the id");
}
END_TEST

START_TEST(lists_are_checked)
{
    static const int32_t ids[] = {0, 5, 6};
    err e = {0};
    expect_ok(token_input_check("text", ids, 3, 7, &e), &e);
    expect_error(token_input_check("text", ids, 3, 6, &e), ERR_INPUT, &e,
                 "text: the id 6 at position 2");
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    token_input in;
    char *text = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_error(token_input_read(scratch("none"), VOCAB, &in, &e), ERR_IO, &e, "No such file");
    expect_error(token_input_read(scratch(""), VOCAB, &in, &e), ERR_IO, &e, "not a regular file");
    expect_error(token_input_text(scratch("none"), NULL, &text, &bytes, &e), ERR_IO, &e,
                 "No such file");
}
END_TEST

/* ---- texts ----------------------------------------------------- */

START_TEST(texts_may_be_compressed)
{
    char *text = NULL;
    size_t bytes = 0;
    err e = {0};
    scratch_text("plain.gz", "hello");
    expect_ok(token_input_text(scratch("plain.gz"), NULL, &text, &bytes, &e), &e);
    ck_assert_str_eq(text, "hello");
    free(text);
    gzFile z = gzopen(scratch("packed"), "wb");
    ck_assert_ptr_nonnull(z);
    ck_assert_int_eq(gzwrite(z, "hello again", 11), 11);
    ck_assert_int_eq(gzclose(z), Z_OK);
    expect_ok(token_input_text(scratch("packed"), NULL, &text, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 11);
    ck_assert_str_eq(text, "hello again");
    free(text);
    scratch_text("broken", "\x1f\x8b\x08");
    expect_error(token_input_text(scratch("broken"), NULL, &text, &bytes, &e), ERR_INPUT, &e,
                 "broken: truncated gzip data");
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(standard_input_is_a_text)
{
    char *text = NULL;
    size_t bytes = 0;
    err e = {0};
    scratch_text("in", "from a file");
    ck_assert_ptr_nonnull(freopen(scratch("in"), "rb", stdin));
    expect_ok(token_input_text("-", NULL, &text, &bytes, &e), &e);
    ck_assert_str_eq(text, "from a file");
    free(text);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("token_input");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, json_holds_ids, 0, COUNT(texts));
    tcase_add_loop_test(tc, npy_holds_ids, 0, COUNT(arrays));
    tcase_add_test(tc, npy_may_be_cut_off);
    tcase_add_loop_test(tc, safetensors_hold_ids, 0, COUNT(files));
    tcase_add_test(tc, golden_ids_are_read);
    tcase_add_test(tc, lists_are_checked);
    tcase_add_test(tc, files_that_cannot_be_read);
    tcase_add_test(tc, texts_may_be_compressed);
    tcase_add_test(tc, standard_input_is_a_text);
    return run_tests("token_input", tc);
}
