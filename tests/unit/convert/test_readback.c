/* Reading back: what the disk holds is compared with what was written, all of it. */
#include <check.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/conversion.h"
#include "tests/aid/made_checkpoint.h"
#include "tests/aid/packed_check.h"

static made_checkpoint made;

static void setup(void)
{
    conversion_setup();
    conversion_make_small(&made);
}

static void teardown(void)
{
    made_free(&made);
    scratch_remove();
}

static bool on_tmpfs(void)
{
    struct statfs fs;
    ck_assert_int_eq(statfs(scratch(""), &fs), 0);
    if (fs.f_type == TMPFS_MAGIC) {
        printf("skipped: nothing is read back on tmpfs\n");
    }
    return fs.f_type == TMPFS_MAGIC;
}

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

START_TEST(what_the_disk_changed_is_found)
{
    saboteur s = {.stage = "read back", .act = flip_written};
    conversion r = conversion_with(2, PLENTY * MIB);
    if (on_tmpfs()) {
        return;
    }
    flip_at = (uint64_t)_i;
    r.prepared = choose_place;
    r.m = (monitor){.stage = at_stage, .advance = at_progress, .ctx = &s};
    conversion_fails(&r, ERR_IO, "the bytes read back differ from those written (offset");
    ck_assert_int_eq(s.acted, 1);
    s.acted = 0;
    r.options.read_back = false; /* nothing is compared */
    r.prepared = NULL;
    conversion_succeeds(&r);
    ck_assert_int_eq(s.acted, 0);
    ck_assert(r.report.read_back_skipped);
    ck_assert(r.report.read_back_seconds == 0);
}
END_TEST

START_TEST(memory_is_not_read_back)
{
    conversion r = conversion_with(2, PLENTY * MIB);
    if (conversion_mount("size=8m")) {
        conversion_succeeds(&r);
        ck_assert(r.report.read_back_skipped);
        packed_check(scratch("out/p"), &made, false, DIGEST_XXH3);
        umount(scratch("out"));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("readback");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_the_disk_changed_is_found, 0, COUNT(places));
    tcase_add_test(tc, memory_is_not_read_back);
    return run_tests("readback", tc);
}
