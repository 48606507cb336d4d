#include "format/tensor/expert_stack.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An item with the name of the stack that it could belong to, or its own name if it has no expert
 * number. */
typedef struct candidate {
    char key[NAME_MAX_BYTES + 1];
    bool expert;
    uint64_t index;
    size_t item;
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
    stack_group *const g = &list->groups[list->group_count++];
    snprintf(g->name, sizeof g->name, "%s", name);
    g->first = first;
    g->count = count;
}

/* Sorting by key and number puts the members of a possible stack next to each other, in order. */
err_code stack_fold(const stack_item *items, size_t count, stack_list *out, err *e)
{
    *out = (stack_list){0};
    candidate *const c = calloc(count + 1, sizeof *c);
    out->groups = calloc(count + 1, sizeof *out->groups);
    out->members = calloc(count + 1, sizeof *out->members);
    if (!c || !out->groups || !out->members) {
        free(c);
        stack_list_free(out);
        return err_set(e, ERR_MEMORY, "no memory to group %zu tensors", count);
    }
    for (size_t i = 0; i < count; i++) {
        c[i].item = i;
        c[i].expert = name_expert_index(items[i].name, &c[i].index) &&
                      name_make_stack(items[i].name, c[i].key);
        if (!c[i].expert) {
            snprintf(c[i].key, sizeof c[i].key, "%s", items[i].name);
        }
    }
    qsort(c, count, sizeof *c, candidate_compare);
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
    free(c);
    return OK;
}

void stack_list_free(stack_list *list)
{
    free(list->groups);
    free(list->members);
    *list = (stack_list){0};
}
