/* The parts of a tokenizer, for the files verify/tokenizer*.c alone.
 *
 * A text runs through them in this order: two sets of added tokens cut it into segments, the
 * splits cut a segment into words, the model makes tokens of a word. */
#ifndef TOKENIZER_PARTS_H
#define TOKENIZER_PARTS_H

#include <jansson.h>
#include <stdbool.h>

#include "verify/tokenizer/pattern.h"
#include "verify/tokenizer/tokenizer.h"

enum { TOKENIZER_MAX_SPLITS = 16, ADDED_MAX_BYTES = 1024 };

/* Reading JSON, tokenizer_json.c. Messages name the place: "model.dropout: 0.5 is not supported".
 * ---- */

err_code tokenizer_refuse(const char *path, const json_t *value, err *e);

/* ERR_INPUT unless `value` is an object with no other keys than these, which end with NULL. */
MUST_CHECK err_code tokenizer_check_keys(const char *path, const json_t *value,
                                         const char *const *keys, err *e);

/* object[key], true or false. A missing one is `missing`, or an error if that is negative. */
MUST_CHECK err_code tokenizer_read_flag(const char *path, const json_t *object, const char *key,
                                        int missing, bool *out, err *e);

/* Is object["type"] this word? */
bool tokenizer_is_type(const json_t *object, const char *type);

/* An id in [0, 2^31). */
MUST_CHECK err_code tokenizer_read_id(const char *path, const json_t *value, int32_t *out, err *e);

/* Added tokens, tokenizer_added.c. ---- */

typedef struct added_token {
    char *content;
    size_t bytes; /* 1 ... ADDED_MAX_BYTES */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized;
} added_token;

typedef struct added_set {
    added_token *tokens; /* sorted by content */
    size_t count;
    bool first[256]; /* bytes that tokens begin with */
} added_set;

typedef struct bpe_model bpe_model;

/* Read the array `list` (NULL: none) into the set of tokens that are matched first, and the set of
 * `normalized` ones that are matched in what is left. `m` is for the ids. Free both in every case.
 */
MUST_CHECK err_code added_read(const json_t *list, const bpe_model *m, added_set sets[2], err *e);
void added_free(added_set *set);

/* The longest token of the set that stands at the first place from `at` on; NULL: none. *found is
 * where. */
const added_token *added_find(const added_set *set, const char *text, size_t bytes, size_t at,
                              size_t *found);

/* Splits, tokenizer_split.c. ---- */

typedef enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_WITH_PREVIOUS,
    SPLIT_WITH_NEXT,
    SPLIT_CONTIGUOUS,
} split_behavior;

typedef struct split {
    pattern *pattern; /* NULL: leave the text whole */
    split_behavior behavior;
    bool invert;
    bool prefix_space; /* put a space before what does not begin with one */
} split;

typedef struct split_list {
    split splits[TOKENIZER_MAX_SPLITS];
    size_t count;
} split_list;

/* Read pre_tokenizer. Free the list in every case. */
MUST_CHECK err_code splits_read(const json_t *value, split_list *out, err *e);
void splits_free(split_list *list);

typedef err_code (*split_fn)(void *ctx, const char *word, size_t bytes, err *e);

/* Call `take` for each word of a segment. */
MUST_CHECK err_code splits_run(const split_list *list, pattern_scratch *scratch, const char *text,
                               size_t bytes, split_fn take, void *ctx, err *e);

/* Model: bpe_read in tokenizer_model.c, bpe_encode in tokenizer_bpe.c. ---- */

enum { BPE_NONE = -1 };

/* A merge, in the row of its left part. */
typedef struct bpe_merge {
    int32_t right;
    uint32_t rank;
} bpe_merge;

/* Tokens go by numbers without gaps: the places of their ids in ascending order. */
struct bpe_model {
    int32_t *ids; /* (count) */
    size_t count;
    uint32_t *rows;       /* (count + 1) the merges of left part n: rows[n] ... rows[n + 1] - 1 */
    bpe_merge *merges;    /* (merge_count) a row is sorted by right part */
    int32_t *merged;      /* (merge_count) by rank: the number of the result */
    int32_t by_byte[256]; /* numbers of the tokens of single bytes, BPE_NONE: there is none */
    char letters[256][3]; /* how the file spells a byte, NUL-terminated */
    json_t *vocab;        /* token to id */
    bool whole_words;     /* ignore_merges: a word that is a token is not taken apart */
};

MUST_CHECK err_code bpe_read(const json_t *model, bpe_model *out, err *e);
void bpe_free(bpe_model *m);

/* The number of an id, BPE_NONE if no token of the vocabulary has it. */
int32_t bpe_number(const bpe_model *m, int32_t id);

/* Memory to encode words with, for one thread. Zero to begin with. */
typedef struct bpe_work {
    struct bpe_symbol *symbols; /* (room) */
    struct bpe_pair *heap;      /* (3 x room) */
    char *spelled;              /* (2 x room) */
    size_t room, heap_count;
} bpe_work;

/* Append the ids of a word. */
MUST_CHECK err_code bpe_encode(const bpe_model *m, bpe_work *w, const char *word, size_t bytes,
                               token_list *out, err *e);
void bpe_work_free(bpe_work *w);

#endif
