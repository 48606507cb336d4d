#include "format/checkpoint/shard_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/base/text_list.h"

enum { MAX_NOTES = 100 };

typedef struct findings {
    const checkpoint *cp;
    const monitor *m;
    text_list list;
} findings;

__attribute__((format(printf, 2, 3))) static void add(findings *f, const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!text_list_add(&f->list, "%s", text) && f->list.total - f->list.shown <= MAX_NOTES) {
        monitor_note(f->m, "%s: %s", f->cp->dir, text);
    }
}

/* One item for a missing shard instead of one for each of its tensors. */
static void check_missing(findings *f, const shard_index *index, const bool *missing)
{
    for (uint32_t s = 0; s < f->cp->shard_count; s++) {
        if (!missing[s]) {
            continue;
        }
        size_t tensors = 0;
        for (size_t i = 0; i < index->count; i++) {
            tensors += index->entries[i].shard == s;
        }
        add(f, "shard %s is missing, with %zu tensors", f->cp->shards[s].name, tensors);
    }
}

/* Compare all tensors of one name, t[0] … t[copies-1], with the index entry of that name, which is
 * NULL if there is none. */
static void check_tensor(findings *f, const tensor *t, size_t copies, const index_entry *entry,
                         bool indexed)
{
    const shard *shards = f->cp->shards;
    for (size_t i = 1; i < copies; i++) {
        add(f, "tensor %s is in %s and in %s", t->name, shards[t[0].shard].name,
            shards[t[i].shard].name);
    }
    if (!indexed) {
        return;
    }
    if (!entry) {
        add(f, "tensor %s in %s is not in the index", t->name, shards[t->shard].name);
    } else if (copies == 1 && entry->shard != t->shard) {
        add(f, "tensor %s is in %s, not in %s as the index says", t->name, shards[t->shard].name,
            shards[entry->shard].name);
    }
}

static void add_ghost(findings *f, const index_entry *entry, const bool *missing)
{
    if (!missing[entry->shard]) {
        add(f, "tensor %s is in the index, but not in %s", entry->tensor,
            f->cp->shards[entry->shard].name);
    }
}

/* Both lists are sorted by name: scan them side by side, as in a merge. */
static void check_names(findings *f, const shard_index *index, const bool *missing)
{
    const checkpoint *cp = f->cp;
    const size_t entries = index ? index->count : 0;
    size_t x = 0;
    for (size_t i = 0; i < cp->tensor_count;) {
        const tensor *t = &cp->tensors[i];
        size_t copies = 1;
        while (i + copies < cp->tensor_count && strcmp(t->name, t[copies].name) == 0) {
            copies++;
        }
        while (x < entries && strcmp(index->entries[x].tensor, t->name) < 0) {
            add_ghost(f, &index->entries[x++], missing);
        }
        const bool known = x < entries && strcmp(index->entries[x].tensor, t->name) == 0;
        check_tensor(f, t, copies, known ? &index->entries[x++] : NULL, index != NULL);
        i += copies;
    }
    while (x < entries) {
        add_ghost(f, &index->entries[x++], missing);
    }
}

err_code shard_check(const checkpoint *cp, const shard_index *index, const bool *missing,
                     const monitor *m, err *e)
{
    findings f = {.cp = cp, .m = m};
    if (index) {
        check_missing(&f, index, missing);
    }
    check_names(&f, index, missing);
    if (f.list.total == 0) {
        return OK;
    }
    return err_set(e, ERR_INPUT, "%s: %s: %s", cp->dir,
                   index ? "index and shards disagree" : "shards disagree", text_list_end(&f.list));
}
