#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

static const char *const keys[] = {"type",
                                   "dropout",
                                   "unk_token",
                                   "continuing_subword_prefix",
                                   "end_of_word_suffix",
                                   "fuse_unk",
                                   "byte_fallback",
                                   "ignore_merges",
                                   "vocab",
                                   "merges",
                                   NULL};

/* A merge as the file lists it. */
typedef struct merge_line {
    int32_t left, right;
    uint32_t rank;
} merge_line;

static err_code no_memory(err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for a vocabulary");
}

/* ---- the alphabet ---------------------------------------------- */

/* JSON holds text but tokens hold bytes. GPT-2 spells a byte as the character with the same number
 * if that is printable, and the remaining bytes, in order, as the characters from U+0100 on. */

static bool is_printable(unsigned byte)
{
    return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
}

static void spell_bytes(bpe_model *m)
{
    unsigned other = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        const unsigned point = is_printable(byte) ? byte : other++;
        char *const letter = m->letters[byte];
        if (point < 0x80) {
            letter[0] = (char)point;
        } else {
            letter[0] = (char)(0xc0 | point >> 6);
            letter[1] = (char)(0x80 | (point & 0x3f));
        }
    }
}

/* ---- the vocabulary -------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    const int32_t *const x = a;
    const int32_t *const y = b;
    return (*x > *y) - (*x < *y);
}

int32_t bpe_number(const bpe_model *m, int32_t id)
{
    /* Most vocabularies have no gaps. */
    if ((size_t)id < m->count && m->ids[id] == id) {
        return id;
    }
    const int32_t *const at = bsearch(&id, m->ids, m->count, sizeof id, compare_ids);
    return at ? (int32_t)(at - m->ids) : BPE_NONE;
}

int32_t bpe_find(const bpe_model *m, const char *spelling, size_t bytes)
{
    const json_t *const id = json_object_getn(m->vocab, spelling, bytes);
    return id ? bpe_number(m, (int32_t)json_integer_value(id)) : BPE_NONE;
}

static int32_t number_of(const bpe_model *m, const char *token)
{
    return bpe_find(m, token, strlen(token));
}

static err_code read_vocab(bpe_model *m, json_t *vocab, const monitor *asked, err *e)
{
    const char *token = NULL;
    json_t *id = NULL;
    if (!json_is_object(vocab)) {
        return tokenizer_refuse("model.vocab", vocab, e);
    }
    m->vocab = json_incref(vocab);
    m->ids = calloc(json_object_size(vocab) + 1, sizeof *m->ids);
    if (!m->ids) {
        return no_memory(e);
    }
    json_object_foreach(vocab, token, id)
    {
        TRY(monitor_step(asked, m->count, e));
        const err_code code = tokenizer_read_id("model.vocab", id, &m->ids[m->count++], e);
        if (code != OK) {
            err_prefix(e, "token \"%s\"", token);
            return code;
        }
    }
    return bpe_finish_vocab(m, e);
}

err_code bpe_finish_vocab(bpe_model *m, err *e)
{
    qsort(m->ids, m->count, sizeof *m->ids, compare_ids);
    for (size_t i = 1; i < m->count; i++) {
        if (m->ids[i - 1] == m->ids[i]) {
            return err_set(e, ERR_INPUT, "%stwo tokens have the id %d",
                           m->by_text ? "" : "model.vocab: ", m->ids[i]);
        }
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        const char raw = (char)byte;
        m->by_byte[byte] = m->by_text ? bpe_find(m, &raw, 1) : number_of(m, m->letters[byte]);
        m->fallback[byte] = BPE_NONE;
    }
    return OK;
}

/* ---- the merges ------------------------------------------------ */

/* The two parts of merge number `i`: an array of two strings, or one string with one space, of
 * which *text gets a copy to free(). */
static err_code read_parts(const json_t *value, size_t i, const char *part[2], char **text, err *e)
{
    *text = NULL;
    if (json_is_string(value)) {
        *text = strdup(json_string_value(value));
        char *const space = *text ? strchr(*text, ' ') : NULL;
        if (!*text) {
            return no_memory(e);
        }
        if (space && !strchr(space + 1, ' ')) {
            *space = '\0';
            part[0] = *text;
            part[1] = space + 1;
            return OK;
        }
    } else if (json_array_size(value) == 2) {
        part[0] = json_string_value(json_array_get(value, 0));
        part[1] = json_string_value(json_array_get(value, 1));
        if (part[0] && part[1]) {
            return OK;
        }
    }
    char path[64];
    snprintf(path, sizeof path, "model.merges[%zu]", i);
    return tokenizer_refuse(path, value, e);
}

static err_code find_merge(bpe_model *m, const char *const part[2], size_t rank, merge_line *out,
                           err *e)
{
    char *whole = NULL;
    assert(part[0] && part[1]);
    if (asprintf(&whole, "%s%s", part[0], part[1]) < 0) {
        return no_memory(e);
    }
    out->left = number_of(m, part[0]);
    out->right = number_of(m, part[1]);
    out->rank = (uint32_t)rank;
    m->merged[rank] = number_of(m, whole);
    const char *const missing = out->left < 0         ? part[0]
                                : out->right < 0      ? part[1]
                                : m->merged[rank] < 0 ? whole
                                                      : NULL;
    const err_code code =
        missing ? err_set(e, ERR_INPUT, "model.merges[%zu]: \"%s\" is not in model.vocab", rank,
                          missing)
                : OK;
    free(whole);
    return code;
}

static err_code read_merge(bpe_model *m, const json_t *value, size_t rank, merge_line *out, err *e)
{
    const char *part[2] = {NULL, NULL};
    char *text = NULL;
    err_code code = OK;
    TRY_OUT(read_parts(value, rank, part, &text, e));
    code = find_merge(m, part, rank, out, e);
out:
    free(text);
    return code;
}

static int compare_merges(const void *a, const void *b)
{
    const merge_line *const x = a;
    const merge_line *const y = b;
    if (x->left != y->left) {
        return x->left < y->left ? -1 : 1;
    }
    if (x->right != y->right) {
        return x->right < y->right ? -1 : 1;
    }
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Build the rows from the sorted merges. Of equal pairs the last one counts, as in the library. */
static void fill_rows(bpe_model *m, const merge_line *lines, size_t count)
{
    size_t row = 0;
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && lines[i].left == lines[i + 1].left &&
            lines[i].right == lines[i + 1].right) {
            continue;
        }
        while (row <= (size_t)lines[i].left) {
            m->rows[row++] = used;
        }
        m->merges[used++] = (bpe_merge){lines[i].right, lines[i].rank};
    }
    while (row <= m->count) {
        m->rows[row++] = used;
    }
}

/* Read all merges into `lines`, an array with one element for each. */
static err_code read_lines(bpe_model *m, const json_t *list, const monitor *asked,
                           merge_line *lines, err *e)
{
    const size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        TRY(monitor_step(asked, i, e));
        const json_t *const value = json_array_get(list, i);
        if (json_typeof(value) != json_typeof(json_array_get(list, 0))) {
            return err_set(e, ERR_INPUT, "model.merges: pairs and strings are mixed");
        }
        TRY(read_merge(m, value, i, &lines[i], e));
    }
    qsort(lines, count, sizeof *lines, compare_merges);
    fill_rows(m, lines, count);
    return OK;
}

static err_code read_merges(bpe_model *m, const json_t *list, const monitor *asked, err *e)
{
    if (!json_is_array(list)) {
        return tokenizer_refuse("model.merges", list, e);
    }
    const size_t count = json_array_size(list);
    merge_line *const lines = calloc(count + 1, sizeof *lines);
    m->rows = calloc(m->count + 1, sizeof *m->rows);
    m->merges = calloc(count + 1, sizeof *m->merges);
    m->merged = calloc(count + 1, sizeof *m->merged);
    const bool allocated = lines && m->rows && m->merges && m->merged;
    const err_code code = allocated ? read_lines(m, list, asked, lines, e) : no_memory(e);
    free(lines);
    return code;
}

/* ---- the rest -------------------------------------------------- */

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static err_code check_settings(const json_t *model, err *e)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const json_t *const type = json_object_get(model, "type");
    const json_t *const dropout = json_object_get(model, "dropout");
    if (type && !tokenizer_is_type(model, "BPE")) {
        return tokenizer_refuse("model.type", type, e);
    }
    TRY(tokenizer_check_keys("model", model, keys, e));
    if (!is_empty(dropout) && json_number_value(dropout) != 0) {
        return tokenizer_refuse("model.dropout", dropout, e);
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *const affix = json_object_get(model, affixes[i]);
        if (!is_empty(affix)) {
            char path[64];
            snprintf(path, sizeof path, "model.%s", affixes[i]);
            return tokenizer_refuse(path, affix, e);
        }
    }
    return OK;
}

/* What stands for characters that are no token: the tokens of their bytes, or unk_token. */
static err_code read_unknown(bpe_model *m, const json_t *model, err *e)
{
    const json_t *const token = json_object_get(model, "unk_token");
    bool fallback = false;
    TRY(tokenizer_read_flag("model", model, "byte_fallback", 0, &fallback, e));
    TRY(tokenizer_read_flag("model", model, "fuse_unk", 0, &m->fuse_unknown, e));
    if (token && !json_is_null(token) && !json_is_string(token)) {
        return tokenizer_refuse("model.unk_token", token, e);
    }
    m->unknown = json_is_string(token) ? number_of(m, json_string_value(token)) : BPE_NONE;
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelling[8];
        snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
        m->fallback[byte] = fallback ? number_of(m, spelling) : BPE_NONE;
    }
    return OK;
}

err_code bpe_read(const json_t *model, const monitor *m, bpe_model *out, err *e)
{
    *out = (bpe_model){0};
    spell_bytes(out);
    TRY(check_settings(model, e));
    TRY(tokenizer_read_flag("model", model, "ignore_merges", 0, &out->whole_words, e));
    TRY(read_vocab(out, json_object_get(model, "vocab"), m, e));
    TRY(read_unknown(out, model, e));
    return read_merges(out, json_object_get(model, "merges"), m, e);
}

void bpe_free(bpe_model *m)
{
    free(m->ids);
    free(m->rows);
    free(m->merges);
    free(m->merged);
    json_decref(m->vocab);
    *m = (bpe_model){0};
}
