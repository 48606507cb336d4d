/* The archive of embedded files: one canonical form, written here a second time by hand; nothing
 * else is accepted. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/archive/embed_tar.h"
#include "format/base/digest.h"

enum { BLOCK = 512 };

/* ---- An archive by hand, from POSIX and spec/format.md section 9 alone ---- */

typedef struct tar {
    unsigned char *data;
    size_t bytes;
} tar;

static void checksum(unsigned char *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++) {
        sum += header[i];
    }
    snprintf((char *)header + 148, 8, "%06o", sum);
    header[155] = ' ';
}

static void tar_add(tar *t, const char *name, const void *data, size_t bytes)
{
    const size_t padded = (bytes + BLOCK - 1) / BLOCK * BLOCK;
    t->data = realloc(t->data, t->bytes + BLOCK + padded + 1);
    ck_assert_ptr_nonnull(t->data);
    unsigned char *h = t->data + t->bytes;
    memset(h, 0, BLOCK + padded);
    memcpy(h, name, strlen(name));
    memcpy(h + 100, "000644 ", 7);
    memcpy(h + 108, "000000 ", 7);
    memcpy(h + 116, "000000 ", 7);
    char size[24];
    snprintf(size, sizeof size, "%011zo ", bytes);
    memcpy(h + 124, size, 12);
    memcpy(h + 136, "00000000000 ", 12);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    memcpy(h + 329, "000000 ", 7);
    memcpy(h + 337, "000000 ", 7);
    checksum(h);
    if (bytes > 0) {
        memcpy(h + BLOCK, data, bytes);
    }
    t->bytes += BLOCK + padded;
}

static void tar_end(tar *t)
{
    t->data = realloc(t->data, t->bytes + 2 * BLOCK);
    ck_assert_ptr_nonnull(t->data);
    memset(t->data + t->bytes, 0, 2 * BLOCK);
    t->bytes += 2 * BLOCK;
}

static char long_name[101];
static unsigned char noise[1536];
static member fixed[5];

static void setup(void)
{
    memset(long_name, 'n', 100);
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (unsigned char)(i * 7 + i / 256);
    }
    fixed[0] = (member){(char *)"tokenizer.json", (char *)noise, 1025};
    fixed[1] = (member){(char *)"config.json", (char *)noise + 1, 3};
    fixed[2] = (member){(char *)"LICENSE", (char *)noise, 512};
    fixed[3] = (member){long_name, NULL, 0};
    fixed[4] = (member){(char *)"_a-B.9", (char *)noise + 5, 511};
}

/* The same five, sorted by bytes. */
static tar fixed_by_hand(void)
{
    tar t = {0};
    tar_add(&t, "LICENSE", noise, 512);
    tar_add(&t, "_a-B.9", noise + 5, 511);
    tar_add(&t, "config.json", noise + 1, 3);
    tar_add(&t, long_name, NULL, 0);
    tar_add(&t, "tokenizer.json", noise, 1025);
    tar_end(&t);
    return t;
}

START_TEST(bytes_are_the_canonical_ones)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    ck_assert_msg(archive_pack(fixed, 5, &data, &bytes, &e) == OK, "%s", e.text);
    tar expected = fixed_by_hand();
    ck_assert_uint_eq(bytes, expected.bytes);
    for (size_t i = 0; i < bytes; i++) {
        ck_assert_msg((unsigned char)data[i] == expected.data[i], "byte %zu", i);
    }
    /* Pinned: a library that writes anything differently would change every packed file. */
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    ck_assert_int_eq(digest_sha256(data, bytes, digest, NULL), OK);
    hex_encode(digest, sizeof digest, hex);
    ck_assert_str_eq(hex, "0b8d60ded94aac4eba3d745009154ae766495f453fe6445c639f89d3ad5c0bfb");
    free(expected.data);
    free(data);
}
END_TEST

START_TEST(nothing_is_two_blocks)
{
    static const char zeros[2 * BLOCK];
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    ck_assert_int_eq(archive_pack(NULL, 0, &data, &bytes, &e), OK);
    ck_assert_uint_eq(bytes, sizeof zeros);
    ck_assert_mem_eq(data, zeros, sizeof zeros);
    member *members = NULL;
    size_t count = 7;
    ck_assert_msg(archive_unpack(data, bytes, &members, &count, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(count, 0);
    members_free(members, count);
    free(data);
}
END_TEST

START_TEST(what_goes_in_comes_out)
{
    tar t = fixed_by_hand();
    member *members = NULL;
    size_t count = 0;
    err e = {0};
    ck_assert_msg(archive_unpack((char *)t.data, t.bytes, &members, &count, &e) == OK, "%s",
                  e.text);
    static const size_t order[] = {2, 4, 1, 3, 0};
    ck_assert_uint_eq(count, 5);
    for (size_t i = 0; i < count; i++) {
        const member *in = &fixed[order[i]];
        ck_assert_str_eq(members[i].name, in->name);
        ck_assert_uint_eq(members[i].bytes, in->bytes);
        ck_assert(in->bytes == 0 || memcmp(members[i].data, in->data, in->bytes) == 0);
    }
    members_free(members, count);
    members_free(NULL, 0);
    free(t.data);
}
END_TEST

static const struct {
    const char *name;
    bool valid;
} names[] = {
    {"a", true},       {"config.json", true}, {".hidden", true}, {"...", true},   {"A-Z_0.9", true},
    {"", false},       {".", false},          {"..", false},     {"a/b", true},   {"a/.b", true},
    {"..a/b..", true}, {".../...", true},     {"/a", false},     {"a/", false},   {"a//b", false},
    {"a/b/c", false},  {"./a", false},        {"a/.", false},    {"../a", false}, {"a/..", false},
    {"/", false},      {"a/b/", false},       {"a /b", false},   {"a/b ", false}, {"a b", false},
    {"a\n", false},    {"\xc3\xa9", false},   {"a:b", false},    {"a\\b", false}, {"~", false},
};

START_TEST(names_are_checked)
{
    ck_assert_msg(member_name_valid(names[_i].name) == names[_i].valid, "%s", names[_i].name);
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    const member m = {(char *)names[_i].name, NULL, 0};
    ck_assert_int_eq(archive_pack(&m, 1, &data, &bytes, &e), names[_i].valid ? OK : ERR_INPUT);
    free(data);
}
END_TEST

START_TEST(limits_hold)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    char name[102];
    memset(name, 'x', sizeof name);
    name[101] = '\0';
    ck_assert(!member_name_valid(name));
    name[100] = '\0';
    ck_assert(member_name_valid(name));
    /* In two components each has the limit of one. */
    char pair[208];
    snprintf(pair, sizeof pair, "%s/%s", name, name);
    ck_assert(member_name_valid(pair));
    pair[201] = 'x';
    pair[202] = '\0';
    ck_assert(!member_name_valid(pair));
    snprintf(pair, sizeof pair, "x%s/a", name);
    ck_assert(!member_name_valid(pair));

    const member twice[] = {{(char *)"b", NULL, 0}, {(char *)"a", NULL, 0}, {(char *)"b", NULL, 0}};
    ck_assert_int_eq(archive_pack(twice, 3, &data, &bytes, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "b: duplicate name") != NULL, "%s", e.text);

    static char labels[ARCHIVE_MAX_MEMBERS + 1][16];
    static member many[ARCHIVE_MAX_MEMBERS + 1];
    for (int i = 0; i <= ARCHIVE_MAX_MEMBERS; i++) {
        snprintf(labels[i], sizeof labels[i], "f%d", i);
        many[i] = (member){labels[i], NULL, 0};
    }
    e = (err){0};
    ck_assert_int_eq(archive_pack(many, ARCHIVE_MAX_MEMBERS + 1, &data, &bytes, &e), ERR_INPUT);
    ck_assert_int_eq(archive_pack(many, ARCHIVE_MAX_MEMBERS, &data, &bytes, &e), OK);
    member *members = NULL;
    size_t count = 0;
    ck_assert_int_eq(archive_unpack(data, bytes, &members, &count, &e), OK);
    ck_assert_uint_eq(count, ARCHIVE_MAX_MEMBERS);
    members_free(members, count);
    free(data);

    /* Sizes are refused before the data is read. */
    member large[] = {{(char *)"a", NULL, ARCHIVE_MAX_BYTES - 1535}, {(char *)"b", NULL, SIZE_MAX}};
    e = (err){0};
    ck_assert_int_eq(archive_pack(large, 1, &data, &bytes, &e), ERR_INPUT);
    large[0].bytes = 1;
    ck_assert_int_eq(archive_pack(large, 2, &data, &bytes, &e), ERR_INPUT);
}
END_TEST

/* ---- Directories ----------------------------------------------- */

/* The prefix field of the header at `at`, and the checksum after it. */
static void set_prefix(tar *t, size_t at, const char *prefix)
{
    memcpy(t->data + at + 345, prefix, strlen(prefix));
    checksum(t->data + at);
}

START_TEST(names_in_a_directory)
{
    char pair[202];
    snprintf(pair, sizeof pair, "%s/%s", long_name, long_name);
    char at_limit[101]; /* 100 bytes: no prefix */
    snprintf(at_limit, sizeof at_limit, "d/%.98s", long_name);
    const member in[] = {
        {(char *)"d/b", (char *)"b", 1}, {(char *)"d0", NULL, 0}, {pair, (char *)"l", 1},
        {(char *)"d-", NULL, 0},         {at_limit, NULL, 0},     {(char *)"d/a", (char *)"a", 1}};
    tar t = {0};
    tar_add(&t, "d-", NULL, 0);
    tar_add(&t, "d/a", "a", 1);
    tar_add(&t, "d/b", "b", 1);
    tar_add(&t, at_limit, NULL, 0);
    tar_add(&t, "d0", NULL, 0);
    const size_t last = t.bytes;
    tar_add(&t, long_name, "l", 1);
    set_prefix(&t, last, long_name);
    tar_end(&t);
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    ck_assert_msg(archive_pack(in, 6, &data, &bytes, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(bytes, t.bytes);
    ck_assert_mem_eq(data, t.data, bytes);
    member *members = NULL;
    size_t count = 0;
    ck_assert_msg(archive_unpack(data, bytes, &members, &count, &e) == OK, "%s", e.text);
    ck_assert_uint_eq(count, 6);
    ck_assert_str_eq(members[1].name, "d/a");
    ck_assert_str_eq(members[5].name, pair);
    members_free(members, count);
    free(data);
    free(t.data);
}
END_TEST

START_TEST(a_file_is_no_directory)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    const member in[] = {{(char *)"d/b", NULL, 0}, {(char *)"d-", NULL, 0}, {(char *)"d", NULL, 0}};
    ck_assert_int_eq(archive_pack(in, 3, &data, &bytes, &e), ERR_INPUT);
    ck_assert_msg(strstr(e.text, "d/b: its directory is a file as well"), "%s", e.text);
    ck_assert_int_eq(archive_pack(in, 2, &data, &bytes, &e), OK);
    free(data);
}
END_TEST

/* ---- Archives that are not canonical --------------------------- */

static void refuse(const tar *t)
{
    member *members = NULL;
    size_t count = 0;
    err e = {0};
    ck_assert_int_eq(archive_unpack((const char *)t->data, t->bytes, &members, &count, &e),
                     ERR_INPUT);
    ck_assert_ptr_null(members);
    ck_assert_uint_eq(count, 0);
    ck_assert_msg(strncmp(e.text, "embedded file", 13) == 0, "%s", e.text);
}

/* Change `count` bytes of the first header, make its checksum right again, and see it refused. */
static void refuse_header(size_t at, const char *bytes, size_t count)
{
    tar t = fixed_by_hand();
    memcpy(t.data + at, bytes, count);
    checksum(t.data);
    refuse(&t);
    free(t.data);
}

START_TEST(other_spellings_are_refused)
{
    refuse_header(100, "000755 ", 7);          /* mode */
    refuse_header(100, "0000644", 7);          /* the same mode, other digits */
    refuse_header(108, "000001 ", 7);          /* uid */
    refuse_header(116, "000001 ", 7);          /* gid */
    refuse_header(136, "00000000001 ", 12);    /* mtime */
    refuse_header(156, "5", 1);                /* a directory */
    refuse_header(156, "2", 1);                /* a symlink */
    refuse_header(156, "1", 1);                /* a hard link */
    refuse_header(156, "\0", 1);               /* the old regular file */
    refuse_header(156, "x", 1);                /* pax */
    refuse_header(156, "L", 1);                /* GNU long name */
    refuse_header(156, "S", 1);                /* GNU sparse */
    refuse_header(157, "target", 6);           /* link name */
    refuse_header(257, "ustar  \0", 8);        /* GNU magic */
    refuse_header(257, "\0\0\0\0\0\0\0\0", 8); /* no magic */
    refuse_header(265, "root", 4);             /* user name */
    refuse_header(297, "root", 4);             /* group name */
    refuse_header(329, "000001 ", 7);          /* device */
    refuse_header(345, "dir", 3);              /* prefix */
    refuse_header(500, "x", 1);                /* unused bytes */
    refuse_header(0, "../LICENSE", 10);
    refuse_header(0, "/", 1);
    refuse_header(0, "z", 1);                /* not sorted */
    refuse_header(0, "\0\0\0\0\0\0\0\0", 8); /* no name */
    refuse_header(124, "77777777777 ", 12);  /* 8 GiB */
    refuse_header(124, "00000001001 ",
                  12); /* one byte more than there is: the next header is data */
    refuse_header(124, "\200\0\0\0\177\377\377\377\377\377\377\377", 12); /* 2^63 - 1 in base 256 */
}
END_TEST

START_TEST(every_truncation_and_extension_is_refused)
{
    tar t = fixed_by_hand();
    const size_t whole = t.bytes;
    for (t.bytes = 0; t.bytes < whole;
         t.bytes += t.bytes % BLOCK == 0 || t.bytes % BLOCK == 510 ? 1 : 509) {
        refuse(&t);
    }
    t.data = realloc(t.data, whole + BLOCK);
    memset(t.data + whole, 0, BLOCK);
    t.bytes = whole + BLOCK;
    refuse(&t);
    t.bytes = whole + 1;
    refuse(&t);
    free(t.data);
}
END_TEST

START_TEST(duplicates_and_disorder_are_refused)
{
    tar t = {0};
    tar_add(&t, "a", "x", 1);
    tar_add(&t, "a", "y", 1);
    tar_end(&t);
    refuse(&t);
    free(t.data);
    t = (tar){0};
    tar_add(&t, "b", "x", 1);
    tar_add(&t, "a", "y", 1);
    tar_end(&t);
    refuse(&t);
    free(t.data);
    t = (tar){0};
    for (int i = 0; i <= ARCHIVE_MAX_MEMBERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%04d", i);
        tar_add(&t, name, "", 0);
    }
    tar_end(&t);
    refuse(&t);
    free(t.data);
}
END_TEST

/* What is written by hand in another way than names_in_a_directory expects. */
START_TEST(other_directories_are_refused)
{
    static const char *const wrong[] = {"/a",  "a//b", "a/b/c", "./a", "../a",
                                        "a/.", "a/..", "a/",    ".",   "a/b c"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tar t = {0};
        tar_add(&t, wrong[i], "x", 1);
        tar_end(&t);
        refuse(&t);
        free(t.data);
    }
    static const struct {
        const char *prefix, *name;
    } split[] = {{"a", "b"}, {"a/b", "c"}, {"..", "a"}, {"", "/a"}, {"/", "a"}};
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        tar t = {0};
        tar_add(&t, split[i].name, "x", 1);
        set_prefix(&t, 0, split[i].prefix);
        tar_end(&t);
        refuse(&t);
        free(t.data);
    }
    tar t = {0};
    tar_add(&t, "a", "x", 1);
    tar_add(&t, "a/b", "y", 1);
    tar_end(&t);
    refuse(&t);
    free(t.data);
    t = (tar){0}; /* "a/b" follows "a-" */
    tar_add(&t, "a/b", "x", 1);
    tar_add(&t, "a-", "y", 1);
    tar_end(&t);
    refuse(&t);
    free(t.data);
}
END_TEST

/* Every byte of the archive except those of the data means something: a changed one is never
 * overlooked. */
START_TEST(every_changed_byte_is_seen)
{
    tar t = fixed_by_hand();
    size_t accepted = 0;
    for (size_t i = 0; i < t.bytes; i++) {
        t.data[i] ^= 0x01;
        member *members = NULL;
        size_t count = 0;
        err e = {0};
        if (archive_unpack((char *)t.data, t.bytes, &members, &count, &e) == OK) {
            accepted++;
        }
        members_free(members, count);
        t.data[i] ^= 0x01;
    }
    ck_assert_uint_eq(accepted, 512 + 511 + 3 + 1025);
    free(t.data);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("embed_tar");
    TCase *tc = tcase_create("embed_tar");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, bytes_are_the_canonical_ones);
    tcase_add_test(tc, nothing_is_two_blocks);
    tcase_add_test(tc, what_goes_in_comes_out);
    tcase_add_loop_test(tc, names_are_checked, 0, sizeof names / sizeof *names);
    tcase_add_test(tc, limits_hold);
    tcase_add_test(tc, other_spellings_are_refused);
    tcase_add_test(tc, every_truncation_and_extension_is_refused);
    tcase_add_test(tc, names_in_a_directory);
    tcase_add_test(tc, a_file_is_no_directory);
    tcase_add_test(tc, other_directories_are_refused);
    tcase_add_test(tc, duplicates_and_disorder_are_refused);
    tcase_add_test(tc, every_changed_byte_is_seen);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
