/* The sandbox: each attempt is made by a process of its own, which enters the sandbox first. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bin/sandbox/sandbox.h"
#include "format/file/temp_file.h"
#include "tests/aid/scratch.h"

typedef int (*attempt)(const char *path); /* 0, or the errno of a refusal */

/* ---- attempts -------------------------------------------------- */

static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int reads(const char *path)
{
    return result(open(path, O_RDONLY | O_CLOEXEC));
}

static int lists(const char *path)
{
    return result(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int writes(const char *path)
{
    return result(open(path, O_WRONLY | O_CLOEXEC));
}

static int truncates(const char *path)
{
    return result(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
}

static int makes(const char *path)
{
    return result(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

static int removes(const char *path)
{
    return result(unlink(path));
}

/* As an output file and an output directory are made. */
static int makes_whole(const char *path)
{
    char part[512], inside[600];
    snprintf(part, sizeof part, "%s.part", path);
    snprintf(inside, sizeof inside, "%s/file", part);
    if (mkdir(part, 0700) != 0 || makes(inside) != 0 || rename(part, path) != 0) {
        return errno;
    }
    snprintf(inside, sizeof inside, "%s/file", path);
    return unlink(inside) != 0 || rmdir(path) != 0 ? errno : 0;
}

static int makes_temporary(const char *path)
{
    (void)path;
    int fd = -1;
    return temp_file_open(&fd, NULL) == OK ? 0 : EACCES;
}

static int forks(const char *path)
{
    (void)path;
    const pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return result(child);
}

/* ---- one attempt ----------------------------------------------- */

static err_code ignore(void *ctx, const option_spec *o, const char *value, err *e)
{
    (void)ctx;
    (void)o;
    (void)value;
    (void)e;
    return OK;
}

enum { NO_COMMAND_LINE = 200 };

static bool scarce;             /* one descriptor is free in the sandbox that is entered next */
static const char *stream_file; /* what standard error is there, opened with stream_flags */
static int stream_flags;

static void replace_standard_error(void)
{
    const int fd = open(scratch(stream_file), stream_flags | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(NO_COMMAND_LINE);
    }
}

static void leave_one_descriptor(void)
{
    const int lowest = dup(STDIN_FILENO);
    const struct rlimit limit = {.rlim_cur = (rlim_t)lowest + 1, .rlim_max = (rlim_t)lowest + 1};
    if (lowest < 0 || close(lowest) != 0 || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        _exit(NO_COMMAND_LINE);
    }
}

/* What comes of an attempt in the sandbox of `octavo unpack -o OUTPUT INPUT`. */
static int try_with(const char *input, const char *output, attempt a, const char *name)
{
    char path[512], in[512], out[512], unpack[] = "unpack", o[] = "-o";
    snprintf(path, sizeof path, "%s", name[0] == '/' ? name : scratch(name));
    snprintf(in, sizeof in, "%s", scratch(input));
    snprintf(out, sizeof out, "%s", scratch(output));
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char *argv[] = {unpack, o, out, in, NULL};
        command_line line;
        err e = {0};
        if (options_parse(COMMAND_UNPACK, 4, argv, ignore, NULL, &line, &e) != OK) {
            _exit(NO_COMMAND_LINE);
        }
        if (stream_file) {
            replace_standard_error();
        }
        if (scarce) {
            leave_one_descriptor();
        }
        if (sandbox_enter(COMMAND_UNPACK, &line, NULL, &e) != OK) {
            _exit(NO_COMMAND_LINE);
        }
        _exit(a(path));
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try(attempt a, const char *name)
{
    return try_with("model", "results/out", a, name);
}

/* Skip what this build or this kernel cannot do. */
static bool skipped(bool lacking, const char *what)
{
    if (lacking || sandbox_off()) {
        printf("skipped: %s\n", lacking ? what : sandbox_off());
    }
    return lacking || sandbox_off();
}

static bool no_landlock(void)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return skipped(version < 3, "the kernel has no Landlock, or an old one");
}

/* A checkpoint as the Hub's cache has it, and things that are nobody's business. */
static void make_files(void)
{
    scratch_make();
    scratch_write("model/config.json", "{}", 2);
    scratch_write("model/templates/one", "1", 1);
    scratch_write("blobs/linked", "2", 1);
    scratch_write("blobs/deeper", "2", 1);
    scratch_write("blobs/other", "3", 1);
    scratch_write("shared/file", "4", 1);
    scratch_write("shared/deep/file", "5", 1);
    scratch_write("results/old", "6", 1);
    ck_assert_int_eq(symlink("../blobs/linked", scratch("model/weights")), 0);
    ck_assert_int_eq(symlink("../../blobs/deeper", scratch("model/templates/two")), 0);
    ck_assert_int_eq(symlink("../shared", scratch("model/shared")), 0);
    ck_assert_int_eq(symlink("../blobs/other", scratch("results/to_file")), 0);
    ck_assert_int_eq(symlink("../shared", scratch("results/to_directory")), 0);
}

START_TEST(inputs_can_be_read)
{
    if (no_landlock()) {
        return;
    }
    ck_assert_int_eq(try(lists, "model"), 0);
    ck_assert_int_eq(try(reads, "model/config.json"), 0);
    ck_assert_int_eq(try(reads, "model/templates/one"), 0);
    ck_assert_int_eq(try(reads, "model/weights"), 0);
    ck_assert_int_eq(try(reads, "model/templates/two"), 0);
    ck_assert_int_eq(try(reads, "model/shared/file"), 0);
    ck_assert_int_eq(try(reads, "/proc/self/status"), 0);
    ck_assert_int_eq(try(reads, "/dev/urandom"), 0);
}
END_TEST

START_TEST(other_files_cannot)
{
    if (no_landlock()) {
        return;
    }
    ck_assert_int_eq(try(reads, "blobs/other"), EACCES);
    ck_assert_int_eq(try(lists, "blobs"), EACCES);
    ck_assert_int_eq(try(lists, ""), EACCES);
    ck_assert_int_eq(try(reads, "model/shared/deep/file"), EACCES);
    ck_assert_int_eq(try(reads, "/etc/passwd"), EACCES);
    ck_assert_int_eq(try(reads, "/proc/1/status"), EACCES);
}
END_TEST

START_TEST(inputs_cannot_be_changed)
{
    if (no_landlock()) {
        return;
    }
    ck_assert_int_eq(try(writes, "model/config.json"), EACCES);
    ck_assert_int_eq(try(truncates, "model/config.json"), EACCES);
    ck_assert_int_eq(try(removes, "model/config.json"), EACCES);
    ck_assert_int_eq(try(makes, "model/new"), EACCES);
    ck_assert_int_eq(try(writes, "blobs/linked"), EACCES);
    ck_assert_int_eq(try(makes, "new"), EACCES);
    ck_assert_int_eq(try(makes_temporary, ""), EACCES);
}
END_TEST

START_TEST(outputs_can_be_made)
{
    if (no_landlock()) {
        return;
    }
    ck_assert_int_eq(try(makes, "results/.out.part"), 0);
    ck_assert_int_eq(try(makes_whole, "results/out"), 0);
    ck_assert_int_eq(try(reads, "results/old"), 0);
    ck_assert_int_eq(try(truncates, "results/old"), 0);
    ck_assert_int_eq(try(removes, "results/old"), 0);
}
END_TEST

/* An output that is a link: to a file, it is replaced; to a directory, files are put there. */
START_TEST(links_as_outputs)
{
    if (no_landlock()) {
        return;
    }
    ck_assert_int_eq(try_with("model", "results/to_file", writes, "blobs/other"), EACCES);
    ck_assert_int_eq(try_with("model", "results/to_directory", makes, "shared/new"), 0);
}
END_TEST

START_TEST(streams_keep_their_rights)
{
    if (no_landlock()) {
        return;
    }
    stream_file = "blobs/other";
    stream_flags = O_RDONLY;
    ck_assert_int_eq(try(reads, "blobs/other"), 0);
    ck_assert_int_eq(try(writes, "blobs/other"), EACCES);
    stream_flags = O_WRONLY;
    ck_assert_int_eq(try(writes, "blobs/other"), 0);
    stream_file = NULL;
}
END_TEST

START_TEST(single_files_and_archives)
{
    if (no_landlock()) {
        return;
    }
    scratch_write("file.octavo",
                  "\xd7"
                  "F8P\r\n\x1a\n",
                  8);
    scratch_write("archive.gz", "\x1f\x8b\x08", 3);
    scratch_write("model/one.safetensors", "1", 1);
    ck_assert_int_eq(try_with("file.octavo", "results/out", reads, "file.octavo"), 0);
    ck_assert_int_eq(try_with("file.octavo", "results/out", reads, "blobs/other"), EACCES);
    ck_assert_int_eq(try_with("file.octavo", "results/out", makes_temporary, ""), EACCES);
    ck_assert_int_eq(try_with("archive.gz", "results/out", makes_temporary, ""), 0);
    ck_assert_int_eq(try_with("model/one.safetensors", "results/out", reads, "model/weights"), 0);
    ck_assert_int_eq(try_with("model/one.safetensors", "results/out", reads, "model/templates/two"),
                     EACCES); /* its directory may be somebody's home: nobody searches all of it */
    ck_assert_int_eq(try_with("model", "new", makes, "new"), 0);
}
END_TEST

START_TEST(the_variable)
{
    setenv("OCTAVO_SANDBOX", "off", 1);
    ck_assert_int_eq(try(reads, "blobs/other"), 0);
    ck_assert_int_eq(try(forks, ""), 0);
    ck_assert_ptr_nonnull(sandbox_off());
}
END_TEST

/* ---- a kernel that refuses ------------------------------------- */

/* Answer two system calls as a kernel that does not have them. */
static void do_without(unsigned first, unsigned second)
{
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof lines / sizeof lines[0], .filter = lines};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void keep_note(void *ctx, const char *text)
{
    char *const notes = ctx;
    const size_t used = strlen(notes);
    snprintf(notes + used, 1000 - used, "%s\n", text);
}

/* This process is never in the sandbox, so that what it does is also seen by gcov. */
static void expect_notes(unsigned without, const char *expected)
{
    char path[512], out[512], notes[1000] = "", verify[] = "verify", o[] = "--dump";
    char against[] = "--against=model.tar";
    snprintf(path, sizeof path, "%s", scratch("model"));
    snprintf(out, sizeof out, "%s", scratch("results/out"));
    char *argv[] = {verify, path, o, out, against, NULL};
    command_line line;
    err e = {0};
    const monitor m = {.note = keep_note, .ctx = notes};
    ck_assert_int_eq(options_parse(COMMAND_VERIFY, 5, argv, ignore, NULL, &line, &e), OK);
    do_without(without, SYS_seccomp);
    ck_assert_int_eq(sandbox_enter(COMMAND_VERIFY, &line, &m, &e), OK);
    ck_assert_str_eq(notes, expected);
    ck_assert_int_eq(reads("/etc/passwd"), 0);
}

START_TEST(refused)
{
    if (no_landlock()) {
        return;
    }
    expect_notes(SYS_landlock_restrict_self,
                 "no sandbox for files: Landlock: Function not implemented\n"
                 "no sandbox for system calls: seccomp: Function not implemented\n");
}
END_TEST

/* Descriptors for the rules run out, none is left for any: no file is withheld for that. */
START_TEST(incomplete)
{
    if (no_landlock()) {
        return;
    }
    scarce = true;
    ck_assert_int_eq(try(reads, "model/config.json"), 0);
    ck_assert_int_eq(try(reads, "blobs/other"), 0);
    ck_assert_int_eq(try(forks, ""), EPERM);
    scarce = false;
}
END_TEST

START_TEST(lacking)
{
    if (skipped(false, "")) {
        return;
    }
    expect_notes(SYS_landlock_create_ruleset,
                 "no sandbox for files: Landlock: Function not implemented\n"
                 "no sandbox for system calls: seccomp: Function not implemented\n");
}
END_TEST

int main(void)
{
    unsetenv("OCTAVO_SANDBOX");
    Suite *s = suite_create("sandbox");
    TCase *tc = tcase_create("sandbox");
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, make_files, scratch_remove);
    tcase_add_test(tc, inputs_can_be_read);
    tcase_add_test(tc, other_files_cannot);
    tcase_add_test(tc, inputs_cannot_be_changed);
    tcase_add_test(tc, outputs_can_be_made);
    tcase_add_test(tc, links_as_outputs);
    tcase_add_test(tc, streams_keep_their_rights);
    tcase_add_test(tc, single_files_and_archives);
    tcase_add_test(tc, the_variable);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, incomplete);
    tcase_add_test(tc, lacking);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
