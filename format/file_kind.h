/* What a file is that is not what it was taken for, by its first bytes: for messages only. */
#ifndef FILE_KIND_H
#define FILE_KIND_H

#include <stddef.h>

typedef struct file_kind {
    const char *name;   /* "a GGUF file" */
    const char *wanted; /* what it is not, where weights of a checkpoint were expected */
    const char *hint;   /* what to do with it; NULL: nothing */
} file_kind;

/* NULL: of no kind that is known. Eight bytes suffice for all kinds but safetensors. */
const file_kind *file_kind_find(const unsigned char *start, size_t bytes);

#endif
