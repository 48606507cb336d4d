#include "format/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* XXH3_* in this file: the library chooses the instruction set */
#endif

size_t digest_bytes(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? SHA256_BYTES : XXH3_BYTES;
}

const char *digest_name(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? "sha256" : "xxh3";
}

static void store_xxh3(XXH128_hash_t hash, unsigned char out[XXH3_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(out, canonical.digest, XXH3_BYTES);
}

void digest_xxh3(const void *data, size_t bytes, unsigned char out[XXH3_BYTES])
{
    store_xxh3(XXH3_128bits(data, bytes), out);
}

/* The library's state, under a name of ours so that only this file knows the library. */
xxh3_stream *xxh3_start(void)
{
    XXH3_state_t *const state = XXH3_createState();
    if (state) {
        XXH3_128bits_reset(state);
    }
    return (xxh3_stream *)state;
}

void xxh3_add(xxh3_stream *s, const void *data, size_t bytes)
{
    XXH3_128bits_update((XXH3_state_t *)s, data, bytes);
}

void xxh3_restart(xxh3_stream *s)
{
    (void)XXH3_128bits_reset((XXH3_state_t *)s); /* fails for NULL only */
}

void xxh3_finish(xxh3_stream *s, unsigned char out[XXH3_BYTES])
{
    store_xxh3(XXH3_128bits_digest((XXH3_state_t *)s), out);
    XXH3_freeState((XXH3_state_t *)s);
}

/* libcrypto can fail only without memory; a digest of zeros then fails every comparison. */
void digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES])
{
    if (EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL) != 1) {
        memset(out, 0, SHA256_BYTES);
    }
}

void digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out)
{
    if (alg == DIGEST_SHA256) {
        digest_sha256(data, bytes, out);
    } else {
        digest_xxh3(data, bytes, out);
    }
}

void digest_combine(digest_alg alg, const unsigned char *pieces, size_t count, unsigned char *out)
{
    const size_t each = digest_bytes(alg);
    if (count == 1) {
        memcpy(out, pieces, each);
    } else {
        digest_of(alg, pieces, count * each, out);
    }
}

struct sha256_stream {
    EVP_MD_CTX *ctx;
};

sha256_stream *sha256_start(void)
{
    sha256_stream *const s = malloc(sizeof *s);
    if (!s) {
        return NULL;
    }
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
        sha256_discard(s);
        return NULL;
    }
    return s;
}

void sha256_add(sha256_stream *s, const void *data, size_t bytes)
{
    EVP_DigestUpdate(s->ctx, data, bytes);
}

void sha256_finish(sha256_stream *s, unsigned char out[SHA256_BYTES])
{
    if (EVP_DigestFinal_ex(s->ctx, out, NULL) != 1) {
        memset(out, 0, SHA256_BYTES);
    }
    sha256_discard(s);
}

void sha256_discard(sha256_stream *s)
{
    if (s) {
        EVP_MD_CTX_free(s->ctx);
        free(s);
    }
}

void hex_encode(const unsigned char *data, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}
