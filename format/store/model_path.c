#include "format/store/model_path.h"

#include <string.h>
#include <sys/stat.h>

#include "format/archive/archive_index.h"
#include "format/pack/pack_file.h"

static bool has_suffix(const char *path, const char *suffix)
{
    const char *const dot = strrchr(path, '.');
    return dot && strcmp(dot, suffix) == 0;
}

model_kind model_path_kind(const char *path)
{
    struct stat st;
    if (model_path_is_stream(path)) {
        return MODEL_STREAM;
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return MODEL_DIRECTORY;
    }
    if (pack_is_packed(path) || has_suffix(path, ".octavo")) {
        return MODEL_PACKED;
    }
    if (archive_recognizes(path)) {
        return MODEL_ARCHIVE;
    }
    return has_suffix(path, ".safetensors") ? MODEL_SHARD : MODEL_UNKNOWN;
}
