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

/* XXH3 of data that comes in parts, used like sha256_stream below. */
typedef struct xxh3_stream xxh3_stream;
xxh3_stream *xxh3_start(void);
void xxh3_add(xxh3_stream *s, const void *data, size_t bytes);
void xxh3_restart(xxh3_stream *s); /* as if nothing had been added */
void xxh3_finish(xxh3_stream *s, unsigned char out[XXH3_BYTES]);

/* The digest of something cut into pieces: the digest of the only piece, or the digest of all piece
 * digests put together. `pieces`: `count` digests of digest_bytes(alg) each, back to back. */
void digest_combine(digest_alg alg, const unsigned char *pieces, size_t count, unsigned char *out);

/* SHA-256 of data that comes in parts. start allocates (NULL: no memory); finish and discard free.
 */
typedef struct sha256_stream sha256_stream;
sha256_stream *sha256_start(void);
void sha256_add(sha256_stream *s, const void *data, size_t bytes);
void sha256_finish(sha256_stream *s, unsigned char out[SHA256_BYTES]);
void sha256_discard(sha256_stream *s);

/* Lower-case hex and a NUL: 2 * bytes + 1 chars into out. */
void hex_encode(const unsigned char *data, size_t bytes, char *out);

#endif
