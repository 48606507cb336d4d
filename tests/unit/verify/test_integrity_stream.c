/* A stream and a file with the same bytes give the same findings: for every changed byte, every
 * length, and several kinds of damage at once. With THIN=n in the environment only every n-th case
 * is tried. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/integrity.h"

enum { STEP = 37 };

static small_pack pack;

static void setup(void)
{
    small_pack_build(&small_model_default, &(small_options){.ue8m0 = true}, &pack);
}

static void teardown(void)
{
    small_pack_free(&pack);
}

static uint64_t step(void)
{
    const char *const text = getenv("THIN");
    const unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return STEP * (n > 0 ? n : 1);
}

typedef struct finding {
    err_code code;
    err e;
    integrity_report r;
} finding;

/* Check these bytes as a file or as a stream. */
static finding check(const unsigned char *bytes, uint64_t length, bool stream, unsigned threads)
{
    const integrity_options all = {.threads = threads, .memory = 16 << 20};
    finding f = {0};
    const int fd = small_memfd(bytes, length);
    if (stream) {
        int ends = -1;
        ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
        f.code = integrity_check_stream(fd, "f", &all, NULL, &f.r, &ends, &f.e);
        ck_assert_int_ge(ends, 0);
        close(ends);
    } else {
        f.code = integrity_check(fd, "f", &all, NULL, &f.r, &f.e);
    }
    close(fd);
    return f;
}

/* A damaged superblock hides the rest of a stream: then the stream gives only some of the file's
 * findings. */
static void compare(const unsigned char *bytes, uint64_t length, uint64_t at)
{
    finding file = check(bytes, length, false, 1);
    finding stream = check(bytes, length, true, 1 + (unsigned)(at % 3));
    ck_assert_msg(file.code == stream.code, "at %ju: %s, %s", (uintmax_t)at, file.e.text,
                  stream.e.text);
    ck_assert_str_eq(file.e.text, stream.e.text);
    const bool hidden = file.r.count > 0 && strcmp(file.r.damages[0].place, "superblock") == 0;
    ck_assert_msg(hidden ? stream.r.count > 0 && stream.r.count <= file.r.count
                         : stream.r.count == file.r.count,
                  "at %ju: %zu of %zu findings", (uintmax_t)at, stream.r.count, file.r.count);
    for (size_t i = 0; i < stream.r.count && !hidden; i++) {
        const damage *const a = &file.r.damages[i];
        const damage *const b = &stream.r.damages[i];
        ck_assert_str_eq(a->place, b->place);
        ck_assert_str_eq(a->what, b->what);
        ck_assert(a->slice == b->slice && a->chunk == b->chunk && a->off == b->off &&
                  a->bytes == b->bytes && a->code == b->code);
    }
    if (!hidden && length == pack.length) {
        ck_assert_int_eq(file.r.tensors_checked, stream.r.tensors_checked);
        ck_assert_uint_eq(file.r.chunks_checked, stream.r.chunks_checked);
        ck_assert_uint_eq(file.r.bytes_checked, stream.r.bytes_checked);
    }
    integrity_report_free(&file.r);
    integrity_report_free(&stream.r);
}

START_TEST(whole)
{
    for (unsigned threads = 1; threads < 5; threads++) {
        finding f = check(pack.bytes, pack.length, true, threads);
        expect_ok(f.code, &f.e);
        ck_assert_uint_eq(f.r.count, 0);
        ck_assert_uint_eq(f.r.chunks_checked, pack.table.chunk_count);
        ck_assert(f.r.tensors_checked);
        integrity_report_free(&f.r);
    }
}
END_TEST

START_TEST(changed_bytes)
{
    for (uint64_t at = (uint64_t)_i; at < pack.length; at += step()) {
        pack.bytes[at] ^= 0x10;
        compare(pack.bytes, pack.length, at);
        pack.bytes[at] ^= 0x10;
    }
}
END_TEST

/* Cut off anywhere, and in particular at the borders of blocks and one byte after them. */
START_TEST(lengths)
{
    for (uint64_t length = 0; length < pack.length; length += step()) {
        compare(pack.bytes, length, length);
    }
    for (uint64_t block = 0; block < pack.length; block += PACK_BLOCK) {
        compare(pack.bytes, block, block);
        compare(pack.bytes, block + 1, block);
    }
}
END_TEST

/* Trailing bytes: zeros, and the file once more. */
START_TEST(trailing_bytes)
{
    static const uint64_t counts[] = {1, 5, 4095, 4096, 4097, 8192, 100000};
    unsigned char *const longer = calloc(2, pack.length);
    memcpy(longer, pack.bytes, pack.length);
    for (int i = 0; i < COUNT(counts); i++) {
        compare(longer, pack.length + num_min(counts[i], pack.length), counts[i]);
    }
    memcpy(longer + pack.length, pack.bytes, pack.length);
    for (int i = 0; i < COUNT(counts); i++) {
        compare(longer, pack.length + num_min(counts[i], pack.length), counts[i]);
    }
    compare(longer, 2 * pack.length, 0);
    free(longer);
}
END_TEST

/* A block that is missing, or repeated. */
START_TEST(blocks)
{
    unsigned char *const other = calloc(1, pack.length + PACK_BLOCK);
    for (uint64_t at = 0; at < pack.length; at += PACK_BLOCK) {
        const uint64_t after = at + PACK_BLOCK;
        memcpy(other, pack.bytes, at);
        memcpy(other + at, pack.bytes + after, pack.length - after);
        compare(other, pack.length - PACK_BLOCK, at);
        memcpy(other, pack.bytes, after);
        memcpy(other + after, pack.bytes + at, pack.length - at);
        compare(other, pack.length + PACK_BLOCK, at);
    }
    free(other);
}
END_TEST

/* Scales that are not powers of two although all digests match; several damaged places at once. */
START_TEST(scales_and_several)
{
    uint64_t state = random_seed(0);
    for (uint32_t i = 0; i < pack.table.count; i++) {
        const pack_record *const r = &pack.table.records[i];
        if (r->cls == CLASS_SCALES) {
            pack.bytes[r->off + 1] ^= 1;
        }
    }
    small_pack_sign_tensors(&pack, pack.bytes);
    small_pack_sign(&pack, pack.bytes);
    compare(pack.bytes, pack.length, 0);
    for (int i = 0; i < 50; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        pack.bytes[PACK_BLOCK + (state >> 20) % (pack.length - PACK_BLOCK)] ^= 1;
        compare(pack.bytes, pack.length, (uint64_t)i);
    }
}
END_TEST

/* A superblock that breaks the format although all digests match: every field of 8 bytes, alone and
 * together with the next one, changed in its lowest, a middle and its highest byte. */
START_TEST(illegal_superblocks)
{
    unsigned char *const other = malloc(pack.length);
    const uint64_t end = PACK_DIR_OFF + PACK_HEAD_SECTIONS * PACK_ENTRY_BYTES;
    for (uint64_t at = PACK_MAGIC_BYTES; at < end; at++) {
        if (at % 8 == 0 || at % 8 == 4 || at % 8 == 7) {
            memcpy(other, pack.bytes, pack.length);
            other[at] ^= 0x10;
            small_pack_sign(&pack, other);
            compare(other, pack.length, at);
            other[at + 8] ^= 0x10;
            small_pack_sign(&pack, other);
            compare(other, pack.length, at);
        }
    }
    free(other);
}
END_TEST

/* The memory for chunks is bounded before it is allocated: a table may claim any number. */
START_TEST(memory_for_chunks)
{
    const integrity_options all = {.threads = 1, .memory = 57 * pack.table.chunk_count - 1};
    integrity_report r;
    err e = {0};
    int ends = -1;
    const int fd = small_memfd(pack.bytes, pack.length);
    expect_error(integrity_check_stream(fd, "f", &all, NULL, &r, &ends, &e), ERR_MEMORY, &e,
                 "f: 17 chunks need 57 bytes each, 968 are allowed");
    integrity_report_free(&r);
    close(ends);
    close(fd);
}
END_TEST

/* What goes on forever is not a tail. */
START_TEST(endless_tail)
{
    const integrity_options all = {.threads = 1, .memory = 1 << 20};
    integrity_report r;
    err e = {0};
    int ends = -1;
    const int fd = small_memfd(pack.bytes, pack.length - PACK_BLOCK);
    ck_assert_int_eq(ftruncate(fd, 80 << 20), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    expect_error(integrity_check_stream(fd, "f", &all, NULL, &r, &ends, &e), ERR_DAMAGED, &e,
                 "f: no trailer within 64 MiB");
    integrity_report_free(&r);
    close(ends);
    close(fd);
}
END_TEST

/* What never was a packed file, and one whose superblock is damaged, go on for longer than the
 * search for an end. */
static const struct {
    unsigned char first;
    err_code code;
    const char *part;
} endless[] = {
    {0, ERR_INPUT, "f: not a packed file: only zeros"},
    {1, ERR_INPUT, "f: not a packed file: wrong magic"},
    {0xD7, ERR_DAMAGED, "f: the superblock is damaged, and no end within 64 MiB"},
};

START_TEST(endless_without_a_superblock)
{
    const integrity_options all = {.threads = 1, .memory = 1 << 20};
    const unsigned char start[] = {endless[_i].first, 'F', '8', 'P'};
    integrity_report r;
    err e = {0};
    int ends = -1;
    const int fd = small_memfd(start, start[0] ? sizeof start : 0);
    ck_assert_int_eq(ftruncate(fd, 80 << 20), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    expect_error(integrity_check_stream(fd, "f", &all, NULL, &r, &ends, &e), endless[_i].code, &e,
                 endless[_i].part);
    integrity_report_free(&r);
    close(ends);
    close(fd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("integrity_stream");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, whole);
    tcase_add_loop_test(tc, changed_bytes, 0, 4);
    tcase_add_test(tc, lengths);
    tcase_add_test(tc, trailing_bytes);
    tcase_add_test(tc, blocks);
    tcase_add_test(tc, scales_and_several);
    tcase_add_test(tc, illegal_superblocks);
    tcase_add_test(tc, memory_for_chunks);
    tcase_add_test(tc, endless_tail);
    tcase_add_loop_test(tc, endless_without_a_superblock, 0, COUNT(endless));
    return run_tests("integrity_stream", tc);
}
