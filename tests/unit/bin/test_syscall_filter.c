/* System calls that the filter refuses, and some that it must not. Each is made by a process of its own,
 * which enters the filter first. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bin/sandbox/sandbox.h"
#include "bin/sandbox/syscall_filter.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

typedef int (*attempt)(void); /* 0, or the errno of a refusal */

static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int executes(void)
{
    return result(execl("/bin/true", "true", (char *)NULL));
}

static int forks(void)
{
    const pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    return result(child);
}

static void *nothing(void *arg)
{
    return arg;
}

static int starts_thread(void)
{
    pthread_t t;
    const int code = pthread_create(&t, NULL, nothing, NULL);
    return code ? code : pthread_join(t, NULL);
}

static int connects(void)
{
    return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/* fchmodat2, which the headers of Debian 12 do not know. */
static int changes_mode_by_new_call(void)
{
    return result((int)syscall(452, AT_FDCWD, scratch("file"), 0777, 0));
}

static int signals_parent(void)
{
    return result(kill(getppid(), 0));
}

static int signals_itself(void)
{
    return kill(getpid(), 0) != 0 || raise(SIGURG) != 0 ? errno : 0;
}

static int limits_parent(void)
{
    struct rlimit now;
    return result(prlimit(getppid(), RLIMIT_CPU, NULL, &now));
}

static int limits_itself(void)
{
    struct rlimit now;
    return result(getrlimit(RLIMIT_CPU, &now));
}

/* A pipe whose reader is told by a signal, which the kernel would send to anybody. */
static int has_others_signalled(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return EIO;
    }
    const struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getppid()};
    const int old_way = result(fcntl(ends[0], F_SETOWN, getppid()));
    const int new_way = result(fcntl(ends[0], F_SETOWN_EX, &owner));
    return fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0 ? EIO : old_way == new_way ? old_way : EIO;
}

static int shares_memory(void)
{
    return result(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static int slows_parent(void)
{
    return result(setpriority(PRIO_PROCESS, (id_t)getppid(), 19));
}

static int traces(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int changes_mode(void)
{
    return result(chmod(scratch("file"), 0777));
}

static int links(void)
{
    return result(symlink("/", scratch("link")));
}

static int types_into_terminal(void)
{
    return result(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int leaves_name_space(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int sets_up_ring(void)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}

/* ---- each of them ---------------------------------------------- */

enum { NO_FILTER = 200 };

static int try(attempt a)
{
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(syscall_filter_enforce() ? a() : NO_FILTER);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const struct {
    attempt call;
    int expected;
} attempts[] = {
    {executes, EPERM},
    {forks, EPERM},
    {starts_thread, 0},
    {connects, EPERM},
    {signals_parent, EPERM},
    {signals_itself, 0},
    {limits_parent, EPERM},
    {limits_itself, 0},
    {has_others_signalled, EPERM},
    {shares_memory, EPERM},
    {slows_parent, EPERM},
    {traces, EPERM},
    {changes_mode, EPERM},
    {changes_mode_by_new_call, EPERM},
    {links, EPERM},
    {types_into_terminal, EPERM},
    {leaves_name_space, EPERM},
    {sets_up_ring, EPERM},
};

START_TEST(refused_or_not)
{
    const unsigned action = 0x00050000; /* SECCOMP_RET_ERRNO */
    const bool lacking = syscall(SYS_seccomp, 2, 0, &action) != 0;
    if (lacking || sandbox_off()) {
        printf("skipped: %s\n", lacking ? "no seccomp" : sandbox_off());
        return;
    }
    scratch_write("file", "1", 1);
    ck_assert_int_eq(try(attempts[_i].call), attempts[_i].expected);
}
END_TEST

int main(void)
{
    unsetenv("OCTAVO_SANDBOX");
    TCase *tc = tcase_create("syscall_filter");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, refused_or_not, 0, COUNT(attempts));
    return run_tests("syscall_filter", tc);
}
