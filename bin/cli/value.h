/* Parses the values of options: sizes, counts, words, globs. Every failure is ERR_USAGE with a
 * message that names the option.
 *
 *     value_size("--memory", "512M", &bytes, e)
 */
#ifndef VALUE_H
#define VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

/* A size in bytes: decimal digits, optionally followed by B, K, M, G, T, KiB, MiB, GiB or TiB in
 * upper or lower case (powers of 1024). 0 is refused, and so is MB, which means 10^6 elsewhere. */
MUST_CHECK err_code value_size(const char *option, const char *text, uint64_t *bytes, err *e);

/* A percentage from 0% to 100%, such as "0.2%", or "off"; *share is from 0 to 1. */
MUST_CHECK err_code value_share(const char *option, const char *text, double *share, err *e);

/* A decimal number from `least` to `most`. */
MUST_CHECK err_code value_count(const char *option, const char *text, unsigned least, unsigned most,
                                unsigned *count, err *e);

/* Decimal numbers from `least` to `most`, separated by commas, at most `room` numbers. */
MUST_CHECK err_code value_counts(const char *option, const char *text, uint64_t least,
                                 uint64_t most, uint64_t *counts, size_t room, size_t *count,
                                 err *e);

/* The index of `text` in `words` ("one|two|three"). */
MUST_CHECK err_code value_word(const char *option, const char *text, const char *words,
                               unsigned *number, err *e);

/* Some of `words`, separated by commas. *set has a bit for each, bit 0 for the first of `words`. */
MUST_CHECK err_code value_words(const char *option, const char *text, const char *words,
                                unsigned *set, err *e);

/* Checks the syntax of a glob (format/base/glob.h). */
MUST_CHECK err_code value_glob(const char *option, const char *text, err *e);

#endif
