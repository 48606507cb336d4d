#include "format/tensor/expert_stack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* An item with the name of the stack that it could belong to, or its own name if it has no expert
 * number. A checkpoint may have a million items: names are not copied unless they change. */
typedef struct candidate {
    const char *key;
    uint64_t index;
    size_t item;
    bool expert;
} candidate;

static int candidate_compare(const void *a, const void *b)
{
    const candidate *const x = a;
    const candidate *const y = b;
    const int order = strcmp(x->key, y->key);
    if (order != 0) {
        return order;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool same_kind(const stack_item *a, const stack_item *b)
{
    return a->ndim == 2 && b->ndim == 2 && a->type == b->type && a->decision == b->decision &&
           a->shape[0] == b->shape[0] && a->shape[1] == b->shape[1];
}

/* Are the numbers of these candidates of one key 0, 1, 2 and so on, and all of one kind? A run with
 * a gap is not a stack, because a record stores no expert numbers. */
static bool is_stack(const candidate *c, size_t count, const stack_item *items)
{
    if (count < 2 || !c[0].expert) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (c[i].index != i || !same_kind(&items[c[0].item], &items[c[i].item])) {
            return false;
        }
    }
    return true;
}

static void add_group(stack_list *list, const char *name, size_t first, size_t count)
{
    list->groups[list->group_count++] = (stack_group){name, first, count};
}

/* The bytes that the names of all possible stacks take. */
static size_t measure_names(const stack_item *items, size_t count)
{
    char key[NAME_MAX_BYTES + 1];
    uint64_t index = 0;
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++) {
        if (name_expert_index(items[i].name, &index) && name_make_stack(items[i].name, key)) {
            bytes += strlen(key) + 1;
        }
    }
    return bytes;
}

static void find_candidates(const stack_item *items, size_t count, candidate *c, char *names)
{
    char key[NAME_MAX_BYTES + 1];
    for (size_t i = 0; i < count; i++) {
        c[i] = (candidate){.key = items[i].name, .item = i};
        c[i].expert =
            name_expert_index(items[i].name, &c[i].index) && name_make_stack(items[i].name, key);
        if (c[i].expert) {
            c[i].key = names;
            names = stpcpy(names, key) + 1;
        }
    }
}

/* Candidates of one key are next to each other, by ascending number. */
static void make_groups(const candidate *c, size_t count, const stack_item *items, stack_list *out)
{
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && strcmp(c[end].key, c[i].key) == 0) {
            end++;
        }
        const bool stack = is_stack(c + i, end - i, items);
        if (stack) {
            add_group(out, c[i].key, i, end - i);
        }
        for (; i < end; i++) {
            out->members[i] = c[i].item;
            if (!stack) {
                add_group(out, items[c[i].item].name, i, 1);
            }
        }
    }
}

err_code stack_fold(const stack_item *items, size_t count, stack_list *out, err *e)
{
    candidate *const c = calloc(count + 1, sizeof *c);
    *out = (stack_list){.groups = calloc(count + 1, sizeof *out->groups),
                        .members = calloc(count + 1, sizeof *out->members),
                        .names = malloc(measure_names(items, count))};
    if (!c || !out->groups || !out->members || !out->names) {
        free(c);
        stack_list_free(out);
        return err_set(e, ERR_MEMORY, "no memory to group %zu tensors", count);
    }
    find_candidates(items, count, c, out->names);
    qsort(c, count, sizeof *c, candidate_compare);
    make_groups(c, count, items, out);
    free(c);
    return OK;
}

void stack_list_free(stack_list *list)
{
    free(list->groups);
    free(list->members);
    free(list->names);
    *list = (stack_list){0};
}
