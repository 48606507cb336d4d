#include "bin/sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/sandbox/landlock.h"
#include "bin/sandbox/syscall_filter.h"
#include "format/checkpoint/hub.h"
#include "format/file/io.h"
#include "format/file/temp_file.h"
#include "format/store/model_path.h"

enum {
    DEPTH_MAX = 2,        /* directories below an input in which links are followed */
    ENTRIES_MAX = 100000, /* entries of an input that are searched for links */
};

/* What libraries open late: libarchive and iconv their tables and modules, malloc and octavo
 * the state of this process. None of it says anything about the user. */
static const char *const system_files[] = {
    "/usr/lib",      "/usr/lib64",       "/lib",
    "/lib64",        "/etc/ld.so.cache", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo",    "/sys/devices/system/cpu",
    "/dev/urandom",  "/dev/random",
};

/* ---- links in a directory that is read ------------------------- */

typedef struct walk {
    landlock_rules *rules;
    unsigned entries;
} walk;

static bool is_dir_at(landlock_rules *rules, int at, const char *name, int flags)
{
    struct stat st;
    if (fstatat(at, name, &st, flags) != 0) {
        landlock_lacks(rules, errno);
        return false;
    }
    return S_ISDIR(st.st_mode);
}

static void see_entry(walk *w, int dir, const struct dirent *entry, unsigned depth, bool linked);

/* The entries of a directory. `linked`: a link led here, so that no rule covers its files yet. */
static void see_dir(walk *w, int at, const char *name, unsigned depth, bool linked)
{
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        landlock_lacks(w->rules, errno);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    const struct dirent *entry;
    for (; errno = 0, (entry = readdir(d)) && w->entries < ENTRIES_MAX; w->entries++) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            see_entry(w, dirfd(d), entry, depth, linked);
        }
    }
    if (entry || errno != 0) { /* too many of them, or a failure */
        landlock_lacks(w->rules, entry ? E2BIG : errno);
    }
    closedir(d);
}

/* A link gives the right to read one file, or the files of one directory, but nothing beneath them:
 * the author of the checkpoint may have made it, and it may lead to "/". */
static void see_entry(walk *w, int dir, const struct dirent *entry, unsigned depth, bool linked)
{
    const char *const name = entry->d_name;
    const bool known = entry->d_type != DT_UNKNOWN;
    if (known && entry->d_type != DT_LNK && entry->d_type != DT_DIR && !linked) {
        return;
    }
    if (!is_dir_at(w->rules, dir, name, 0)) {
        landlock_allow(w->rules, dir, name, LANDLOCK_READ);
    } else if (!linked && depth < DEPTH_MAX) {
        see_dir(w, dir, name, depth + 1, !is_dir_at(w->rules, dir, name, AT_SYMLINK_NOFOLLOW));
    }
}

/* `levels` of directories below `path` in which links are followed. */
static void allow_dir(landlock_rules *rules, const char *path, unsigned levels)
{
    walk w = {.rules = rules};
    landlock_allow(rules, AT_FDCWD, path, LANDLOCK_READ);
    see_dir(&w, AT_FDCWD, path, DEPTH_MAX - levels, false);
}

/* ---- paths of the command line --------------------------------- */

/* The directory of `path`, where octavo makes a file or looks for others. It may be anybody's home:
 * what is read along with a file is in the same directory, so nothing below it is searched. */
static void allow_parent(landlock_rules *rules, const char *path, landlock_use use)
{
    char *const parent = io_without_slashes(path);
    if (!parent) {
        landlock_lacks(rules, ENOMEM);
        return;
    }
    const size_t length = (size_t)(io_basename(parent) - parent);
    parent[length] = '\0';
    const char *const dir = length ? parent : ".";
    if (use == LANDLOCK_WRITE) {
        landlock_allow(rules, AT_FDCWD, dir, use);
    } else {
        allow_dir(rules, dir, 0);
    }
    free(parent);
}

/* A compressed archive is unpacked into a temporary file. */
static void allow_temporary(landlock_rules *rules)
{
    for (unsigned i = 0; temp_file_dir(i); i++) {
        landlock_allow(rules, AT_FDCWD, temp_file_dir(i), LANDLOCK_WRITE);
    }
}

/* The snapshot that a repository in the Hub's cache stands for may be a link to another disk. */
static void allow_snapshot(landlock_rules *rules, const char *path)
{
    char *dir = NULL;
    const err_code code = hub_resolve(path, &dir, NULL);
    if (code == OK) {
        allow_dir(rules, dir, DEPTH_MAX);
    } else if (code == ERR_MEMORY) {
        landlock_lacks(rules, ENOMEM);
    } /* any other failure is one of the command, too, which reports it */
    free(dir);
}

/* A model or tokenizer. Beside a single file of a checkpoint lie those that belong to it. */
static void allow_model(landlock_rules *rules, const char *path)
{
    model_kind kind;
    const err_code code = model_path_find(path, &kind, NULL);
    if (code == ERR_MEMORY) {
        landlock_lacks(rules, ENOMEM);
    } else if (code != OK) {
        landlock_lacks(rules, access(path, R_OK) == 0 ? EIO : errno);
    }
    if (kind == MODEL_STREAM) {
        return;
    }
    allow_dir(rules, path, DEPTH_MAX);
    if (kind == MODEL_DIRECTORY) {
        allow_snapshot(rules, path);
    } else if (kind == MODEL_ARCHIVE) {
        allow_temporary(rules);
    } else if (kind != MODEL_PACKED) {
        allow_parent(rules, path, LANDLOCK_READ);
    }
}

/* A link to a directory leads to where files are put; a link to a file is replaced itself. */
static void allow_output(landlock_rules *rules, const char *path)
{
    if (model_path_is_stream(path)) {
        return;
    }
    if (is_dir_at(rules, AT_FDCWD, path, 0)) {
        landlock_allow(rules, AT_FDCWD, path, LANDLOCK_WRITE);
    }
    allow_parent(rules, path, LANDLOCK_WRITE);
}

/* Files, and directories of them. */
static void allow_repeated(landlock_rules *rules, const command_line *line)
{
    for (size_t i = 0; i < line->repeated_count; i++) {
        const char *const path = line->repeated[i];
        if (model_path_is_stream(path)) {
            continue;
        }
        if (is_dir_at(rules, AT_FDCWD, path, 0)) {
            allow_dir(rules, path, DEPTH_MAX);
        } else {
            landlock_allow(rules, AT_FDCWD, path, LANDLOCK_READ);
        }
    }
}

/* A new option that names an output has to be added here: until then, nothing can be written there.
 */
static void allow_arguments(landlock_rules *rules, command_id c, const command_line *line)
{
    for (size_t i = 0; i < line->operand_count; i++) {
        if (command_operand(c, i)->kind == VALUE_PATH) {
            allow_model(rules, line->operands[i]);
        }
    }
    for (size_t i = 0; i < option_count; i++) {
        const option_spec *const o = &option_table[i];
        const char *const path = option_is_of(o, c) ? line->paths[o->id] : NULL;
        if (!path) {
            continue;
        }
        if (o->repeatable) {
            allow_repeated(rules, line);
        } else if (o->id == OPTION_OUTPUT || o->id == OPTION_DUMP) {
            allow_output(rules, path);
        } else if (o->id == OPTION_AGAINST || o->id == OPTION_VERSUS) {
            allow_model(rules, path);
        } else if (!model_path_is_stream(path)) {
            landlock_allow(rules, AT_FDCWD, path, LANDLOCK_READ);
        }
    }
}

/* Standard streams are opened again, by /proc/self/fd, for reading and writing without waiting:
 * with no other rights than they have. */
static void allow_stream(landlock_rules *rules, int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    const bool writes = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fd != STDIN_FILENO;
    landlock_allow(rules, fd, NULL, writes ? LANDLOCK_WRITE : LANDLOCK_READ);
}

static void allow_system(landlock_rules *rules)
{
    for (size_t i = 0; i < sizeof system_files / sizeof system_files[0]; i++) {
        landlock_allow(rules, AT_FDCWD, system_files[i], LANDLOCK_READ);
    }
    landlock_allow(rules, AT_FDCWD, "/dev/null", LANDLOCK_WRITE);
    allow_stream(rules, STDIN_FILENO);
    allow_stream(rules, STDOUT_FILENO);
    allow_stream(rules, STDERR_FILENO);
}

/* ---- the sandbox ----------------------------------------------- */

const char *sandbox_off(void)
{
    const char *const wanted = getenv("OCTAVO_SANDBOX");
    if (wanted && strcmp(wanted, "off") == 0) {
        return "OCTAVO_SANDBOX is off";
    }
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return "this build has a sanitizer, which starts processes and writes files";
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
    return "this build has a sanitizer, which starts processes and writes files";
#endif
#endif
    return NULL;
}

err_code sandbox_enter(command_id c, const command_line *line, const monitor *explain, err *e)
{
    const char *const off = sandbox_off();
    if (off) {
        monitor_note(explain, "no sandbox: %s", off);
        return OK;
    }
    landlock_rules rules = landlock_new();
    allow_system(&rules);
    allow_arguments(&rules, c, line);
    if (rules.fd >= 0 && rules.why == ENOMEM) {
        close(rules.fd);
        return err_set(e, ERR_MEMORY, "no memory for the rules of the sandbox");
    }
    if (landlock_enforce(&rules)) {
        io_set_sandboxed();
    } else {
        monitor_note(explain, "no sandbox for files: Landlock: %s", strerror(errno));
    }
    if (!syscall_filter_enforce()) {
        monitor_note(explain, "no sandbox for system calls: seccomp: %s", strerror(errno));
    }
    return OK;
}
