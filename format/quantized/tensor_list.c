#include "format/quantized/tensor_list.h"

#include <stdio.h>
#include <string.h>

#include "format/base/num.h"
#include "format/tensor/tensor_name.h"

size_t tensor_list_parent(const char *name)
{
    const char *const dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) + 1 : 0;
}

static size_t search(const tensor_list *l, size_t begin, size_t end, const char *name)
{
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        const int order = strcmp(l->items[middle].name, name);
        if (order == 0) {
            return middle;
        }
        begin = order < 0 ? middle + 1 : begin;
        end = order < 0 ? end : middle;
    }
    return STATE_NONE;
}

/* Parts of a weight have names close to its own, so the distance is doubled until it is large
 * enough. */
static size_t find_from(const tensor_list *l, size_t i, const char *name)
{
    size_t step = 1;
    if (strcmp(l->items[i].name, name) < 0) {
        while (step < l->count - i && strcmp(l->items[i + step].name, name) < 0) {
            step *= 2;
        }
        return search(l, i, num_min(l->count, i + step + 1), name);
    }
    while (step <= i && strcmp(l->items[i - step].name, name) > 0) {
        step *= 2;
    }
    return search(l, step <= i ? i - step : 0, i + 1, name);
}

size_t tensor_list_near(const tensor_list *l, size_t i, size_t bytes, const char *end)
{
    char name[LIST_NAME_BYTES];
    char other[NAME_MAX_BYTES + 1];
    uint64_t expert = 0;
    const int length = snprintf(name, sizeof name, "%.*s%s", (int)bytes, l->items[i].name, end);
    if (bytes >= sizeof name || length >= (int)sizeof name) {
        return STATE_NONE;
    }
    const size_t found = find_from(l, i, name);
    if (found != STATE_NONE || !l->stacks) {
        return found;
    }
    const bool again = name_expert_index(name, &expert) ? name_make_stack(name, other)
                                                        : name_expand_stack(name, 0, other);
    return again ? search(l, 0, l->count, other) : STATE_NONE;
}
