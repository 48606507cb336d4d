/* Headers: what is accepted and read right, every malformation that is refused, and what hostile
 * ones may cost. */
#include <check.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "format/file/io.h"
#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_scan.h"
#include "tests/aid/scratch.h"

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin        \
    "," #end "]}"

static err_code parse(const char *text, size_t data_bytes, st_header *h, err *e)
{
    return st_header_parse("f", text, strlen(text), 8 + strlen(text) + data_bytes, NULL, h, e);
}

static void parse_good(const char *text, size_t data_bytes, st_header *h)
{
    err e = {0};
    ck_assert_msg(parse(text, data_bytes, h, &e) == OK, "%s", e.text);
}

START_TEST(tensors_are_read)
{
    st_header h;
    const char *text = "{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}," T(
        "z", "BF16", "2,3", 4, 16) "," T("scalar", "F32", "", 0, 4) "}";
    parse_good(text, 12 + 4, &h);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.header_bytes, 8 + strlen(text));
    ck_assert_str_eq(h.tensors[0].name, "scalar");
    ck_assert_uint_eq(h.tensors[0].ndim, 0);
    ck_assert_uint_eq(h.tensors[0].bytes, 4);
    ck_assert_str_eq(h.tensors[1].name, "z");
    ck_assert_int_eq(h.tensors[1].type, DTYPE_BF16);
    ck_assert_uint_eq(h.tensors[1].ndim, 2);
    ck_assert_uint_eq(h.tensors[1].shape[0], 2);
    ck_assert_uint_eq(h.tensors[1].shape[1], 3);
    ck_assert_uint_eq(h.tensors[1].off, 8 + strlen(text) + 4);
    ck_assert_uint_eq(h.tensors[1].bytes, 12);
    st_header_free(&h);
}
END_TEST

static const struct {
    const char *text;
    size_t data_bytes;
    size_t count;
} good[] = {
    {"{}", 0, 0},
    {"{\"__metadata__\":{}}", 0, 0},
    {"{ \t\r\n" T("a", "U8", "1", 0, 1) " } \n  ", 1, 1},
    {"{\n\"a\" : { \"shape\" : [ 1 ] , \"data_offsets\" : [ 0 , 1 ] , \"dtype\" : \"U8\" }\n}", 1,
     1},
    {"{" T("b", "U8", "1", 1, 2) "," T("a", "U8", "1", 0, 1) "}", 2, 2},
    {"{" T("a", "F4", "2", 0, 1) "," T("b", "F4", "3,4", 1, 7) "}", 7, 2},
    {"{" T("a", "F6_E2M3", "4", 0, 3) "}", 3, 1},
    {"{" T("a", "C64", "1", 0, 8) "}", 8, 1},
    {"{" T("a", "U8", "1,1,1,1,1,1", 0, 1) "}", 1, 1},
    {"{" T("a", "U8", "0", 0, 0) "," T("b", "U8", "5,0", 0, 0) "," T("c", "U8", "2", 0, 2) "," T(
         "d", "F32", "0", 2, 2) "}",
     2, 4},
    {"{\"\\u00e9\\ud83d\\ude00\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 1},
    {"{\"__metadata__\":{\"a\":\"{[\\\"]}\",\"b\":\"\\\\\",\"c\":\"\\u0000\"}," T("[{:,", "U8", "1",
                                                                                  0, 1) "}",
     1, 1},
};

START_TEST(good_headers_are_accepted)
{
    st_header h;
    parse_good(good[_i].text, good[_i].data_bytes, &h);
    ck_assert_uint_eq(h.count, good[_i].count);
    st_header_free(&h);
}
END_TEST

START_TEST(every_dtype_is_known)
{
#define X(name, number, bits)                                                                      \
    do {                                                                                           \
        char text[200];                                                                            \
        st_header h;                                                                               \
        snprintf(text, sizeof text,                                                                \
                 "{\"a\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%d]}}", #name, bits); \
        parse_good(text, bits, &h);                                                                \
        ck_assert_int_eq(h.tensors[0].type, number);                                               \
        st_header_free(&h);                                                                        \
    } while (0);
    DTYPE_LIST(X)
#undef X
}
END_TEST

START_TEST(escaped_names_are_unescaped)
{
    st_header h;
    parse_good("{" T("a\\u002eb\\/\\\"\\\\\\u00e9", "U8", "1", 0, 1) "}", 1, &h);
    ck_assert_str_eq(h.tensors[0].name, "a.b/\"\\\xc3\xa9");
    st_header_free(&h);
}
END_TEST

START_TEST(tensors_are_sorted)
{
    st_header h;
    parse_good("{" T("d", "U8", "2", 2, 4) "," T("c", "U8", "0", 2, 2) "," T(
                   "b", "U8", "0", 2, 2) "," T("a", "U8", "2", 0, 2) "}",
               4, &h);
    static const char *const expected[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(h.tensors[i].name, expected[i]);
    }
    st_header_free(&h);
}
END_TEST

#define N64 "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"

static const struct {
    const char *text;
    size_t data_bytes;
    const char *says; /* part of the message */
} bad[] = {
    /* not the JSON that it should be */
    {"", 0, "expected '{', found its end (offset 8)"},
    {"   ", 0, "expected '{', found its end (offset 11)"},
    {" {}", 0, "expected '{' as its first byte, found byte 0x20 (offset 8)"},
    {"\n{}", 0, "expected '{' as its first byte, found byte 0x0a (offset 8)"},
    {"[]", 0, "expected '{', found '[' (offset 8)"},
    {"null", 0, "expected '{'"},
    {"\xef\xbb\xbf{}", 0, "expected '{', found byte 0xef"},
    {"{", 0, "expected"},
    {"{\"a", 0, "end of a string"},
    {"{\"a\\", 0, "end of a string"},
    {"{\"a\"", 0, "expected ':'"},
    {"{\"a\":", 0, "expected '{'"},
    {"{\"a\":{", 0, "expected '}'"},
    {"{\"a\":{\"b\":[", 0, "expected ']'"},
    {"{\"a\":{\"b\":[\"", 0, "end of a string"},
    {"{" T("a", "U8", "1", 0, 1), 1, "expected ',' or '}'"},
    {"{" T("a", "U8", "1", 0, 1) ",}", 1, "a name in quotes"},
    {"{," T("a", "U8", "1", 0, 1) "}", 1, "a name in quotes"},
    {"{" T("a", "U8", "1", 0, 1) " " T("b", "U8", "1", 1, 2) "}", 2,
     "expected ',' or '}', found '\"'"},
    {"{" T("a", "U8", "1", 0, 1) "}{}", 1, "nothing but spaces"},
    {"{" T("a", "U8", "1", 0, 1) "},", 1, "nothing but spaces"},
    {"{a:{}}", 0, "a name in quotes"},
    {"{\"a\":[]}", 0, "expected '{', found '['"},
    {"{\"a\":1}", 0, "expected '{', found '1'"},
    {"{\"a\":{\"dtype\"}}", 0, "tensor a: "},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,],\"data_offsets\":[0,1]}}", 1, "tensor a: "},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[01],\"data_offsets\":[0,1]}}", 1, "tensor a: "},
    {"{" T("a\xff", "U8", "1", 0, 1) "}", 1, "decode byte 0xff"},
    {"{" T("a\\x", "U8", "1", 0, 1) "}", 1, "escape"},
    {"{" T("\\ud800", "U8", "1", 0, 1) "}", 1, "f: "},
    {"{" T("a\nb", "U8", "1", 0, 1) "}", 1, "unexpected newline"},
    /* depth and counts */
    {"{\"a\":{\"b\":{}}}", 0, "no further nesting"},
    {"{\"a\":{\"b\":[[]]}}", 0, "array of numbers"},
    {"{\"a\":{\"b\":[{}]}}", 0, "array of numbers"},
    {"{\"a\":{\"b\":[{]}}", 0, "array of numbers"},
    {"{\"a\":{\"b\":[}}", 0, "array of numbers"},
    {"{\"a\":{\"b\":[" N64 N64 "1]}}", 0, "more than 64 items"},
    {"{" T("a", "U8", "1,1,1,1,1,1,1", 0, 1) "}", 1, "tensor a: 7 dimensions, at most 6"},
    /* names */
    {"{" T("a", "U8", "1", 0, 1) "," T("a", "U8", "1", 0, 1) "}", 1, "tensor a: duplicate name"},
    {"{" T("a", "U8", "1", 0, 1) "," T("a", "U8", "1", 1, 2) "}", 2, "tensor a: duplicate name"},
    {"{" T("a", "U8", "1", 0, 1) "," T("b", "U8", "1", 1, 2) "," T("\\u0061", "U8", "1", 2, 3) "}",
     3, "tensor a: duplicate name"},
    {"{" T("a\\u0000b", "U8", "1", 0, 1) "}", 1, "control characters"},
    {"{" T("__metadata__\\u0000", "U8", "1", 0, 1) "}", 1, "control characters"},
    {"{" T("a\\u007f", "U8", "1", 0, 1) "}", 1, "control characters"},
    {"{" T("a\\u001b[31m", "U8", "1", 0, 1) "}", 1, "control characters"},
    {"{" T("", "U8", "1", 0, 1) "}", 1, "1 to 255 bytes"},
    {"{" T("mlp.experts.*.w", "U8", "1", 0, 1) "}", 1, "tensor mlp.experts.*.w: '*'"},
    /* metadata */
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: \"a\" is not a string"},
    {"{\"__metadata__\":{\"a\":null}}", 0, "not a string"},
    {"{\"__metadata__\":{\"a\":[]}}", 0, "not a string"},
    {"{\"__metadata__\":{\"a\":{}}}", 0, "no further nesting"},
    {"{\"__metadata__\":null}", 0, "expected '{'"},
    {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, "__metadata__: duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate __metadata__"},
    {"{\"__metadata__\":{},\"__metadat\\u0061__\":{}}", 0, "duplicate __metadata__"},
    /* fields */
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: dtype is missing"},
    {"{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "dtype is missing or not a string"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "shape is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1,
     "shape is missing or not an array"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "array of two"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, "array of two"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
     "fields other than"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "tensor a: duplicate"},
    {"{" T("a", "u8", "1", 0, 1) "}", 1, "tensor a: unknown dtype \"u8\""},
    {"{" T("a", "FP128", "1", 0, 16) "}", 16, "unknown dtype \"FP128\""},
    {"{" T("a", "U8\\u0000", "1", 0, 1) "}", 1, "tensor a: "},
    {"{" T("a", "", "1", 0, 1) "}", 1, "unknown dtype"},
    /* numbers */
    {"{" T("a", "U8", "1.0", 0, 1) "}", 1, "shape: expected integers"},
    {"{" T("a", "U8", "1e0", 0, 1) "}", 1, "shape: expected integers from 0"},
    {"{" T("a", "U8", "-1", 0, 1) "}", 1, "shape: expected integers from 0"},
    {"{" T("a", "U8", "\"1\"", 0, 1) "}", 1, "shape: expected integers from 0"},
    {"{" T("a", "U8", "true", 0, 1) "}", 1, "shape: expected integers from 0"},
    {"{" T("a", "U8", "1", 0, 1.0) "}", 1, "data_offsets: expected integers from 0"},
    {"{" T("a", "U8", "1", -1, 0) "}", 1, "data_offsets: expected integers from 0"},
    {"{" T("a", "U8", "9223372036854775808", 0, 1) "}", 1, "too big integer"},
    {"{" T("a", "U8", "1", 0, 18446744073709551616) "}", 1, "too big integer"},
    {"{" T("a", "U8", "4294967296,4294967296", 0, 0) "}", 0, "do not give a whole number of bytes"},
    {"{" T("a", "U8", "4294967296,4294967296,0", 0, 0) "}", 0,
     "do not give a whole number of bytes"},
    {"{" T("a", "F64", "2305843009213693952", 0, 0) "}", 0, "do not give a whole number of bytes"},
    {"{" T("a", "F4", "3", 0, 1) "}", 1, "do not give a whole number of bytes"},
    /* ranges */
    {"{" T("a", "U8", "1", 1, 0) "}", 1, "data_offsets end at 0, before they start at 1"},
    {"{" T("a", "U8", "2", 0, 1) "}", 1, "expected 2 bytes, found 1"},
    {"{" T("a", "BF16", "2,2", 0, 16) "}", 16, "expected 8 bytes, found 16"},
    {"{" T("a", "U8", "1", 1, 2) "}", 2,
     "tensor a: gap before it, expected data offset 0, found 1"},
    {"{" T("a", "U8", "1", 0, 1) "," T("b", "U8", "1", 2, 3) "}", 3, "tensor b: gap before it"},
    {"{" T("a", "U8", "1", 0, 1) "}", 2, "1 trailing bytes after the last tensor a"},
    {"{}", 5, "5 trailing bytes"},
    {"{" T("a", "U8", "2", 0, 2) "," T("b", "U8", "2", 1, 3) "}", 3, "tensor b: overlaps"},
    {"{" T("a", "U8", "2", 0, 2) "," T("b", "U8", "2", 0, 2) "}", 2, "tensor b: overlaps"},
    {"{" T("a", "U8", "2", 0, 2) "," T("b", "U8", "0", 1, 1) "}", 2, "tensor b: overlaps"},
    {"{" T("a", "U8", "2", 0, 2) "," T("b", "U8", "3", 2, 5) "}", 4,
     "tensor b: truncated: it ends at byte 5"},
    {"{" T("a", "U8", "9223372036854775807", 0, 9223372036854775807) "}", 4, "tensor a: "},
    {"{" T("a", "U8", "1", 9223372036854775806, 9223372036854775807) "}", 1, "tensor a: gap"},
};

START_TEST(bad_headers_are_refused)
{
    st_header h;
    err e = {0};
    ck_assert_int_eq(parse(bad[_i].text, bad[_i].data_bytes, &h, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, bad[_i].says) != NULL, "%s: expected %s", e.text, bad[_i].says);
    ck_assert_msg(strncmp(e.text, "f: ", 3) == 0, "%s", e.text);
    ck_assert_ptr_null(h.tensors);
    ck_assert_ptr_null(h.names);
}
END_TEST

/* The names of tensors that are as long as the key of the metadata, or nearly the same. */
START_TEST(names_like_metadata)
{
    st_header h;
    parse_good("{" T("layer.weight", "U8", "1", 0, 1) "," T("__metadata_", "U8", "1", 1, 2) "}", 2,
               &h);
    ck_assert_uint_eq(h.count, 2);
    st_header_free(&h);
}
END_TEST

START_TEST(empty_tensors_come_before_full_ones)
{
    st_header h;
    parse_good("{" T("a", "U8", "2", 0, 2) "," T("z", "U8", "0", 0, 0) "}", 2, &h);
    ck_assert_str_eq(h.tensors[0].name, "z");
    ck_assert_str_eq(h.tensors[1].name, "a");
    st_header_free(&h);
    st_header_free(NULL);
}
END_TEST

START_TEST(a_file_shorter_than_its_header_is_refused)
{
    st_header h;
    err e = {0};
    ck_assert_int_eq(st_header_parse("f", "{}", 2, 9, NULL, &h, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "truncated: 9 bytes, but its header alone has 10") != NULL, "%s",
                  e.text);
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    enum { PAGE = 65536 }; /* of any system */
    const char *text = "{\"__metadata__\":{\"a\":\"b\"}," T("a\\u0062", "U8", "1,1", 0, 1) "}";
    char *const pages =
        mmap(NULL, (size_t)2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    char *const end = pages + PAGE; /* reading the byte after it is fatal */
    ck_assert_int_eq(mprotect(end, PAGE, PROT_NONE), 0);
    for (size_t n = 0; n < strlen(text); n++) {
        st_header h;
        err e = {0};
        memcpy(end - n, text, n);
        ck_assert_int_eq(st_header_parse("f", end - n, n, 8 + n + 1, NULL, &h, &e), ERR_INPUT);
    }
    munmap(end - PAGE, (size_t)2 * PAGE);
}
END_TEST

START_TEST(trailing_nul_is_refused)
{
    st_header h;
    err e = {0};
    ck_assert_int_eq(st_header_parse("f", "{}\0", 3, 11, NULL, &h, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "found byte 0x00 (offset 10)") != NULL, "%s", e.text);
}
END_TEST

START_TEST(long_names_are_refused)
{
    for (size_t n = 255; n <= 70000; n = n == 255 ? 256 : n == 256 ? 70000 : n + 1) {
        char *text = malloc(n + 200);
        char *name = malloc(n + 1);
        memset(name, 'n', n);
        name[n] = '\0';
        snprintf(text, n + 200, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                 name);
        st_header h;
        err e = {0};
        ck_assert_int_eq(parse(text, 1, &h, &e), n == 255 ? OK : ERR_INPUT);
        st_header_free(&h);
        free(name);
        free(text);
    }
}
END_TEST

static err_code read_file(const char *name, st_header *h, err *e)
{
    int fd = -1;
    struct stat st;
    ck_assert_int_eq(io_open_read(scratch(name), &fd, &st, e), OK);
    const err_code code = st_header_read(fd, name, (uint64_t)st.st_size, NULL, h, e);
    close(fd);
    return code;
}

START_TEST(a_file_is_read)
{
    st_header h;
    err e = {0};
    scratch_safetensors("a", "{" T("a", "U8", "3", 0, 3) "}", 3, 'x');
    ck_assert_msg(read_file("a", &h, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(h.count, 1);
    char hex[2 * SHA256_BYTES + 1];
    hex_encode(h.sha256, SHA256_BYTES, hex);
    /* by sha256sum, of the first 8 + 53 bytes */
    ck_assert_uint_eq(h.header_bytes, 61);
    ck_assert_str_eq(hex, "fd902b978736bbfef0e408668f57447abefbe3a4e752c1458bb8eff397a05d83");
    st_header_free(&h);
}
END_TEST

static void check_file(const void *bytes, size_t count, const char *says)
{
    st_header h;
    err e = {0};
    scratch_write("f", bytes, count);
    ck_assert_int_eq(read_file("f", &h, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, says) != NULL, "%s: expected %s", e.text, says);
    ck_assert_ptr_null(h.tensors);
}

START_TEST(bad_lengths_are_refused)
{
    check_file("", 0, "0 bytes, expected at least 8");
    check_file("\2\0\0\0\0\0\0", 7, "7 bytes");
    check_file("\0\0\0\0\0\0\0\0", 8, "only zeros at the beginning");
    check_file("\3\0\0\0\0\0\0\0{}", 10, "truncated: 10 bytes, but its header alone has 11");
    check_file("\0\0\0\0\0\0\0\200{}", 10, "header has 9223372036854775808 bytes");
    check_file("\377\377\377\377\377\377\377\377{}", 10, "header has 18446744073709551615 bytes");
    check_file("\1\341\365\5\0\0\0\0{}", 10,
               "header has 100000001 bytes (at most 100000000 are allowed)");
    check_file("\0\341\365\5\0\0\0\0{}", 10, "truncated");
    check_file("\2\0\0\0\0\0\0\0{}x", 11, "1 trailing bytes");
}
END_TEST

START_TEST(git_lfs_pointers_get_a_hint)
{
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
    st_header h;
    err e = {0};
    scratch_text("f", pointer);
    ck_assert_int_eq(read_file("f", &h, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.hint, "git lfs pull") != NULL, "%s", e.hint);
}
END_TEST

START_TEST(a_file_that_shrinks_is_an_io_error)
{
    st_header h;
    err e = {0};
    scratch_write("f", "\2\0\0\0\0\0\0\0{", 9);
    int fd = -1;
    ck_assert_int_eq(io_open_read(scratch("f"), &fd, NULL, &e), OK);
    ck_assert_int_eq(st_header_read(fd, "f", 10, NULL, &h, &e), ERR_IO);
    close(fd);
}
END_TEST

/* Valid headers with random bytes changed: none may crash, and what is accepted keeps every
 * promise. */
START_TEST(random_damage_is_survived)
{
    static const char text[] = "{\"__metadata__\":{\"format\":\"pt\"}," T(
        "a.b", "BF16", "2,3", 4, 16) "," T("c", "F32", "", 0, 4) "," T("d", "U8", "0", 16, 16) "}";
    static const char alphabet[] = "{}[]\",:\\ \n0123456789-.eEabu\xff";
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240502;
    printf("test_safetensors: SEED=%u\n", seed);
    for (int round = 0; round < 50000; round++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        for (int n = rand_r(&seed) % 4; n >= 0; n--) {
            copy[(size_t)rand_r(&seed) % (sizeof text - 1)] =
                alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        }
        st_header h;
        err e = {0};
        const uint64_t file_bytes = 8 + sizeof text - 1 + 16;
        if (st_header_parse("f", copy, sizeof text - 1, file_bytes, NULL, &h, &e) != OK) {
            ck_assert_int_eq(e.code, ERR_INPUT);
            continue;
        }
        uint64_t cursor = h.header_bytes;
        for (size_t i = 0; i < h.count; i++) {
            ck_assert_uint_eq(h.tensors[i].off, cursor);
            cursor += h.tensors[i].bytes;
        }
        ck_assert_uint_eq(cursor, file_bytes);
        st_header_free(&h);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors");
    TCase *tc = tcase_create("headers");
    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, tensors_are_read);
    tcase_add_loop_test(tc, good_headers_are_accepted, 0, sizeof good / sizeof *good);
    tcase_add_test(tc, every_dtype_is_known);
    tcase_add_test(tc, escaped_names_are_unescaped);
    tcase_add_test(tc, tensors_are_sorted);
    tcase_add_loop_test(tc, bad_headers_are_refused, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tc, names_like_metadata);
    tcase_add_test(tc, empty_tensors_come_before_full_ones);
    tcase_add_test(tc, a_file_shorter_than_its_header_is_refused);
    tcase_add_test(tc, every_prefix_is_refused);
    tcase_add_test(tc, trailing_nul_is_refused);
    tcase_add_test(tc, long_names_are_refused);
    tcase_add_test(tc, a_file_is_read);
    tcase_add_test(tc, bad_lengths_are_refused);
    tcase_add_test(tc, git_lfs_pointers_get_a_hint);
    tcase_add_test(tc, a_file_that_shrinks_is_an_io_error);
    tcase_add_test(tc, random_damage_is_survived);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
