/* Values of options: the first byte chooses the parser, the rest is the value. What is accepted is
 * within its limits and gives the same when it is written again in its plainest form. */
#include <inttypes.h>
#include <stdio.h>

#include "bin/cli/value.h"
#include "tests/fuzz/fuzz_aid.h"

enum { ROOM = 8, LEAST = 2, MOST = 100000 };

static const char words[] = "one|two|three|";

static void check_size(const char *text, err *e)
{
    uint64_t bytes = 0;
    uint64_t again = 0;
    char plain[32];
    if (value_size("o", text, &bytes, e) == OK) {
        snprintf(plain, sizeof plain, "%" PRIu64 "b", bytes);
        require(bytes > 0 && value_size("o", plain, &again, e) == OK && again == bytes);
    }
}

static void check_count(const char *text, err *e)
{
    unsigned count = 0;
    uint64_t counts[ROOM];
    size_t some = 0;
    const bool accepted = value_count("o", text, LEAST, MOST, &count, e) == OK;
    require(!accepted || (count >= LEAST && count <= MOST));
    err ignored = {0};
    const bool listed = value_counts("o", text, LEAST, MOST, counts, ROOM, &some, &ignored) == OK;
    require(!accepted || (listed && some == 1 && counts[0] == count));
}

static void check_counts(const char *text, err *e)
{
    uint64_t counts[ROOM];
    uint64_t again[ROOM];
    size_t count = 0;
    size_t number = 0;
    char plain[ROOM * 8] = "";
    if (value_counts("o", text, LEAST, MOST, counts, ROOM, &count, e) != OK) {
        return;
    }
    require(count > 0 && count <= ROOM);
    for (size_t i = 0; i < count; i++) {
        require(counts[i] >= LEAST && counts[i] <= MOST);
        const size_t at = strlen(plain);
        snprintf(plain + at, sizeof plain - at, "%s%" PRIu64, i ? "," : "", counts[i]);
    }
    require(value_counts("o", plain, LEAST, MOST, again, ROOM, &number, e) == OK);
    require(number == count && memcmp(counts, again, count * sizeof *counts) == 0);
}

static void check_words(const char *text, err *e)
{
    unsigned number = 0;
    unsigned set = 0;
    const bool one = value_word("o", text, words, &number, e) == OK;
    err ignored = {0};
    const bool some = value_words("o", text, words, &set, &ignored) == OK;
    require(!one || (number < 4 && (strchr(text, ',') || (some && set == 1U << number))));
    require(!some || (set > 0 && set < 1U << 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    err e = {0};
    size_t bytes = 0;
    double share = 0;
    const unsigned which = take_byte(&in);
    char *const text = take_text(&in, &bytes);
    switch (which % 5) {
    case 0:
        check_size(text, &e);
        break;
    case 1:
        check_count(text, &e);
        break;
    case 2:
        check_counts(text, &e);
        break;
    case 3:
        check_words(text, &e);
        break;
    default:
        require(value_share("o", text, &share, &e) != OK || (share >= 0 && share <= 1));
    }
    require(e.code == OK || (e.code == ERR_USAGE && e.text[0]));
    free(text);
    return 0;
}
