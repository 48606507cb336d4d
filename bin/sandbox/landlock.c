/* By raw system calls: no library of Debian 12 has them, and its header knows only the first two
 * versions of the interface. */
#include "bin/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The rights of version 1, and what later versions added. */
static const uint64_t first_rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
static const uint64_t truncate_right = 1U << 14;
static const uint64_t all_tcp = 1U << 0 | 1U << 1;    /* bind, connect */
static const uint64_t all_scopes = 1U << 0 | 1U << 1; /* abstract UNIX sockets, signals */

enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_TCP = 4, VERSION_SCOPES = 6 };

/* struct landlock_ruleset_attr of version 6; an older kernel takes a shorter one. */
typedef struct ruleset_attr {
    uint64_t files, tcp, scopes;
} ruleset_attr;

static int create(const ruleset_attr *attr, size_t bytes, unsigned flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, attr, bytes, flags);
}

landlock_rules landlock_new(void)
{
    const int version = create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < VERSION_REFER) { /* version 1 refuses to move files between directories */
        return (landlock_rules){.fd = -1, .why = version < 0 ? errno : EOPNOTSUPP};
    }
    const ruleset_attr attr = {
        .files = first_rights | LANDLOCK_ACCESS_FS_REFER |
                 (version >= VERSION_TRUNCATE ? truncate_right : 0),
        .tcp = all_tcp,
        .scopes = all_scopes,
    };
    const size_t bytes = version >= VERSION_SCOPES ? sizeof attr
                         : version >= VERSION_TCP  ? offsetof(ruleset_attr, scopes)
                                                   : offsetof(ruleset_attr, tcp);
    const int fd = create(&attr, bytes, 0);
    return (landlock_rules){.fd = fd, .why = fd < 0 ? errno : 0, .all = attr.files};
}

static uint64_t rights_of(landlock_use use, bool is_dir)
{
    const uint64_t file =
        LANDLOCK_ACCESS_FS_READ_FILE |
        (use == LANDLOCK_WRITE ? LANDLOCK_ACCESS_FS_WRITE_FILE | truncate_right : 0);
    const uint64_t dir =
        LANDLOCK_ACCESS_FS_READ_DIR |
        (use == LANDLOCK_WRITE ? LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                     LANDLOCK_ACCESS_FS_REFER
                               : 0);
    return file | (is_dir ? dir : 0);
}

void landlock_lacks(landlock_rules *rules, int why)
{
    switch (why) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case ELOOP:
    case ENAMETOOLONG:
    case EBADF:  /* a standard stream that is closed */
    case EBADFD: /* pipes and sockets, which need no rule */
        return;
    default:
        if (rules->why == 0 || why == ENOMEM) {
            rules->why = why;
        }
    }
}

static bool add_rule(const landlock_rules *rules, int fd, landlock_use use)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return false;
    }
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_of(use, S_ISDIR(st.st_mode)) & rules->all,
        .parent_fd = fd,
    };
    return syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

void landlock_allow(landlock_rules *rules, int at, const char *path, landlock_use use)
{
    if (rules->fd < 0) {
        return;
    }
    const int fd = path ? openat(at, path, O_PATH | O_CLOEXEC) : at;
    if (fd < 0 || !add_rule(rules, fd, use)) {
        landlock_lacks(rules, errno);
    }
    if (path && fd >= 0) {
        close(fd);
    }
}

bool landlock_enforce(landlock_rules *rules)
{
    if (rules->fd < 0) {
        errno = rules->why;
        return false;
    }
    const bool enforced = rules->why == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                          syscall(SYS_landlock_restrict_self, rules->fd, 0) == 0;
    const int why = rules->why ? rules->why : errno;
    close(rules->fd);
    rules->fd = -1;
    errno = why;
    return enforced;
}
