#include "bin/cli/value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "format/base/glob.h"
#include "format/base/num.h"

/* Read the decimal digits at *text and advance *text past them. False: there are none, or the
 * number exceeds 64 bits. */
static bool read_number(const char **text, uint64_t *number)
{
    const char *p = *text;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (!num_mul(n, 10, &n) || !num_add(n, (uint64_t)(*p - '0'), &n)) {
            return false;
        }
    }
    const bool some = p > *text;
    *text = p;
    *number = n;
    return some;
}

/* The factor of a unit; 0 if the unit is unknown. */
static uint64_t unit_factor(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0' || strcasecmp(unit, "B") == 0) {
        return 1;
    }
    for (int i = 0; letters[i]; i++) {
        if (strncasecmp(unit, &letters[i], 1) == 0) {
            const bool plain = unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0;
            return plain ? (uint64_t)1 << (10 * (i + 1)) : 0;
        }
    }
    return 0;
}

err_code value_size(const char *option, const char *text, uint64_t *bytes, err *e)
{
    const char *unit = text;
    uint64_t number = 0;
    if (read_number(&unit, &number)) {
        const uint64_t factor = unit_factor(unit);
        if (factor && number > 0 && num_mul(number, factor, bytes)) {
            return OK;
        }
    }
    err_set(e, ERR_USAGE, "%s: expected a size, found '%s'", option, text);
    err_hint(e, "a size is a positive integer, with K, M, G or T for powers of 1024: 512M");
    return ERR_USAGE;
}

err_code value_share(const char *option, const char *text, double *share, err *e)
{
    static const char digits[] = "0123456789";
    const size_t whole = strspn(text, digits);
    const size_t point = text[whole] == '.';
    const size_t part = point ? strspn(text + whole + 1, digits) : 0;
    const bool number = whole > 0 && point == (part > 0);
    const double percent = number ? strtod(text, NULL) : 0;
    if (strcmp(text, "off") == 0) {
        *share = 0;
        return OK;
    }
    if (!number || strcmp(text + whole + point + part, "%") != 0 || percent > 100) {
        return err_set(e, ERR_USAGE, "%s: expected off or a percentage such as 0.2%%, found '%s'",
                       option, text);
    }
    *share = percent / 100;
    return OK;
}

err_code value_count(const char *option, const char *text, unsigned least, unsigned most,
                     unsigned *count, err *e)
{
    const char *end = text;
    uint64_t number = 0;
    if (!read_number(&end, &number) || *end || number < least || number > most) {
        return err_set(e, ERR_USAGE, "%s: expected a number from %u to %u, found '%s'", option,
                       least, most, text);
    }
    *count = (unsigned)number;
    return OK;
}

err_code value_counts(const char *option, const char *text, uint64_t least, uint64_t most,
                      uint64_t *counts, size_t room, size_t *count, err *e)
{
    const char *p = text;
    for (*count = 0;; p++) {
        uint64_t number = 0;
        const bool good = read_number(&p, &number) && number >= least && number <= most;
        if (!good || (*p != ',' && *p != '\0')) {
            return err_set(e, ERR_USAGE,
                           "%s: expected numbers from %" PRIu64 " to %" PRIu64
                           ", separated by commas, found '%s'",
                           option, least, most, text);
        }
        if (*count == room) {
            return err_set(e, ERR_USAGE, "%s: more than %zu numbers", option, room);
        }
        counts[(*count)++] = number;
        if (*p == '\0') {
            return OK;
        }
    }
}

/* The index of the word `text`, of `bytes` bytes, in a list "one|two"; -1 if it is not in the
 * list. */
static int find_word(const char *words, const char *text, size_t bytes)
{
    for (int i = 0;; i++) {
        const size_t length = strcspn(words, "|");
        if (length == bytes && memcmp(words, text, bytes) == 0) {
            return i;
        }
        if (words[length] == '\0') {
            return -1;
        }
        words += length + 1;
    }
}

err_code value_word(const char *option, const char *text, const char *words, unsigned *number,
                    err *e)
{
    const int found = find_word(words, text, strlen(text));
    if (found < 0) {
        return err_set(e, ERR_USAGE, "%s: expected %s, found '%s'", option, words, text);
    }
    *number = (unsigned)found;
    return OK;
}

err_code value_words(const char *option, const char *text, const char *words, unsigned *set, err *e)
{
    *set = 0;
    for (;;) {
        const size_t length = strcspn(text, ",");
        const int found = find_word(words, text, length);
        if (found < 0) {
            return err_set(e, ERR_USAGE, "%s: expected %s, separated by commas, found '%.*s'",
                           option, words, (int)length, text);
        }
        *set |= 1U << found;
        if (text[length] == '\0') {
            return OK;
        }
        text += length + 1;
    }
}

err_code value_glob(const char *option, const char *text, err *e)
{
    if (strlen(text) > GLOB_MAX_BYTES) {
        return err_set(e, ERR_USAGE, "%s: a glob of %zu bytes, at most %d are allowed", option,
                       strlen(text), GLOB_MAX_BYTES);
    }
    if (glob_valid(text)) {
        return OK;
    }
    err_set(e, ERR_USAGE, "%s: invalid glob '%s'", option, text);
    err_hint(e, "a glob is not empty, and every '[' needs a ']'");
    return ERR_USAGE;
}
