/* What somebody has put under a temporary name in advance is not used, and what a killed run left is. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/output/output_dir.h"
#include "format/output/part.h"
#include "format/output/whole_dir.h"
#include "tests/aid/output_case.h"

enum { SOMEBODY = 4711 };

static void setup(void)
{
    umask(022);
    scratch_make();
}

static void plant(const char *name, const char *text, mode_t mode)
{
    scratch_text(name, text);
    ck_assert_int_eq(chmod(scratch(name), mode), 0);
}

static void plant_directory(const char *name, mode_t mode)
{
    ck_assert_int_eq(mkdir(scratch(name), 0700), 0);
    ck_assert_int_eq(chmod(scratch(name), mode), 0);
}

static struct stat stat_of(const char *name)
{
    struct stat st;
    ck_assert_msg(lstat(scratch(name), &st) == 0, "%s is not there", name);
    return st;
}

/* ERR_IO, and the hint says what to remove. */
static void expect_hint(err_code code, err *e, const char *why)
{
    ck_assert_msg(strstr(e->hint, "remove") != NULL, "%s: no hint: %s", e->text, e->hint);
    expect_error(code, ERR_IO, e, why);
}

static void refused_with_hint(const char *name, const char *why)
{
    output *out = NULL;
    err e = {0};
    expect_hint(output_open(scratch(name), true, &out, &e), &e, why);
    ck_assert_int_ne(access(scratch(PART_PROBE), F_OK), 0);
}

static void directory_refused(const char *name, const char *why)
{
    whole_dir *w = NULL;
    output_dir *d = NULL;
    const char *const none[] = {"a"};
    err e = {0};
    expect_hint(whole_dir_open(scratch(name), true, "list", &w, &e), &e, why);
    expect_hint(output_dir_open(scratch(name), true, none, 1, &d, &e), &e, why);
    ck_assert_int_ne(access(scratch(PART_PROBE), F_OK), 0);
}

static bool can_give_away(void)
{
    return geteuid() == 0; /* otherwise there is no way to make a file of another user */
}

/* ---- files ----------------------------------------------------- */

START_TEST(a_private_file_is_used)
{
    plant(".a.part", "left by a killed run", 0600);
    const ino_t left = stat_of(".a.part").st_ino;
    output *out = opened("a", false);
    const struct stat st = stat_of(".a.part");
    ck_assert(st.st_ino == left && st.st_size == 0);
    output_abandon(&out);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

/* A run that was killed just before the rename. Others may have opened the file: it is not used. */
START_TEST(a_finished_file_is_replaced)
{
    plant(".a.part", "finished", 0644);
    const int other = open(scratch(".a.part"), O_RDONLY);
    output *out = opened("a", false);
    err e = {0};
    char found = 0;
    expect_ok(output_write(out, 0, "secret", 6, &e), &e);
    ck_assert_int_eq(stat_of(".a.part").st_mode & 07777, 0600);
    ck_assert(pread(other, &found, 1, 0) == 1 && found == 'f');
    output_abandon(&out);
    close(other);
    plant("b", "private", 0600); /* the mode that the new file will get is 0600 */
    plant(".b.part", "public", 0644);
    refused_with_hint("b", ".b.part: has mode 0644, so others may have opened it");
}
END_TEST

START_TEST(a_wider_mode_is_refused)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0666, 0777, 0601, 04600, 01600};
    for (int i = 0; i < COUNT(modes); i++) {
        plant(".a.part", "planted", modes[i]);
        refused_with_hint("a", ", so others may have opened it");
        expect_text_of(".a.part", "planted");
    }
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(another_name_is_refused)
{
    plant("mine", "mine", 0600);
    ck_assert_int_eq(link(scratch("mine"), scratch(".a.part")), 0);
    refused_with_hint("a", ".a.part: has another name as well");
    expect_text_of("mine", "mine");
    ck_assert_int_eq(unlink(scratch("mine")), 0);
    output *out = opened("a", false);
    output_abandon(&out);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(other_kinds_are_refused)
{
    ck_assert_int_eq(symlink("nowhere", scratch(".a.part")), 0);
    refused_with_hint("a", "not a regular file");
    ck_assert_int_ne(access(scratch("nowhere"), F_OK), 0);
    ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    ck_assert_int_eq(mkfifo(scratch(".a.part"), 0600), 0);
    refused_with_hint("a", "not a regular file");
    ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    plant_directory(".a.part", 0700);
    refused_with_hint("a", "not a regular file");
}
END_TEST

/* The owner counts, even in a directory in which everybody may create files. */
START_TEST(another_owner_is_refused)
{
    static const mode_t around[] = {0755, 0777, 01777};
    if (!can_give_away()) {
        return;
    }
    for (int i = 0; i < COUNT(around); i++) {
        ck_assert_int_eq(chmod(scratch(""), around[i]), 0);
        plant(".a.part", "planted", 0600);
        ck_assert_int_eq(chown(scratch(".a.part"), SOMEBODY, SOMEBODY), 0);
        refused_with_hint("a", ".a.part: belongs to user 4711, a new file here belongs to user 0");
        expect_text_of(".a.part", "planted");
        ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    }
}
END_TEST

/* Whatever the umask is, the owner can use the temporary file, and a later run as well. */
START_TEST(any_umask)
{
    static const mode_t masks[] = {0, 077, 0277, 0777};
    for (int i = 0; i < COUNT(masks); i++) {
        umask(masks[i]);
        output *out = opened("a", false);
        err e = {0};
        ck_assert_int_eq(stat_of(".a.part").st_mode & 07777, 0600);
        expect_ok(output_commit(&out, &e), &e);
        ck_assert_uint_eq(stat_of("a").st_mode & 07777, 0666U & ~masks[i]);
        ck_assert_int_eq(unlink(scratch("a")), 0);
        whole_dir *d = NULL;
        expect_ok(whole_dir_open(scratch("d"), false, "list", &d, &e), &e);
        ck_assert_int_eq(stat_of(".d.part").st_mode & 07777, 0700);
        whole_dir_abandon(&d);
    }
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

/* ---- directories ----------------------------------------------- */

START_TEST(a_private_directory_is_used)
{
    static const mode_t modes[] = {0700, 0755, 0711, 02700};
    for (int i = 0; i < COUNT(modes); i++) {
        plant_directory(".d.part", modes[i]);
        whole_dir *d = NULL;
        err e = {0};
        expect_ok(whole_dir_open(scratch("d"), false, "list", &d, &e), &e);
        ck_assert_int_eq(stat_of(".d.part").st_mode & 0777, 0700);
        whole_dir_abandon(&d);
    }
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(a_planted_directory_is_refused)
{
    static const mode_t modes[] = {0777, 0775, 01777, 0720};
    for (int i = 0; i < COUNT(modes); i++) {
        plant_directory(".d.part", modes[i]);
        directory_refused("d", ", so others may have opened it");
        ck_assert_int_eq(rmdir(scratch(".d.part")), 0);
    }
    plant_directory("elsewhere", 0700);
    ck_assert_int_eq(symlink("elsewhere", scratch(".d.part")), 0);
    directory_refused("d", ".d.part: not a directory");
    ck_assert_int_eq(unlink(scratch(".d.part")), 0);
    if (can_give_away()) {
        plant_directory(".d.part", 0700);
        ck_assert_int_eq(chown(scratch(".d.part"), SOMEBODY, SOMEBODY), 0);
        directory_refused("d", ".d.part: belongs to user 4711");
        ck_assert_int_eq(stat_of(".d.part").st_mode & 07777, 0700);
    }
}
END_TEST

/* Files are made in the directory that was opened, wherever its name leads by now. */
START_TEST(an_exchanged_directory_gets_nothing)
{
    whole_dir *d = NULL;
    const char *const list[] = {"a"};
    err e = {0};
    expect_ok(whole_dir_open(scratch("d"), false, "list", &d, &e), &e);
    ck_assert_int_eq(rename(scratch(".d.part"), scratch("moved")), 0);
    plant_directory(".d.part", 0777);
    expect_ok(whole_dir_list(d, list, 1, "{}", &e), &e);
    expect_ok(whole_dir_put(d, "a", "secret", 6, &e), &e);
    ck_assert_int_eq(count_entries(".d.part"), 0);
    ck_assert_int_eq(count_entries("moved"), 2);
    expect_error(whole_dir_commit(&d, &e), ERR_IO, &e, "was removed or replaced during the run");
    whole_dir_abandon(&d);
    ck_assert_int_ne(access(scratch("d"), F_OK), 0);
    ck_assert_int_eq(count_entries(".d.part"), 0);
}
END_TEST

START_TEST(no_file_is_taken_over_in_it)
{
    whole_dir *d = NULL;
    err e = {0};
    expect_ok(whole_dir_open(scratch("d"), false, "list", &d, &e), &e);
    plant(".d.part/.a.part", "planted", 0600);
    expect_error(whole_dir_put(d, "a", "1", 1, &e), ERR_IO, &e, ".a.part: cannot create");
    expect_text_of(".d.part/.a.part", "planted");
    ck_assert_int_eq(unlink(scratch(".d.part/.a.part")), 0);
    whole_dir_abandon(&d);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

/* ---- the probe ------------------------------------------------- */

START_TEST(a_left_probe_is_removed)
{
    plant(".a.part", "left", 0600);
    plant(PART_PROBE, "", 0600);
    output *out = opened("a", false);
    output_abandon(&out);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(other_probes_stay)
{
    output *out = NULL;
    err e = {0};
    plant(".a.part", "left", 0600);
    plant(PART_PROBE, "mine", 0600);
    expect_error(output_open(scratch("a"), false, &out, &e), ERR_IO, &e,
                 PART_PROBE ": cannot create: File exists");
    expect_text_of(PART_PROBE, "mine");
    ck_assert_int_eq(unlink(scratch(PART_PROBE)), 0);
    ck_assert_int_eq(symlink("nowhere", scratch(PART_PROBE)), 0);
    expect_error(output_open(scratch("a"), false, &out, &e), ERR_IO, &e,
                 PART_PROBE ": cannot create: File exists");
    ck_assert_int_eq(unlink(scratch(PART_PROBE)), 0);
    expect_text_of(".a.part", "left");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_owner");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, a_private_file_is_used);
    tcase_add_test(tc, a_finished_file_is_replaced);
    tcase_add_test(tc, a_wider_mode_is_refused);
    tcase_add_test(tc, another_name_is_refused);
    tcase_add_test(tc, other_kinds_are_refused);
    tcase_add_test(tc, another_owner_is_refused);
    tcase_add_test(tc, any_umask);
    tcase_add_test(tc, a_private_directory_is_used);
    tcase_add_test(tc, a_planted_directory_is_refused);
    tcase_add_test(tc, an_exchanged_directory_gets_nothing);
    tcase_add_test(tc, no_file_is_taken_over_in_it);
    tcase_add_test(tc, a_left_probe_is_removed);
    tcase_add_test(tc, other_probes_stay);
    return run_tests("part_owner", tc);
}
