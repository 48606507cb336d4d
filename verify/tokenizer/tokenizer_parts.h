/* The parts of a tokenizer, shared by verify/tokenizer/tokenizer*.c only.
 *
 * A text passes through them in this order: a first set of added tokens cuts it into segments, which
 * are normalized; a second set cuts these; the splits cut a segment into words, and the model turns
 * a word into tokens. */
#ifndef TOKENIZER_PARTS_H
#define TOKENIZER_PARTS_H

#include <jansson.h>
#include <stdbool.h>

#include "verify/tokenizer/pattern.h"
#include "verify/tokenizer/text_budget.h"
#include "verify/tokenizer/text_buffer.h"
#include "verify/tokenizer/tokenizer.h"
#include "verify/tokenizer/unicode_normal.h"

enum { TOKENIZER_MAX_STEPS = 16, ADDED_MAX_BYTES = 1024, NORMAL_MAX_BYTES = 1024 };

/* What helps where a tokenizer or a text is refused. */
#define TOKENIZER_HINT "instead of a text, verify --forward takes token ids with --tokens"

/* ---- Reading JSON: tokenizer_json.c ---------------------------- */

/* ERR_INPUT with the place and its value: "model.dropout: 0.5 is not supported"; "missing" if
 * `value` is NULL. */
err_code tokenizer_refuse(const char *path, const json_t *value, err *e);

/* ERR_INPUT unless `value` is an object whose keys are all in `keys`, which ends with NULL. */
MUST_CHECK err_code tokenizer_check_keys(const char *path, const json_t *value,
                                         const char *const *keys, err *e);

/* object[key], true or false. `missing` is the value if there is none; negative: an error. */
MUST_CHECK err_code tokenizer_read_flag(const char *path, const json_t *object, const char *key,
                                        int missing, bool *out, err *e);

/* Is object["type"] this word? */
bool tokenizer_is_type(const json_t *object, const char *type);

/* Read {"String": ...}, which must not be empty, to *literal for free(), or compile {"Regex": ...}
 * to *regex for pattern_free. ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code tokenizer_read_pattern(const char *path, const json_t *value, char **literal,
                                           pattern **regex, err *e);

/* An id in [0, 2^31). */
MUST_CHECK err_code tokenizer_read_id(const char *path, const json_t *value, int32_t *out, err *e);

/* ---- What changes no id: tokenizer_root.c ---------------------- */

/* Check the keys of the file, and that what is not read otherwise changes no id. A note names
 * truncation and padding, which are ignored. ERR_INPUT. */
MUST_CHECK err_code tokenizer_check_root(const json_t *root, const monitor *m, err *e);

/* ---- Normalizers: tokenizer_normal.c --------------------------- */

typedef enum normal_kind { NORMAL_FORM, NORMAL_REPLACE, NORMAL_PREPEND } normal_kind;

typedef struct normal_step {
    normal_kind kind;
    unicode_form form;
    char *search; /* replace this text; NULL: what the pattern matches */
    pattern *pattern;
    char *content; /* what replaces it, or is put before a text */
    size_t search_bytes, content_bytes;
} normal_step;

typedef struct normal_list {
    normal_step steps[TOKENIZER_MAX_STEPS];
    size_t count; /* 0: texts stay as they are */
} normal_list;

/* Working memory for one thread. Initially all zero except the budget. */
typedef struct normal_work {
    text_budget *budget;
    text_buffer buffers[2];
    unicode_work unicode;
} normal_work;

/* Read normalizer (NULL or null: none). Free the list in every case. */
MUST_CHECK err_code normal_read(const json_t *value, normal_list *out, err *e);
void normal_free(normal_list *list);

/* Replace *text and *bytes by the normalized text, which is in `w` until the next call. */
MUST_CHECK err_code normal_run(const normal_list *list, pattern_scratch *scratch, normal_work *w,
                               const char **text, size_t *bytes, err *e);
void normal_work_free(normal_work *w);

/* ---- Added tokens: tokenizer_added.c --------------------------- */

typedef struct added_token {
    char *content; /* what is searched for: normalized text in the second set */
    size_t bytes;  /* 1 ... ADDED_MAX_BYTES */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized;
} added_token;

typedef struct added_set {
    added_token *tokens; /* sorted by content */
    size_t count;
    bool first[256]; /* true for every byte that a token begins with */
} added_set;

typedef struct bpe_model bpe_model;

/* Read the array `list` (NULL: none) into two sets: tokens that are matched first, and `normalized`
 * tokens, which are matched in the text between those. `model` is for checking ids. Free both sets in
 * every case. */
MUST_CHECK err_code added_read(const json_t *list, const bpe_model *model, const monitor *m,
                               added_set sets[2], err *e);

/* Make a set that was filled searchable. ERR_INPUT: two tokens are equal. */
MUST_CHECK err_code added_finish(added_set *set, err *e);

/* Normalize what the tokens of a set are searched by, as the text is that they are searched in. */
MUST_CHECK err_code added_normalize(added_set *set, const normal_list *normal, const monitor *m,
                                    err *e);
void added_free(added_set *set);

/* The first occurrence, from `at` on, of any token of the set; of several at one place the longest
 * token. *out: the token, NULL: none; *found: its offset. ERR_CANCELLED. */
MUST_CHECK err_code added_find(const added_set *set, const char *text, size_t bytes, size_t at,
                               const monitor *m, const added_token **out, size_t *found, err *e);

/* ---- Splits: read in tokenizer_split_read.c, applied in tokenizer_split.c */

typedef enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_WITH_PREVIOUS,
    SPLIT_WITH_NEXT,
    SPLIT_CONTIGUOUS,
} split_behavior;

typedef enum split_kind { SPLIT_PLAIN, SPLIT_METASPACE, SPLIT_BYTE_LEVEL } split_kind;

typedef enum split_prepend { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS } split_prepend;

typedef struct split {
    split_kind kind;
    pattern *pattern; /* what is searched for: this, */
    char *literal;    /* or this; NULL and NULL: do not split */
    size_t literal_bytes;
    split_behavior behavior;
    bool invert;
    split_prepend prepend; /* put a space before a text that does not begin with one */
    char space[5];         /* Metaspace: what replaces a space */
} split;

typedef struct split_list {
    split splits[TOKENIZER_MAX_STEPS];
    size_t count;             /* 0: a segment is one word */
    bool byte_level;          /* the last one is ByteLevel: words are bytes, else characters */
    const char (*letters)[3]; /* [256] how ByteLevel spells bytes for the steps after it */
} split_list;

/* Read pre_tokenizer (NULL or null: none). `letters` is for the caller to set. Free the list in
 * every case. */
MUST_CHECK err_code splits_read(const json_t *value, split_list *out, err *e);
void splits_free(split_list *list);

typedef err_code (*split_fn)(void *ctx, const char *word, size_t bytes, err *e);

/* Call `take` for each word of a segment. `at_start`: the segment is the beginning of the text. */
MUST_CHECK err_code splits_run(const split_list *list, pattern_scratch *scratch,
                               text_budget *budget, const char *text, size_t bytes, bool at_start,
                               split_fn take, void *ctx, err *e);

/* ---- Model: read in tokenizer_model.c, applied in tokenizer_bpe.c */

enum { BPE_NONE = -1 };

/* A merge; its left part is the row in which it is listed. */
typedef struct bpe_merge {
    int32_t right;
    uint32_t rank;
} bpe_merge;

/* Inside the model, tokens have numbers without gaps: the rank of their id among all ids. */
struct bpe_model {
    int32_t *ids; /* [count] ascending: the id of each number */
    size_t count;
    uint32_t *rows;        /* [count + 1] merges with left part n: rows[n] ... rows[n + 1] - 1 */
    bpe_merge *merges;     /* [merge_count] each row is sorted by right part */
    int32_t *merged;       /* [merge_count] by rank: the number of the resulting token */
    int32_t by_byte[256];  /* numbers of single-byte tokens; BPE_NONE: there is none */
    int32_t fallback[256]; /* numbers of <0x00> ... <0xFF>, if there is byte_fallback */
    int32_t unknown;       /* number of unk_token; BPE_NONE: there is none */
    bool fuse_unknown;     /* one unknown token for several characters */
    char letters[256][3];  /* how the file spells each byte, NUL-terminated */
    json_t *vocab;         /* spelling to id; after loading NULL if it is not needed any more */
    bool by_text; /* tiktoken: spellings are bytes; two tokens merge if both are one, by its id */
    bool whole_words; /* ignore_merges: a word that is itself a token is not split */
};

/* Free the model in every case. */
MUST_CHECK err_code bpe_read(const json_t *model, const monitor *m, bpe_model *out, err *e);
void bpe_free(bpe_model *m);

/* Number the tokens by m->ids, and find those of single bytes in m->vocab. ERR_INPUT: two tokens have
 * one id. */
MUST_CHECK err_code bpe_finish_vocab(bpe_model *m, err *e);

/* The number of the token with this id; BPE_NONE if the vocabulary has no such id. */
int32_t bpe_number(const bpe_model *m, int32_t id);

/* Working memory for encoding words, for one thread. Initially all zero except the monitor. */
typedef struct bpe_work {
    const monitor *monitor;
    struct bpe_symbol *symbols; /* [capacity] */
    struct bpe_pair *heap;      /* [3 * capacity] */
    char *spelled;              /* [capacity] */
    const char *word;           /* that is being merged */
    size_t capacity, count, heap_count;
    bool unknown; /* characters without a token were not added yet */
} bpe_work;

/* Append the ids of a word: with `byte_level` its symbols are bytes, else characters. */
MUST_CHECK err_code bpe_encode(const bpe_model *m, bpe_work *w, bool byte_level, const char *word,
                               size_t bytes, token_list *out, err *e);

/* The number of the token with this spelling; BPE_NONE: none. Only while m->vocab exists. */
int32_t bpe_find(const bpe_model *m, const char *spelling, size_t bytes);
void bpe_work_free(bpe_work *w);

#endif
