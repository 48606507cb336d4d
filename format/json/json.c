#include "format/json/json.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/expansion.h"
#include "format/base/num.h"
#include "format/file/file_kind.h"
#include "format/file/io.h"

/* What the scan of a text counted. It skips strings and otherwise leaves the grammar to jansson: on
 * malformed text the counts are meaningless but harmless, since jansson then refuses it. */
typedef struct census {
    size_t depth, deepest;
    size_t objects, arrays;
    size_t strings, string_bytes; /* with their quotes */
    size_t values;   /* commas; commas, objects and arrays, plus one, bound the number of values */
    size_t huge;     /* integers that do not fit in 64 bits */
    size_t literals; /* Infinity, -Infinity and NaN */
} census;

/* The offset just after the string whose opening quote is at `i`. */
static size_t string_end(const char *text, size_t bytes, size_t i)
{
    for (i++; i < bytes && text[i] != '"'; i++) {
        if (text[i] == '\\') {
            i++;
        }
    }
    return i < bytes ? i + 1 : bytes;
}

/* The offset just after the number at `i`; *huge: it is an integer outside int64_t. */
static size_t number_end(const char *text, size_t bytes, size_t i, bool *huge)
{
    static const char largest[2][20] = {"9223372036854775807", "9223372036854775808"};
    const bool negative = text[i] == '-';
    const size_t first = i + negative;
    for (i = first; i < bytes && text[i] >= '0' && text[i] <= '9'; i++) {
    }
    const size_t digits = i - first;
    const bool real = i < bytes && (text[i] == '.' || text[i] == 'e' || text[i] == 'E');
    *huge =
        !real && (digits > 19 || (digits == 19 && memcmp(text + first, largest[negative], 19) > 0));
    while (i < bytes && text[i] && strchr("+-.0123456789Ee", text[i])) {
        i++;
    }
    return i;
}

/* The length of the literal of Python at `i`, 0 if there is none. It is a value, never a key. */
static size_t literal_bytes(const char *text, size_t bytes, size_t i)
{
    const char *const literal = text[i] == 'I'   ? "Infinity"
                                : text[i] == '-' ? "-Infinity"
                                : text[i] == 'N' ? "NaN"
                                                 : NULL;
    const size_t length = literal ? strlen(literal) : 0;
    if (!literal || bytes - i < length || memcmp(text + i, literal, length) != 0) {
        return 0;
    }
    size_t next = i + length;
    while (next < bytes && text[next] && strchr(" \t\r\n", text[next])) {
        next++;
    }
    return next < bytes && text[next] == ':' ? 0 : length;
}

/* Count the token at `i`. Returns the offset just after it. */
static size_t count_token(const char *text, size_t bytes, size_t i, census *c)
{
    bool huge = false;
    const size_t literal = literal_bytes(text, bytes, i);
    if (literal) {
        c->literals++;
        return i + literal;
    }
    switch (text[i]) {
    case '"': {
        const size_t end = string_end(text, bytes, i);
        c->strings++;
        c->string_bytes += end - i;
        return end;
    }
    case '{':
    case '[':
        c->objects += text[i] == '{';
        c->arrays += text[i] == '[';
        c->depth++;
        c->deepest = c->depth > c->deepest ? c->depth : c->deepest;
        return i + 1;
    case '}':
    case ']':
        c->depth -= c->depth > 0;
        return i + 1;
    case ',':
        c->values++;
        return i + 1;
    default:
        if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
            i = number_end(text, bytes, i, &huge);
            c->huge += huge;
            return i;
        }
        return i + 1;
    }
}

/* How much memory the tree takes at most: jansson's structures with the overhead of malloc, and
 * tables that have just doubled. A string may be a key, which brings an entry of a hash table. */
static size_t tree_bytes(const census *c)
{
    enum { OBJECT = 240, ARRAY = 128, STRING = 96, VALUE = 48 };
    return OBJECT * c->objects + ARRAY * c->arrays + STRING * c->strings + c->string_bytes +
           VALUE * (c->values + 1);
}

static err_code check_tree(const char *what, json_form form, const census *c, err *e)
{
    const uint64_t most =
        expansion_limit((form & JSON_LARGE) != 0 ? JSON_MAX_LARGE_TREE : JSON_MAX_TREE);
    if (tree_bytes(c) <= most) {
        return OK;
    }
    err_set(e, ERR_INPUT,
            "%s: JSON of %zu values, which take %zu MiB of memory; at most %" PRIu64
            " MiB are allowed",
            what, c->objects + c->arrays + c->values + 1, tree_bytes(c) >> 20, most / MIB);
    err_hint(e, "if this is intended, --max-expand SIZE allows more");
    return ERR_INPUT;
}

static err_code check_bounds(const char *what, const char *text, size_t bytes, json_form form,
                             census *c, err *e)
{
    if (bytes > JSON_FILE_LIMIT) {
        return err_set(e, ERR_INPUT, "%s: %zu bytes of JSON, at most %d are allowed", what, bytes,
                       JSON_FILE_LIMIT);
    }
    for (size_t i = 0; i < bytes;) {
        i = count_token(text, bytes, i, c);
    }
    if (c->deepest > JSON_MAX_DEPTH) {
        return err_set(e, ERR_INPUT, "%s: JSON nested %zu deep, at most %d levels are allowed",
                       what, c->deepest, JSON_MAX_DEPTH);
    }
    if (c->objects + c->arrays > JSON_MAX_NESTS || c->values > JSON_MAX_VALUES) {
        return err_set(e, ERR_INPUT, "%s: JSON of more than %d objects and arrays or %d values",
                       what, JSON_MAX_NESTS, JSON_MAX_VALUES);
    }
    return check_tree(what, form, c, e);
}

static char *put(char *to, const char *text, size_t bytes)
{
    memcpy(to, text, bytes);
    return to + bytes;
}

/* A copy of the text in standard JSON: huge integers are spelled as reals, with ".0" after them, and
 * literals as strings. jansson's own flag for huge integers would also turn every other integer into
 * a real; for the literals it has none. NULL: no memory. */
static char *spell_standard(const char *text, size_t bytes, const census *found, size_t *copied)
{
    char *const copy = malloc(bytes + 2 * (found->huge + found->literals) + 1);
    char *to = copy;
    for (size_t i = 0; copy && i < bytes;) {
        census c = {0};
        const size_t end = count_token(text, bytes, i, &c);
        to = c.literals ? put(to, "\"", 1) : to;
        to = put(to, text + i, end - i);
        to = c.literals ? put(to, "\"", 1) : c.huge ? put(to, ".0", 2) : to;
        i = end;
    }
    *copied = (size_t)(to - copy);
    return copy;
}

static err_code load(const char *what, const char *text, size_t bytes, json_form form, json_t **out,
                     err *e)
{
    int line = 0;
    err why = {0};
    const err_code code = json_load_text(text, bytes, JSON_REJECT_DUPLICATES, out, &line, &why);
    if (code == OK) {
        return OK;
    }
    if (code != ERR_INPUT) {
        return err_set(e, code, "%s: %s", what, why.text);
    }
    const file_kind *const kind = file_kind_find((const unsigned char *)text, bytes);
    if (kind && kind->hint) {
        err_set(e, ERR_INPUT, "%s: %s, not JSON", what, kind->name);
        err_hint(e, "%s", kind->hint);
        return ERR_INPUT;
    }
    return (form & JSON_LINE) != 0 ? err_set(e, ERR_INPUT, "%s: %s", what, why.text)
                                   : err_set(e, ERR_INPUT, "%s: line %d: %s", what, line, why.text);
}

err_code json_parse(const char *what, const char *text, size_t bytes, json_form form, json_t **out,
                    err *e)
{
    *out = NULL;
    census c = {0};
    TRY(check_bounds(what, text, bytes, form, &c, e));
    if ((form & JSON_PYTHON) == 0 || c.huge + c.literals == 0) {
        return load(what, text, bytes, form, out, e);
    }
    size_t copied = 0;
    char *copy = spell_standard(text, bytes, &c, &copied);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes", what, bytes);
    }
    const err_code loaded = load(what, copy, copied, form, out, e);
    free(copy);
    return loaded;
}

err_code json_parse_file(const char *path, json_form form, json_t **out, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    TRY(io_read_file(path, JSON_FILE_LIMIT, &text, &bytes, e));
    const err_code code = json_parse(path, text, bytes, form, out, e);
    free(text);
    return code;
}

/* Does canonical JSON have a form for this? Outside strings, true, false, null and every real
 * contain one of these characters: jansson always writes a real with '.' or 'e'. */
static bool has_only_integers(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        if (text[i] == '"') {
            i = string_end(text, bytes, i);
        } else if (strchr("tfn.eE", text[i])) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

/* The code point of the short escape \`letter`, 0 if it is not one that canonical JSON spells out.
 */
static unsigned short_escape(char letter)
{
    switch (letter) {
    case 'b':
        return 0x08;
    case 't':
        return 0x09;
    case 'n':
        return 0x0a;
    case 'f':
        return 0x0c;
    case 'r':
        return 0x0d;
    default:
        return 0;
    }
}

/* jansson's compact, sorted ASCII form is the canonical one except for its short escapes: \n is
 * \u000A here. `to` holds 3 * bytes, since two bytes become at most six. Returns the bytes written.
 */
static size_t expand_escapes(const char *text, size_t bytes, char *to)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        to[used++] = text[i];
        if (text[i] != '\\') {
            continue;
        }
        const unsigned point = short_escape(text[++i]);
        if (point) {
            const char spelled[] = {'u', '0', '0', '0', hex[point]};
            memcpy(to + used, spelled, sizeof spelled);
            used += sizeof spelled;
        } else {
            to[used++] = text[i];
        }
    }
    return used;
}

char *json_canonical(const json_t *value, size_t *bytes)
{
    char *text =
        json_write_text(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    if (!text) {
        return NULL;
    }
    char *canonical = NULL;
    const size_t length = strlen(text);
    if (has_only_integers(text, length)) {
        canonical = malloc(3 * length + 1);
    }
    if (canonical) {
        *bytes = expand_escapes(text, length, canonical);
        canonical[*bytes] = '\0';
        char *trimmed = realloc(canonical, *bytes + 1);
        canonical = trimmed ? trimmed : canonical;
    }
    free(text);
    return canonical;
}
