#include "format/tensor/block.h"

#include <stdio.h>
#include <string.h>

#include "format/base/num.h"

/* ---- scales ---------------------------------------------------- */

static const char *const words[SCALE_FORMAT_COUNT] = {
#define X(name, word) [SCALES_##name] = (word),
    SCALE_FORMAT_LIST(X)
#undef X
};

const char *scale_format_name(scale_format s)
{
    return words[s];
}

bool scale_format_parse(const char *word, scale_format *out)
{
    for (unsigned s = 0; s < SCALE_FORMAT_COUNT; s++) {
        if (strcmp(words[s], word) == 0) {
            *out = (scale_format)s;
            return true;
        }
    }
    return false;
}

bool scale_stored_in(dtype t)
{
    return t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F8_E8M0;
}

scale_format scale_format_of(dtype stored)
{
    return stored == DTYPE_F8_E8M0 ? SCALES_UE8M0 : SCALES_F32;
}

/* ---- sizes ----------------------------------------------------- */

bool block_same_size(block_format a, block_format b)
{
    return a.rows == b.rows && a.cols == b.cols;
}

uint64_t block_height(block_format b, uint64_t rows)
{
    return b.rows > 0 ? b.rows : rows;
}

uint64_t block_width(block_format b, uint64_t cols)
{
    return b.cols > 0 ? b.cols : cols;
}

/* A dimension without elements has no blocks, however large they are. */
static uint64_t count(uint64_t size, uint64_t block)
{
    return size > 0 ? num_ceil_div(size, block) : 0;
}

uint64_t block_down(block_format b, uint64_t rows)
{
    return count(rows, block_height(b, rows));
}

uint64_t block_across(block_format b, uint64_t cols)
{
    return count(cols, block_width(b, cols));
}

uint64_t block_count(block_format b, uint64_t rows, uint64_t cols)
{
    return block_down(b, rows) * block_across(b, cols);
}

uint64_t block_clipped(block_format b, uint64_t rows, uint64_t cols)
{
    const uint64_t all = block_count(b, rows, cols);
    return all > 0 ? all - rows / block_height(b, rows) * (cols / block_width(b, cols)) : 0;
}

/* ---- supported formats ----------------------------------------- */

const char *block_text(block_format b, char text[BLOCK_TEXT_BYTES])
{
    char rows[8] = "all";
    char cols[8] = "all";
    if (b.rows > 0) {
        snprintf(rows, sizeof rows, "%u", b.rows);
    }
    if (b.cols > 0) {
        snprintf(cols, sizeof cols, "%u", b.cols);
    }
    snprintf(text, BLOCK_TEXT_BYTES, "%s x %s", rows, cols);
    return text;
}

/* The formats that octavo reads and writes, with any scale format. */
static const block_format supported[] = {
    {128, 128, DTYPE_F8_E4M3, SCALES_F32},
};

const char *block_unsupported(block_format b, char text[BLOCK_TEXT_BYTES])
{
    char found[BLOCK_TEXT_BYTES];
    char expected[BLOCK_TEXT_BYTES];
    bool code = false;
    for (size_t i = 0; i < sizeof supported / sizeof supported[0]; i++) {
        code = code || supported[i].code == b.code;
        if (supported[i].code == b.code && block_same_size(supported[i], b)) {
            return NULL;
        }
    }
    if (!code) {
        snprintf(text, BLOCK_TEXT_BYTES, "codes of %s, expected %s", dtype_name(b.code),
                 dtype_name(supported[0].code));
    } else {
        snprintf(text, BLOCK_TEXT_BYTES, "tiles of %.20s, expected %.20s", block_text(b, found),
                 block_text(supported[0], expected));
    }
    return text;
}
