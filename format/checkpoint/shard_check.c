#include "format/checkpoint/shard_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/text_list.h"

enum { MAX_NOTES = 100 };

/* What is wrong, as numbers of tensors: enough to say what would repair it. */
typedef struct tally {
    size_t lost;       /* in the index, their shard is missing, and no other shard has them */
    size_t moved;      /* in another shard than the index says */
    size_t ghosts;     /* in the index, but in no shard, though theirs is there */
    size_t scales;     /* of the ghosts: scales of weights that are not FP8 */
    bool ghost_head;   /* lm_head.weight is a ghost */
    size_t extra;      /* in a shard, but not in the index */
    size_t duplicates; /* in several shards */
} tally;

typedef struct findings {
    const checkpoint *cp;
    const monitor *m;
    text_list list;
    tally count;
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

/* One item for a missing shard instead of one for each of its tensors, which are counted in one pass
 * over the index. */
static err_code check_missing(findings *f, const shard_index *index, const bool *missing, err *e)
{
    err_code code = OK;
    size_t *const tensors = calloc(f->cp->shard_count + 1, sizeof *tensors);
    if (!tensors) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu shards", f->cp->dir,
                       f->cp->shard_count);
    }
    for (size_t i = 0; i < index->count; i++) {
        tensors[index->entries[i].shard]++;
    }
    for (size_t s = 0; code == OK && s < f->cp->shard_count; s++) {
        code = monitor_step(f->m, s, e);
        if (code == OK && missing[s]) {
            add(f, "shard %s is missing, with %zu tensors", f->cp->shards[s].name, tensors[s]);
        }
    }
    free(tensors);
    return code;
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
        f->count.duplicates++;
    }
    if (!indexed) {
        return;
    }
    if (!entry) {
        add(f, "tensor %s in %s is not in the index", t->name, shards[t->shard].name);
        f->count.extra++;
    } else if (copies == 1 && entry->shard != t->shard) {
        add(f, "tensor %s is in %s, not in %s as the index says", t->name, shards[t->shard].name,
            shards[entry->shard].name);
        f->count.moved++;
    }
}

/* Is this the scale of a weight that is there and needs none? */
static bool is_idle_scale(const checkpoint *cp, const char *name)
{
    const char *const suffix = strstr(name, "_scale");
    char weight[256];
    if (!suffix || (strcmp(suffix, "_scale") != 0 && strcmp(suffix, "_scale_inv") != 0) ||
        (size_t)(suffix - name) >= sizeof weight) {
        return false;
    }
    snprintf(weight, sizeof weight, "%.*s", (int)(suffix - name), name);
    const tensor *const t = checkpoint_find(cp, weight);
    return t && (t->type == DTYPE_BF16 || t->type == DTYPE_F16 || t->type == DTYPE_F32);
}

static void add_ghost(findings *f, const index_entry *entry, const bool *missing)
{
    if (missing[entry->shard]) {
        f->count.lost++;
        return;
    }
    add(f, "tensor %s is in the index, but not in %s", entry->tensor,
        f->cp->shards[entry->shard].name);
    f->count.ghosts++;
    f->count.scales += is_idle_scale(f->cp, entry->tensor);
    f->count.ghost_head |= strcmp(entry->tensor, "lm_head.weight") == 0;
}

/* Both lists are sorted by name: scan them side by side, as in a merge. */
static err_code check_names(findings *f, const shard_index *index, const bool *missing, err *e)
{
    const checkpoint *cp = f->cp;
    const size_t entries = index ? index->count : 0;
    size_t x = 0;
    for (size_t i = 0, step = 0; i < cp->tensor_count; step++) {
        const tensor *t = &cp->tensors[i];
        TRY(monitor_step(f->m, step, e));
        size_t copies = 1;
        while (i + copies < cp->tensor_count && strcmp(t->name, t[copies].name) == 0) {
            copies++;
        }
        while (x < entries && strcmp(index->entries[x].tensor, t->name) < 0) {
            TRY(monitor_step(f->m, x, e));
            add_ghost(f, &index->entries[x++], missing);
        }
        const bool known = x < entries && strcmp(index->entries[x].tensor, t->name) == 0;
        check_tensor(f, t, copies, known ? &index->entries[x++] : NULL, index != NULL);
        i += copies;
    }
    while (x < entries) {
        TRY(monitor_step(f->m, x, e));
        add_ghost(f, &index->entries[x++], missing);
    }
    return OK;
}

/* What would repair it: the first that applies, so that no hint leads to a part of a model. */
static void hint_repair(const findings *f, const char *index, err *e)
{
    const tally *const n = &f->count;
    if (n->lost > 0) {
        err_hint(e, "fetch the missing shards");
    } else if (n->duplicates > 0) {
        err_hint(e, "the shards come from different saves: fetch or save the checkpoint again");
    } else if (n->moved > 0 && n->ghosts + n->extra == 0) {
        err_hint(e,
                 "no tensor of %s is missing, but some are in other shards: fetch the index again, "
                 "or write a new one from the headers of the shards",
                 index);
    } else if (n->moved > 0 || (n->ghosts > 0 && n->extra > 0)) {
        err_hint(e, "%s belongs to other shards: fetch the index of these shards", index);
    } else if (n->ghosts > 0 && n->scales == n->ghosts) {
        err_hint(e,
                 "%s is the index of an FP8 version, but these weights have no scales: remove the "
                 "%zu scale%s from its weight_map",
                 index, n->ghosts, n->ghosts == 1 ? "" : "s");
    } else if (n->ghost_head && n->ghosts == 1) {
        err_hint(e,
                 "if tie_word_embeddings is true, the head was not saved: remove lm_head.weight "
                 "from the weight_map of %s",
                 index);
    } else if (n->ghosts > 0) {
        err_hint(e, "%s and the shards come from different saves: fetch all of them again", index);
    } else {
        err_hint(e, "add the tensor%s to the weight_map of %s, or fetch the index of these shards",
                 n->extra == 1 ? "" : "s", index);
    }
}

err_code shard_check(const checkpoint *cp, const shard_index *index, const bool *missing,
                     const monitor *m, err *e)
{
    findings f = {.cp = cp, .m = m};
    if (index) {
        TRY(check_missing(&f, index, missing, e));
    }
    TRY(check_names(&f, index, missing, e));
    if (f.list.total == 0) {
        return OK;
    }
    err_set(e, ERR_INPUT, "%s: %s: %s", cp->dir,
            index ? "index and shards disagree" : "shards disagree", text_list_end(&f.list));
    hint_repair(&f, cp->index_name ? cp->index_name : "the index", e);
    return ERR_INPUT;
}
