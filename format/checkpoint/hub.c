#include "format/checkpoint/hub.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/file/io.h"

/* A commit id has 40 digits; other tools may write longer names, within reason. */
enum { REF_LIMIT = 256 };

/* Is dir/name a directory? 1: yes, 0: no, -1: no memory. */
static int has_directory(const char *dir, const char *name)
{
    char *path = io_join(dir, name);
    if (!path) {
        return -1;
    }
    struct stat st;
    const bool found = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    free(path);
    return found;
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
    const int exists = has_directory(snapshots, ref);
    found = io_join(snapshots, ref);
    if (exists < 0 || !found) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", repo);
    } else if (!exists) {
        code =
            err_set(e, ERR_INPUT, "%s: names the snapshot %s, which does not exist", ref_path, ref);
    } else {
        *dir = found;
        found = NULL;
    }
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
    const int refs = clean ? has_directory(clean, "refs") : -1;
    const int snapshots = refs > 0 ? has_directory(clean, "snapshots") : refs;
    err_code code = OK;
    if (snapshots < 0) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", path);
    } else if (snapshots > 0) {
        code = snapshot_dir(clean, dir, e);
    } else {
        *dir = clean;
        clean = NULL;
    }
    free(clean);
    return code;
}
