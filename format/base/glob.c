#include "format/base/glob.h"

#include <stddef.h>

/* The byte after the closing ']' of a set, NULL if it is not closed. `set` points just after its
 * '['. As in every shell, a ']' that comes first is a member, so there is no empty set. */
static const char *set_end(const char *set)
{
    const char *p = set + (*set == '!');
    if (*p == ']') {
        p++;
    }
    while (*p && *p != ']') {
        p++;
    }
    return *p ? p + 1 : NULL;
}

/* Is `byte` in the set [set, end)? `end` is just after its ']'. */
static bool set_has(const char *set, const char *end, unsigned char byte)
{
    const bool negated = *set == '!';
    const char *last = end - 1;
    bool found = false;
    for (const char *p = set + negated; p < last;) {
        const unsigned char low = (unsigned char)*p;
        unsigned char high = low;
        if (p + 2 < last && p[1] == '-') {
            high = (unsigned char)p[2];
            p += 2;
        }
        p++;
        found = found || (low <= byte && byte <= high);
    }
    return found != negated;
}

bool glob_valid(const char *glob)
{
    if (!*glob) {
        return false;
    }
    for (const char *p = glob; *p;) {
        const char *next = *p == '[' ? set_end(p + 1) : p + 1;
        if (!next) {
            return false;
        }
        p = next;
    }
    return true;
}

/* Match one item of the glob, which is not '*', against one byte. Returns the next item, NULL if it
 * does not match. */
static const char *match_one(const char *glob, unsigned char byte)
{
    if (*glob == '[') {
        const char *end = set_end(glob + 1);
        return end && set_has(glob + 1, end, byte) ? end : NULL;
    }
    if (*glob && (*glob == '?' || (unsigned char)*glob == byte)) {
        return glob + 1;
    }
    return NULL;
}

/* On a mismatch only the last '*' has to take one more byte: whatever an earlier one could take, the
 * last one can also take. So the time is at most the product of both lengths, for any glob. */
bool glob_match(const char *glob, const char *name)
{
    const char *star = NULL;
    const char *star_name = NULL;
    while (*name) {
        if (*glob == '*') {
            star = ++glob;
            star_name = name;
            continue;
        }
        const char *next = match_one(glob, (unsigned char)*name);
        if (next) {
            glob = next;
            name++;
        } else if (star) {
            glob = star;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (*glob == '*') {
        glob++;
    }
    return !*glob;
}

const char *glob_of_name(const char *name, char out[GLOB_NAME_BYTES])
{
    size_t i = 0;
    for (; i < GLOB_NAME_BYTES - 1 && name[i]; i++) {
        out[i] = name[i];
        if (name[i] == '[' || name[i] == '\'') {
            out[i] = '?';
        }
    }
    if (name[i]) {
        out[i - 1] = '*';
    }
    out[i] = '\0';
    return out;
}
