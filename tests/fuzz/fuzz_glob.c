/* Globs: a glob, a NUL, a name. A matcher that is written as directly as possible, item by item
 * with all ways to divide the name, must agree. */
#include "format/base/glob.h"
#include "tests/fuzz/fuzz_aid.h"

enum { LONGEST = 200 };

/* The items of a glob: where each begins; the one after the last is the end. */
static size_t find_items(const char *glob, size_t items[LONGEST + 1])
{
    size_t count = 0;
    size_t at = 0;
    while (glob[at]) {
        items[count++] = at;
        if (glob[at] == '[') {
            at += glob[at + 1] == '!' ? 3 : 2; /* the first byte is a member, whatever it is */
            while (glob[at] != ']') {
                at++;
            }
        }
        at++;
    }
    items[count] = at;
    return count;
}

/* Is `byte` in the set whose text, without its brackets, is [at, end)? */
static bool is_in_set(const unsigned char *at, const unsigned char *end, unsigned char byte)
{
    const bool negated = *at == '!';
    bool found = false;
    for (at += negated; at < end; at++) {
        if (end - at > 2 && at[1] == '-') {
            found = found || (byte >= at[0] && byte <= at[2]);
            at += 2;
        } else {
            found = found || byte == *at;
        }
    }
    return found != negated;
}

static bool matches_item(const char *glob, size_t from, size_t to, char byte)
{
    const unsigned char *const g = (const unsigned char *)glob;
    if (glob[from] == '[') {
        return is_in_set(g + from + 1, g + to - 1, (unsigned char)byte);
    }
    return glob[from] == '?' || glob[from] == byte;
}

/* can[n]: the items so far match the first n bytes of the name. */
static bool matches(const char *glob, const char *name)
{
    size_t items[LONGEST + 1];
    bool can[LONGEST + 1] = {true};
    const size_t count = find_items(glob, items);
    const size_t length = strlen(name);
    for (size_t i = 0; i < count; i++) {
        bool next[LONGEST + 1] = {glob[items[i]] == '*' && can[0]};
        for (size_t n = 1; n <= length; n++) {
            next[n] = glob[items[i]] == '*'
                          ? can[n] || next[n - 1]
                          : can[n - 1] && matches_item(glob, items[i], items[i + 1], name[n - 1]);
        }
        memcpy(can, next, sizeof can);
    }
    return can[length];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    size_t bytes = 0;
    char *const glob = take_text(&in, &bytes);
    char *const name = take_text(&in, &bytes);
    char own[GLOB_NAME_BYTES];
    const bool found = glob_match(glob, name);
    if (glob_valid(glob) && strlen(glob) <= LONGEST && strlen(name) <= LONGEST) {
        require(found == matches(glob, name));
    }
    require(!*name || (glob_valid(glob_of_name(name, own)) && glob_match(own, name)));
    free(name);
    free(glob);
    return 0;
}
