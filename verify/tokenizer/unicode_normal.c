#include "verify/tokenizer/unicode_normal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* No character decomposes into more than 18. */
enum { MOST_PARTS = 32, CLASSES = 256, STEPS_PER_LOOK = 1 << 16 };

static bool is_late(utf8proc_int32_t point)
{
    size_t low = 0, high = unicode_normal_late_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (unicode_normal_late[middle].last < (uint32_t)point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < unicode_normal_late_count && unicode_normal_late[low].first <= (uint32_t)point;
}

/* Characters that never change and never join what precedes them: ASCII and ideographs. */
static bool is_plain(utf8proc_int32_t point)
{
    return point < 0x80 || (point >= 0x3400 && point <= 0x9fff);
}

/* Decode the character at `at`; returns the offset of its end. */
static size_t next_point(const char *text, size_t bytes, size_t at, utf8proc_int32_t *point)
{
    const utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                     (utf8proc_ssize_t)(bytes - at), point);
    return at + (length > 0 ? (size_t)length : 1); /* the text is UTF-8, so it is > 0 */
}

static err_code reserve(unicode_work *w, size_t count, err *e)
{
    if (count <= w->capacity) {
        return OK;
    }
    const size_t capacity = 2 * count;
    int32_t *const points = realloc(w->points, capacity * sizeof *points);
    w->points = points ? points : w->points;
    int32_t *const sorted = points ? realloc(w->sorted, capacity * sizeof *sorted) : NULL;
    w->sorted = sorted ? sorted : w->sorted;
    if (!sorted) {
        return err_set(e, ERR_MEMORY, "no memory to normalize %zu characters", count);
    }
    w->capacity = capacity;
    return OK;
}

void unicode_work_free(unicode_work *w)
{
    free(w->points);
    free(w->sorted);
    *w = (unicode_work){.monitor = w->monitor};
}

static unsigned combining_class(int32_t point)
{
    return (unsigned)utf8proc_get_property(point)->combining_class;
}

/* Sort the marks [first, last) by combining class, marks of one class in their order. utf8proc would
 * take quadratic time. */
static void sort_marks(unicode_work *w, size_t first, size_t last)
{
    size_t begin[CLASSES + 1] = {0};
    for (size_t i = first; i < last; i++) {
        begin[combining_class(w->points[i]) + 1]++;
    }
    for (size_t c = 1; c <= CLASSES; c++) {
        begin[c] += begin[c - 1];
    }
    for (size_t i = first; i < last; i++) {
        w->sorted[begin[combining_class(w->points[i])]++] = w->points[i];
    }
    memcpy(w->points + first, w->sorted, (last - first) * sizeof *w->points);
}

/* Bring the marks after each starter into canonical order. */
static void order_marks(unicode_work *w)
{
    size_t first = 0; /* of the current run of marks */
    bool ordered = true;
    unsigned before = 0;
    for (size_t i = 0; i <= w->count; i++) {
        const unsigned class = i < w->count ? combining_class(w->points[i]) : 0;
        if (class == 0) {
            if (!ordered) {
                sort_marks(w, first, i);
            }
            first = i + 1;
            ordered = true;
        }
        ordered = ordered && (class == 0 || class >= before);
        before = class;
    }
}

static err_code decompose(const char *text, size_t bytes, bool compatible, unicode_work *w, err *e)
{
    const utf8proc_option_t options = (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                          (compatible ? UTF8PROC_COMPAT : 0));
    w->count = 0;
    for (size_t at = 0; at < bytes;) {
        utf8proc_int32_t point = 0;
        int unused = 0;
        at = next_point(text, bytes, at, &point);
        TRY(reserve(w, w->count + MOST_PARTS, e));
        const utf8proc_ssize_t parts =
            utf8proc_decompose_char(point, w->points + w->count, MOST_PARTS, options, &unused);
        if (parts < 0 || parts > MOST_PARTS) {
            return err_set(e, ERR_INTERNAL, "U+%04X: %s", (unsigned)point,
                           parts < 0 ? utf8proc_errmsg(parts) : "too many parts");
        }
        w->count += (size_t)parts;
    }
    return OK;
}

/* A piece whose first character joins nothing before it, and whose end joins nothing after it. */
static err_code normalize_piece(unicode_form form, const char *text, size_t bytes, unicode_work *w,
                                text_buffer *out, err *e)
{
    TRY(decompose(text, bytes, form == UNICODE_NFKC || form == UNICODE_NFKD, w, e));
    order_marks(w);
    size_t count = w->count;
    if (form == UNICODE_NFC || form == UNICODE_NFKC) {
        const utf8proc_ssize_t left =
            utf8proc_normalize_utf32(w->points, (utf8proc_ssize_t)count,
                                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        count = left > 0 ? (size_t)left : 0; /* it only fails for options that do not exist */
    }
    for (size_t i = 0; i < count; i++) {
        utf8proc_uint8_t bytes_of[4];
        const utf8proc_ssize_t length = utf8proc_encode_char(w->points[i], bytes_of);
        TRY(text_buffer_add(out, (const char *)bytes_of, (size_t)length, e));
    }
    return OK;
}

err_code unicode_normalize(unicode_form form, const char *text, size_t bytes, unicode_work *w,
                           text_buffer *out, err *e)
{
    size_t begin = 0, last = 0; /* of what is not written yet; of the character before */
    bool unchanged = true;      /* what is not written yet stays as it is */
    bool late = false;          /* so does the character before, and nothing joins it */
    for (size_t at = 0, step = 1; at < bytes; step++) {
        if (step % STEPS_PER_LOOK == 0 && monitor_cancelled(w->monitor)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        utf8proc_int32_t point = 0;
        const size_t end = next_point(text, bytes, at, &point);
        const bool plain = is_plain(point);
        const bool newer = !plain && is_late(point);
        if ((plain || newer) && !unchanged) {
            TRY(normalize_piece(form, text + begin, at - begin, w, out, e));
            begin = at;
            unchanged = true;
        } else if (!plain && !newer && unchanged) {
            const size_t cut = late ? at : last; /* a mark may join a plain character */
            TRY(text_buffer_add(out, text + begin, cut - begin, e));
            begin = cut;
            unchanged = false;
        }
        late = newer;
        last = at;
        at = end;
    }
    return unchanged ? text_buffer_add(out, text + begin, bytes - begin, e)
                     : normalize_piece(form, text + begin, bytes - begin, w, out, e);
}
