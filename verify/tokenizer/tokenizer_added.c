#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/tokenizer/tokenizer_parts.h"

static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
                                   "rstrip", "normalized", "special",     NULL};

static err_code read_flags(const char *path, const json_t *value, added_token *t, err *e)
{
    bool special = false; /* required, but only decoding uses it */
    const struct {
        const char *key;
        bool *to;
    } flags[] = {{"single_word", &t->single_word},
                 {"lstrip", &t->lstrip},
                 {"rstrip", &t->rstrip},
                 {"normalized", &t->normalized},
                 {"special", &special}};
    TRY(tokenizer_check_keys(path, value, keys, e));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        TRY(tokenizer_read_flag(path, value, flags[i].key, -1, flags[i].to, e));
    }
    return OK;
}

/* The library ignores the id in the file: a token gets its id in the vocabulary, or else the next
 * free one. If the file says otherwise, its author expected ids that the library does not give. */
static err_code check_id(const char *path, const added_token *t, const bpe_model *m, int64_t *next,
                         err *e)
{
    const json_t *const known = json_object_get(m->vocab, t->content);
    const int64_t expected = known ? json_integer_value(known) : *next;
    if (t->id != expected || (!known && bpe_number(m, t->id) != BPE_NONE)) {
        return err_set(e, ERR_INPUT, "%s.id: expected %lld, found %d", path, (long long)expected,
                       t->id);
    }
    *next = t->id >= *next ? (int64_t)t->id + 1 : *next;
    return OK;
}

static err_code read_token(const char *path, const json_t *value, added_token *t, err *e)
{
    char place[96];
    TRY(read_flags(path, value, t, e));
    const json_t *const content = json_object_get(value, "content");
    const size_t bytes = json_string_length(content);
    snprintf(place, sizeof place, "%s.content", path);
    if (bytes == 0 || bytes > ADDED_MAX_BYTES) {
        return tokenizer_refuse(place, content, e);
    }
    snprintf(place, sizeof place, "%s.id", path);
    TRY(tokenizer_read_id(place, json_object_get(value, "id"), &t->id, e));
    t->bytes = bytes;
    t->content = strdup(json_string_value(content));
    return t->content ? OK : err_set(e, ERR_MEMORY, "no memory for an added token");
}

static int compare_content(const void *a, const void *b)
{
    const added_token *const x = a;
    const added_token *const y = b;
    return strcmp(x->content, y->content);
}

static err_code refuse_duplicate(const added_token *t, err *e)
{
    return err_set(e, ERR_INPUT, "added_tokens: duplicate token \"%s\"", t->content);
}

/* Sort the set, which the search needs, and refuse duplicates. */
err_code added_finish(added_set *set, err *e)
{
    qsort(set->tokens, set->count, sizeof *set->tokens, compare_content);
    for (size_t i = 0; i < set->count; i++) {
        const added_token *const t = &set->tokens[i];
        if (i > 0 && strcmp(t[-1].content, t->content) == 0) {
            return refuse_duplicate(t, e);
        }
        set->first[(unsigned char)*t->content] = true;
    }
    return OK;
}

static bool contains(const added_set *set, const added_token *t)
{
    return set->count && bsearch(t, set->tokens, set->count, sizeof *t, compare_content);
}

static err_code read_all(const json_t *list, const bpe_model *model, const monitor *m,
                         added_set sets[2], err *e)
{
    size_t i = 0;
    const json_t *value = NULL;
    int64_t next = (int64_t)model->count;
    json_array_foreach(list, i, value)
    {
        TRY(monitor_step(m, i, e));
        char path[64];
        added_token t = {0};
        snprintf(path, sizeof path, "added_tokens[%zu]", i);
        TRY(read_token(path, value, &t, e));
        sets[t.normalized].tokens[sets[t.normalized].count++] = t;
        TRY(check_id(path, &t, model, &next, e));
    }
    return OK;
}

err_code added_read(const json_t *list, const bpe_model *model, const monitor *m, added_set sets[2],
                    err *e)
{
    sets[0] = (added_set){0};
    sets[1] = (added_set){0};
    if (list && !json_is_array(list)) {
        return tokenizer_refuse("added_tokens", list, e);
    }
    for (int i = 0; i < 2; i++) {
        sets[i].tokens = calloc(json_array_size(list) + 1, sizeof *sets[i].tokens);
        if (!sets[i].tokens) {
            return err_set(e, ERR_MEMORY, "no memory for added tokens");
        }
    }
    TRY(read_all(list, model, m, sets, e));
    TRY(added_finish(&sets[0], e));
    TRY(added_finish(&sets[1], e));
    for (size_t i = 0; i < sets[1].count; i++) {
        if (contains(&sets[0], &sets[1].tokens[i])) {
            return refuse_duplicate(&sets[1].tokens[i], e);
        }
    }
    return OK;
}

static err_code normalize_token(added_token *t, const normal_list *normal, pattern_scratch *scratch,
                                normal_work *w, err *e)
{
    const char *text = t->content;
    size_t bytes = t->bytes;
    TRY(normal_run(normal, scratch, w, &text, &bytes, e));
    if (bytes == 0 || bytes > ADDED_MAX_BYTES) {
        return err_set(e, ERR_INPUT, "added_tokens: \"%s\" has %zu bytes after normalization",
                       t->content, bytes);
    }
    char *const copy = strndup(text, bytes);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "no memory for an added token");
    }
    free(t->content);
    t->content = copy;
    t->bytes = bytes;
    return OK;
}

err_code added_normalize(added_set *set, const normal_list *normal, const monitor *m, err *e)
{
    pattern_scratch *scratch = NULL;
    text_budget budget;
    normal_work w = {.budget = &budget};
    size_t bytes = 0;
    err_code code = OK;
    if (normal->count == 0 || set->count == 0) {
        return OK;
    }
    for (size_t i = 0; i < set->count; i++) {
        bytes += set->tokens[i].bytes;
    }
    TRY_OUT(pattern_scratch_create(&scratch, e));
    pattern_budget(scratch, bytes, m);
    text_budget_begin(&budget, bytes, m);
    for (size_t i = 0; i < set->count; i++) {
        TRY_OUT(normalize_token(&set->tokens[i], normal, scratch, &w, e));
    }
    memset(set->first, 0, sizeof set->first);
    code = added_finish(set, e);
out:
    normal_work_free(&w);
    pattern_scratch_free(scratch);
    return code;
}

void added_free(added_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->tokens[i].content);
    }
    free(set->tokens);
    *set = (added_set){0};
}

/* Among the tokens [low, high), whose first `depth` bytes are equal: the first one whose next byte
 * is at least `byte`. A token that ends there sorts before all others. */
static size_t lower_bound(const added_set *set, size_t low, size_t high, size_t depth,
                          unsigned byte)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((unsigned char)set->tokens[middle].content[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest token that `text` begins with. The sorted set serves as a trie: every further byte
 * narrows the range of tokens that begin like the text. */
static const added_token *longest_at(const added_set *set, const char *text, size_t bytes)
{
    const added_token *best = NULL;
    size_t low = 0, high = set->count;
    for (size_t depth = 0; low < high; depth++) {
        if (set->tokens[low].bytes == depth) {
            best = &set->tokens[low];
        }
        if (depth == bytes || text[depth] == '\0') {
            break;
        }
        const unsigned byte = (unsigned char)text[depth];
        low = lower_bound(set, low, high, depth, byte);
        high = lower_bound(set, low, high, depth, byte + 1);
    }
    return best;
}

/* A position costs at most the length of the longest token. */
err_code added_find(const added_set *set, const char *text, size_t bytes, size_t at,
                    const monitor *m, const added_token **out, size_t *found, err *e)
{
    *out = NULL;
    for (; set->count && at < bytes && !*out; at++) {
        TRY(monitor_step(m, at, e));
        if (set->first[(unsigned char)text[at]]) {
            *out = longest_at(set, text + at, bytes - at);
            *found = at;
        }
    }
    return OK;
}
