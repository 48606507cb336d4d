/* Outputs on a full disk, a read-only one and in a directory without permission; permissions of
 * outputs. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/aid/output_case.h"

/* ---- permissions ----------------------------------------------- */

START_TEST(permissions_follow_the_umask)
{
    static const mode_t masks[] = {022, 027, 077, 0};
    struct stat st;
    err e = {0};
    for (int i = 0; i < COUNT(masks); i++) {
        umask(masks[i]);
        output *out = opened("a", true);
        ck_assert_int_eq(fstat(output_descriptor(out), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0600); /* nobody reads a half-written file */
        expect_ok(output_commit(&out, &e), &e);
        ck_assert_int_eq(stat(scratch("a"), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0666 & ~masks[i]);
        ck_assert_uint_eq(umask(022), masks[i]);
        ck_assert_int_eq(unlink(scratch("a")), 0);
    }
}
END_TEST

/* A private file stays private; the permissions of a link mean nothing. */
START_TEST(permissions_of_the_old_file_stay)
{
    static const mode_t modes[] = {0600, 0640, 0444};
    struct stat st;
    umask(022);
    for (int i = 0; i < COUNT(modes); i++) {
        scratch_text("a", "old");
        ck_assert_int_eq(chmod(scratch("a"), modes[i]), 0);
        write_and_commit("a", true, "new");
        ck_assert_int_eq(stat(scratch("a"), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, modes[i]);
        ck_assert_int_eq(unlink(scratch("a")), 0);
    }
    scratch_text("private", "old");
    ck_assert_int_eq(chmod(scratch("private"), 0600), 0);
    ck_assert_int_eq(symlink("private", scratch("a")), 0);
    write_and_commit("a", true, "new");
    ck_assert_int_eq(lstat(scratch("a"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0644);
}
END_TEST

/* ---- disks ----------------------------------------------------- */

/* Mount a new file system on scratch("disk"), in a mount namespace that ends with this process.
 * False if this system does not allow that; the reason is printed. */
static bool mount_disk(const char *options, unsigned long flags)
{
    ck_assert_int_eq(mkdir(scratch("disk"), 0777), 0);
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        printf("skipped: no mount namespace: %s\n", strerror(errno));
        return false;
    }
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("disk", scratch("disk"), "tmpfs", flags, options) != 0) {
        printf("skipped: cannot mount: %s\n", strerror(errno));
        return false;
    }
    return true;
}

START_TEST(full_disk_is_said_at_once)
{
    err e = {0};
    if (mount_disk("size=1m", 0)) {
        output *out = opened("disk/a", false);
        expect_ok(output_reserve(out, 512 << 10, &e), &e);
        expect_error(output_reserve(out, 2 << 20, &e), ERR_IO, &e,
                     "cannot reserve 2097152 bytes: No space left");
        char *const data = calloc(1, 2 << 20);
        expect_error(output_write(out, 0, data, 2 << 20, &e), ERR_IO, &e, "No space left");
        free(data);
        output_abandon(&out);
        ck_assert_int_eq(count_entries("disk"), 0);
        umount(scratch("disk"));
    }
}
END_TEST

START_TEST(read_only_disk_is_refused)
{
    if (mount_disk("size=1m", MS_RDONLY)) {
        expect_refused("disk/a", false, "Read-only file system");
        ck_assert_int_eq(count_entries("disk"), 0);
        umount(scratch("disk"));
    }
}
END_TEST

/* Root may write everywhere, so root becomes nobody for this test. */
START_TEST(closed_directory_is_refused)
{
    const bool root = geteuid() == 0;
    ck_assert_int_eq(mkdir(scratch("closed"), 0555), 0);
    ck_assert_int_eq(chmod(scratch(""), 0755), 0);
    ck_assert(!root || seteuid(65534) == 0);
    expect_refused("closed/a", false, "Permission denied");
    expect_refused("closed/a", true, "Permission denied");
    ck_assert(!root || seteuid(0) == 0);
    ck_assert_int_eq(count_entries("closed"), 0);
}
END_TEST

static void ignore_alarm(int number)
{
    (void)number;
}

/* A signal with a handler must not make a reservation fail: tmpfs returns EINTR then on Linux 6.1,
 * but not on later versions. */
START_TEST(signals_do_not_disturb)
{
    enum { BYTES = 48 << 20 };
    err e = {0};
    if (!mount_disk("size=64m", 0)) {
        return;
    }
    const struct sigaction action = {.sa_handler = ignore_alarm};
    const struct itimerval soon = {.it_value = {.tv_usec = 2000}};
    output *out = opened("disk/a", false);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    expect_ok(output_reserve(out, BYTES, &e), &e);
    output_abandon(&out);
    umount(scratch("disk"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("output_disk");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, permissions_follow_the_umask);
    tcase_add_test(tc, permissions_of_the_old_file_stay);
    tcase_add_test(tc, full_disk_is_said_at_once);
    tcase_add_test(tc, read_only_disk_is_refused);
    tcase_add_test(tc, closed_directory_is_refused);
    tcase_add_test(tc, signals_do_not_disturb);
    return run_tests("output_disk", tc);
}
