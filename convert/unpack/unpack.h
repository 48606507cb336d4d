/* Unpacking: extract tensors and embedded files from a packed file.
 *
 *     unpack_job job = {0};
 *     unpack_prepare(&options, m, &job, e);   headers only: list the contents, choose
 *     unpack_run(&job, m, e);                 read, check, write, rename
 *     unpack_close(&job);                     in every case
 *
 * Tensors go into one safetensors file under their names in the source: each member of a stack is a
 * separate tensor again. Every chunk that is read is checked against its digest, and the output
 * appears complete or not at all. The order of tensors in the file depends only on which are chosen:
 * wide elements first, so that all are aligned; among the same width, as in the packed file. */
#ifndef UNPACK_H
#define UNPACK_H

#include "format/archive/embed_tar.h"
#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

#define UNPACK_TENSORS "tensors.safetensors" /* the file of tensors in a directory */

/* Types that quantized tensors can be dequantized to (name, word); bf16 is rounded to nearest, ties
 * to even. */
#define UNPACK_LIST(X)                                                                             \
    X(BF16, "bf16")                                                                                \
    X(F32, "f32")

typedef enum unpack_form {
    UNPACK_STORED, /* codes and scales as they are */
#define X(name, word) UNPACK_##name,
    UNPACK_LIST(X)
#undef X
} unpack_form;

/* What the output is. */
typedef enum unpack_place {
    UNPACK_DIRECTORY, /* embedded files, and tensors.safetensors if there are tensors */
    UNPACK_FILE,      /* a safetensors file: tensors only */
    UNPACK_NOWHERE,   /* embedded files only, in memory (job.files): unpack_run is not called */
} unpack_place;

typedef struct unpack_options {
    const char *path;         /* the packed file */
    const char *output;       /* a directory or a file */
    const char *const *names; /* globs for names of tensors and embedded files; none: everything */
    size_t name_count;
    unpack_place place;
    unpack_form form;
    bool force;       /* put files into a directory that is not empty; replace files */
    unsigned threads; /* >= 1 */
    uint64_t memory;  /* for buffers, bytes */
} unpack_options;

/* A tensor as it will be in the safetensors file. */
typedef struct unpack_tensor {
    const char *name; /* owned by the job */
    const pack_record *record;
    uint64_t member; /* of a stack, else 0 */
    dtype type;
    unsigned ndim;
    uint64_t shape[TENSOR_MAX_DIMS];
    uint64_t bytes;
} unpack_tensor;

typedef struct unpack_job {
    unpack_options options;
    pack_file *file;
    pack_evidence evidence;
    member *files;                   /* all; the chosen files come first, and only they have data */
    size_t file_count, member_count; /* chosen files, all files */
    unpack_tensor *tensors;          /* the chosen tensors, in the order of the output */
    size_t tensor_count;
    size_t *places;      /* for every tensor of the packed file, members of stacks included: its
                            index in `tensors`, SIZE_MAX if it is not chosen */
    size_t *first_place; /* [records] the index in `places` of the first tensor of each record */
    char *names;         /* storage for the names of `tensors` */
    uint64_t bytes_read, bytes_written; /* set by unpack_run */
} unpack_job;

/* Errors: those of pack_open and of reading its sections; ERR_USAGE a glob matches nothing; ERR_INPUT
 * an embedded file whose name is reserved; ERR_MEMORY; ERR_CANCELLED. */
MUST_CHECK err_code unpack_prepare(const unpack_options *options, const monitor *m, unpack_job *job,
                                   err *e);

/* Errors: ERR_IO, also for an output that exists; ERR_USAGE the output would replace the packed
 * file; ERR_DAMAGED; ERR_MEMORY; ERR_CANCELLED. After any error the output is as it was before. */
MUST_CHECK err_code unpack_run(unpack_job *job, const monitor *m, err *e);

void unpack_close(unpack_job *job);

/* For unpack_run: write the data of all chosen tensors. */
struct st_writer;
MUST_CHECK err_code unpack_tensors(unpack_job *job, struct st_writer *w, const monitor *m, err *e);

/* How many tensors a record becomes: 1, or the number of members of a stack; also for scales. */
uint64_t unpack_members(const pack_record *r);

#endif
