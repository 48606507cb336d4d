/* Files of token ids, of any kind; and the same bytes as a text that may be compressed. An accepted
 * list consists of whole rows of ids of the vocabulary. A text that is read as a whole has the lines that
 * are read one by one. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/tokenizer/text_lines.h"
#include "verify/tokenizer/text_packed.h"
#include "verify/tokenizer/token_input.h"

enum { VOCAB = 1000, TEXT_LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_ids(const char *path)
{
    token_input in;
    err e = {0};
    const err_code code = token_input_read(path, VOCAB, &in, &e);
    if (code != e.code || (code != OK && in.ids)) {
        __builtin_trap();
    }
    if (code == OK && ((in.row && in.count % in.row != 0) ||
                       token_input_check("f", in.ids, in.count, VOCAB, NULL) != OK)) {
        __builtin_trap();
    }
    token_input_free(&in);
}

/* The lines of the file, of at most TEXT_LIMIT bytes: are they those of `text`? */
static void compare_lines(const char *path, const char *text, size_t bytes)
{
    text_lines *l = NULL;
    const char *line = "";
    size_t length = 0, at = 0;
    if (text_lines_open(path, NULL, &l, NULL) != OK) {
        __builtin_trap();
    }
    while (text_lines_next(l, &line, &length, NULL) == OK && line) {
        if (at + length > bytes || memcmp(line, text + at, length) != 0 ||
            (at + length < bytes && text[at + length] != '\n')) {
            __builtin_trap();
        }
        at += length + 1;
    }
    if (line || at < bytes || at > bytes + 1) {
        __builtin_trap();
    }
    text_lines_close(l);
}

static void unpack(const char *path, const char *data, size_t size)
{
    char *text = NULL;
    size_t bytes = 0;
    if (text_is_packed(data, size) &&
        text_unpack("f", data, size, TEXT_LIMIT, NULL, &text, &bytes, NULL) == OK) {
        if (bytes > TEXT_LIMIT || text[bytes] != '\0') {
            __builtin_trap();
        }
        compare_lines(path, text, bytes);
    } else if (!text_is_packed(data, size)) {
        compare_lines(path, data, size);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const int fd = memfd_create("ids", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    read_ids(path);
    unpack(path, (const char *)data, size);
    close(fd);
    return 0;
}
