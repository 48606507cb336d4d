#include "format/tensor/tensor_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/base/utf8.h"

/* The current component of a scan of a name; `text` is NULL before the first and after the last. */
typedef struct component {
    const char *text;
    size_t bytes;
} component;

static bool component_next(const char *name, component *c)
{
    if (!c->text) {
        c->text = name;
    } else if (c->text[c->bytes] == '.') {
        c->text += c->bytes + 1;
    } else {
        c->text = NULL;
        return false;
    }
    c->bytes = (size_t)(strchrnul(c->text, '.') - c->text);
    return true;
}

static bool component_is(const component *c, const char *word)
{
    return strlen(word) == c->bytes && memcmp(c->text, word, c->bytes) == 0;
}

/* Only canonical decimals: otherwise "01" and "1" would be two names of one expert. */
static bool parse_decimal(const char *text, size_t bytes, uint64_t *number)
{
    if (bytes == 0 || bytes > 10 || (bytes > 1 && text[0] == '0')) {
        return false;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *number = n;
    return n < (uint64_t)1 << 31;
}

int64_t name_layer_at(const char *name, size_t *end)
{
    bool after_list = false;
    for (component c = {0}; component_next(name, &c);) {
        uint64_t number = 0;
        if (after_list && parse_decimal(c.text, c.bytes, &number)) {
            *end = (size_t)(c.text - name) + c.bytes;
            return (int64_t)number;
        }
        after_list =
            component_is(&c, "layers") || component_is(&c, "h") || component_is(&c, "blocks");
    }
    *end = 0;
    return -1;
}

int64_t name_layer(const char *name)
{
    size_t end = 0;
    return name_layer_at(name, &end);
}

int64_t name_layer_next(layer_memory *m, const char *name, size_t length)
{
    if (m->bytes > 0 && m->bytes <= length && memcmp(m->name, name, m->bytes) == 0) {
        return m->layer;
    }
    size_t end = 0;
    const int64_t layer = name_layer_at(name, &end);
    *m = (layer_memory){.name = name, .layer = layer};
    if (end > 0 && name[end] == '.') {
        m->bytes = end + 1;
    }
    return layer;
}

bool name_expert_slot(const char *name, size_t *start, size_t *length)
{
    for (component c = {0}; component_next(name, &c);) {
        if (component_is(&c, "experts")) {
            if (!component_next(name, &c)) {
                return false;
            }
            *start = (size_t)(c.text - name);
            *length = c.bytes;
            return true;
        }
    }
    return false;
}

bool name_expert_index(const char *name, uint64_t *index)
{
    size_t start = 0;
    size_t length = 0;
    return name_expert_slot(name, &start, &length) && parse_decimal(name + start, length, index);
}

static bool replace_slot(const char *name, size_t start, size_t length, const char *with, char *out)
{
    const char *rest = name + start + length;
    const size_t with_bytes = strlen(with);
    const size_t rest_bytes = strlen(rest);
    if (start > NAME_MAX_BYTES || rest_bytes > NAME_MAX_BYTES ||
        start + with_bytes + rest_bytes > NAME_MAX_BYTES) {
        return false;
    }
    memcpy(out, name, start);
    memcpy(out + start, with, with_bytes);
    memcpy(out + start + with_bytes, rest, rest_bytes + 1);
    return true;
}

bool name_make_stack(const char *name, char *out)
{
    size_t start = 0;
    size_t length = 0;
    return name_expert_slot(name, &start, &length) && replace_slot(name, start, length, "*", out);
}

bool name_expand_stack(const char *stack, uint64_t index, char *out)
{
    size_t start = 0;
    size_t length = 0;
    if (!name_expert_slot(stack, &start, &length) || length != 1 || stack[start] != '*') {
        return false;
    }
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, index);
    return replace_slot(stack, start, length, digits, out);
}

/* Nothing but printable ASCII? One pass without branches, which the compiler vectorizes, and which
 * suffices for all usual names. */
static bool all_printable(const char *name, size_t length)
{
    unsigned char odd = 0; /* one byte wide, so that no element is widened */
    for (size_t i = 0; i < length; i++) {
        odd |= (unsigned char)(name[i] - 0x20) >= 0x5f;
    }
    return odd == 0;
}

bool name_all_plain(const char *text, size_t bytes)
{
    return all_printable(text, bytes) && !memchr(text, '*', bytes);
}

bool name_valid(const char *name, size_t length)
{
    if (length == 0 || length > NAME_MAX_BYTES) {
        return false;
    }
    if (all_printable(name, length)) {
        return true;
    }
    for (size_t i = 0; i < length;) {
        const size_t used = utf8_length(name + i, length - i);
        const unsigned char c = (unsigned char)name[i];
        if (used == 0 || c < 0x20 || c == 0x7f) {
            return false;
        }
        i += used;
    }
    return true;
}

/* Never longer than the name: each number has at least one digit. */
void name_pattern(const char *name, char out[NAME_MAX_BYTES + 1])
{
    char *to = out;
    const char *const end = out + NAME_MAX_BYTES;
    while (*name && to < end) {
        const size_t dot = *name == '.';
        const size_t length = strcspn(name + dot, ".");
        const bool number = length > 0 && strspn(name + dot, "0123456789") >= length;
        const size_t wanted = dot + (number ? 0 : length);
        const size_t bytes = wanted < (size_t)(end - to) ? wanted : (size_t)(end - to);
        memcpy(to, name, bytes);
        to += bytes;
        if (number && to < end) {
            *to++ = '*';
        }
        name += dot + length;
    }
    *to = '\0';
}
