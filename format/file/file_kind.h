/* Recognizes a file by its first bytes, for messages about files that are not of the kind expected.
 *
 *     const file_kind *k = file_kind_find(start, bytes);
 *     if (k) ... "%s: %s, not %s", path, k->name, k->wanted
 */
#ifndef FILE_KIND_H
#define FILE_KIND_H

#include <stdbool.h>
#include <stddef.h>

/* The first bytes of a packed file's superblock (of the file, that is) and of its trailer. */
enum { PACK_MAGIC_BYTES = 8 };
extern const unsigned char pack_superblock_magic[PACK_MAGIC_BYTES];
extern const unsigned char pack_trailer_magic[PACK_MAGIC_BYTES];

/* The longest header of a safetensors file, as in its reference implementation. */
enum { ST_MAX_HEADER_BYTES = 100000000 };

/* How much of a file to show file_kind_find, if it has so much. */
enum { FILE_KIND_BYTES = 256 };

typedef struct file_kind {
    const char *name;   /* "a GGUF file" */
    const char *wanted; /* what was expected instead, where weights of a checkpoint were */
    const char *hint;   /* what to do with the file; NULL: no hint */
} file_kind;

#define FILE_KIND_PICKLE_HINT                                                                      \
    "save the model as safetensors: from_pretrained and save_pretrained of transformers do that"
#define FILE_KIND_GGUF_HINT    "convert the checkpoint that it was made from"
#define FILE_KIND_POINTER_HINT "`git lfs pull` fetches the file itself"

/* Is this whole text a Git LFS pointer: what a clone without Git LFS has in place of a file? */
bool file_kind_is_pointer(const char *text, size_t bytes);

/* The more bytes of the beginning, the better. Eight suffice for all kinds except safetensors, which
 * needs nine, and weights pickled by PyTorch, which look like any zip archive without the name of
 * the first member: FILE_KIND_BYTES contain it. NULL: not a known kind. */
const file_kind *file_kind_find(const unsigned char *start, size_t bytes);

#endif
