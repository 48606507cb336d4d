#include "format/archive/archive_name.h"

#include <stdlib.h>
#include <string.h>

char *archive_clean_name(const char *path, bool *no_memory)
{
    char *const clean = malloc(strlen(path) + 1);
    size_t used = 0;
    bool good = clean && path[0] != '/';
    *no_memory = !clean;
    while (good && *path) {
        const size_t bytes = strcspn(path, "/");
        const bool dots = bytes == 2 && path[0] == '.' && path[1] == '.';
        if (bytes > 0 && !(bytes == 1 && path[0] == '.')) {
            if (used > 0) {
                clean[used++] = '/';
            }
            memcpy(clean + used, path, bytes);
            used += bytes;
        }
        good = !dots;
        path += bytes + (path[bytes] == '/');
    }
    if (!good || used == 0) {
        free(clean);
        return NULL;
    }
    clean[used] = '\0';
    return clean;
}

char *archive_link_target(const char *name, const char *target, bool *no_memory)
{
    char *const joined = calloc(1, strlen(name) + strlen(target) + 2);
    const char *const slash = strrchr(name, '/');
    size_t used = slash ? (size_t)(slash - name) : 0;
    bool good = joined && target[0] != '/';
    *no_memory = !joined;
    if (joined) {
        memcpy(joined, name, used);
    }
    while (good && *target) {
        const size_t bytes = strcspn(target, "/");
        if (bytes == 2 && target[0] == '.' && target[1] == '.') {
            good = used > 0;
            while (used > 0 && joined[--used] != '/') {
            }
        } else if (bytes > 0 && !(bytes == 1 && target[0] == '.')) {
            if (used > 0) {
                joined[used++] = '/';
            }
            memcpy(joined + used, target, bytes);
            used += bytes;
        }
        target += bytes + (target[bytes] == '/');
    }
    if (!good || used == 0) {
        free(joined);
        return NULL;
    }
    joined[used] = '\0';
    return joined;
}
