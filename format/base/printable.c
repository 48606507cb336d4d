#include "format/base/printable.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/utf8.h"

/* The longest escape of one byte is four bytes long, and no escape is longer in proportion. */
enum { GROWTH = 4, LONGEST_ESCAPE = 10 };

typedef struct range {
    uint32_t first, last;
} range;

/* Unicode 15.0, sorted: the categories Cc, Cf, Zl, Zp and Zs without U+0020, whatever has the property
 * Default_Ignorable_Code_Point, and noncharacters (those that end each plane: is_hidden). */
static const range hidden[] = {
    {0x0000, 0x001f},   {0x007f, 0x00a0},   {0x00ad, 0x00ad},   {0x034f, 0x034f},
    {0x0600, 0x0605},   {0x061c, 0x061c},   {0x06dd, 0x06dd},   {0x070f, 0x070f},
    {0x0890, 0x0891},   {0x08e2, 0x08e2},   {0x115f, 0x1160},   {0x1680, 0x1680},
    {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},   {0x2028, 0x202f},
    {0x205f, 0x206f},   {0x3000, 0x3000},   {0x3164, 0x3164},   {0xfdd0, 0xfdef},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static int compare_range(const void *key, const void *element)
{
    const uint32_t point = *(const uint32_t *)key;
    const range *const r = element;
    return (point > r->last) - (point < r->first);
}

static bool is_hidden(uint32_t point)
{
    return (point & 0xfffe) == 0xfffe ||
           bsearch(&point, hidden, sizeof hidden / sizeof *hidden, sizeof *hidden, compare_range);
}

/* The bytes to write in place of the character at `p` (`length` bytes; 0: the byte is not UTF-8). */
static size_t show(char *to, const char *p, size_t length)
{
    const unsigned byte = (unsigned char)*p;
    const uint32_t point = length > 0 ? utf8_point(p, length) : byte;
    if (length > 0 && !is_hidden(point)) {
        memcpy(to, p, length);
        return length;
    }
    const size_t room = LONGEST_ESCAPE + 1;
    const int bytes = length < 2       ? snprintf(to, room, "\\x%02" PRIx32, point)
                      : point > 0xffff ? snprintf(to, room, "\\U%08" PRIx32, point)
                                       : snprintf(to, room, "\\u%04" PRIx32, point);
    return (size_t)bytes;
}

const char *printable(char *to, size_t room, const char *text)
{
    size_t left = strlen(text);
    size_t used = 0;
    while (left > 0) {
        char shown[LONGEST_ESCAPE + 1];
        const size_t length = utf8_length(text, left);
        const size_t bytes = show(shown, text, length);
        if (bytes >= room - used) {
            break;
        }
        memcpy(to + used, shown, bytes);
        used += bytes;
        text += length > 0 ? length : 1;
        left -= length > 0 ? length : 1;
    }
    to[used] = '\0';
    return to;
}

char *printable_copy(const char *text)
{
    const size_t room = GROWTH * strlen(text) + 1;
    char *const to = malloc(room);
    if (to) {
        printable(to, room, text);
    }
    return to;
}
