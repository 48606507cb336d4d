#include "verify/tokenizer/point_set.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/base/utf8.h"
#include "verify/tokenizer/pattern.h"
#include "verify/tokenizer/pattern_translate.h"

enum { SCAN_LAST = 0x3ffff, SURROGATE_FIRST = 0xd800, SURROGATE_LAST = 0xdfff };

void point_set_free(point_set *set)
{
    free(set->ranges);
    *set = (point_set){0};
}

/* Append a range that does not begin before the last one; they may overlap. */
static err_code append(point_set *set, point_range r, err *e)
{
    point_range *const last = set->count ? &set->ranges[set->count - 1] : NULL;
    if (last && r.first <= last->last + 1) {
        last->last = r.last > last->last ? r.last : last->last;
        return OK;
    }
    if (!set->ranges || set->count == set->capacity) {
        const size_t capacity = set->capacity ? 2 * set->capacity : 16;
        point_range *const ranges = realloc(set->ranges, capacity * sizeof *ranges);
        if (!ranges) {
            return err_set(e, ERR_MEMORY, "no memory for a class of characters");
        }
        set->ranges = ranges;
        set->capacity = capacity;
    }
    set->ranges[set->count++] = r;
    return OK;
}

err_code point_set_unite(point_set *set, const point_set *other, err *e)
{
    point_set out = {0};
    err_code code = OK;
    for (size_t a = 0, b = 0; a < set->count || b < other->count;) {
        const bool left =
            b == other->count || (a < set->count && set->ranges[a].first <= other->ranges[b].first);
        TRY_OUT(append(&out, left ? set->ranges[a++] : other->ranges[b++], e));
    }
    free(set->ranges);
    *set = out;
    return OK;
out:
    point_set_free(&out);
    return code;
}

err_code point_set_add(point_set *set, uint32_t first, uint32_t last, err *e)
{
    point_range r = {first, last};
    return point_set_unite(set, &(point_set){.ranges = &r, .count = 1}, e);
}

err_code point_set_intersect(point_set *set, const point_set *other, err *e)
{
    point_set out = {0};
    err_code code = OK;
    for (size_t a = 0, b = 0; a < set->count && b < other->count;) {
        const point_range x = set->ranges[a];
        const point_range y = other->ranges[b];
        const point_range both = {x.first > y.first ? x.first : y.first,
                                  x.last < y.last ? x.last : y.last};
        if (both.first <= both.last) {
            TRY_OUT(append(&out, both, e));
        }
        a += x.last <= y.last;
        b += y.last <= x.last;
    }
    free(set->ranges);
    *set = out;
    return OK;
out:
    point_set_free(&out);
    return code;
}

err_code point_set_complement(point_set *set, err *e)
{
    point_set out = {0};
    uint32_t next = 0;
    err_code code = OK;
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].first > next) {
            TRY_OUT(append(&out, (point_range){next, set->ranges[i].first - 1}, e));
        }
        next = set->ranges[i].last + 1;
    }
    if (next <= POINT_LAST) {
        TRY_OUT(append(&out, (point_range){next, POINT_LAST}, e));
    }
    free(set->ranges);
    *set = out;
    return OK;
out:
    point_set_free(&out);
    return code;
}

/* ---- classes of PCRE2 ------------------------------------------ */

/* All characters up to SCAN_LAST, in their order, in UTF-8. */
static char *all_characters(size_t *bytes)
{
    char *const text = malloc(4 * ((size_t)SCAN_LAST + 1));
    size_t used = 0;
    for (uint32_t p = 0; text && p <= SCAN_LAST; p++) {
        if (p >= SURROGATE_FIRST && p <= SURROGATE_LAST) {
            continue;
        }
        if (p < 0x80) {
            text[used++] = (char)p;
        } else if (p < 0x800) {
            text[used++] = (char)(0xc0 | p >> 6);
        } else if (p < 0x10000) {
            text[used++] = (char)(0xe0 | p >> 12);
            text[used++] = (char)(0x80 | (p >> 6 & 0x3f));
        } else {
            text[used++] = (char)(0xf0 | p >> 18);
            text[used++] = (char)(0x80 | (p >> 12 & 0x3f));
            text[used++] = (char)(0x80 | (p >> 6 & 0x3f));
        }
        if (p >= 0x80) {
            text[used++] = (char)(0x80 | (p & 0x3f));
        }
    }
    *bytes = used;
    return text;
}

/* The character that begins at this offset of that text. */
static uint32_t point_at(size_t offset)
{
    const size_t two = 0x80, three = two + 2 * (size_t)(0x800 - 0x80);
    const size_t upper = three + 3 * (size_t)(SURROGATE_FIRST - 0x800);
    const size_t four = upper + 3 * (size_t)(0x10000 - SURROGATE_LAST - 1);
    return (uint32_t)(offset < two     ? offset
                      : offset < three ? 0x80 + (offset - two) / 2
                      : offset < upper ? 0x800 + (offset - three) / 3
                      : offset < four  ? SURROGATE_LAST + 1 + (offset - upper) / 3
                                       : 0x10000 + (offset - four) / 4);
}

static err_code scan(const pattern *p, pattern_scratch *scratch, const char *text, size_t bytes,
                     point_set *out, err *e)
{
    pattern_budget(scratch, bytes, NULL);
    for (size_t at = 0; at < bytes;) {
        size_t end = 0;
        TRY(pattern_match(p, scratch, text, bytes, at, &end, e));
        if (end > 0) {
            TRY(append(out, (point_range){point_at(at), point_at(end) - 1}, e));
        }
        at = end > 0 ? end : at + utf8_length(text + at, bytes - at);
    }
    return OK;
}

err_code point_set_of_class(const char *class, point_set *out, err *e)
{
    char run[64];
    size_t bytes = 0;
    pattern *p = NULL;
    pattern_scratch *scratch = NULL;
    err_code code = OK;
    char *const text = all_characters(&bytes);
    if (!text) {
        TRY_OUT(err_set(e, ERR_MEMORY, "no memory for a class of characters"));
    }
    snprintf(run, sizeof run, "%s++", class);
    TRY_OUT(pattern_native(run, &p, e));
    TRY_OUT(pattern_scratch_create(&scratch, e));
    code = scan(p, scratch, text, bytes, out, e);
out:
    pattern_scratch_free(scratch);
    pattern_free(p);
    free(text);
    return code;
}
