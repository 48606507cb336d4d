/* A list of what is refused, not of what is allowed: the C library of tomorrow may use calls that
 * nobody knows today, for what it has always done. The filter is a straight line of pairs: if it is
 * this call, then this verdict. */
#include "bin/sandbox/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE  AUDIT_ARCH_X86_64
#define FIRST_FOREIGN 0x40000000U /* calls of the x32 ABI */
#elif defined __aarch64__
#define ARCHITECTURE  AUDIT_ARCH_AARCH64
#define FIRST_FOREIGN UINT32_MAX
#endif

#ifdef ARCHITECTURE

static const unsigned refused[] = {
    /* programs, other processes */
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setpgid,
    SYS_setpriority,
    SYS_ioprio_set,
    SYS_sched_setaffinity,
    SYS_sched_setattr,
    SYS_sched_setparam,
    SYS_sched_setscheduler,
    SYS_migrate_pages,
    SYS_move_pages,
    448, /* process_mrelease, Linux 5.15 */
    /* memory, messages and semaphores that processes share by name */
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_semctl,
    SYS_mq_open,
    SYS_mq_unlink,
    /* sockets; messages through those that were inherited */
    SYS_socket,
    SYS_socketpair,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvmsg,
    SYS_recvmmsg,
    /* files by name, which Landlock does not cover */
    SYS_fchmodat,
    452, /* fchmodat2, Linux 6.6 */
    463, /* setxattrat, 6.13 */
    466, /* removexattrat, 6.13 */
    469, /* file_setattr, 6.17 */
    SYS_truncate,
    SYS_utimensat,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_symlinkat,
    SYS_mknodat,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    /* name spaces and file systems */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_quotactl,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    /* identity */
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_setgroups,
    SYS_capset,
    SYS_personality,
    /* the kernel */
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
#ifdef __x86_64__
    /* older spellings of the above, which AArch64 lacks, and ports */
    SYS_fork,
    SYS_vfork,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_symlink,
    SYS_mknod,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

enum { REFUSED = sizeof refused / sizeof refused[0], FILTER_ROOM = 2 * REFUSED + 56 };

typedef struct filter {
    struct sock_filter lines[FILTER_ROOM];
    unsigned short count;
} filter;

static void add(filter *f, unsigned code, unsigned value, unsigned yes, unsigned no)
{
    f->lines[f->count++] = (struct sock_filter){.code = (unsigned short)code,
                                                .jt = (unsigned char)yes,
                                                .jf = (unsigned char)no,
                                                .k = value};
}

static void load(filter *f, size_t offset)
{
    add(f, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

/* If the loaded word relates to `value` as `test` says: return `verdict`. */
static void verdict_if(filter *f, unsigned test, unsigned value, unsigned verdict)
{
    add(f, BPF_JMP | test | BPF_K, value, 0, 1);
    add(f, BPF_RET | BPF_K, verdict, 0, 0);
}

/* The call `number` is allowed iff its argument `index` relates to `value` as `test` says. */
static void allow_only(filter *f, unsigned number, unsigned index, unsigned test, unsigned value)
{
    load(f, offsetof(struct seccomp_data, nr));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
    load(f, offsetof(struct seccomp_data, args) + 8 * index); /* the lower half */
    verdict_if(f, test, value, SECCOMP_RET_ALLOW);
    add(f, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
}

/* The call `number` is refused if its argument 1 is one of two values. */
static void refuse_two(filter *f, unsigned number, unsigned one, unsigned other)
{
    load(f, offsetof(struct seccomp_data, nr));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 5);
    load(f, offsetof(struct seccomp_data, args) + 8); /* the lower half */
    verdict_if(f, BPF_JEQ, one, SECCOMP_RET_ERRNO | EPERM);
    verdict_if(f, BPF_JEQ, other, SECCOMP_RET_ERRNO | EPERM);
}

static void build(filter *f)
{
    load(f, offsetof(struct seccomp_data, arch));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    add(f, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    load(f, offsetof(struct seccomp_data, nr));
    verdict_if(f, BPF_JGE, FIRST_FOREIGN, SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < REFUSED; i++) {
        verdict_if(f, BPF_JEQ, refused[i], SECCOMP_RET_ERRNO | EPERM);
    }
    /* Its flags are in memory, where a filter cannot look: the C library then takes clone. */
    verdict_if(f, BPF_JEQ, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    /* Threads, no processes; signals to this process and limits of it only. */
    allow_only(f, SYS_clone, 0, BPF_JSET, CLONE_THREAD);
    allow_only(f, SYS_kill, 0, BPF_JEQ, (unsigned)getpid());
    allow_only(f, SYS_tgkill, 0, BPF_JEQ, (unsigned)getpid());
    allow_only(f, SYS_prlimit64, 0, BPF_JEQ, 0);
    /* The system would send the signals; of sockets among the standard streams, too. */
    refuse_two(f, SYS_fcntl, F_SETOWN, F_SETOWN_EX);
    refuse_two(f, SYS_ioctl, FIOSETOWN, SIOCSPGRP);
    refuse_two(f, SYS_ioctl, TIOCSTI, TIOCLINUX); /* typing into the terminal for the user */
    add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

bool syscall_filter_enforce(void)
{
    filter f = {.count = 0};
    build(&f);
    const struct sock_fprog program = {.len = f.count, .filter = f.lines};
    /* SPEC_ALLOW: without it, kernels before 5.16 slow down all that the process computes. */
    const unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
}

#else

bool syscall_filter_enforce(void)
{
    errno = ENOSYS;
    return false;
}

#endif
