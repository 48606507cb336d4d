/* Digests: XXH3-128 (accidents, as fast as memory) and SHA-256 (adversaries). spec/format.md
 * sections 1 and 6. */
#ifndef DIGEST_H
#define DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_MAX = 32, XXH3_BYTES = 16, SHA256_BYTES = 32 };

/* The numbers stand in the superblock. */
typedef enum digest_alg { DIGEST_XXH3 = 1, DIGEST_SHA256 = 2 } digest_alg;

size_t digest_bytes(digest_alg alg);     /* 16 or 32 */
const char *digest_name(digest_alg alg); /* "xxh3" or "sha256", as --digest takes it */

/* out: digest_bytes(alg) bytes; XXH3 in canonical (big-endian) form. */
void digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out);
void digest_xxh3(const void *data, size_t bytes, unsigned char out[XXH3_BYTES]);
void digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES]);

/* The digest of data that comes in parts. start allocates (NULL: no memory); finish and discard
 * free. `out`: digest_bytes(alg) bytes. */
typedef struct digest_stream digest_stream;
digest_stream *digest_start(digest_alg alg);
void digest_add(digest_stream *s, const void *data, size_t bytes);
void digest_restart(digest_stream *s); /* as if nothing had been added */
void digest_finish(digest_stream *s, unsigned char *out);
void digest_discard(digest_stream *s); /* NULL is fine */

/* The digest of something cut into pieces: the digest of the only piece, or the digest of all piece
 * digests put together. `pieces`: `count` digests of digest_bytes(alg) each, back to back. */
void digest_combine(digest_alg alg, const unsigned char *pieces, size_t count, unsigned char *out);

/* Lower-case hex and a NUL: 2 * bytes + 1 chars into out. */
void hex_encode(const unsigned char *data, size_t bytes, char *out);

#endif
