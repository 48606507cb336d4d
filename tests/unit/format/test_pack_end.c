/* The last look at a file that was read: what a change during the run makes of success and of a
 * verdict. */
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/pack/pack_end.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

static small_pack small;
static pack_file *p;
static err e;

static void setup(void)
{
    e = (err){0};
    scratch_make();
    small_pack_build(&small_model_default, &(small_options){0}, &small);
    scratch_write("p", small.bytes, small.length);
    expect_ok(pack_open(scratch("p"), &p, &e), &e);
    usleep(20000); /* until the clock of the file system has gone on */
}

static void teardown(void)
{
    pack_close(p);
    small_pack_free(&small);
    scratch_remove();
}

/* Change the byte at `at`, and set the modification time back: only the ctime is another one. */
static void change(uint64_t at)
{
    const unsigned char byte = small.bytes[at] ^ 1;
    struct stat before;
    const int fd = open(scratch("p"), O_WRONLY);
    ck_assert_int_eq(fstat(fd, &before), 0);
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    const struct timespec times[] = {before.st_atim, before.st_mtim};
    ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
}

static const err_code codes[] = {OK,          ERR_DIFFERENT, ERR_NUMERIC,
                                 ERR_DAMAGED, ERR_INPUT,     ERR_MEMORY};

static bool is_finding(err_code code)
{
    return code == ERR_DAMAGED || code == ERR_INPUT;
}

static err_code end_with(err_code code)
{
    e = (err){.code = code, .text = "so far"};
    return pack_end(p, NULL, code, &e);
}

START_TEST(unchanged_file_keeps_the_result)
{
    ck_assert_int_eq(end_with(codes[_i]), codes[_i]);
    ck_assert_str_eq(e.text, "so far");
}
END_TEST

/* Only permissions are others: what was right is still right, what was wrong may have been a
 * change in between. */
START_TEST(touched_file_is_read_again)
{
    ck_assert_int_eq(chmod(scratch("p"), 0400), 0);
    ck_assert_int_eq(end_with(codes[_i]), is_finding(codes[_i]) ? ERR_IO : codes[_i]);
}
END_TEST

/* Where the byte is that changes: in a section, or in both ends. */
static uint64_t place(int i)
{
    const uint64_t places[] = {
        100,
        small.length - 1000,
        small_pack_section(&small, TAG_CHNK)->off,
        small_pack_section(&small, TAG_TDIG)->off,
        small_pack_section(&small, TAG_STAT)->off,
        small.table.records[0].off,
        small.table.records[small.table.count - 1].off,
    };
    ck_assert_int_lt(i, COUNT(places));
    return places[i];
}

START_TEST(changed_bytes_overrule_every_result)
{
    change(place(_i));
    for (int k = 0; k < COUNT(codes); k++) {
        const err_code expected = codes[k] == ERR_MEMORY ? ERR_MEMORY : ERR_IO;
        ck_assert_int_eq(end_with(codes[k]), expected);
        ck_assert_str_eq(e.text + (expected == ERR_IO ? strlen(scratch("p")) : 0),
                         expected == ERR_IO ? ": changed during the run: other content with the "
                                              "old modification time"
                                            : "so far");
    }
}
END_TEST

START_TEST(other_length_overrules_every_result)
{
    ck_assert_int_eq(truncate(scratch("p"), (off_t)small.length + 1), 0);
    ck_assert_int_eq(end_with(codes[_i]), codes[_i] == ERR_MEMORY ? ERR_MEMORY : ERR_IO);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pack_end");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, unchanged_file_keeps_the_result, 0, COUNT(codes));
    tcase_add_loop_test(tc, touched_file_is_read_again, 0, COUNT(codes));
    tcase_add_loop_test(tc, changed_bytes_overrule_every_result, 0, 7);
    tcase_add_loop_test(tc, other_length_overrules_every_result, 0, COUNT(codes));
    return run_tests("pack_end", tc);
}
