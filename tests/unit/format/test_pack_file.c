/* Opening packed files: intact ones, damaged ones, malformed ones, and other files. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/archive/embed_tar.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_build.h"
#include "format/pack/pack_file.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

static small_pack small;

static void setup(void)
{
    scratch_make();
    small_pack_build(&small_model_default, &(small_options){0}, &small);
    scratch_write("p", small.bytes, small.length);
}

static void teardown(void)
{
    small_pack_free(&small);
    scratch_remove();
}

static pack_file *open_legal(void)
{
    pack_file *p = NULL;
    err e = {0};
    expect_ok(pack_open(scratch("p"), &p, &e), &e);
    return p;
}

static void expect_refused(const unsigned char *bytes, uint64_t length, err_code code,
                           const char *part)
{
    pack_file *p = NULL;
    err e = {0};
    scratch_write("q", bytes, length);
    const err_code found = pack_open(scratch("q"), &p, &e);
    ck_assert_msg(found != OK || code == OK, "opened: %s", part);
    ck_assert_msg(strncmp(e.text, scratch("q"), strlen(scratch("q"))) == 0, "%s", e.text);
    expect_error(found, code, &e, part);
    ck_assert_ptr_null(p);
}

/* ---- intact ---------------------------------------------------- */

static bool is_packed(const char *name)
{
    bool found = false;
    err e = {0};
    expect_ok(pack_probe(scratch(name), &found, &e), &e);
    return found;
}

START_TEST(file_is_opened)
{
    pack_file *const p = open_legal();
    ck_assert_str_eq(p->path, scratch("p"));
    ck_assert_uint_eq(p->file_bytes, small.length);
    ck_assert_uint_eq(p->table.count, small.table.count);
    ck_assert_uint_eq(p->table.data_end, small.table.data_end);
    for (uint32_t i = 0; i < p->table.count; i++) {
        ck_assert_str_eq(p->table.records[i].name, small.table.records[i].name);
        ck_assert_uint_eq(p->table.records[i].off, small.table.records[i].off);
    }
    ck_assert(is_packed("p"));
    pack_close(p);
    pack_close(NULL);
}
END_TEST

START_TEST(sections_are_read)
{
    pack_file *const p = open_legal();
    err e = {0};
    for (int i = 0; i < COUNT(small.sections); i++) {
        unsigned char *data = NULL;
        uint64_t bytes = 0;
        const pack_section *const s = &small.sections[i];
        ck_assert_uint_eq(pack_find_section(p, s->tag)->off, s->off);
        expect_ok(pack_read_section(p, s->tag, &data, &bytes, &e), &e);
        ck_assert_uint_eq(bytes, s->len);
        ck_assert_mem_eq(data, small.bytes + s->off, bytes);
        ck_assert_uint_eq(data[bytes], 0);
        free(data);
    }
    unsigned char *none = NULL;
    uint64_t bytes = 0;
    ck_assert_ptr_null(pack_find_section(p, PACK_TAG('n', 'o', 'n', 'e')));
    expect_error(pack_read_section(p, PACK_TAG('n', 'o', 'n', 'e'), &none, &bytes, &e),
                 ERR_INTERNAL, &e, "no section");
    pack_close(p);
}
END_TEST

START_TEST(evidence_is_read)
{
    pack_file *const p = open_legal();
    pack_evidence v;
    err e = {0};
    expect_ok(pack_read_evidence(p, &v, &e), &e);
    ck_assert_int_eq(v.alg, DIGEST_XXH3);
    ck_assert_mem_eq(v.chunks, small.bytes + small.sections[5].off, small.sections[5].len);
    ck_assert_mem_eq(v.tensors, small.bytes + small.sections[6].off, small.sections[6].len);
    ck_assert_mem_eq(v.sources, small.bytes + small.sections[7].off, small.sections[7].len);
    ck_assert_mem_eq(v.stats, small.bytes + small.sections[8].off, small.sections[8].len);
    pack_evidence_free(&v);
    pack_close(p);
}
END_TEST

/* ---- other files ----------------------------------------------- */

static const struct {
    const char *text;
    err_code code;
    const char *part;
} others[] = {
    {"", ERR_INPUT, "not a packed file: 0 bytes"},
    {"{\"a\":1}", ERR_INPUT, "not a packed file: 7 bytes"},
    {"\xD7", ERR_INPUT, "not a packed file: 1 bytes"},
    {"\xD7"
     "F8P",
     ERR_DAMAGED, "4 bytes: truncated"},
    {"\xD7"
     "F8P\n\x1a\n",
     ERR_DAMAGED, "truncated"},
};

START_TEST(other_files_are_refused)
{
    expect_refused((const unsigned char *)others[_i].text, strlen(others[_i].text), others[_i].code,
                   others[_i].part);
    ck_assert_int_eq(is_packed("q"), others[_i].code == ERR_DAMAGED);
}
END_TEST

START_TEST(other_large_file_is_refused)
{
    unsigned char *const bytes = calloc(1, 3 * 4096 + 5);
    expect_refused(bytes, 3 * 4096 + 5, ERR_INPUT, "not a packed file: only zeros");
    ck_assert(!is_packed("q"));
    free(bytes);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    pack_file *p = NULL;
    err e = {0};
    ck_assert_int_eq(mkfifo(scratch("fifo"), 0666), 0);
    expect_error(pack_open(scratch("none"), &p, &e), ERR_IO, &e, "No such file");
    expect_error(pack_open(scratch(""), &p, &e), ERR_IO, &e, "not a regular file");
    expect_error(pack_open(scratch("fifo"), &p, &e), ERR_IO, &e, "not a regular file");
    static const char *const names[] = {"none", "", "fifo"};
    for (int i = 0; i < COUNT(names); i++) {
        bool found = true;
        ck_assert_int_eq(pack_probe(scratch(names[i]), &found, NULL), ERR_IO);
        ck_assert(!found);
    }
}
END_TEST

/* ---- damage ---------------------------------------------------- */

/* Change one byte of the file "p". */
static void flip(int fd, uint64_t at)
{
    unsigned char byte = 0;
    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* Changing any byte that pack_open reads, in both blocks and the head, is damage, except in the
 * magic. */
START_TEST(every_byte_that_is_read_counts)
{
    const uint64_t back = small.length - 4096;
    const int fd = open(scratch("p"), O_RDWR);
    for (uint64_t i = 0; i < small.length; i += i < 4096 || i >= back ? 61 : 509) {
        if (i >= small.table.data_off && i < back) {
            i = back;
        }
        pack_file *p = NULL;
        err e = {0};
        flip(fd, i);
        expect_error(pack_open(scratch("p"), &p, &e), i < 8 ? ERR_INPUT : ERR_DAMAGED, &e, "");
        flip(fd, i);
    }
    close(fd);
    pack_close(open_legal());
}
END_TEST

START_TEST(shorter_files_are_truncated)
{
    const uint64_t lengths[] = {4,
                                4095,
                                4096,
                                8191,
                                8192,
                                12288,
                                small.table.data_off,
                                small.table.data_end,
                                small.length - 4096,
                                small.length - 1};
    for (int i = 0; i < COUNT(lengths); i++) {
        expect_refused(small.bytes, lengths[i], ERR_DAMAGED, "");
    }
}
END_TEST

START_TEST(longer_files_are_damaged)
{
    unsigned char *const bytes = calloc(1, small.length + 8192);
    memcpy(bytes, small.bytes, small.length);
    expect_refused(bytes, small.length + 1, ERR_DAMAGED,
                   "not a multiple of 4096: truncated, or trailing bytes");
    expect_refused(bytes, small.length + 4096, ERR_DAMAGED, "trailer");
    memcpy(bytes + small.length, small.bytes + small.length - 4096, 4096); /* a second trailer */
    expect_refused(bytes, small.length + 4096, ERR_DAMAGED, "length of the file, expected");
    free(bytes);
}
END_TEST

/* Opening reads neither data nor tail; a section of the tail is checked when it is read. */
START_TEST(damaged_tail_shows_when_read)
{
    pack_evidence v;
    err e = {0};
    for (int i = 5; i < 9; i++) {
        small.bytes[small.sections[i].off + small.sections[i].len - 1] ^= 1;
        scratch_write("p", small.bytes, small.length);
        pack_file *const p = open_legal();
        expect_error(pack_read_evidence(p, &v, &e), ERR_DAMAGED, &e, "its digest does not match");
        ck_assert_ptr_null(v.chunks);
        small.bytes[small.sections[i].off + small.sections[i].len - 1] ^= 1;
        pack_close(p);
    }
    small.bytes[small.sections[3].off] ^= 1; /* the head is also covered by plan_id */
    expect_refused(small.bytes, small.length, ERR_DAMAGED, "plan_id");
}
END_TEST

static void digest_block(unsigned char *block)
{
    digest_xxh3(block, 4080, block + 4080);
}

/* Copies that differ, although each block is valid. */
static const struct {
    unsigned at; /* in the trailer; its root and its self digest are recomputed */
    const char *part;
} copies[] = {
    {24, "its copies differ"},
    {40, "its copies differ"},
    {48, "its copies differ"},
    {63, "its copies differ"},
    {32, "length of the file, expected"},
    {512 + 8, "its directory differs"},
    {512 + 32, "its directory differs"},
    {512 + 5 * 64 - 1, "its directory differs"},
};

START_TEST(copies_have_to_agree)
{
    unsigned char *const back = small.bytes + small.length - 4096;
    back[copies[_i].at] ^= 1;
    expect_ok(pack_root(small.bytes, back, back + 64, NULL), NULL);
    digest_block(back);
    expect_refused(small.bytes, small.length, ERR_DAMAGED, copies[_i].part);
}
END_TEST

/* What the bytes of a file cannot show, because decoding refuses it first. */
static const struct {
    size_t at; /* in pack_trailer */
    uint32_t value;
    const char *part;
} fields[] = {
    {offsetof(pack_trailer, incompat), 1, "its copies differ"},
    {offsetof(pack_trailer, compat), 1, "its copies differ"},
    {offsetof(pack_trailer, sections), 4, "its directory differs"},
};

START_TEST(decoded_fields_have_to_agree)
{
    const unsigned char *const back = small.bytes + small.length - 4096;
    pack_superblock s;
    pack_trailer t;
    err e = {0};
    expect_ok(pack_superblock_decode(small.bytes, &s, &e), &e);
    expect_ok(pack_trailer_decode(back, &t, &e), &e);
    expect_ok(pack_copies_check(small.bytes, &s, back, &t, small.length, &e), &e);
    memcpy((char *)&t + fields[_i].at, &fields[_i].value, sizeof fields[_i].value);
    expect_error(pack_copies_check(small.bytes, &s, back, &t, small.length, &e), ERR_DAMAGED, &e,
                 fields[_i].part);
}
END_TEST

START_TEST(root_has_to_match)
{
    unsigned char *const back = small.bytes + small.length - 4096;
    back[64] ^= 1;
    digest_block(back);
    expect_refused(small.bytes, small.length, ERR_DAMAGED, "root digest does not match");
}
END_TEST

/* ---- malformed: everything is signed, but a rule is broken ----- */

/* A field with an illegal value under a wrong digest is reported as damage. */
START_TEST(illegal_record_is_malformed)
{
    small.bytes[small.sections[0].off + 113] = 3; /* origin */
    expect_refused(small.bytes, small.length, ERR_DAMAGED, "plan_id");
    small_pack_sign(&small, small.bytes);
    expect_refused(small.bytes, small.length, ERR_INPUT, "unknown origin");
}
END_TEST

/* Move the end of the tensor data, or a section, in both blocks. */
static void patch_both(unsigned front_at, unsigned back_at, uint64_t value)
{
    unsigned char *const back = small.bytes + small.length - 4096;
    if (front_at) {
        le64_store(small.bytes + front_at, value);
    }
    le64_store(back + back_at, value);
    digest_block(small.bytes);
    expect_ok(pack_root(small.bytes, back, back + 64, NULL), NULL);
    digest_block(back);
}

START_TEST(illegal_directory_is_malformed)
{
    const uint64_t end = le64_load(small.bytes + 64);
    patch_both(64, 40, end - 4096);
    expect_refused(small.bytes, small.length, ERR_INPUT, "section CHNK: offset");
    patch_both(64, 40, end);
    patch_both(512 + 16, 512 + 16, le64_load(small.bytes + 512 + 16) + 4096);
    expect_refused(small.bytes, small.length, ERR_INPUT, "section NIDX: offset");
}
END_TEST

START_TEST(sections_end_where_the_file_does)
{
    patch_both(0, 512 + 64 * 9 + 16,
               le64_load(small.bytes + small.length - 4096 + 512 + 64 * 9 + 16) + 8192);
    expect_refused(small.bytes, small.length, ERR_INPUT, "the sections end at");
}
END_TEST

START_TEST(evidence_of_another_length_is_malformed)
{
    pack_evidence v;
    err e = {0};
    for (unsigned i = 5; i < 9; i++) {
        const unsigned at = 512 + 64 * i + 16;
        const uint64_t length = small.sections[i].len;
        patch_both(0, at, length - 16);
        scratch_write("p", small.bytes, small.length);
        pack_file *const p = open_legal();
        expect_error(pack_read_evidence(p, &v, &e), ERR_INPUT, &e, "length, expected");
        pack_close(p);
        patch_both(0, at, length);
    }
}
END_TEST

/* A reader keeps copies of the bytes that it has checked: later changes do not reach the table. */
START_TEST(table_is_a_copy)
{
    pack_file *const p = open_legal();
    memset(small.bytes, 0xff, small.length);
    scratch_write("p", small.bytes, small.length);
    for (uint32_t i = 0; i < p->table.count; i++) {
        ck_assert_str_eq(p->table.records[i].name, small.table.records[i].name);
    }
    unsigned char *data = NULL;
    uint64_t bytes = 0;
    err e = {0};
    expect_error(pack_read_section(p, TAG_RCPE, &data, &bytes, &e), ERR_IO, &e,
                 "p: changed during the run: it has another modification time");
    /* As if it had been damaged before it was opened. */
    struct stat st;
    ck_assert_int_eq(fstat(p->fd, &st), 0);
    p->stamp = file_stamp_of(&st);
    expect_error(pack_read_section(p, TAG_RCPE, &data, &bytes, &e), ERR_DAMAGED, &e,
                 "section RCPE: its digest does not match");
    pack_close(p);
}
END_TEST

/* Write the whole file of a table whose data is zero. */
static void write_sparse(pack_table *t, pack_text files, const char *path)
{
    pack_head head;
    pack_tail tail = {0};
    pack_evidence v;
    err e = {0};
    expect_ok(pack_head_build(t, DIGEST_XXH3, files, (pack_text){"{}", 2}, &head, &e), &e);
    expect_ok(pack_evidence_create(t, DIGEST_XXH3, &v, &e), &e);
    expect_ok(pack_tail_build(&head, t, &v, (pack_text){"{}", 2}, &tail, &e), &e);
    const int fd = open(path, O_CREAT | O_WRONLY, 0666);
    expect_ok(io_write_at(fd, path, 0, head.bytes, head.length, &e), &e);
    expect_ok(io_write_at(fd, path, t->data_end, tail.bytes, tail.length, &e), &e);
    close(fd);
    free(head.bytes);
    free(tail.bytes);
    pack_evidence_free(&v);
}

START_TEST(large_file_opens_quickly)
{
    enum { RECORDS = 100000 };
    pack_table t = table_large(RECORDS);
    pack_file *p = NULL;
    err e = {0};
    write_sparse(&t, (pack_text){"", 0}, scratch("large"));
    const clock_t start = clock();
    expect_ok(pack_open(scratch("large"), &p, &e), &e);
    expect_seconds(start, 0.2, "100000 tensors opened"); /* 0.01 is the aim */
    ck_assert_uint_eq(p->table.count, RECORDS);
    ck_assert_uint_eq(p->table.records[RECORDS - 1].len, t.records[RECORDS - 1].len);
    pack_close(p);
    pack_table_free(&t);
}
END_TEST

/* A file of more than 64 MiB may be embedded, but is not read as JSON or text. */
START_TEST(large_member_is_refused)
{
    pack_table t = table_with_room(0);
    char name[] = "config.json";
    member m = {.name = name, .bytes = (64 << 20) + 1};
    m.data = calloc(1, m.bytes);
    char *tar = NULL;
    char *data = NULL;
    size_t bytes = 0;
    pack_file *p = NULL;
    err e = {0};
    expect_ok(archive_pack(&m, 1, &tar, &bytes, &e), &e);
    write_sparse(&t, (pack_text){tar, bytes}, scratch("large"));
    expect_ok(pack_open(scratch("large"), &p, &e), &e);
    expect_error(pack_read_member(p, name, &data, &bytes, &e), ERR_INPUT, &e,
                 "67108865 bytes, more than the limit of 67108864");
    ck_assert_ptr_null(data);
    pack_close(p);
    free(tar);
    free(m.data);
    pack_table_free(&t);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_file");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, file_is_opened);
    tcase_add_test(tc, sections_are_read);
    tcase_add_test(tc, evidence_is_read);
    tcase_add_loop_test(tc, other_files_are_refused, 0, COUNT(others));
    tcase_add_test(tc, other_large_file_is_refused);
    tcase_add_test(tc, what_is_no_file_is_refused);
    tcase_add_test(tc, every_byte_that_is_read_counts);
    tcase_add_test(tc, shorter_files_are_truncated);
    tcase_add_test(tc, longer_files_are_damaged);
    tcase_add_test(tc, damaged_tail_shows_when_read);
    tcase_add_loop_test(tc, copies_have_to_agree, 0, COUNT(copies));
    tcase_add_loop_test(tc, decoded_fields_have_to_agree, 0, COUNT(fields));
    tcase_add_test(tc, root_has_to_match);
    tcase_add_test(tc, illegal_record_is_malformed);
    tcase_add_test(tc, illegal_directory_is_malformed);
    tcase_add_test(tc, sections_end_where_the_file_does);
    tcase_add_test(tc, evidence_of_another_length_is_malformed);
    tcase_add_test(tc, table_is_a_copy);
    tcase_add_test(tc, large_file_opens_quickly);
    tcase_add_test(tc, large_member_is_refused);
    return run_tests("pack_file", tc);
}
