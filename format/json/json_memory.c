/* Parsing and writing with jansson when memory is short.
 *
 * The lexer of jansson 2.14 collects each token in a buffer and does not look whether the buffer
 * could grow. When it could not, characters are missing from the token: jansson reports a syntax
 * error in good text, stops the program in an assertion, or reads past the end of the buffer. So:
 *
 * - the text is given to jansson in pieces, and it ends after the piece during which an allocation
 *   failed;
 * - up to that end, small allocations are served from a reserve, so that no short token loses a
 *   character;
 * - once an allocation was refused, all others are, so that a long string, the only token that the
 *   reserve is too small for, finds no memory for its copy before the copy is made.
 *
 * The result of such a parse is thrown away. So is a text during whose writing an allocation failed:
 * jansson does not look whether a key could be written. */
#include "format/json/json_memory.h"

#include <jansson.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "format/json/json.h"

enum {
    PIECE_BYTES = 64,
    SMALL_BYTES = 4096, /* the largest allocation that the reserve serves */
    RESERVE_BYTES = 32 << 10
};

/* jansson's hooks have no context. */
static _Thread_local struct {
    unsigned long failures;
    bool parsing, refused;
    size_t used; /* of the reserve */
    alignas(max_align_t) unsigned char reserve[RESERVE_BYTES];
} memory;

static void *take_reserve(size_t bytes)
{
    const size_t aligned = num_ceil_div(bytes, alignof(max_align_t)) * alignof(max_align_t);
    if (memory.refused || bytes > SMALL_BYTES || aligned > RESERVE_BYTES - memory.used) {
        memory.refused = true;
        return NULL;
    }
    memory.used += aligned;
    return memory.reserve + memory.used - aligned;
}

static void *allocate(size_t bytes)
{
    void *const p = memory.refused ? NULL : malloc(bytes);
    memory.failures += p == NULL;
    return p || !memory.parsing ? p : take_reserve(bytes);
}

static void release(void *p)
{
    const uintptr_t at = (uintptr_t)p;
    const uintptr_t begin = (uintptr_t)memory.reserve;
    if (at < begin || at >= begin + RESERVE_BYTES) {
        free(p);
    }
}

/* Before the first use of jansson, and before there are threads. */
__attribute__((constructor)) static void set_hooks(void)
{
    json_set_alloc_funcs(allocate, release);
}

unsigned long json_failed_allocations(void)
{
    return memory.failures;
}

/* ---- parsing --------------------------------------------------- */

typedef struct source {
    const char *text;
    size_t left;
    unsigned long failures; /* before the parse */
} source;

static size_t next_piece(void *to, size_t capacity, void *ctx)
{
    source *const s = ctx;
    const size_t bytes = s->left < PIECE_BYTES ? s->left : PIECE_BYTES;
    if (memory.failures != s->failures || bytes > capacity) {
        return 0;
    }
    memcpy(to, s->text, bytes);
    s->text += bytes;
    s->left -= bytes;
    return bytes;
}

/* jansson skips a NUL after a number, as if it were not there (it takes the byte that it puts back
 * for the end of its buffer), and what else reads the same text would see something else. */
static err_code refuse_nul(const char *text, size_t bytes, int *line, err *e)
{
    const char *const nul = memchr(text, '\0', bytes);
    if (!nul) {
        return OK;
    }
    for (const char *p = text; line && p < nul; p++) {
        *line += *p == '\n';
    }
    return err_set(e, ERR_INPUT, "NUL byte");
}

err_code json_load_text(const char *text, size_t bytes, size_t flags, json_t **out, int *line,
                        err *e)
{
    if (line) {
        *line = 1;
    }
    *out = NULL;
    TRY(refuse_nul(text, bytes, line, e));
    source s = {.text = text, .left = bytes, .failures = memory.failures};
    json_error_t why = {0};
    memory.parsing = true;
    *out = json_load_callback(next_piece, &s, flags, &why);
    if (line) {
        *line = why.line;
    }
    const bool is_short = memory.failures != s.failures;
    if (is_short) {
        json_decref(*out); /* while the reserve holds parts of it */
        *out = NULL;
    }
    memory.parsing = memory.refused = false;
    memory.used = 0;
    return is_short ? err_set(e, ERR_MEMORY, "no memory for JSON")
           : *out   ? OK
                    : err_set(e, ERR_INPUT, "%s", why.text);
}

/* ---- writing --------------------------------------------------- */

char *json_write_text(const json_t *value, size_t flags)
{
    const unsigned long before = memory.failures;
    char *const text = json_dumps(value, flags);
    if (memory.failures != before) {
        free(text);
        return NULL;
    }
    return text;
}
