#include "verify/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/base/utf8.h"
#include "verify/tokenizer/tiktoken.h"
#include "verify/tokenizer/tokenizer_parts.h"

enum { SETS = 2, FIRST_CAPACITY = 1024, WORDS_PER_LOOK = 4096 };

struct tokenizer {
    added_set added[SETS]; /* applied in this order */
    normal_list normal;    /* between the two sets */
    split_list splits;
    bpe_model model;
    pattern *word; /* a word character; NULL: no token is single_word */
};

/* ---- reading --------------------------------------------------- */

static bool needs_words(const tokenizer *t)
{
    for (int s = 0; s < SETS; s++) {
        for (size_t i = 0; i < t->added[s].count; i++) {
            if (t->added[s].tokens[i].single_word) {
                return true;
            }
        }
    }
    return false;
}

/* A normalizer can move what begins the text. */
static err_code check_first(const tokenizer *t, const json_t *root, err *e)
{
    return t->normal.count > 0 && t->splits.count > 0 &&
                   t->splits.splits[0].prepend == PREPEND_FIRST
               ? tokenizer_refuse("pre_tokenizer.prepend_scheme with a normalizer",
                                  json_object_get(root, "pre_tokenizer"), e)
               : OK;
}

static err_code read_parts(tokenizer *t, const json_t *root, const monitor *m, err *e)
{
    TRY(tokenizer_check_root(root, m, e));
    TRY(bpe_read(json_object_get(root, "model"), m, &t->model, e));
    TRY(added_read(json_object_get(root, "added_tokens"), &t->model, m, t->added, e));
    TRY(normal_read(json_object_get(root, "normalizer"), &t->normal, e));
    TRY(added_normalize(&t->added[1], &t->normal, m, e));
    TRY(splits_read(json_object_get(root, "pre_tokenizer"), &t->splits, e));
    t->splits.letters = t->model.letters;
    TRY(check_first(t, root, e));
    return needs_words(t) ? pattern_word(&t->word, e) : OK;
}

/* Name the file in an error, and the way without it. */
static err_code refused(const char *what, err_code code, err *e)
{
    if (code != OK) {
        err_prefix(e, "%s", what);
    }
    if (code == ERR_INPUT) {
        err_hint(e, TOKENIZER_HINT);
    }
    return code;
}

static const char byte_order_mark[] = "\xef\xbb\xbf";

static err_code parse(const char *what, const char *json, size_t bytes, json_t **root, err *e)
{
    const size_t mark = sizeof byte_order_mark - 1;
    if (bytes >= mark && memcmp(json, byte_order_mark, mark) == 0) {
        err_set(e, ERR_INPUT,
                "%s: begins with a byte order mark, which the tokenizers library does not accept",
                what);
        err_hint(e, "remove the first three bytes");
        return ERR_INPUT;
    }
    return json_parse(what, json, bytes, JSON_PYTHON | JSON_LARGE, root, e);
}

err_code tokenizer_create(const char *what, const char *json, size_t bytes, const monitor *m,
                          tokenizer **out, err *e)
{
    json_t *root = NULL;
    tokenizer *t = NULL;
    err_code code = OK;
    *out = NULL;
    TRY(parse(what, json, bytes, &root, e));
    t = calloc(1, sizeof *t);
    if (!t) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for a tokenizer"));
    }
    TRY_OUT(read_parts(t, root, m, e));
    if (t->splits.byte_level && !t->model.whole_words) { /* no spelling is looked up any more */
        json_decref(t->model.vocab);
        t->model.vocab = NULL;
    }
    *out = t;
    t = NULL;
out:
    tokenizer_free(t);
    json_decref(root);
    return refused(what, code, e);
}

/* Unlike tokenizer.json, the code drops text that no alternative of the pattern matches. */
static err_code read_tiktoken(tokenizer *t, const char *ranks, size_t bytes, const char *code_name,
                              const char *code, const json_t *config, const monitor *m, err *e)
{
    split *const s = &t->splits.splits[t->splits.count++];
    *s = (split){.behavior = SPLIT_REMOVED, .invert = true};
    t->splits.byte_level = true;
    t->splits.letters = t->model.letters;
    err_code result = tiktoken_read_pattern(code, &s->pattern, e);
    if (result != OK) {
        err_prefix(e, "%s", code_name);
        return result;
    }
    TRY(tiktoken_read_ranks(ranks, bytes, m, &t->model, e));
    result = tiktoken_read_special(config, t->model.count, code, &t->added[0], e);
    if (result != OK) {
        err_prefix(e, "%s", code_name);
    }
    return result;
}

err_code tokenizer_create_tiktoken(const char *what, const char *ranks, size_t bytes,
                                   const char *code_name, const char *code, const json_t *config,
                                   const monitor *m, tokenizer **out, err *e)
{
    tokenizer *t = calloc(1, sizeof *t);
    err_code result = OK;
    *out = NULL;
    if (!t) {
        return err_set(e, ERR_MEMORY, "no memory for a tokenizer");
    }
    result = read_tiktoken(t, ranks, bytes, code_name, code, config, m, e);
    if (result == OK) {
        *out = t;
        t = NULL;
    }
    tokenizer_free(t);
    return refused(what, result, e);
}

void tokenizer_free(tokenizer *t)
{
    if (t) {
        for (int s = 0; s < SETS; s++) {
            added_free(&t->added[s]);
        }
        normal_free(&t->normal);
        splits_free(&t->splits);
        bpe_free(&t->model);
        pattern_free(t->word);
        free(t);
    }
}

/* ---- encoding -------------------------------------------------- */

typedef struct encoding {
    const tokenizer *t;
    const char *text; /* the whole */
    pattern_scratch *scratch;
    text_budget budget;
    normal_work normal;
    bpe_work work;
    size_t words;
    token_list *out;
} encoding;

static err_code encode_word(void *ctx, const char *word, size_t bytes, err *e)
{
    encoding *const c = ctx;
    if (++c->words % WORDS_PER_LOOK == 0 && monitor_cancelled(c->work.monitor)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    return bpe_encode(&c->t->model, &c->work, c->t->splits.byte_level, word, bytes, c->out, e);
}

/* The offset of the character that ends at `end` > 0. */
static size_t character_before(const char *text, size_t end)
{
    do {
        end--;
    } while (((unsigned char)text[end] & 0xc0) == 0x80);
    return end;
}

static err_code is_word(const encoding *c, const char *text, size_t bytes, size_t at, bool *word,
                        err *e)
{
    size_t end = 0;
    TRY(pattern_match(c->t->word, c->scratch, text, bytes, at, &end, e));
    *word = end > 0;
    return OK;
}

/* *alone: there is no word character directly before or after the token [first, last). */
static err_code is_single_word(const encoding *c, const char *text, size_t bytes, size_t first,
                               size_t last, bool *alone, err *e)
{
    bool before = false, after = false;
    if (first > 0) {
        TRY(is_word(c, text, bytes, character_before(text, first), &before, e));
    }
    if (last < bytes) {
        TRY(is_word(c, text, bytes, last, &after, e));
    }
    *alone = !before && !after;
    return OK;
}

/* White_Space in UTF-8. */
static bool is_space(const char *p, size_t length)
{
    const unsigned char a = (unsigned char)p[0];
    const unsigned char b = length > 1 ? (unsigned char)p[1] : 0;
    const unsigned char c = length > 2 ? (unsigned char)p[2] : 0;
    switch (length) {
    case 1:
        return a == ' ' || (a >= '\t' && a <= '\r');
    case 2:
        return a == 0xc2 && (b == 0x85 || b == 0xa0);
    case 3:
        return (a == 0xe1 && b == 0x9a && c == 0x80) || (a == 0xe3 && b == 0x80 && c == 0x80) ||
               (a == 0xe2 && ((b == 0x80 && (c <= 0x8a || c == 0xa8 || c == 0xa9 || c == 0xaf)) ||
                              (b == 0x81 && c == 0x9f)));
    default:
        return false;
    }
}

/* Where the white space before `end` begins, but at least `least`, which may be beyond `end`. */
static size_t skip_space_before(const char *text, size_t least, size_t end)
{
    while (end > least) {
        const size_t at = character_before(text, end);
        if (!is_space(text + at, end - at)) {
            break;
        }
        end = at;
    }
    return end > least ? end : least;
}

static size_t skip_space(const char *text, size_t bytes, size_t at)
{
    while (at < bytes) {
        const size_t length = utf8_length(text + at, bytes - at);
        if (!is_space(text + at, length)) {
            break;
        }
        at += length;
    }
    return at;
}

/* A piece of text to be cut at the added tokens of set number `set`. */
typedef struct segment {
    const char *text;
    size_t bytes;
    int set;
    size_t done; /* bytes handled so far, including space that rstrip took */
    /* White space that was skipped last: every token within it would skip the rest of it again. */
    size_t space_begin, space_end;
} segment;

static err_code encode_segment(encoding *c, const char *text, size_t bytes, int set, err *e);

/* Where the white space after `end` ends. */
static size_t skip_space_after(segment *s, size_t end)
{
    if (end < s->space_begin || end > s->space_end) {
        s->space_begin = end;
        s->space_end = skip_space(s->text, s->bytes, end);
    }
    return s->space_end;
}

/* Encode the text before an added token, which was found at `first`, and the token. */
static err_code encode_added(encoding *c, segment *s, const added_token *t, size_t first, err *e)
{
    const size_t end = first + t->bytes;
    bool alone = true;
    if (t->single_word) {
        TRY(is_single_word(c, s->text, s->bytes, first, end, &alone, e));
    }
    if (!alone) {
        return OK;
    }
    const size_t begin = t->lstrip ? skip_space_before(s->text, s->done, first) : first;
    const size_t last = t->rstrip ? skip_space_after(s, end) : end;
    if (s->done < begin) {
        TRY(encode_segment(c, s->text + s->done, begin - s->done, s->set + 1, e));
    }
    if (begin < last) { /* else it is all space that the rstrip before it took */
        TRY(token_list_add(c->out, t->id, e));
    }
    s->done = last;
    return OK;
}

/* Cut a segment at the added tokens of set number `set`. The text between them goes to the next
 * set, and after the last set to the splits. */
static err_code encode_segment(encoding *c, const char *text, size_t bytes, int set, err *e)
{
    if (set == SETS) {
        const bool at_start = text == c->text;
        return splits_run(&c->t->splits, c->scratch, &c->budget, text, bytes, at_start, encode_word,
                          c, e);
    }
    if (set == SETS - 1) {
        TRY(normal_run(&c->t->normal, c->scratch, &c->normal, &text, &bytes, e));
    }
    const added_set *const tokens = &c->t->added[set];
    segment s = {.text = text, .bytes = bytes, .set = set};
    const monitor *const m = c->work.monitor;
    const added_token *t = NULL;
    size_t first = 0;
    TRY(added_find(tokens, text, bytes, 0, m, &t, &first, e));
    while (t) {
        TRY(encode_added(c, &s, t, first, e));
        TRY(added_find(tokens, text, bytes, first + t->bytes, m, &t, &first, e));
    }
    return s.done < bytes ? encode_segment(c, text + s.done, bytes - s.done, set + 1, e) : OK;
}

static err_code check_text(const char *text, size_t bytes, err *e)
{
    if (bytes > INT32_MAX) {
        return err_set(e, ERR_INPUT, "a text of %zu bytes, at most %d are allowed", bytes,
                       INT32_MAX);
    }
    for (size_t at = 0; at < bytes;) {
        const size_t length = utf8_length(text + at, bytes - at);
        if (length == 0) {
            return err_set(e, ERR_INPUT, "the text is not UTF-8: byte 0x%02x at offset %zu",
                           (unsigned char)text[at], at);
        }
        at += length;
    }
    return OK;
}

err_code tokenizer_encode(const tokenizer *t, const char *text, size_t bytes, const monitor *m,
                          token_list *out, err *e)
{
    encoding c = {.t = t, .text = text, .normal.unicode.monitor = m, .work.monitor = m, .out = out};
    err_code code = OK;
    TRY(check_text(text, bytes, e));
    TRY_OUT(pattern_scratch_create(&c.scratch, e));
    pattern_budget(c.scratch, bytes, m);
    text_budget_begin(&c.budget, bytes, m);
    c.normal.budget = &c.budget;
    code = encode_segment(&c, text, bytes, 0, e);
out:
    normal_work_free(&c.normal);
    bpe_work_free(&c.work);
    pattern_scratch_free(c.scratch);
    return code;
}

err_code token_list_add(token_list *list, int32_t id, err *e)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : FIRST_CAPACITY;
        int32_t *const ids = realloc(list->ids, capacity * sizeof *ids);
        if (!ids) {
            return err_set(e, ERR_MEMORY, "no memory for %zu ids", capacity);
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return OK;
}

void token_list_free(token_list *list)
{
    free(list->ids);
    *list = (token_list){0};
}
