#include "format/json/json_edit.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"

static const char space[] = " \t\r\n";

static const char *skip_space(const char *p)
{
    return p + strspn(p, space);
}

/* Returns the byte after the string that begins at `p`. */
static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\';
    }
    return p + 1;
}

/* Returns the byte after the value that begins at `p`. */
static const char *skip_value(const char *p)
{
    int depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
    } while (depth > 0 || !strchr(",}] \t\r\n", *p));
    return p;
}

/* The string at `p` with its escapes decoded; NULL: no memory. */
static json_t *decode_string(const char *p)
{
    json_t *s = NULL;
    const size_t bytes = (size_t)(skip_string(p) - p);
    return json_load_text(p, bytes, JSON_DECODE_ANY, &s, NULL, NULL) == OK ? s : NULL;
}

/* Find a member together with the comma to remove with it: the one before it, or for the first
 * member the one after it. *begin: NULL if there is no such member. False: no memory. */
static bool find_member(const char *text, const char *key, const char **begin, const char **end)
{
    const char *comma = NULL;
    *begin = NULL;
    for (const char *p = skip_space(strchr(text, '{') + 1); *p == '"';) {
        const char *const value = skip_space(skip_space(skip_string(p)) + 1);
        const char *const value_end = skip_value(value);
        const char *const next = skip_space(value_end);
        const char *const next_member = *next == ',' ? skip_space(next + 1) : next;
        json_t *const name = decode_string(p);
        const bool same = name && strcmp(json_string_value(name), key) == 0;
        json_decref(name);
        if (!name) {
            return false;
        }
        if (same) {
            *begin = comma ? comma : p;
            *end = comma ? value_end : next_member;
            return true;
        }
        comma = next;
        p = next_member;
    }
    return true;
}

char *json_edit_remove(const char *text, size_t bytes, const char *key, size_t *out_bytes)
{
    char *const out = malloc(bytes + 1);
    if (!out) {
        return NULL;
    }
    memcpy(out, text, bytes);
    out[bytes] = '\0';
    const char *begin = NULL;
    const char *end = NULL;
    if (!find_member(out, key, &begin, &end)) {
        free(out);
        return NULL;
    }
    if (begin) {
        memmove(out + (begin - out), end, bytes - (size_t)(end - out) + 1);
        bytes -= (size_t)(end - begin);
    }
    *out_bytes = bytes;
    return out;
}

/* ---- members at any depth -------------------------------------- */

/* A copy of a text without some members: everything up to `from` is copied or left out. */
typedef struct remover {
    const char *from;
    char *to;
    json_edit_choice is_gone;
    bool failed; /* memory was short */
} remover;

static void leave_out(remover *r, const char *begin, const char *end)
{
    memcpy(r->to, r->from, (size_t)(begin - r->from));
    r->to += begin - r->from;
    r->from = end;
}

/* The member of `object` whose name is at `name`, and whether it is to go. */
static const json_t *find_value(remover *r, const json_t *object, const char *name, bool *gone)
{
    json_t *const key = decode_string(name);
    const json_t *const value = key ? json_object_get(object, json_string_value(key)) : NULL;
    r->failed = r->failed || !key;
    *gone = json_is_object(value) && r->is_gone(json_string_value(key), value);
    json_decref(key);
    return value;
}

static const char *walk_object(remover *r, const json_t *object, const char *p);

/* Returns the byte after the value that begins at `p`, which is `value`. The parsed text is walked
 * alongside: to parse what is asked about, at every depth, would take the product of both. */
static const char *walk_value(remover *r, const json_t *value, const char *p)
{
    if (*p == '{') {
        return walk_object(r, value, p);
    }
    if (*p != '[') {
        return skip_value(p);
    }
    p = skip_space(p + 1);
    for (size_t i = 0; *p != ']'; i++) {
        p = skip_space(walk_value(r, json_array_get(value, i), p));
        p = *p == ',' ? skip_space(p + 1) : p;
    }
    return p + 1;
}

/* With a member goes one comma: the one before it, or the one after it while no member is kept. */
static const char *walk_object(remover *r, const json_t *object, const char *p)
{
    const char *comma = NULL;
    bool kept = false;
    for (p = skip_space(p + 1); *p == '"';) {
        bool gone = false;
        const json_t *const inner = find_value(r, object, p, &gone);
        const char *const value = skip_space(skip_space(skip_string(p)) + 1);
        const char *const value_end = gone ? skip_value(value) : walk_value(r, inner, value);
        const char *const next = skip_space(value_end);
        const char *const next_member = *next == ',' ? skip_space(next + 1) : next;
        if (gone) {
            leave_out(r, kept ? comma : p, kept ? value_end : next_member);
        }
        kept = kept || !gone;
        comma = next;
        p = next_member;
    }
    return p + 1;
}

char *json_edit_remove_objects(const char *text, size_t bytes, json_edit_choice is_gone,
                               size_t *out_bytes)
{
    json_t *root = NULL;
    char *const whole = malloc(bytes + 1);
    char *out = malloc(bytes + 1);
    remover r = {.from = whole, .to = out, .is_gone = is_gone};
    r.failed = !whole || !out || json_parse("", text, bytes, JSON_PYTHON, &root, NULL) != OK;
    if (!r.failed) {
        memcpy(whole, text, bytes);
        whole[bytes] = '\0';
        (void)walk_object(&r, root, strchr(whole, '{'));
        leave_out(&r, whole + bytes, whole + bytes);
        *r.to = '\0';
        *out_bytes = (size_t)(r.to - out);
    }
    json_decref(root);
    free(whole);
    if (r.failed) {
        free(out);
        out = NULL;
    }
    return out;
}

/* ---- one more member ------------------------------------------- */

/* Copy `text` with two more spaces after every newline. Returns the byte after the copy. */
static char *copy_indented(char *to, const char *text)
{
    for (; *text; text++) {
        *to++ = *text;
        if (*text == '\n') {
            *to++ = ' ';
            *to++ = ' ';
        }
    }
    return to;
}

char *json_edit_append(const char *text, size_t bytes, const char *key, const char *value,
                       size_t *out_bytes)
{
    size_t end = bytes; /* of the last member; only space and the closing '}' follow */
    while (text[end - 1] != '}') {
        end--;
    }
    end--;
    while (strchr(space, text[end - 1])) {
        end--;
    }
    const size_t capacity = end + strlen(key) + 3 * strlen(value) + 16;
    char *const out = malloc(capacity);
    if (!out) {
        return NULL;
    }
    memcpy(out, text, end);
    char *to = out + end;
    to += snprintf(to, capacity - end, "%s\n  \"%s\": ", text[end - 1] == '{' ? "" : ",", key);
    to = copy_indented(to, value);
    memcpy(to, "\n}\n", 4);
    *out_bytes = (size_t)(to - out) + 3;
    return out;
}
