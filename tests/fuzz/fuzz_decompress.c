/* Compressed streams: gzip, zstd, xz, bzip2. What comes out is bounded whatever goes in, and for gzip
 * both ways to read it agree. */
#include <sys/mman.h>
#include <unistd.h>

#include "format/archive/decompress.h"
#include "format/archive/gzip.h"
#include "tests/fuzz/fuzz_aid.h"

enum { LIMIT = 1 << 20 };

/* One memory file for all inputs. */
static int open_input(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("compressed", MFD_CLOEXEC);
    }
    require(fd >= 0 && ftruncate(fd, 0) == 0);
    require(pwrite(fd, data, size, 0) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Read to the end, or until there is more than the limit. `out` has room for the limit. */
static err_code read_all(int fd, unsigned char *out, size_t *length, err *e)
{
    decompressor *f = NULL;
    err_code code = decompressor_open(fd, "f", NULL, &f, e);
    *length = 0;
    while (code == OK && *length <= LIMIT) {
        const unsigned char *piece = NULL;
        size_t bytes = 0;
        code = decompressor_read(f, &piece, &bytes, e);
        if (code != OK || bytes == 0) {
            break;
        }
        if (*length + bytes <= LIMIT) {
            memcpy(out + *length, piece, bytes);
        }
        *length += bytes;
    }
    decompressor_close(f);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char out[LIMIT];
    size_t length = 0;
    char *text = NULL;
    size_t bytes = 0;
    err e = {0};
    err ignored = {0};
    if (size < DECOMPRESSOR_MAGIC_BYTES || !decompressor_recognizes(data)) {
        return 0;
    }
    const err_code code = read_all(open_input(data, size), out, &length, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_INPUT);
    if (gzip_is_compressed((const char *)data, size) && length <= LIMIT) {
        const err_code whole =
            gzip_unpack("f", (const char *)data, size, LIMIT, &text, &bytes, &ignored);
        const bool padded = data[size - 1] == 0; /* which only a stream may be */
        require(whole == code || (whole == ERR_INPUT && padded));
        require(whole != OK || (bytes == length && memcmp(text, out, length) == 0));
    }
    free(text);
    return 0;
}
