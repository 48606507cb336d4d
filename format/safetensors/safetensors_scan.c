#include "format/safetensors/safetensors_scan.h"

#include <stdio.h>

/* Offsets in messages count from the start of the file, where the length field of 8 bytes comes
 * before the header. */
enum { LENGTH_BYTES = 8 };

static err_code unexpected(const st_scan *s, const char *expected, err *e)
{
    if (s->pos >= s->bytes) {
        return err_set(e, ERR_INPUT, "%s: header: expected %s, found its end (offset %zu)", s->path,
                       expected, s->bytes + LENGTH_BYTES);
    }
    const unsigned char found = (unsigned char)s->text[s->pos];
    char quoted[12];
    snprintf(quoted, sizeof quoted, found > 0x20 && found < 0x7f ? "'%c'" : "byte 0x%02x", found);
    return err_set(e, ERR_INPUT, "%s: header: expected %s, found %s (offset %zu)", s->path,
                   expected, quoted, s->pos + LENGTH_BYTES);
}

static err_code too_many(const st_scan *s, int limit, const char *what, err *e)
{
    return err_set(e, ERR_INPUT, "%s: header: more than %d %s (offset %zu)", s->path, limit, what,
                   s->pos + LENGTH_BYTES);
}

static void skip_space(st_scan *s)
{
    while (s->pos < s->bytes && (s->text[s->pos] == ' ' || s->text[s->pos] == '\n' ||
                                 s->text[s->pos] == '\r' || s->text[s->pos] == '\t')) {
        s->pos++;
    }
}

static bool at(const st_scan *s, char c)
{
    return s->pos < s->bytes && s->text[s->pos] == c;
}

/* Skip `c`, with whitespace before and after it. */
static err_code take(st_scan *s, char c, const char *expected, err *e)
{
    skip_space(s);
    if (!at(s, c)) {
        return unexpected(s, expected, e);
    }
    s->pos++;
    skip_space(s);
    return OK;
}

static err_code take_string(st_scan *s, st_slice *slice, err *e)
{
    if (!at(s, '"')) {
        return unexpected(s, "a name in quotes", e);
    }
    const size_t start = s->pos;
    for (s->pos++; s->pos < s->bytes && s->text[s->pos] != '"'; s->pos++) {
        if (s->text[s->pos] == '\\') {
            s->pos++;
        }
    }
    if (s->pos >= s->bytes) {
        return unexpected(s, "the end of a string", e);
    }
    s->pos++;
    *slice = (st_slice){s->text + start, s->pos - start};
    return OK;
}

/* Skip an array, which must not contain arrays or objects. */
static err_code take_array(st_scan *s, err *e)
{
    int items = 1;
    st_slice ignored;
    for (s->pos++; s->pos < s->bytes; s->pos++) {
        const char c = s->text[s->pos];
        if (c == ']') {
            s->pos++;
            return OK;
        }
        if (c == '[' || c == '{' || c == '}') {
            return unexpected(s, "an array of numbers", e);
        }
        if (c == ',' && ++items > ST_MAX_ITEMS) {
            return too_many(s, ST_MAX_ITEMS, "items in an array", e);
        }
        if (c == '"') {
            TRY(take_string(s, &ignored, e));
            s->pos--;
        }
    }
    return unexpected(s, "']'", e);
}

/* Skip one item of an object: a string, an array, or a byte of something else. The JSON library
 * checks the punctuation. */
static err_code take_item(st_scan *s, int *fields, err *e)
{
    st_slice ignored;
    switch (s->text[s->pos]) {
    case '"':
        return take_string(s, &ignored, e);
    case '[':
        return take_array(s, e);
    case '{':
        return unexpected(s, "no further nesting", e);
    default:
        if (s->text[s->pos] == ',' && ++*fields > ST_MAX_FIELDS) {
            return too_many(s, ST_MAX_FIELDS, "fields in an object", e);
        }
        s->pos++;
        return OK;
    }
}

/* Take an object of strings, numbers and arrays. */
static err_code take_object(st_scan *s, st_slice *slice, err *e)
{
    if (!at(s, '{')) {
        return unexpected(s, "'{'", e);
    }
    const size_t start = s->pos++;
    int fields = 1;
    while (s->pos < s->bytes && s->text[s->pos] != '}') {
        TRY(take_item(s, &fields, e));
    }
    if (!at(s, '}')) {
        return unexpected(s, "'}'", e);
    }
    s->pos++;
    *slice = (st_slice){s->text + start, s->pos - start};
    return slice->bytes > ST_MAX_MEMBER_BYTES
               ? too_many(s, ST_MAX_MEMBER_BYTES, "bytes in an object", e)
               : OK;
}

/* Skip to the key of the next member, or to the end of the text after the closing brace. */
static err_code take_separator(st_scan *s, bool *more, err *e)
{
    if (s->members == 0) {
        skip_space(s);
        /* The reference implementation refuses space before it. */
        if (s->pos > 0 && at(s, '{')) {
            s->pos = 0;
            return unexpected(s, "'{' as its first byte", e);
        }
        TRY(take(s, '{', "'{'", e));
    } else {
        skip_space(s);
    }
    *more = !at(s, '}');
    if (*more) {
        return s->members == 0 ? OK : take(s, ',', "',' or '}'", e);
    }
    TRY(take(s, '}', "'}'", e));
    return s->pos == s->bytes ? OK : unexpected(s, "nothing but spaces after '}'", e);
}

err_code st_scan_next(st_scan *s, st_member *member, bool *more, err *e)
{
    TRY(take_separator(s, more, e));
    if (!*more) {
        return OK;
    }
    if (++s->members > ST_MAX_MEMBERS) {
        return too_many(s, ST_MAX_MEMBERS - 1, "tensors", e);
    }
    TRY(take_string(s, &member->key, e));
    TRY(take(s, ':', "':'", e));
    return take_object(s, &member->value, e);
}

err_code st_scan_all(const char *path, const char *text, size_t bytes, size_t *members,
                     size_t *key_bytes, err *e)
{
    st_scan s = {.path = path, .text = text, .bytes = bytes};
    st_member member;
    bool more = true;
    *key_bytes = 0;
    while (more) {
        TRY(st_scan_next(&s, &member, &more, e));
        *key_bytes += more ? member.key.bytes : 0;
    }
    *members = s.members;
    return OK;
}
