/* Digests (spec/format.md sections 1 and 6): XXH3-128, which detects accidental corruption at the
 * speed of memory, and SHA-256, which also withstands an adversary.
 *
 *     unsigned char sum[DIGEST_MAX];
 *     TRY(digest_of(DIGEST_SHA256, data, bytes, sum, e));    all of it at once
 *
 *     digest_stream *s = NULL;                               or in parts
 *     TRY_OUT(digest_open(DIGEST_SHA256, &s, e));
 *     TRY_OUT(digest_add(s, data, bytes, e));
 *     TRY_OUT(digest_finish(s, sum, e));                     after digest_restart: the next one
 *     ...
 *     digest_close(s);
 *
 * With these libraries only digest_open can fail (ERR_MEMORY): neither xxHash nor nettle needs
 * memory after that. The others return an err_code because that is a property of the libraries;
 * libcrypto, for example, allocates whenever a SHA-256 begins. A stream is used by one thread at a
 * time. */
#ifndef DIGEST_H
#define DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* name, word (as --digest takes it), number in the superblock, bytes of a digest. A new row also
 * needs functions of these names in digest.c. */
#define DIGEST_LIST(X)                                                                             \
    X(XXH3, xxh3, 1, 16)                                                                           \
    X(SHA256, sha256, 2, 32)

typedef enum digest_alg {
#define X(name, word, number, bytes) DIGEST_##name = (number),
    DIGEST_LIST(X)
#undef X
} digest_alg;

enum {
#define X(name, word, number, bytes) name##_BYTES = (bytes),
    DIGEST_LIST(X)
#undef X
        DIGEST_MAX = 32 /* bytes of the longest digest */
};

/* Rows of the list. */
enum {
#define X(name, word, number, bytes) DIGEST_ROW_##name,
    DIGEST_LIST(X)
#undef X
        DIGEST_COUNT
};

extern const digest_alg digest_algs[DIGEST_COUNT]; /* in the order of the list */

bool digest_known(unsigned number); /* is a number from a file an algorithm? */

/* For a known algorithm. */
size_t digest_bytes(digest_alg alg);
const char *digest_name(digest_alg alg);

/* out: digest_bytes(alg) bytes; XXH3 in canonical (big-endian) form. */
MUST_CHECK err_code digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out,
                              err *e);
void digest_xxh3(const void *data, size_t bytes, unsigned char out[XXH3_BYTES]);

/* digest_of for data that may be long; ERR_CANCELLED if `m` asks to stop meanwhile. XXH3 is so fast that
 * it does not ask. */
MUST_CHECK err_code digest_long(digest_alg alg, const void *data, size_t bytes, const monitor *m,
                                unsigned char *out, err *e);
MUST_CHECK err_code digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES],
                                  err *e);

/* The digest of data that arrives in parts. `out`: digest_bytes(alg) bytes. */
typedef struct digest_stream digest_stream;
MUST_CHECK err_code digest_open(digest_alg alg, digest_stream **out, err *e);
MUST_CHECK err_code digest_add(digest_stream *s, const void *data, size_t bytes, err *e);
MUST_CHECK err_code digest_finish(digest_stream *s, unsigned char *out, err *e);
MUST_CHECK err_code digest_restart(digest_stream *s, err *e); /* forget everything that was added */
void digest_close(digest_stream *s);                          /* NULL is fine */

/* The digest of something cut into pieces: the digest of the only piece, or the digest of all piece
 * digests concatenated. `pieces`: `count` digests of digest_bytes(alg) each, back to back. */
MUST_CHECK err_code digest_combine(digest_alg alg, const unsigned char *pieces, size_t count,
                                   unsigned char *out, err *e);
void digest_combine_xxh3(const unsigned char *pieces, size_t count, unsigned char out[XXH3_BYTES]);

/* Write lower-case hex and a NUL, 2 * bytes + 1 characters, to `out`. */
void hex_encode(const unsigned char *data, size_t bytes, char *out);

#endif
