/* A file that was just written passes only if every byte is as it was written. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/file/direct.h"
#include "format/file/io.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/read_back.h"

enum { BUFFERS = 2, BUFFER_BYTES = 1 << 20, SHARES = 4, STEP = 7 };

static small_pack pack;
static unsigned char root[SHA256_BYTES];
static unsigned char *buffers[BUFFERS];

static void read_back_setup(void)
{
    scratch_make();
    small_pack_build(&small_model_default, &(small_options){0}, &pack);
    const unsigned char *const trailer = pack.bytes + pack.length - PACK_BLOCK;
    expect_ok(pack_root(pack.bytes, trailer, root, NULL), NULL);
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = aligned_alloc(DIRECT_ALIGN, BUFFER_BYTES);
        ck_assert_ptr_nonnull(buffers[i]);
    }
}

static void read_back_teardown(void)
{
    for (int i = 0; i < BUFFERS; i++) {
        free(buffers[i]);
    }
    small_pack_free(&pack);
    scratch_remove();
}

/* The bytes of `pack` in a file without a name. */
static int written(void)
{
    scratch_write("part", pack.bytes, pack.length);
    const int fd = open(scratch("part"), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(scratch("part")), 0);
    ck_assert_int_eq(fdatasync(fd), 0);
    return fd;
}

static err_code read_back_with(int fd, const monitor *m, err *e)
{
    const pack_written w = {.fd = fd,
                            .path = "part",
                            .root = root,
                            .buffers = buffers,
                            .buffer_count = BUFFERS,
                            .buffer_bytes = BUFFER_BYTES};
    pack_read_from from;
    return integrity_read_back(&w, m, &from, e);
}

static void expect_refused(err_code code, const char *part)
{
    const int fd = written();
    err e = {0};
    expect_error(read_back_with(fd, NULL, &e), code, &e, part);
    close(fd);
}

START_TEST(what_was_written_passes)
{
    const int fd = written();
    err e = {0};
    expect_ok(read_back_with(fd, NULL, &e), &e);
    close(fd);
}
END_TEST

/* Bytes all over the file, some in every structure, section, tensor and gap; the step divides
 * nothing. The first and last bytes of all sections as well. */
static bool is_tried(uint64_t at, uint64_t share)
{
    bool edge = at + 1 == pack.length;
    for (size_t i = 0; i < PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS; i++) {
        const pack_section *const s = &pack.sections[i];
        edge = edge || at == s->off || at + 1 == s->off || at + 1 == s->off + s->len ||
               at == s->off + s->len;
    }
    return edge || at % (STEP * SHARES) == share * STEP;
}

START_TEST(any_changed_byte_is_found)
{
    const int fd = written();
    err e = {0};
    for (uint64_t at = 0; at < pack.length; at++) {
        if (is_tried(at, (uint64_t)_i)) {
            const unsigned char changed = pack.bytes[at] ^ 0x10;
            expect_ok(io_write_at(fd, "part", at, &changed, 1, NULL), NULL);
            expect_error(read_back_with(fd, NULL, &e), ERR_IO, &e, "the bytes read back differ");
            expect_ok(io_write_at(fd, "part", at, pack.bytes + at, 1, NULL), NULL);
        }
    }
    expect_ok(read_back_with(fd, NULL, &e), &e);
    close(fd);
}
END_TEST

/* A packed file, but not this one. */
START_TEST(another_root_is_found)
{
    pack.bytes[pack.table.data_off] ^= 1;
    small_pack_sign_tensors(&pack, pack.bytes);
    small_pack_sign(&pack, pack.bytes);
    expect_refused(ERR_IO, "another root");
}
END_TEST

/* All digests match, so the disk is right and the program is wrong. */
START_TEST(a_broken_rule_is_an_internal_error)
{
    pack.bytes[small_pack_section(&pack, TAG_RCPE)->off + 17] = '2';
    small_pack_sign(&pack, pack.bytes);
    expect_refused(ERR_INTERNAL, "section RCPE: what was written breaks a rule");
}
END_TEST

START_TEST(damage_comes_before_broken_rules)
{
    pack.bytes[small_pack_section(&pack, TAG_RCPE)->off + 17] = '2';
    small_pack_sign(&pack, pack.bytes);
    pack.bytes[pack.table.data_off] ^= 1;
    expect_refused(ERR_IO, "the bytes read back differ");
}
END_TEST

START_TEST(nothing_but_zeros_is_found)
{
    memset(pack.bytes, 0, pack.length);
    expect_refused(ERR_IO, "the bytes read back differ");
    pack.length = 100;
    expect_refused(ERR_IO, "the bytes read back differ");
    pack.length = 0;
    expect_refused(ERR_IO, "the bytes read back differ");
}
END_TEST

START_TEST(another_length_is_found)
{
    unsigned char *const longer = calloc(1, pack.length + PACK_BLOCK);
    unsigned char *const whole = pack.bytes;
    ck_assert_ptr_nonnull(longer);
    memcpy(longer, whole, pack.length);
    pack.bytes = longer;
    pack.length += PACK_BLOCK;
    expect_refused(ERR_IO, "the bytes read back differ");
    pack.length -= PACK_BLOCK + 1;
    expect_refused(ERR_IO, "the bytes read back differ");
    pack.length++;
    pack.bytes = whole;
    free(longer);
}
END_TEST

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(it_can_be_cancelled)
{
    const int fd = written();
    const monitor m = {.cancelled = stop_at_once};
    err e = {0};
    expect_error(read_back_with(fd, &m, &e), ERR_CANCELLED, &e, "interrupted");
    close(fd);
}
END_TEST

START_TEST(what_cannot_be_read_is_not_a_difference)
{
    const int fd = open(scratch("no"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    err e = {0};
    ck_assert_int_eq(ftruncate(fd, 1 << 16), 0);
    expect_error(read_back_with(fd, NULL, &e), ERR_IO, &e, "part: cannot read");
    close(fd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("read_back");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, read_back_setup, read_back_teardown);
    tcase_add_test(tc, what_was_written_passes);
    tcase_add_loop_test(tc, any_changed_byte_is_found, 0, SHARES);
    tcase_add_test(tc, another_root_is_found);
    tcase_add_test(tc, a_broken_rule_is_an_internal_error);
    tcase_add_test(tc, damage_comes_before_broken_rules);
    tcase_add_test(tc, nothing_but_zeros_is_found);
    tcase_add_test(tc, another_length_is_found);
    tcase_add_test(tc, it_can_be_cancelled);
    tcase_add_test(tc, what_cannot_be_read_is_not_a_difference);
    return run_tests("read_back", tc);
}
