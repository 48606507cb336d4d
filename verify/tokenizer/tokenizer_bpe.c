/* Merging: of all pairs of neighboring tokens, the one that is first in the list of merges becomes
 * one token (at its leftmost occurrence), until no pair is in the list. The candidates are kept in
 * a heap, so a word of n bytes takes O(n log n) steps instead of the O(n^2) of searching the word
 * again after each merge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

/* A token of the word, in a doubly linked list; places are indices of symbols, negative: none. */
typedef struct bpe_symbol {
    int32_t number; /* BPE_NONE: merged into the token before it */
    int32_t before, next;
} bpe_symbol;

/* A candidate for a merge. It is not removed when a merge changes its left or right token: that it
 * is stale shows when it is taken from the heap. */
typedef struct bpe_pair {
    uint32_t rank;
    int32_t place;
    int32_t left, right;
} bpe_pair;

/* A word of n symbols has n - 1 pairs, and each of its at most n - 1 merges makes two new pairs. A
 * byte is spelled by at most two, which byte_fallback makes two symbols of. */
enum { PAIRS_PER_SYMBOL = 3, LETTER_BYTES = 2, STEPS_PER_LOOK = 1 << 18 };

/* No list of merges is so long. */
static const uint32_t NO_MERGE = UINT32_MAX;

static err_code reserve(bpe_work *w, size_t bytes, err *e)
{
    if (bytes <= w->capacity) {
        return OK;
    }
    const size_t capacity = bytes < 256 ? 256 : bytes;
    bpe_work_free(w);
    w->symbols = calloc(capacity, sizeof *w->symbols);
    w->heap = calloc(capacity, PAIRS_PER_SYMBOL * sizeof *w->heap);
    w->spelled = calloc(capacity, 1);
    if (!w->symbols || !w->heap || !w->spelled) {
        bpe_work_free(w);
        return err_set(e, ERR_MEMORY, "no memory for a word of %zu bytes", bytes);
    }
    w->capacity = capacity;
    return OK;
}

void bpe_work_free(bpe_work *w)
{
    free(w->symbols);
    free(w->heap);
    free(w->spelled);
    *w = (bpe_work){.monitor = w->monitor};
}

/* Every so many steps: has the job been cancelled? */
static err_code look(const bpe_work *w, size_t step, err *e)
{
    return step % STEPS_PER_LOOK == 0 && monitor_cancelled(w->monitor)
               ? err_set(e, ERR_CANCELLED, "interrupted")
               : OK;
}

static bool comes_before(const bpe_pair *a, const bpe_pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->place < b->place;
}

static void heap_push(bpe_work *w, bpe_pair pair)
{
    size_t at = w->heap_count++;
    while (at > 0 && comes_before(&pair, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = pair;
}

static bpe_pair heap_pop(bpe_work *w)
{
    const bpe_pair first = w->heap[0];
    const bpe_pair last = w->heap[--w->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < w->heap_count && comes_before(&w->heap[child + 1], &w->heap[child])) {
            child++;
        }
        if (child >= w->heap_count || !comes_before(&w->heap[child], &last)) {
            break;
        }
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return first;
}

/* The rank of the merge of two tokens; NO_MERGE: there is none. */
static uint32_t find_merge(const bpe_model *m, int32_t left, int32_t right)
{
    const bpe_merge *low = m->merges + m->rows[left];
    const bpe_merge *const end = m->merges + m->rows[left + 1];
    for (size_t count = (size_t)(end - low); count > 0;) {
        const size_t half = count / 2;
        if (low[half].right < right) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low < end && low->right == right ? low->rank : NO_MERGE;
}

/* The same for a vocabulary without a list of merges. Symbols of such a word begin as its bytes, so
 * that places are offsets. */
static uint32_t find_text(const bpe_model *m, const bpe_work *w, int32_t place)
{
    const int32_t next = w->symbols[w->symbols[place].next].next;
    const size_t end = next < 0 ? w->count : (size_t)next;
    const int32_t number = bpe_find(m, w->word + place, end - (size_t)place);
    return number == BPE_NONE ? NO_MERGE : (uint32_t)number;
}

/* Put the token at `place` and the one after it into the heap, if there is a merge of the two. */
static void offer(const bpe_model *m, bpe_work *w, int32_t place)
{
    if (place < 0 || w->symbols[place].next < 0) {
        return;
    }
    const int32_t left = w->symbols[place].number;
    const int32_t right = w->symbols[w->symbols[place].next].number;
    const uint32_t rank = m->by_text ? find_text(m, w, place) : find_merge(m, left, right);
    if (rank != NO_MERGE) {
        heap_push(w, (bpe_pair){rank, place, left, right});
    }
}

static err_code merge_all(const bpe_model *m, bpe_work *w, err *e)
{
    bpe_symbol *const symbols = w->symbols;
    for (size_t step = 1; w->heap_count > 0; step++) {
        TRY(look(w, step, e));
        const bpe_pair pair = heap_pop(w);
        bpe_symbol *const left = &symbols[pair.place];
        if (left->number != pair.left || left->next < 0 ||
            symbols[left->next].number != pair.right) {
            continue; /* stale */
        }
        bpe_symbol *const right = &symbols[left->next];
        left->number = m->by_text ? (int32_t)pair.rank : m->merged[pair.rank];
        left->next = right->next;
        right->number = BPE_NONE;
        if (left->next >= 0) {
            symbols[left->next].before = pair.place;
        }
        offer(m, w, left->before);
        offer(m, w, pair.place);
    }
    return OK;
}

/* ---- the symbols of a word ------------------------------------- */

static void add_symbol(bpe_work *w, int32_t number)
{
    const int32_t place = (int32_t)w->count++;
    w->symbols[place] = (bpe_symbol){.number = number, .before = place - 1, .next = -1};
    if (place > 0) {
        w->symbols[place - 1].next = place;
    }
}

/* A character that is no token: the tokens of its bytes, if all of them exist. */
static bool add_bytes(const bpe_model *m, bpe_work *w, const char *character, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (m->fallback[(unsigned char)character[i]] == BPE_NONE) {
            return false;
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        add_symbol(w, m->fallback[(unsigned char)character[i]]);
    }
    return true;
}

/* The library would drop the character if the file has no unk_token, and fail if the vocabulary
 * does not have it. */
static err_code no_token(const char *character, size_t bytes, err *e)
{
    char code[16] = "";
    for (size_t i = 0; i < bytes; i++) {
        snprintf(code + 3 * i, sizeof code - 3 * i, " %02x", (unsigned char)character[i]);
    }
    err_set(e, ERR_INPUT,
            "the vocabulary has no token for the character with the UTF-8 bytes%s, and none for "
            "unknown characters",
            code);
    err_hint(e, TOKENIZER_HINT);
    return ERR_INPUT;
}

/* Add the symbols of one character. Unknown ones are added when the next known one comes, even
 * after the bytes of others: so does the library. */
static err_code add_character(const bpe_model *m, bpe_work *w, int32_t number,
                              const char *character, size_t bytes, err *e)
{
    if (number == BPE_NONE) {
        if (add_bytes(m, w, character, bytes)) {
            return OK;
        }
        if (m->unknown == BPE_NONE) {
            return no_token(character, bytes, e);
        }
        if (w->unknown && !m->fuse_unknown) {
            add_symbol(w, m->unknown);
        }
        w->unknown = true;
        return OK;
    }
    if (w->unknown) {
        add_symbol(w, m->unknown);
        w->unknown = false;
    }
    add_symbol(w, number);
    return OK;
}

static err_code set_symbols(const bpe_model *m, bpe_work *w, bool byte_level, const char *word,
                            size_t bytes, err *e)
{
    w->count = 0;
    w->unknown = false;
    for (size_t at = 0, step = 1; at < bytes; step++) {
        TRY(look(w, step, e));
        const unsigned char byte = (unsigned char)word[at];
        if (byte_level) {
            const char *const letter = m->by_text ? word + at : m->letters[byte];
            const size_t length = m->by_text ? 1 : strlen(letter);
            TRY(add_character(m, w, m->by_byte[byte], letter, length, e));
            at++;
        } else {
            const size_t length = utf8_length(word + at, bytes - at);
            TRY(add_character(m, w, bpe_find(m, word + at, length), word + at, length, e));
            at += length;
        }
    }
    if (w->unknown) {
        add_symbol(w, m->unknown);
    }
    return OK;
}

/* The number of the token that is the whole word; BPE_NONE: none. */
static int32_t find_word(const bpe_model *m, bpe_work *w, bool byte_level, const char *word,
                         size_t bytes)
{
    if (!byte_level || m->by_text) {
        return bpe_find(m, word, bytes);
    }
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        const char *const letter = m->letters[(unsigned char)word[i]];
        w->spelled[used++] = letter[0];
        if (letter[1]) {
            w->spelled[used++] = letter[1];
        }
    }
    return bpe_find(m, w->spelled, used);
}

err_code bpe_encode(const bpe_model *m, bpe_work *w, bool byte_level, const char *word,
                    size_t bytes, token_list *out, err *e)
{
    TRY(reserve(w, bytes * (byte_level ? LETTER_BYTES : 1), e));
    const int32_t whole = m->whole_words ? find_word(m, w, byte_level, word, bytes) : BPE_NONE;
    if (whole != BPE_NONE) {
        return token_list_add(out, m->ids[whole], e);
    }
    w->word = word;
    TRY(set_symbols(m, w, byte_level, word, bytes, e));
    w->heap_count = 0;
    for (size_t i = 0; i + 1 < w->count; i++) {
        TRY(look(w, i + 1, e));
        offer(m, w, (int32_t)i);
    }
    TRY(merge_all(m, w, e));
    for (int32_t i = w->count ? 0 : -1; i >= 0; i = w->symbols[i].next) {
        TRY(token_list_add(out, m->ids[w->symbols[i].number], e));
    }
    return OK;
}
