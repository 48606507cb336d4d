/* Text from outside (names of tensors and files, values of configurations, tokens) as it may be shown: a
 * terminal, a log or a reader can be deceived by none of it.
 *
 *     char name[256];
 *     printf("%s\n", printable(name, sizeof name, t->name));
 *
 * Escaped are all characters that a terminal could obey or that cannot be seen: controls (C0, DEL, C1),
 * what changes the direction of text, line and paragraph separators, every space except U+0020,
 * characters without width, variation selectors, tags, noncharacters, and bytes that are not UTF-8. They
 * look as in a string of Python: \x1b (a control, or a byte that is not UTF-8), \u202e, \U000e0041.
 * Everything else stays as it is, backslashes as well: this is to be read, not to be decoded. What is
 * printable already does not change. */
#ifndef PRINTABLE_H
#define PRINTABLE_H

#include <stddef.h>

/* Write `text` into `to`, at most room - 1 bytes and a NUL, without a partial character or escape at the
 * end. The two must not overlap. Returns `to`. */
const char *printable(char *to, size_t room, const char *text);

/* The same as a new text of any length, the caller's to free(); NULL: no memory. */
char *printable_copy(const char *text);

#endif
