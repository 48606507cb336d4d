#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/tokenizer_parts.h"

/* One pass through all steps, depth first: each piece goes to the next step as soon as it is
 * complete, so that no list of pieces is needed. */
typedef struct split_run {
    const split_list *list;
    pattern_scratch *scratch;
    text_budget *budget;
    bool at_start; /* the segment is the beginning of the text */
    split_fn take;
    void *ctx;
} split_run;

static err_code run_step(const split_run *r, size_t number, const char *text, size_t bytes, err *e);

/* ---- letters --------------------------------------------------- */

/* Pass a word on to what follows step `number`, with its bytes as letters if that is not the model
 * itself, which reads bytes. */
static err_code pass_on(const split_run *r, size_t number, const char *text, size_t bytes, err *e)
{
    const split *const s = &r->list->splits[number];
    text_buffer spelled = {0};
    err_code code = OK;
    if (s->kind != SPLIT_BYTE_LEVEL || number + 1 == r->list->count) {
        return run_step(r, number + 1, text, bytes, e);
    }
    for (size_t i = 0; i < bytes; i++) {
        const char *const letter = r->list->letters[(unsigned char)text[i]];
        TRY_OUT(text_buffer_add(&spelled, letter, strlen(letter), e));
    }
    code = run_step(r, number + 1, spelled.text, spelled.bytes, e);
out:
    text_buffer_free(&spelled);
    return code;
}

/* ---- pieces ---------------------------------------------------- */

/* The pieces that one step makes of one text. The last piece is held back: what follows may be
 * joined to it. */
typedef struct pieces {
    const split_run *run;
    size_t number; /* of the step */
    const char *text;
    size_t first, last; /* the piece that is held back; empty: none */
    bool was_match;     /* what was added last was a match */
} pieces;

static err_code pieces_flush(pieces *p, err *e)
{
    const size_t bytes = p->last - p->first;
    return bytes ? pass_on(p->run, p->number, p->text + p->first, bytes, e) : OK;
}

/* Add the next range of the text: a match of the pattern, or the text between two matches. */
static err_code pieces_add(pieces *p, size_t first, size_t last, bool match, err *e)
{
    const split *const s = &p->run->list->splits[p->number];
    match = match != s->invert;
    const bool joins =
        p->last > p->first && ((s->behavior == SPLIT_WITH_PREVIOUS && match && !p->was_match) ||
                               (s->behavior == SPLIT_WITH_NEXT && !match && p->was_match) ||
                               (s->behavior == SPLIT_CONTIGUOUS && match == p->was_match));
    p->was_match = match;
    if (joins) {
        p->last = last;
        return OK;
    }
    TRY(pieces_flush(p, e));
    const bool removed = s->behavior == SPLIT_REMOVED && match;
    p->first = first;
    p->last = removed ? first : last;
    return OK;
}

/* The next match, from *at on: *at and *end; *end is 0 if there is none. */
static err_code find_match(const split_run *r, const split *s, const char *text, size_t bytes,
                           size_t *at, size_t *end, err *e)
{
    *end = 0;
    if (s->literal) {
        const char *const found = memmem(text + *at, bytes - *at, s->literal, s->literal_bytes);
        *at = found ? (size_t)(found - text) : bytes;
        *end = found ? *at + s->literal_bytes : 0;
        return OK;
    }
    while (*at < bytes) {
        TRY(pattern_match(s->pattern, r->scratch, text, bytes, *at, end, e));
        if (*end > 0) {
            break;
        }
        *at += utf8_length(text + *at, bytes - *at);
    }
    return OK;
}

static err_code split_text(const split_run *r, size_t number, const char *text, size_t bytes,
                           err *e)
{
    const split *const s = &r->list->splits[number];
    pieces p = {.run = r, .number = number, .text = text};
    if (!s->pattern && !s->literal) {
        return pass_on(r, number, text, bytes, e);
    }
    for (size_t between = 0, at = 0; between < bytes; between = at) {
        size_t end = 0;
        TRY(find_match(r, s, text, bytes, &at, &end, e));
        if (between < at) {
            TRY(pieces_add(&p, between, at, false, e));
        }
        if (end > 0) {
            TRY(pieces_add(&p, at, end, true, e));
            at = end;
        }
    }
    return pieces_flush(&p, e);
}

/* ---- steps ----------------------------------------------------- */

/* The text with U+0020 replaced, and with something before it. */
static err_code change_text(const char *before, const char *space, const char *text, size_t bytes,
                            text_buffer *out, err *e)
{
    const char *const end = text + bytes;
    TRY(text_buffer_add(out, before, strlen(before), e));
    while (text < end) {
        const char *const found = memchr(text, ' ', (size_t)(end - text));
        const char *const stop = found ? found : end;
        TRY(text_buffer_add(out, text, (size_t)(stop - text), e));
        if (found) {
            TRY(text_buffer_add(out, space, strlen(space), e));
        }
        text = found ? found + 1 : end;
    }
    return OK;
}

static err_code split_changed(const split_run *r, size_t number, const char *before,
                              const char *space, const char *text, size_t bytes, err *e)
{
    text_buffer changed = {0};
    err_code code = OK;
    TRY_OUT(change_text(before, space, text, bytes, &changed, e));
    code = split_text(r, number, changed.text, changed.bytes, e);
out:
    text_buffer_free(&changed);
    return code;
}

static bool begins_with(const char *text, size_t bytes, const char *beginning)
{
    const size_t length = strlen(beginning);
    return bytes >= length && memcmp(text, beginning, length) == 0;
}

static err_code run_metaspace(const split_run *r, size_t number, const char *text, size_t bytes,
                              err *e)
{
    const split *const s = &r->list->splits[number];
    const bool prepend =
        (s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && r->at_start)) &&
        *text != ' ' && !begins_with(text, bytes, s->space);
    return split_changed(r, number, prepend ? s->space : "", s->space, text, bytes, e);
}

static err_code run_step(const split_run *r, size_t number, const char *text, size_t bytes, err *e)
{
    TRY(text_budget_spend(r->budget, bytes, e));
    if (number == r->list->count) {
        return r->take(r->ctx, text, bytes, e);
    }
    const split *const s = &r->list->splits[number];
    if (s->kind == SPLIT_METASPACE) {
        return run_metaspace(r, number, text, bytes, e);
    }
    if (s->prepend == PREPEND_ALWAYS && *text != ' ') {
        return split_changed(r, number, " ", " ", text, bytes, e);
    }
    return split_text(r, number, text, bytes, e);
}

err_code splits_run(const split_list *list, pattern_scratch *scratch, text_budget *budget,
                    const char *text, size_t bytes, bool at_start, split_fn take, void *ctx, err *e)
{
    const split_run r = {list, scratch, budget, at_start, take, ctx};
    return bytes ? run_step(&r, 0, text, bytes, e) : OK;
}
