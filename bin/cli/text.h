/* Formats numbers and names for people.
 *
 * Each function writes into a buffer of TEXT_BYTES bytes that the caller provides, and returns it:
 *
 *     printf("%s in %s\n", text_size((shown){0}.s, n), ...)
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>

enum { TEXT_BYTES = 64 };

/* Use as `(shown){0}.s`: a buffer for one number that lives until the end of the block. */
typedef struct shown {
    char s[TEXT_BYTES];
} shown;

const char *text_size(char *to, uint64_t bytes);   /* data: "734 B", "4.46 MB", powers of 1000 */
const char *text_memory(char *to, uint64_t bytes); /* memory: "512 MiB", powers of 1024 */
const char *text_many(char *to, uint64_t count);   /* "812", "2.23 M", "16.4 G" */
const char *text_rate(char *to, uint64_t bytes, double seconds); /* "2.31 GB/s" */
const char *text_seconds(char *to, double seconds); /* "31 ms", "2.31 s", "1:02:03 h" */
const char *text_shape(char *to, const uint64_t *shape, unsigned ndim); /* "[512, 192]" */
const char *text_decibel(char *to, double db); /* "31.54"; "exact" for NAN */
const char *text_quality(char *to, double db); /* "SQNR 31.54 dB"; NAN: no error, in words */

/* The ending of a plural: "1 byte", "2 bytes". */
static inline const char *text_s(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* Width of a name on a terminal in columns: one for each character. */
unsigned text_columns(const char *s);

/* "160: 125 quantized, 35 kept", or with ", 12 carried over" in between if tensors were carried. */
const char *text_tensors(char *to, uint64_t quantized, uint64_t carried, uint64_t kept);

#endif
