#include "format/store/model_path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "format/archive/archive_index.h"
#include "format/pack/pack_file.h"

static bool has_suffix(const char *path, const char *suffix)
{
    const char *const dot = strrchr(path, '.');
    return dot && strcmp(dot, suffix) == 0;
}

/* Does this failure of stat say that nothing, or nothing for this user, has the path? */
static bool is_absent(int failure)
{
    return failure == ENOENT || failure == ENOTDIR || failure == ELOOP || failure == EACCES ||
           failure == ENAMETOOLONG;
}

static err_code kind_of_file(const char *path, bool readable, model_kind *kind, err *e)
{
    bool found = false;
    TRY(readable ? pack_probe(path, &found, e) : OK);
    if (found || has_suffix(path, ".octavo")) {
        *kind = MODEL_PACKED;
        return OK;
    }
    TRY(readable ? archive_probe(path, &found, e) : OK);
    *kind = found ? MODEL_ARCHIVE : has_suffix(path, ".safetensors") ? MODEL_SHARD : MODEL_UNKNOWN;
    return OK;
}

err_code model_path_find(const char *path, model_kind *kind, err *e)
{
    struct stat st = {0};
    *kind = MODEL_UNKNOWN;
    if (model_path_is_stream(path)) {
        *kind = MODEL_STREAM;
        return OK;
    }
    if (stat(path, &st) != 0 && !is_absent(errno)) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    if (S_ISDIR(st.st_mode)) {
        *kind = MODEL_DIRECTORY;
        return OK;
    }
    return kind_of_file(path, S_ISREG(st.st_mode), kind, e);
}
