#include "format/safetensors/safetensors_scan.h"

#include <stdio.h>

/* Offsets in messages count from the start of the file, where 8 bytes of length stand before the
 * header. */
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

/* Step over `c`, which may have whitespace before it and behind it. */
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

/* From '[' to ']', which hold neither arrays nor objects. */
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
            const err_code code = take_string(s, &ignored, e);
            if (code != OK) {
                return code;
            }
            s->pos--;
        }
    }
    return unexpected(s, "']'", e);
}

/* From '{' to '}', which hold strings, numbers and arrays. Punctuation inside is the JSON library's
 * to judge. */
static err_code take_object(st_scan *s, st_slice *slice, err *e)
{
    if (!at(s, '{')) {
        return unexpected(s, "'{'", e);
    }
    const size_t start = s->pos++;
    int fields = 1;
    err_code code = OK;
    st_slice ignored;
    while (code == OK && s->pos < s->bytes && s->text[s->pos] != '}') {
        switch (s->text[s->pos]) {
        case '"':
            code = take_string(s, &ignored, e);
            break;
        case '[':
            code = take_array(s, e);
            break;
        case '{':
            code = unexpected(s, "no further nesting", e);
            break;
        default:
            if (s->text[s->pos] == ',' && ++fields > ST_MAX_FIELDS) {
                code = too_many(s, ST_MAX_FIELDS, "fields in an object", e);
            }
            s->pos++;
        }
    }
    if (code != OK) {
        return code;
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

/* Step to the key of the next member or behind the closing brace. */
static err_code take_separator(st_scan *s, bool *more, err *e)
{
    err_code code = OK;
    if (s->members == 0) {
        code = take(s, '{', "'{'", e);
        *more = !at(s, '}');
    } else {
        skip_space(s);
        *more = !at(s, '}');
        code = *more ? take(s, ',', "',' or '}'", e) : OK;
    }
    if (code == OK && !*more) {
        code = take(s, '}', "'}'", e);
        if (code == OK && s->pos != s->bytes) {
            code = unexpected(s, "nothing but spaces behind '}'", e);
        }
    }
    return code;
}

err_code st_scan_next(st_scan *s, st_member *member, bool *more, err *e)
{
    err_code code = take_separator(s, more, e);
    if (code != OK || !*more) {
        return code;
    }
    if (++s->members > ST_MAX_MEMBERS) {
        return too_many(s, ST_MAX_MEMBERS - 1, "tensors", e);
    }
    code = take_string(s, &member->key, e);
    if (code == OK) {
        code = take(s, ':', "':'", e);
    }
    return code == OK ? take_object(s, &member->value, e) : code;
}

err_code st_scan_all(const char *path, const char *text, size_t bytes, size_t *members,
                     size_t *key_bytes, err *e)
{
    st_scan s = {.path = path, .text = text, .bytes = bytes};
    st_member member;
    bool more = true;
    *key_bytes = 0;
    while (more) {
        const err_code code = st_scan_next(&s, &member, &more, e);
        if (code != OK) {
            return code;
        }
        *key_bytes += more ? member.key.bytes : 0;
    }
    *members = s.members;
    return OK;
}
