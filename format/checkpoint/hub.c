#include "format/checkpoint/hub.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/file/io.h"

/* A commit id has 40 digits; other tools may write longer names, within reason. */
enum { REF_LIMIT = 256 };

/* Is dir/name a directory? */
static err_code has_directory(const char *dir, const char *name, bool *found, err *e)
{
    char *const path = io_join(dir, name);
    struct stat st;
    *found = false;
    if (!path) {
        return err_set(e, ERR_MEMORY, "%s: no memory", dir);
    }
    const int failure = stat(path, &st) != 0 ? errno : 0;
    /* A link that leads in a circle, or where this user may not look, is no part of a cache. */
    const bool missing = failure == ENOENT || failure == ENOTDIR || failure == ELOOP ||
                         (failure == EACCES && lstat(path, &st) == 0);
    err_code code = OK;
    if (failure == EACCES && !missing) {
        code = err_set_errno(e, ERR_IO, failure, "%s: cannot open directory", dir);
    } else if (failure != 0 && !missing) {
        code = err_set_errno(e, ERR_IO, failure, "%s: cannot stat", path);
    }
    *found = failure == 0 && S_ISDIR(st.st_mode);
    free(path);
    return code;
}

/* The content of refs/main becomes part of a path: it must be one component of harmless characters,
 * which cannot lead elsewhere. */
static bool ref_valid(const char *ref)
{
    return *ref && *ref != '.' &&
           strspn(ref, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") ==
               strlen(ref);
}

static err_code read_ref(const char *path, char **ref, err *e)
{
    size_t bytes = 0;
    TRY(io_read_file(path, REF_LIMIT, ref, &bytes, e));
    while (bytes > 0 && ((*ref)[bytes - 1] == '\n' || (*ref)[bytes - 1] == '\r')) {
        (*ref)[--bytes] = '\0';
    }
    return strlen(*ref) == bytes && ref_valid(*ref)
               ? OK
               : err_set(e, ERR_INPUT, "%s: does not contain the name of a snapshot", path);
}

/* repo/snapshots/REF, which must exist. */
static err_code snapshot_dir(const char *repo, char **dir, err *e)
{
    char *ref = NULL;
    char *snapshots = io_join(repo, "snapshots");
    char *ref_path = io_join(repo, "refs/main");
    char *found = NULL;
    err_code code = snapshots && ref_path ? read_ref(ref_path, &ref, e)
                                          : err_set(e, ERR_MEMORY, "%s: no memory", repo);
    if (code != OK) {
        err_hint(e, "give one of the directories in %s/snapshots instead", repo);
        goto out;
    }
    bool exists = false;
    TRY_OUT(has_directory(snapshots, ref, &exists, e));
    TRY_OUT(exists ? OK
                   : err_set(e, ERR_INPUT, "%s: names the snapshot %s, which does not exist",
                             ref_path, ref));
    found = io_join(snapshots, ref);
    TRY_OUT(found ? OK : err_set(e, ERR_MEMORY, "%s: no memory", repo));
    *dir = found;
    found = NULL;
out:
    free(found);
    free(ref);
    free(ref_path);
    free(snapshots);
    return code;
}

err_code hub_resolve(const char *path, char **dir, err *e)
{
    *dir = NULL;
    char *clean = io_without_slashes(path);
    bool refs = false;
    bool snapshots = false;
    err_code code = OK;
    TRY_OUT(clean ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path));
    TRY_OUT(has_directory(clean, "refs", &refs, e));
    TRY_OUT(refs ? has_directory(clean, "snapshots", &snapshots, e) : OK);
    if (snapshots) {
        code = snapshot_dir(clean, dir, e);
    } else {
        *dir = clean;
        clean = NULL;
    }
out:
    free(clean);
    return code;
}
