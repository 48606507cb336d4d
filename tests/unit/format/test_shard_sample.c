/* Whatever was read first in each eighth of a shard is compared at the end, and so is the header. */
#include <fcntl.h>
#include <unistd.h>

#include "format/checkpoint/shard_sample.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

enum { BASE = 512, DATA = 64000, EIGHTHS = 8, READ = 5000, COMPARED = 4096 };

static const char header[] =
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[64000],\"data_offsets\":[0,64000]}}";
static unsigned char file[BASE + 8 + sizeof header - 1 + DATA]; /* a shard in an archive */
static shard the_shard;
static shard_sample *sample;
static int fd;

static void write_file(void)
{
    scratch_write("archive", file, sizeof file);
    close(fd);
    fd = open(scratch("archive"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
}

static void setup(void)
{
    static char path[] = "archive/model.safetensors";
    const size_t length = sizeof header - 1;
    err e = {0};
    st_header h;
    scratch_make();
    for (size_t i = 0; i < sizeof file; i++) {
        file[i] = (unsigned char)(i / 251 + i);
    }
    for (int i = 0; i < 8; i++) {
        file[BASE + i] = (unsigned char)((uint64_t)length >> (8 * i));
    }
    memcpy(file + BASE + 8, header, length);
    fd = -1;
    write_file();
    the_shard = (shard){.path = path, .base = BASE, .bytes = sizeof file - BASE};
    expect_ok(st_header_read_at(fd, path, BASE, the_shard.bytes, NULL, &h, &e), &e);
    the_shard.header_bytes = h.header_bytes;
    memcpy(the_shard.header_sha256, h.sha256, sizeof h.sha256);
    st_header_free(&h);
    sample = shard_sample_new(&the_shard, 1);
    ck_assert_ptr_nonnull(sample);
}

static void end(void)
{
    shard_sample_free(sample);
    close(fd);
    scratch_remove();
}

static void see(size_t off, size_t bytes)
{
    shard_sample_see(sample, 0, off, file + off, bytes);
}

static bool is_same(void)
{
    err e = {0};
    const err_code code = shard_sample_check(sample, 0, fd, &e);
    ck_assert_int_eq(code, e.code);
    ck_assert(code == OK || (code == ERR_IO && strstr(e.text, "other content")));
    return code == OK;
}

/* Does a change of this byte show? */
static bool shows(size_t at)
{
    file[at] ^= 1;
    write_file();
    const bool same = is_same();
    file[at] ^= 1;
    write_file();
    return !same;
}

START_TEST(nothing_but_the_header_was_read)
{
    ck_assert(is_same());
    ck_assert(shows(BASE + 8 + 3)); /* the name of the tensor */
    ck_assert(!shows(sizeof file - 1));
    file[BASE + 9] = 'x'; /* no JSON any more: the file has changed, it is not malformed */
    write_file();
    ck_assert(!is_same());
}
END_TEST

/* The first read in each eighth counts, and of it the first 4096 bytes. */
START_TEST(each_eighth_is_compared)
{
    const size_t part = (the_shard.bytes + EIGHTHS - 1) / EIGHTHS;
    for (size_t i = 1; i < EIGHTHS; i++) {
        see(BASE + i * part, READ);
        see(BASE + i * part + 100, part - 100);
    }
    ck_assert(is_same());
    for (size_t i = 1; i < EIGHTHS; i++) {
        const size_t at = BASE + i * part;
        ck_assert(shows(at));
        ck_assert(shows(at + COMPARED - 1));
        ck_assert(!shows(at + COMPARED));
        ck_assert(!shows(at - 1));
    }
}
END_TEST

/* The last byte of each is in no other one. */
START_TEST(eighths_begin_with_the_shard)
{
    const size_t part = (the_shard.bytes + EIGHTHS - 1) / EIGHTHS;
    for (size_t i = 1; i <= EIGHTHS; i++) {
        see(BASE + (i < EIGHTHS ? i * part : the_shard.bytes) - 1, 1);
    }
    for (size_t i = 1; i <= EIGHTHS; i++) {
        ck_assert(shows(BASE + (i < EIGHTHS ? i * part : the_shard.bytes) - 1));
    }
}
END_TEST

START_TEST(short_and_empty_reads)
{
    see(sizeof file - 10, 0);
    ck_assert(!shows(sizeof file - 10));
    see(sizeof file - 10, 10); /* the empty one does not stand for its eighth */
    ck_assert(shows(sizeof file - 10));
    ck_assert(shows(sizeof file - 1));
    ck_assert(!shows(sizeof file - 11));
    shard_sample_see(sample, 0, sizeof file, "", 0); /* of an empty tensor at the end */
    ck_assert(is_same());
}
END_TEST

START_TEST(what_cannot_be_read_again)
{
    err e = {0};
    see(sizeof file - 10, 10);
    ck_assert_int_eq(truncate(scratch("archive"), (off_t)sizeof file - 5), 0);
    expect_error(shard_sample_check(sample, 0, fd, &e), ERR_IO, &e, "archive/model.safetensors");
    const int closed = dup(fd);
    close(closed);
    expect_error(shard_sample_check(sample, 0, closed, &e), ERR_IO, &e, "cannot read");
    shard_sample_free(NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("shard_sample");
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_test(tc, nothing_but_the_header_was_read);
    tcase_add_test(tc, each_eighth_is_compared);
    tcase_add_test(tc, eighths_begin_with_the_shard);
    tcase_add_test(tc, short_and_empty_reads);
    tcase_add_test(tc, what_cannot_be_read_again);
    return run_tests("shard_sample", tc);
}
