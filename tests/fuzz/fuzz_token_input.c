/* Files of token ids, of any kind; and the same bytes as a text that may be compressed. An accepted
 * list consists of whole rows of ids of the vocabulary. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/archive/gzip.h"
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

static void unpack(const char *data, size_t size)
{
    char *text = NULL;
    size_t bytes = 0;
    if (gzip_is_compressed(data, size) &&
        gzip_unpack("f", data, size, TEXT_LIMIT, &text, &bytes, NULL) == OK &&
        (bytes > TEXT_LIMIT || text[bytes] != '\0')) {
        __builtin_trap();
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
    close(fd);
    unpack((const char *)data, size);
    return 0;
}
