#include "format/checkpoint/shard_name.h"

#include <string.h>

static const char weights[] = ".safetensors";

static bool ends_with(const char *name, const char *suffix)
{
    const size_t bytes = strlen(name);
    const size_t suffix_bytes = strlen(suffix);
    return name[0] != '.' && bytes > suffix_bytes &&
           strcmp(name + bytes - suffix_bytes, suffix) == 0;
}

bool shard_is_candidate(const char *name)
{
    return ends_with(name, weights);
}

bool shard_is_index(const char *name)
{
    return ends_with(name, ".safetensors.index.json");
}

bool shard_is_adapter(const char *name)
{
    return strcmp(name, "adapter_model.safetensors") == 0 ||
           strcmp(name, "adapter.safetensors") == 0;
}

/* Read the number that ends just before *end, and move *end to its first digit. At most six digits:
 * it cannot overflow. */
static bool number_before(const char *name, size_t *end, unsigned *out)
{
    size_t begin = *end;
    *out = 0;
    while (begin > 0 && name[begin - 1] >= '0' && name[begin - 1] <= '9') {
        begin--;
    }
    if (begin == *end || *end - begin > 6) {
        return false;
    }
    for (size_t i = begin; i < *end; i++) {
        *out = 10 * *out + (unsigned)(name[i] - '0');
    }
    *end = begin;
    return true;
}

static bool text_before(const char *name, size_t *end, const char *text)
{
    const size_t bytes = strlen(text);
    if (*end < bytes || memcmp(name + *end - bytes, text, bytes) != 0) {
        return false;
    }
    *end -= bytes;
    return true;
}

bool shard_number_of(const char *name, shard_number *out)
{
    size_t end = strlen(name);
    *out = (shard_number){0};
    const bool found = shard_is_candidate(name) && text_before(name, &end, weights) &&
                       number_before(name, &end, &out->count) && text_before(name, &end, "-of-") &&
                       number_before(name, &end, &out->number) && text_before(name, &end, "-");
    out->stem_bytes = end;
    return found && out->count > 1;
}
