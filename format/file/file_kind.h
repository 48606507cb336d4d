/* What kind of file is this? By its first bytes, for messages about files that are not of the kind
 * wanted. */
#ifndef FILE_KIND_H
#define FILE_KIND_H

#include <stddef.h>

/* The first bytes of a packed file's superblock (of the file, that is) and of its trailer. */
enum { PACK_MAGIC_BYTES = 8 };
extern const unsigned char pack_superblock_magic[PACK_MAGIC_BYTES];
extern const unsigned char pack_trailer_magic[PACK_MAGIC_BYTES];

/* The longest header of a safetensors file, as its reference implementation has it. */
enum { ST_MAX_HEADER_BYTES = 100000000 };

typedef struct file_kind {
    const char *name;   /* "a GGUF file" */
    const char *wanted; /* what it is not, where weights of a checkpoint were expected */
    const char *hint;   /* what to do with it; NULL: nothing */
} file_kind;

/* NULL: of no kind that is known. Eight bytes suffice for all kinds but safetensors. */
const file_kind *file_kind_find(const unsigned char *start, size_t bytes);

#endif
