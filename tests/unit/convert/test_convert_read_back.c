/* A conversion whose file changes between the last write and the rename. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/small_conversion.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/packed_check.h"

static uint64_t flip_at;

static void flip_written(void)
{
    unsigned char byte = 0;
    const int fd = open(scratch("out/.p.part"), O_RDWR);
    if (pread(fd, &byte, 1, (off_t)flip_at) == 1) {
        byte ^= 1;
        (void)!pwrite(fd, &byte, 1, (off_t)flip_at);
    }
    close(fd);
}

/* Where to flip a byte, by record name; NULL: the places at both ends. */
static uint64_t place_of(const char *name, const plan *p)
{
    if (!name) {
        return p->table.data_end + 17; /* in the tail */
    }
    const pack_record *const r = pack_table_find(&p->table, name);
    return r ? r->off + r->len - 1 : 100; /* else in the head */
}

static const char *const places[] = {"", "h.0.w1", "h.0.w1_scale_inv", "h.3.norm", "h.2.w1", NULL};

static void choose_place(convert_job *job)
{
    flip_at = place_of(places[flip_at], &job->plan);
}

static void flipped_byte_is_found(uint64_t place)
{
    saboteur s = {.stage = "read back", .act = flip_written};
    conversion r = conversion_with(2, PLENTY * MIB);
    flip_at = place;
    r.prepared = choose_place;
    r.m = (monitor){.stage = at_stage, .advance = at_progress, .ctx = &s};
    conversion_fails(&r, ERR_IO, "the bytes read back differ from those written");
    ck_assert_int_eq(s.acted, 1);
}

START_TEST(what_the_disk_changed_is_found)
{
    flipped_byte_is_found((uint64_t)_i);
}
END_TEST

START_TEST(the_old_file_stays)
{
    saboteur s = {.stage = "read back", .act = flip_written};
    conversion r = conversion_with(2, PLENTY * MIB);
    flip_at = 0;
    r.prepared = choose_place;
    r.options.force = true;
    r.m = (monitor){.stage = at_stage, .ctx = &s};
    char old[4] = "";
    scratch_text("out/p", "old");
    expect_error(conversion_run(&r), ERR_IO, &r.e, "the bytes read back differ");
    const int fd = open(scratch("out/p"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, old, sizeof old), 3);
    ck_assert_str_eq(old, "old");
    close(fd);
    ck_assert_int_eq(conversion_entries("out"), 1);
}
END_TEST

START_TEST(without_a_check_nothing_is_read)
{
    saboteur s = {.stage = "read back", .act = flip_written};
    conversion r = conversion_with(2, PLENTY * MIB);
    r.options.check = NULL;
    r.m = (monitor){.stage = at_stage, .ctx = &s};
    conversion_succeeds(&r);
    ck_assert_int_eq(s.acted, 0);
    ck_assert(!r.report.read_back);
    ck_assert(r.report.read_back_seconds == 0);
}
END_TEST

START_TEST(memory_is_read_back_too)
{
    conversion r = conversion_with(2, PLENTY * MIB);
    if (conversion_mount("size=8m")) {
        flipped_byte_is_found((uint64_t)_i);
        conversion_succeeds(&r);
        ck_assert(r.report.read_back);
        packed_check(scratch("out/p"), &made, false, DIGEST_XXH3);
        umount(scratch("out"));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("convert_read_back");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_the_disk_changed_is_found, 0, COUNT(places));
    tcase_add_test(tc, the_old_file_stays);
    tcase_add_test(tc, without_a_check_nothing_is_read);
    tcase_add_loop_test(tc, memory_is_read_back_too, 0, COUNT(places));
    return run_tests("convert_read_back", tc);
}
