/* Merging: of all pairs of neighboring tokens, the one that is first in the list of merges becomes
 * one token (at its leftmost occurrence), until no pair is in the list. The candidates are kept in
 * a heap, so a word of n bytes takes O(n log n) steps instead of the O(n^2) of searching the word
 * again after each merge. */
#include <stdlib.h>
#include <string.h>

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

/* A word of n bytes has n - 1 pairs, and each of its at most n - 1 merges makes two new pairs. */
enum { PAIRS_PER_SYMBOL = 3, SPELLED_BYTES = 2, STEPS_PER_LOOK = 1 << 18 };

static err_code reserve(bpe_work *w, size_t bytes, err *e)
{
    if (bytes <= w->capacity) {
        return OK;
    }
    const size_t capacity = bytes < 256 ? 256 : bytes;
    bpe_work_free(w);
    w->symbols = calloc(capacity, sizeof *w->symbols);
    w->heap = calloc(capacity, PAIRS_PER_SYMBOL * sizeof *w->heap);
    w->spelled = calloc(capacity, SPELLED_BYTES);
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

/* The merge of two tokens; NULL: none. */
static const bpe_merge *find_merge(const bpe_model *m, int32_t left, int32_t right)
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
    return low < end && low->right == right ? low : NULL;
}

/* Put the token at `place` and the one after it into the heap, if there is a merge of the two. */
static void offer(const bpe_model *m, bpe_work *w, int32_t place)
{
    if (place < 0 || w->symbols[place].next < 0) {
        return;
    }
    const int32_t left = w->symbols[place].number;
    const int32_t right = w->symbols[w->symbols[place].next].number;
    const bpe_merge *const merge = find_merge(m, left, right);
    if (merge) {
        heap_push(w, (bpe_pair){merge->rank, place, left, right});
    }
}

static err_code merge_all(const bpe_model *m, bpe_work *w, err *e)
{
    bpe_symbol *const symbols = w->symbols;
    for (size_t step = 1; w->heap_count > 0; step++) {
        if (step % STEPS_PER_LOOK == 0 && monitor_cancelled(w->monitor)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        const bpe_pair pair = heap_pop(w);
        bpe_symbol *const left = &symbols[pair.place];
        if (left->number != pair.left || left->next < 0 ||
            symbols[left->next].number != pair.right) {
            continue; /* stale */
        }
        bpe_symbol *const right = &symbols[left->next];
        left->number = m->merged[pair.rank];
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

static err_code set_symbols(const bpe_model *m, bpe_work *w, const char *word, size_t bytes, err *e)
{
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char byte = (unsigned char)word[i];
        const int32_t place = (int32_t)i;
        if (m->by_byte[byte] == BPE_NONE) {
            return err_set(e, ERR_INPUT, "the vocabulary has no token for the byte 0x%02x", byte);
        }
        w->symbols[i] = (bpe_symbol){.number = m->by_byte[byte],
                                     .before = place - 1,
                                     .next = i + 1 < bytes ? place + 1 : -1};
    }
    return OK;
}

/* The id of the token that is the whole word; NULL: none. */
static const json_t *find_word(const bpe_model *m, bpe_work *w, const char *word, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        const char *const letter = m->letters[(unsigned char)word[i]];
        w->spelled[used++] = letter[0];
        if (letter[1]) {
            w->spelled[used++] = letter[1];
        }
    }
    return json_object_getn(m->vocab, w->spelled, used);
}

err_code bpe_encode(const bpe_model *m, bpe_work *w, const char *word, size_t bytes,
                    token_list *out, err *e)
{
    TRY(reserve(w, bytes, e));
    const json_t *const whole = m->whole_words ? find_word(m, w, word, bytes) : NULL;
    if (whole) {
        return token_list_add(out, (int32_t)json_integer_value(whole), e);
    }
    TRY(set_symbols(m, w, word, bytes, e));
    w->heap_count = 0;
    for (size_t i = 0; i + 1 < bytes; i++) {
        offer(m, w, (int32_t)i);
    }
    TRY(merge_all(m, w, e));
    for (int32_t i = 0; i >= 0; i = w->symbols[i].next) {
        TRY(token_list_add(out, m->ids[w->symbols[i].number], e));
    }
    return OK;
}
