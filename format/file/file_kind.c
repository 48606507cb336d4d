#include "format/file/file_kind.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "format/base/num.h"

enum { LOOK_BYTES = 8 };

const unsigned char pack_superblock_magic[PACK_MAGIC_BYTES] = {0xD7, 'F',  '8',  'P',
                                                               0x0D, 0x0A, 0x1A, 0x0A};
const unsigned char pack_trailer_magic[PACK_MAGIC_BYTES] = {'P',  '8',  'F',  0xD7,
                                                            0x0A, 0x1A, 0x0A, 0x0D};

static const file_kind packed = {"a packed file", "a checkpoint",
                                 "octavo export turns it into a checkpoint"};
static const file_kind gguf = {"a GGUF file", "safetensors", FILE_KIND_GGUF_HINT};
static const file_kind pickle = {"weights pickled by PyTorch", "safetensors",
                                 FILE_KIND_PICKLE_HINT};
static const file_kind zip = {"a zip archive", "safetensors", NULL};
static const file_kind html = {
    "an HTML page", "safetensors",
    "a download saved an error page under this name; fetch the file again"};
static const file_kind zeros = {"only zeros at the beginning", "safetensors",
                                "the download was not completed; fetch the file again"};
static const file_kind apple = {"an AppleDouble file of macOS", "safetensors",
                                "the real file has this name without ._"};
static const file_kind pointer = {"a Git LFS pointer", "safetensors", FILE_KIND_POINTER_HINT};
static const file_kind json = {"JSON text", "safetensors", NULL};
static const file_kind safetensors = {"a safetensors file", "safetensors",
                                      "octavo convert turns a checkpoint into a packed file"};

/* PyTorch's zip archives begin with NAME/data.pkl; what torch.save wrote before them is a pickle of
 * protocol 2, which begins with a number of ten bytes. */
static bool is_pickle(const unsigned char *start, size_t bytes)
{
    static const char member[] = "/data.pkl";
    const bool is_zip = memcmp(start, "PK\3\4", 4) == 0;
    return is_zip ? memmem(start, bytes, member, sizeof member - 1) != NULL
                  : memcmp(start, "\x80\x02\x8a\x0a", 4) == 0;
}

static bool is_html(const unsigned char *start, size_t bytes)
{
    static const char *const tags[] = {"<!DOCTYPE", "<HTML", "<?XML"};
    size_t at = 0;
    while (at < bytes && start[at] && strchr(" \t\r\n", start[at])) {
        at++;
    }
    bool found = false;
    for (size_t i = 0; i < sizeof tags / sizeof *tags && !found; i++) {
        const size_t length = strlen(tags[i]);
        const size_t compared = length < bytes - at ? length : bytes - at;
        found = compared >= 5 && strncasecmp((const char *)start + at, tags[i], compared) == 0;
    }
    return found;
}

/* The first bytes of a safetensors file, the length of its header, may look like text, but zeros
 * follow them. */
static bool is_json(const unsigned char *start)
{
    bool text = true;
    for (size_t i = 0; i < LOOK_BYTES && text; i++) {
        text = start[i] >= ' ' || memchr("\t\r\n", start[i], 3);
    }
    return text && (start[0] == '{' || start[0] == '[');
}

bool file_kind_is_pointer(const char *text, size_t bytes)
{
    static const char start[] = "version https://git-lfs.github.com/spec/";
    return bytes >= sizeof start - 1 && memcmp(text, start, sizeof start - 1) == 0;
}

const file_kind *file_kind_find(const unsigned char *start, size_t bytes)
{
    if (bytes < LOOK_BYTES) {
        return NULL;
    }
    if (memcmp(start, pack_superblock_magic, PACK_MAGIC_BYTES) == 0) {
        return &packed;
    }
    if (memcmp(start, "GGUF", 4) == 0) {
        return &gguf;
    }
    if (is_pickle(start, bytes)) {
        return &pickle;
    }
    if (memcmp(start, "PK\3\4", 4) == 0) {
        return &zip;
    }
    if (is_html(start, bytes)) {
        return &html;
    }
    if (memcmp(start, "\0\5\x16\7", 4) == 0) {
        return &apple;
    }
    if (memcmp(start, "\0\0\0\0\0\0\0\0", LOOK_BYTES) == 0) {
        return &zeros;
    }
    if (memcmp(start, "version ", LOOK_BYTES) == 0) {
        return &pointer;
    }
    if (is_json(start)) {
        return &json;
    }
    return bytes > LOOK_BYTES && start[LOOK_BYTES] == '{' && le64_load(start) <= ST_MAX_HEADER_BYTES
               ? &safetensors
               : NULL;
}
