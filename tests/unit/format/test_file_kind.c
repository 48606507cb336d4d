/* Names for files that are not of the kind that was expected. */
#include <check.h>
#include <string.h>

#include "format/file/file_kind.h"
#include "tests/aid/expect.h"

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
    const char *start;
    size_t bytes;
    const char *name; /* NULL: unknown */
} starts[] = {
    {BYTES("\xD7"
           "F8P\r\n\x1A\n"),
     "a packed file"},
    {BYTES("\xD7"
           "F8P\n\x1A\n "),
     NULL},
    {BYTES("GGUF\3\0\0\0"), "a GGUF file"},
    {BYTES("PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0archive/data.pkl"), "weights pickled by PyTorch"},
    {BYTES("PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0top/config.json"), "a zip archive"},
    {BYTES("PK\3\4\0\0\10\10"), "a zip archive"},
    {BYTES("\x80\2\x8a\nl\xfc\x9c\x46"), "weights pickled by PyTorch"},
    {BYTES("<!DOCTYPE html><html>"), "an HTML page"},
    {BYTES("\r\n <html lang=\"en\">"), "an HTML page"},
    {BYTES("<?xml version=\"1.0\"?>"), "an HTML page"},
    {BYTES("<htmx>  "), NULL},
    {BYTES("        "), NULL},
    {BYTES("\0\5\x16\7\0\2\0\0Mac OS X"), "an AppleDouble file of macOS"},
    {BYTES("\0\0\0\0\0\0\0\0\0"), "only zeros at the beginning"},
    {BYTES("version https://git-lfs"), "a Git LFS pointer"},
    {BYTES("{\"a\": 1}"), "JSON text"},
    {BYTES("{\r\n\t\"a\":1}"), "JSON text"},
    {BYTES("[1, 2, 3]"), "JSON text"},
    {BYTES("{\"\0\0\0\0\0\0{"), "a safetensors file"}, /* a header of 8827 bytes */
    {BYTES("{\"\0\0\0\0\0\0"), NULL},
    {BYTES("\2\0\0\0\0\0\0\0{}"), "a safetensors file"},
    {BYTES("\2\0\0\0\0\0\0\1{}"), NULL},
    {BYTES("{\"a\":1}"), NULL}, /* seven bytes */
    {BYTES("nonsense"), NULL},
    {BYTES(""), NULL},
};

START_TEST(kind_by_first_bytes)
{
    const file_kind *const kind =
        file_kind_find((const unsigned char *)starts[_i].start, starts[_i].bytes);
    ck_assert_pstr_eq(kind ? kind->name : NULL, starts[_i].name);
}
END_TEST

START_TEST(pointers_of_git_lfs)
{
    static const char whole[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    ck_assert(file_kind_is_pointer(whole, sizeof whole - 1));
    ck_assert(file_kind_is_pointer(whole, 40));
    ck_assert(!file_kind_is_pointer(whole, 39));
    ck_assert(!file_kind_is_pointer("version 1.0", 11));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("file_kind");
    tcase_add_test(tc, pointers_of_git_lfs);
    tcase_add_loop_test(tc, kind_by_first_bytes, 0, COUNT(starts));
    return run_tests("file_kind", tc);
}
