#include "format/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

size_t digest_bytes(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? SHA256_BYTES : XXH3_BYTES;
}

const char *digest_name(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? "sha256" : "xxh3";
}

void digest_xxh3(const void *data, size_t bytes, unsigned char out[XXH3_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, bytes));
    memcpy(out, canonical.digest, XXH3_BYTES);
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
