/* UTF-8, one character at a time.
 *
 *     for (size_t i = 0; i < bytes; i += used) {
 *         used = utf8_length(text + i, bytes - i);
 *         if (used == 0) ... not UTF-8
 *     }
 *
 * Hand-written because mbrtowc() depends on the locale, which the program never sets. */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Length in bytes of the character that starts at `p`, with `left` bytes left: 1 … 4, or 0 if there
 * is no valid character. Overlong forms, surrogates and anything above U+10FFFF are not valid:
 * otherwise one name could be spelled in two ways. */
static inline size_t utf8_length(const char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (left == 0) {
        return 0;
    }
    const unsigned char first = (unsigned char)*p;
    if (first < 0x80) {
        return 1;
    }
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc0 || first >= 0xf8 || length > left) {
        return 0;
    }
    uint32_t point = first & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        const unsigned char next = (unsigned char)p[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (next & 0x3f);
    }
    if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
        return 0;
    }
    return length;
}

/* The code point of a character, whose length utf8_length has found. */
static inline uint32_t utf8_point(const char *p, size_t length)
{
    uint32_t point = (unsigned char)*p & (length > 1 ? 0x7fU >> length : 0x7fU);
    for (size_t i = 1; i < length; i++) {
        point = point << 6 | ((unsigned char)p[i] & 0x3f);
    }
    return point;
}

/* Is all of a NUL-terminated text valid UTF-8? */
static inline bool utf8_valid(const char *text)
{
    const char *const end = text + strlen(text);
    size_t length = 1;
    for (; text < end && length > 0; text += length) {
        length = utf8_length(text, (size_t)(end - text));
    }
    return length > 0;
}

/* The length of the longest beginning of `text`, which is UTF-8, that has at most `most` bytes and ends
 * with a whole character. */
static inline size_t utf8_beginning(const char *text, size_t most)
{
    size_t bytes = strnlen(text, most);
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return bytes;
}

#endif
