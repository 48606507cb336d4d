/* A file that appears complete or not at all, whatever is in the way. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/aid/output_case.h"

/* ---- the life of a file ---------------------------------------- */

START_TEST(appears_at_commit)
{
    err e = {0};
    output *out = opened("a", false);
    ck_assert_int_ne(access(scratch("a"), F_OK), 0);
    ck_assert_int_eq(access(scratch(".a.part"), F_OK), 0);
    ck_assert_str_eq(output_part_path(out), scratch(".a.part"));
    expect_ok(output_write(out, 4, "5678", 4, &e), &e);
    expect_ok(output_write(out, 0, "1234", 4, &e), &e);
    char back[8];
    ck_assert_int_eq(pread(output_descriptor(out), back, 8, 0), 8);
    ck_assert_mem_eq(back, "12345678", 8);
    expect_ok(output_sync(out, &e), &e);
    expect_ok(output_commit(&out, &e), &e);
    output_abandon(&out);
    expect_text_of("a", "12345678");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(a_file_in_one_step)
{
    err e = {0};
    expect_ok(output_write_file(scratch("a"), "whole", 5, &e), &e);
    expect_text_of("a", "whole");
    expect_error(output_write_file(scratch("a"), "other", 5, &e), ERR_IO, &e, "exists");
    expect_text_of("a", "whole");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(relative_names_work)
{
    err e = {0};
    output *out = NULL;
    ck_assert_int_eq(chdir(scratch("")), 0);
    expect_ok(output_open("a", false, &out, &e), &e);
    ck_assert_str_eq(output_part_path(out), ".a.part");
    expect_ok(output_commit(&out, &e), &e);
    expect_text_of("a", "");
}
END_TEST

START_TEST(abandon_leaves_nothing)
{
    err e = {0};
    output *out = opened("a", false);
    expect_ok(output_write(out, 0, "x", 1, &e), &e);
    output_abandon(&out);
    ck_assert_ptr_null(out);
    output_abandon(&out);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(unwritten_parts_are_zero)
{
    err e = {0};
    scratch_text(".a.part", "stale bytes of a run that was killed");
    output *out = opened("a", false);
    expect_ok(output_reserve(out, 16, &e), &e);
    expect_ok(output_write(out, 8, "x", 1, &e), &e);
    expect_ok(output_commit(&out, &e), &e);
    char found[32];
    FILE *const f = fopen(scratch("a"), "rb");
    ck_assert_uint_eq(fread(found, 1, sizeof found, f), 16);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_mem_eq(found, "\0\0\0\0\0\0\0\0x\0\0\0\0\0\0\0", 16);
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(large_writes_arrive)
{
    enum { BYTES = 3 << 20 };
    err e = {0};
    char *const data = malloc(BYTES);
    char *const back = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        data[i] = (char)(i * 7 >> 5);
    }
    output *out = opened("a", false);
    expect_ok(output_reserve(out, 2 * (uint64_t)BYTES, &e), &e);
    expect_ok(output_write(out, 12345, data, BYTES, &e), &e);
    ck_assert_int_eq(pread(output_descriptor(out), back, BYTES, 12345), BYTES);
    ck_assert_mem_eq(data, back, BYTES);
    output_abandon(&out);
    free(data);
    free(back);
}
END_TEST

/* ---- existing files -------------------------------------------- */

/* In memory, where helper threads allocate pages: once it is synced, nothing changes the file, so
 * that a check of the result does not find a write still going on. */
START_TEST(a_synced_file_rests)
{
    enum { LARGE = 256 << 20 };
    char path[64] = "/dev/shm/octavo-test-XXXXXX";
    output *out = NULL;
    struct stat before;
    struct stat after;
    err e = {0};
    ck_assert_ptr_nonnull(mkdtemp(path));
    const size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/file");
    expect_ok(output_open(path, false, &out, &e), &e);
    expect_ok(output_reserve(out, LARGE, &e), &e);
    expect_ok(output_write(out, LARGE - 5, "fresh", 5, &e), &e);
    expect_ok(output_sync(out, &e), &e);
    ck_assert_int_eq(fstat(output_descriptor(out), &before), 0);
    usleep(50000);
    ck_assert_int_eq(fstat(output_descriptor(out), &after), 0);
    ck_assert_int_eq(before.st_blocks, after.st_blocks);
    ck_assert_mem_eq(&before.st_mtim, &after.st_mtim, sizeof after.st_mtim);
    output_abandon(&out);
    path[length] = '\0';
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(existing_file_needs_force)
{
    err e = {0};
    output *out = NULL;
    scratch_text("a", "old");
    ck_assert_int_eq(output_open(scratch("a"), false, &out, &e), ERR_IO);
    ck_assert_str_eq(e.hint, "-f replaces it");
    expect_refused("a", false, "a: exists");
    ck_assert_int_eq(count_entries(""), 1);
    write_and_commit("a", true, "new");
    expect_text_of("a", "new");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(old_file_stays_until_commit)
{
    scratch_text("a", "old");
    output *out = opened("a", true);
    err e = {0};
    expect_ok(output_write(out, 0, "new", 3, &e), &e);
    expect_ok(output_sync(out, &e), &e);
    expect_text_of("a", "old");
    output_abandon(&out);
    expect_text_of("a", "old");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

/* A file that somebody else created during the run is not replaced. */
START_TEST(late_rival_is_not_replaced)
{
    err e = {0};
    output *out = opened("a", false);
    scratch_text("a", "rival");
    expect_error(output_commit(&out, &e), ERR_IO, &e, "cannot rename");
    ck_assert_ptr_nonnull(out);
    output_abandon(&out);
    expect_text_of("a", "rival");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(only_files_are_replaced)
{
    ck_assert_int_eq(mkdir(scratch("dir"), 0777), 0);
    ck_assert_int_eq(mkfifo(scratch("fifo"), 0666), 0);
    ck_assert_int_eq(symlink("fifo", scratch("to-fifo")), 0);
    ck_assert_int_eq(symlink("/dev/null", scratch("to-device")), 0);
    for (int force = 0; force < 2; force++) {
        expect_refused("dir", force, "not a regular file");
        expect_refused("fifo", force, "not a regular file");
        expect_refused("to-fifo", force, "not a regular file");
        expect_refused("to-device", force, "not a regular file");
        expect_refused("dir/", force, "not the name of a file");
        expect_refused("dir/.", force, "not the name of a file");
        expect_refused("dir/..", force, "not the name of a file");
        expect_refused("none/a", force, "No such file or directory");
        expect_refused("fifo/a", force, "Not a directory");
    }
    ck_assert_int_eq(count_entries(""), 4);
    ck_assert_int_eq(count_entries("dir"), 0);
}
END_TEST

/* A link is replaced; its target stays as it is. */
START_TEST(links_are_replaced_not_followed)
{
    struct stat st;
    scratch_text("target", "target");
    ck_assert_int_eq(symlink("target", scratch("link")), 0);
    ck_assert_int_eq(symlink("nowhere", scratch("dangling")), 0);
    ck_assert_int_eq(symlink("link", scratch("twice")), 0);
    static const char *const links[] = {"link", "dangling", "twice"};
    for (int i = 0; i < COUNT(links); i++) {
        expect_refused(links[i], false, "exists");
        write_and_commit(links[i], true, "new");
        ck_assert_int_eq(lstat(scratch(links[i]), &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        expect_text_of(links[i], "new");
    }
    expect_text_of("target", "target");
    ck_assert_int_ne(access(scratch("nowhere"), F_OK), 0);
}
END_TEST

/* What has the name of the temporary file is replaced only if a killed run could have left it. */
START_TEST(strange_part_is_refused)
{
    struct stat st;
    scratch_text("victim", "victim");
    ck_assert_int_eq(symlink("victim", scratch(".a.part")), 0);
    expect_refused("a", true, ".a.part: not a regular file");
    expect_text_of("victim", "victim");
    ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    ck_assert_int_eq(mkfifo(scratch(".a.part"), 0666), 0);
    expect_refused("a", true, "not a regular file");
    ck_assert_int_eq(lstat(scratch(".a.part"), &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    ck_assert_int_eq(mkdir(scratch(".a.part"), 0777), 0);
    expect_refused("a", true, ".a.part: not a regular file");
}
END_TEST

/* A run that was killed between link and unlink leaves two names of one complete file, which must
 * not be emptied. */
START_TEST(finished_file_under_both_names)
{
    scratch_text("a", "complete");
    ck_assert_int_eq(link(scratch("a"), scratch(".a.part")), 0);
    output *out = opened("a", true);
    expect_text_of("a", "complete");
    output_abandon(&out);
    expect_text_of("a", "complete");
    ck_assert_int_eq(link(scratch("a"), scratch(".a.part")), 0);
    write_and_commit("a", true, "new");
    expect_text_of("a", "new");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

START_TEST(long_names_are_refused)
{
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    expect_refused(name, false, "File name too long");
    name[249] = '\0'; /* and with the dot and ".part" 255 bytes */
    write_and_commit(name, false, "x");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

/* ---- one writer at a time -------------------------------------- */

START_TEST(second_writer_is_refused)
{
    err e = {0};
    output *out = opened("a", false);
    expect_ok(output_write(out, 0, "first", 5, &e), &e);
    expect_refused("a", false, "another run is writing it");
    expect_refused("a", true, "another run is writing it");
    output *other = opened("b", false); /* another file in the same directory is free */
    output_abandon(&other);
    expect_ok(output_commit(&out, &e), &e);
    expect_text_of("a", "first");
    write_and_commit("a", true, "second");
    expect_text_of("a", "second");
}
END_TEST

START_TEST(abandon_makes_room)
{
    output *out = opened("a", false);
    output_abandon(&out);
    out = opened("a", false);
    output_abandon(&out);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

/* The lock ends with the process: what a killed run left is taken over. */
START_TEST(killed_run_leaves_no_lock)
{
    int ready[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        output *out = NULL;
        const bool fine = output_open(scratch("a"), false, &out, NULL) == OK &&
                          output_write(out, 0, "half", 4, NULL) == OK &&
                          write(ready[1], "x", 1) == 1;
        if (fine) {
            pause();
        }
        _exit(1);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    expect_refused("a", false, "another run is writing it");
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    expect_text_of(".a.part", "half");
    write_and_commit("a", false, "new");
    expect_text_of("a", "new");
    ck_assert_int_eq(count_entries(""), 1);
}
END_TEST

/* If somebody moved the temporary file away and created another, the other one is not removed. */
START_TEST(abandon_removes_its_own_file_only)
{
    output *out = opened("a", false);
    ck_assert_int_eq(rename(scratch(".a.part"), scratch("moved")), 0);
    scratch_text(".a.part", "not ours");
    output_abandon(&out);
    expect_text_of(".a.part", "not ours");
}
END_TEST

/* Nor is it published. */
START_TEST(commit_publishes_its_own_file_only)
{
    err e = {0};
    output *out = opened("a", false);
    ck_assert_int_eq(unlink(scratch(".a.part")), 0);
    if (_i) {
        scratch_text(".a.part", "not ours");
    }
    expect_error(output_commit(&out, &e), ERR_IO, &e, "was removed or replaced during the run");
    output_abandon(&out);
    ck_assert_int_ne(access(scratch("a"), F_OK), 0);
    ck_assert_int_eq(count_entries(""), _i);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("output");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, appears_at_commit);
    tcase_add_test(tc, a_file_in_one_step);
    tcase_add_test(tc, relative_names_work);
    tcase_add_test(tc, abandon_leaves_nothing);
    tcase_add_test(tc, unwritten_parts_are_zero);
    tcase_add_test(tc, large_writes_arrive);
    tcase_add_test(tc, a_synced_file_rests);
    tcase_add_test(tc, existing_file_needs_force);
    tcase_add_test(tc, old_file_stays_until_commit);
    tcase_add_test(tc, late_rival_is_not_replaced);
    tcase_add_test(tc, only_files_are_replaced);
    tcase_add_test(tc, links_are_replaced_not_followed);
    tcase_add_test(tc, strange_part_is_refused);
    tcase_add_test(tc, finished_file_under_both_names);
    tcase_add_test(tc, long_names_are_refused);
    tcase_add_test(tc, second_writer_is_refused);
    tcase_add_test(tc, abandon_makes_room);
    tcase_add_test(tc, killed_run_leaves_no_lock);
    tcase_add_test(tc, abandon_removes_its_own_file_only);
    tcase_add_loop_test(tc, commit_publishes_its_own_file_only, 0, 2);
    return run_tests("output", tc);
}
