/* What tells that a file is another one by now, and what only asks for a second look. */
#include <sys/stat.h>

#include "format/file/file_stamp.h"
#include "tests/aid/expect.h"

/* Every field has a value of its own, so that none stands in for another. */
static struct stat a_file(void)
{
    struct stat st = {.st_size = 1000, .st_dev = 7, .st_ino = 9};
    st.st_mtim = (struct timespec){.tv_sec = 11, .tv_nsec = 13};
    st.st_ctim = (struct timespec){.tv_sec = 17, .tv_nsec = 19};
    return st;
}

static void expect_changed(const struct stat *now, const char *part)
{
    const struct stat before = a_file();
    const file_stamp s = file_stamp_of(&before);
    bool touched = true;
    err e = {0};
    expect_error(file_stamp_check(&s, now, "model", &touched, &e), ERR_IO, &e, part);
    ck_assert(!touched);
}

static bool touched_by(const struct stat *now)
{
    const struct stat before = a_file();
    const file_stamp s = file_stamp_of(&before);
    bool touched = false;
    err e = {0};
    expect_ok(file_stamp_check(&s, now, "model", &touched, &e), &e);
    return touched;
}

START_TEST(another_file)
{
    struct stat now = a_file();
    now.st_size++;
    expect_changed(&now, "model: changed during the run: expected 1000 bytes, found 1001");
    now = a_file();
    now.st_mtim.tv_nsec++;
    expect_changed(&now, "another modification time");
    now = a_file();
    now.st_mtim.tv_sec--;
    expect_changed(&now, "another modification time");
    now = a_file();
    now.st_dev++;
    expect_changed(&now, "replaced by another file");
    now = a_file();
    now.st_ino++;
    expect_changed(&now, "replaced by another file");
    now.st_ctim.tv_sec++; /* a changed file is never only touched */
    expect_changed(&now, "replaced by another file");
}
END_TEST

START_TEST(the_same_file)
{
    struct stat now = a_file();
    ck_assert(!touched_by(&now));
    now.st_atim.tv_sec = 23;
    now.st_nlink = 2;
    ck_assert(!touched_by(&now));
    now.st_ctim.tv_nsec++;
    ck_assert(touched_by(&now));
    now = a_file();
    now.st_ctim.tv_sec--;
    ck_assert(touched_by(&now));
}
END_TEST

static void keep_note(void *ctx, const char *text)
{
    snprintf(ctx, 200, "%s", text);
}

START_TEST(what_is_said_of_a_touched_file)
{
    char note[200] = "";
    const monitor m = {.note = keep_note, .ctx = note};
    err e = {0};
    file_stamp_note(&m, "model");
    ck_assert_ptr_nonnull(strstr(note, "model: permissions, owner or links changed"));
    file_stamp_note(NULL, "model");
    expect_error(file_stamp_refuse("model", &e), ERR_IO, &e,
                 "model: changed during the run: other content with the old modification time");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("file_stamp");
    tcase_add_test(tc, another_file);
    tcase_add_test(tc, the_same_file);
    tcase_add_test(tc, what_is_said_of_a_touched_file);
    return run_tests("file_stamp", tc);
}
